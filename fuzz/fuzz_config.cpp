// Any bytes as a configuration file: loading ends, says what is wrong with its place, or gives settings whose
// text form loads again.
#include "base/config.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {

const std::vector<brim::ConfigKey>& fuzz_schema() {
    using Type = brim::ConfigType;
    static const std::vector<brim::ConfigKey> schema{
        {"a.text", Type::text, "x", "Text."},
        {"a.int", Type::integer, std::int64_t{5}, "Integer.", -10, 1'000},
        {"a.bool", Type::boolean, true, "Boolean."},
        {"a.number", Type::number, 0.5, "Number."},
        {"a.list", Type::list, std::vector<std::string>{}, "List."},
        {"b.wait", Type::duration, "5s", "Duration."},
        {"b.size", Type::size, "1KiB", "Size."},
        {"b.secret", Type::secret, "", "Secret."},
        {"b.choice", Type::choice, "one", "Choice.", INT64_MIN, INT64_MAX, {"one", "two"}},
        {"t[].text", Type::text, "", "Text."},
        {"t[].int", Type::integer, std::int64_t{1}, "Integer."},
    };
    return schema;
}

brim::Result<brim::Config> load_text(std::string_view text, std::vector<std::string> sets) {
    brim::ConfigSource source;
    source.sets = std::move(sets);
    return brim::Config::parse(fuzz_schema(), {{"fuzz.toml", std::string(text)}}, source);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    // A first line that starts with "!" goes through --set.
    std::vector<std::string> sets;
    if (text.starts_with('!')) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        sets.emplace_back(text.substr(1, end - 1));
        text.remove_prefix(end);
    }
    const auto config = load_text(text, sets);
    if (!config) {
        if (config.error().cause.empty())
            std::abort();
        return 0;
    }
    const auto again = load_text(config->show_effective(), {});
    if (!again)
        std::abort();
    for (const char* key : {"a.text", "b.choice"}) {
        if (again->text(key) != config->text(key))
            std::abort();
    }
    if (again->integer("a.int") != config->integer("a.int") ||
        again->duration("b.wait") != config->duration("b.wait") ||
        again->size("b.size") != config->size("b.size") || again->list("a.list") != config->list("a.list") ||
        again->number("a.number") != config->number("a.number") || again->count("t") != config->count("t")) {
        std::abort();
    }
    for (std::size_t i = 0; i < config->count("t"); ++i) {
        const std::string key = brim::Config::item("t", i, "text");
        if (again->text(key) != config->text(key))
            std::abort();
    }
    return 0;
}
