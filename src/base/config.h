#pragma once
// One TOML file, conf.d/*.toml beside it, environment BRIM_SECTION__KEY, and --set section.key=value; the
// later wins. A program declares every key it knows in a schema; anything else in a file is an error with
// file:line:col.

#include "base/error.h"
#include "base/log.h"
#include "base/time.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace brim {

class ConfigLoader;

using ConfigValue = std::variant<std::string, std::int64_t, bool, double, std::vector<std::string>>;

enum class ConfigType : std::uint8_t {
    text,
    integer, ///< within [min, max]
    boolean,
    number,
    duration, ///< text such as "250ms", "30s", "5m", "24h"; kept as milliseconds within [min, max]
    size,     ///< integer bytes, or text "64KiB", "8MiB", "32GiB"; kept as bytes within [min, max]
    list,     ///< of text
    secret,   ///< a reference "file:PATH", "env:NAME" or "cred:NAME" (systemd); plain text is refused, never
              ///< repeated
    choice,   ///< one of `choices`
};

struct ConfigKey {
    std::string name; ///< "section.key"; a table array item is "section[].key"
    ConfigType type = ConfigType::text;
    ConfigValue
        fallback;    ///< the default, in any form a file may have; an empty text means unset (0 for amounts)
    std::string doc; ///< one sentence, with unit
    std::int64_t min = INT64_MIN;
    std::int64_t max = INT64_MAX;
    std::vector<std::string> choices = {};
};

struct ConfigSource {
    std::string file; ///< main file; its sibling folder conf.d/ is read as well; empty = none
    std::map<std::string, std::string> environment; ///< only BRIM_* is looked at
    std::vector<std::string> sets;                  ///< "section.key=value"
};

/// The text of one settings file that somebody else read; `name` stands before line and column in errors.
struct ConfigText {
    std::string name;
    std::string text;
};

/// The effective settings. Read-only; copies share nothing.
/// Table array items of later files follow those of earlier ones. The environment (BRIM_LISTENER__0__ADDRESS)
/// and
/// --set (listener[0].address=...) change an item by its index from 0, or add the next one; their lists are
/// separated by commas. At most 1 MiB a file, 256 files, 1,000 items of a table array.
class Config {
public:
    /// All problems found, each "file:line:col: key: cause; fix", joined by newlines in Error::cause (50 at
    /// most). Errc::not_found or denied when the one problem is a file that cannot be read, else
    /// Errc::invalid.
    static Result<Config> load(const std::vector<ConfigKey>& schema, const ConfigSource& source);
    /// As load(), but of `texts` instead of files (the later wins); ConfigSource::file is not looked at.
    static Result<Config> parse(
        const std::vector<ConfigKey>& schema, const std::vector<ConfigText>& texts, const ConfigSource& source
    );
    /// What the sources say about one text key, however wrong they are elsewhere; of a text with broken
    /// syntax, the lines above the break are heard. Nothing when they do not say.
    static std::optional<std::string> glimpse(
        const std::vector<ConfigKey>& schema,
        const std::vector<ConfigText>& texts,
        const ConfigSource& source,
        std::string_view key
    );

    // Each asserts that the key is in the schema with the right type.
    const std::string& text(std::string_view key) const; ///< text, choice
    std::int64_t integer(std::string_view key) const;
    bool boolean(std::string_view key) const;
    double number(std::string_view key) const;
    Duration duration(std::string_view key) const;
    std::uint64_t size(std::string_view key) const;
    const std::vector<std::string>& list(std::string_view key) const;
    /// Resolves the reference now. Empty Secret when unset. Errc::denied when a file may be read or written
    /// by users outside its owner and group, Errc::not_found when there is no such file, variable or
    /// credential.
    Result<Secret> secret(std::string_view key) const;
    /// The reference itself ("file:PATH"); empty when unset.
    const std::string& reference(std::string_view key) const;

    /// Number of items of a table array: count("listener") for [[listener]].
    std::size_t count(std::string_view table) const;
    /// Name of an item's key, to be used with the readers above: item("listener", 0, "address").
    static std::string item(std::string_view table, std::size_t index, std::string_view key);

    /// All values of a section or table array ("broker", "listener") as one text: another one when a value
    /// is.
    std::string fingerprint(std::string_view section) const;

    /// Somebody said it: a file, the environment, --set.
    bool is_set(std::string_view key) const;
    /// "file:line:col", "BRIM_LOG__LEVEL" or "--set log.level" of a key; of one that nobody set, the place of
    /// its section or item, else the name of the main file (may be empty). The key need not be in the schema.
    std::string place(std::string_view key) const;

    /// Every key as TOML with its value and origin ("file:line", "environment", "--set", "default"), stable
    /// order.
    std::string show_effective() const;

private:
    struct Entry {
        ConfigType type = ConfigType::text;
        ConfigValue value;
        std::string origin;
        std::string place;
    };

    static Config take(ConfigLoader& loader);
    const Entry& entry(std::string_view key, ConfigType type) const;
    std::map<std::string, Entry, std::less<>> entries_;
    std::map<std::string, std::size_t, std::less<>> counts_;
    std::map<std::string, std::string, std::less<>> section_places_;
    std::string main_name_;
};

/// What is wrong with settings that are each valid: told like the problems of Config::load(), all at once.
class ConfigProblems {
public:
    explicit ConfigProblems(const Config& config) : config_(config) {}

    /// At the place of `key`, such as "listener[2].address".
    void add(std::string_view key, std::string_view cause, std::string_view fix);

    bool empty() const { return lines_.empty(); }

    /// A line each in Error::cause, 50 at most.
    Error error() const;

private:
    const Config& config_;
    std::vector<std::string> lines_;
};

/// "the schema as a commented TOML file": what `config example` prints.
std::string config_example(const std::vector<ConfigKey>& schema);

/// Nearest of `candidates` to `word` by edit distance, or empty when none is near (distance > 3 or more than
/// half).
std::string_view did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates);

} // namespace brim
