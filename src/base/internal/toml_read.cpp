#include "base/internal/toml_read.h"

#include <algorithm>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace brim {

namespace {

TomlPlace place_of(const toml::source_region& source) {
    return {source.begin.line, source.begin.column};
}

/// Bare keys only: a quoted key with a dot or bracket could pose as another path.
bool is_bare(std::string_view key) {
    return !key.empty() && std::ranges::all_of(key, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-';
    });
}

class TomlFlattener {
public:
    explicit TomlFlattener(TomlText& out) : out_(out) {}

    /// Recursion ends at toml++'s nesting limit (256).
    void table(const std::string& path, const toml::table& from) {
        for (const auto& [key, node] : from) {
            const TomlPlace place = place_of(key.source());
            if (!is_bare(key.str())) {
                out_.problems.push_back(
                    {path, "a key may have letters, digits, _ and - only", "remove the quotes", place}
                );
                continue;
            }
            setting(path.empty() ? std::string(key.str()) : path + '.' + std::string(key.str()), node, place);
        }
    }

private:
    void setting(const std::string& path, const toml::node& node, TomlPlace place) {
        if (const auto* child = node.as_table()) {
            out_.sections.push_back({path, place});
            table(path, *child);
        } else if (const auto* items = node.as_array()) {
            array(path, *items, place);
        } else if (const auto* text = node.as_string()) {
            out_.settings.push_back({path, text->get(), place});
        } else if (const auto* integer = node.as_integer()) {
            out_.settings.push_back({path, integer->get(), place});
        } else if (const auto* number = node.as_floating_point()) {
            out_.settings.push_back({path, number->get(), place});
        } else if (const auto* boolean = node.as_boolean()) {
            out_.settings.push_back({path, boolean->get(), place});
        } else {
            out_.problems.push_back(
                {path, "dates and times are not used here", "put the value in quotes", place}
            );
        }
    }

    void array(const std::string& path, const toml::array& items, TomlPlace place) {
        std::vector<std::string> texts;
        std::size_t tables = 0;
        for (const toml::node& item : items) {
            if (const auto* child = item.as_table()) {
                const std::string item_path = path + '[' + std::to_string(tables++) + ']';
                out_.sections.push_back({item_path, place_of(item.source())});
                table(item_path, *child);
            } else if (const auto* text = item.as_string()) {
                texts.push_back(text->get());
            } else {
                out_.problems.push_back(
                    {path, "a list holds text", "put each item in quotes", place_of(item.source())}
                );
            }
        }
        if (tables > 0 && tables < items.size()) {
            out_.problems.push_back({path, "tables and values in one array", "use one kind", place});
        }
        if (tables == 0)
            out_.settings.push_back({path, std::move(texts), place});
    }

    TomlText& out_;
};

bool earlier(const TomlPlace& a, const TomlPlace& b) {
    return a.line != b.line ? a.line < b.line : a.column < b.column;
}

} // namespace

TomlText toml_read(std::string_view text) {
    TomlText out;
    const toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
        const toml::parse_error& error = parsed.error();
        out.problems.push_back(
            {"", std::string(error.description()), "correct the TOML syntax", place_of(error.source())}
        );
        return out;
    }
    TomlFlattener(out).table("", parsed.table());
    // toml++ keeps tables sorted by name; people read from top to bottom.
    const auto by_place = [](const auto& a, const auto& b) { return earlier(a.place, b.place); };
    std::ranges::stable_sort(out.settings, by_place);
    std::ranges::stable_sort(out.sections, by_place);
    std::ranges::stable_sort(out.problems, by_place);
    return out;
}

} // namespace brim
