#pragma once
// Lays the sources of a configuration over each other and collects everything wrong with them.

#include "base/internal/config_schema.h"
#include "base/internal/toml_read.h"

#include <optional>

namespace brim {

/// Items of one table array, over all files.
inline constexpr std::size_t config_items_max = 1'000;
/// Problems told at once.
inline constexpr std::size_t config_problems_max = 50;
inline constexpr const char* config_problems_fix = "correct the settings and check them again";

struct LoadedSetting {
    ConfigType type = ConfigType::text;
    ConfigValue value;
    std::string origin;
    std::string place; ///< "file:line:col", "BRIM_LOG__LEVEL", "--set log.level"; empty: the default
};

/// Use: add the sources in order, then finish() once.
class ConfigLoader {
public:
    explicit ConfigLoader(const ConfigSchema& schema);

    /// Table array items are appended to those of earlier files; all else replaces.
    void add_file(const std::string& path);
    void add_text(const std::string& name, std::string_view text);
    /// BRIM_SECTION__KEY and BRIM_TABLE__0__KEY. An index one past the last makes a new item.
    void add_environment(const std::map<std::string, std::string>& environment);
    /// "section.key=value" and "table[0].key=value".
    void add_sets(const std::vector<std::string>& sets);

    /// Fills in the defaults. Nothing when there were problems.
    std::optional<Error> finish();

    std::map<std::string, LoadedSetting, std::less<>> settings;
    std::map<std::string, std::size_t, std::less<>> counts; ///< items of each table array
    /// Where each section and each item begins: "log", "listener[0]".
    std::map<std::string, std::string, std::less<>> section_places;

    /// "where: key: cause; fix"; empty parts are left out.
    static std::string
    line(std::string_view where, std::string_view key, std::string_view cause, std::string_view fix);

private:
    struct Override {
        std::string where; ///< for problems: "BRIM_LOG__LEVEL", "--set log.level"
        ConfigPath path;
        std::string value;
        std::string origin;
    };

    void problem(std::string_view where, std::string_view key, std::string_view cause, std::string_view fix);
    void add_sections(const std::string& name, const TomlText& toml);
    void add_setting(const std::string& name, const TomlSetting& setting);
    void add_overrides(const std::vector<Override>& overrides);
    void add_defaults(const ConfigKey& key);

    const ConfigSchema& schema_;
    std::map<std::string, std::size_t, std::less<>> first_item_; ///< of the file being read
    std::vector<std::string> problems_;
    std::size_t problems_left_out_ = 0;
    Errc code_ = Errc::invalid;
};

} // namespace brim
