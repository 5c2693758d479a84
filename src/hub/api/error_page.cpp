#include "hub/api/error_page.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace brim::hub {

namespace {

constexpr std::string_view page_head =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\"><title>Brim: error codes</title>"
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}"
    "section:target{outline:2px solid;outline-offset:.5rem}dt{font-weight:600}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}</style></head><body>";

std::string_view trim(std::string_view text) {
    while (text.starts_with(' '))
        text.remove_prefix(1);
    while (text.ends_with(' ') || text.ends_with('\r'))
        text.remove_suffix(1);
    return text;
}

/// Escaped, with `code` as <code>.
void append_text(std::string& out, std::string_view text) {
    bool code = false;
    for (const char c : text) {
        switch (c) {
        case '`':
            out += code ? "</code>" : "<code>";
            code = !code;
            break;
        case '<':
            out += "&lt;";
            break;
        case '&':
            out += "&amp;";
            break;
        case '"':
            out += "&quot;";
            break;
        default:
            out += c;
        }
    }
    if (code)
        out += "</code>";
}

std::vector<std::string_view> cells_of(std::string_view row) {
    std::vector<std::string_view> cells;
    row.remove_prefix(1);
    while (!row.empty()) {
        const std::size_t bar = row.find('|');
        if (bar == std::string_view::npos)
            break;
        cells.push_back(trim(row.substr(0, bar)));
        row.remove_prefix(bar + 1);
    }
    return cells;
}

void append_section(
    std::string& out, const std::vector<std::string_view>& names, const std::vector<std::string_view>& cells
) {
    constexpr std::string_view anchor = "<a id=\"";
    std::string_view title = cells.front();
    std::string_view id;
    if (title.starts_with(anchor)) {
        id = title.substr(anchor.size(), title.find('"', anchor.size()) - anchor.size());
        const std::size_t end = title.find("</a>");
        title.remove_prefix(end == std::string_view::npos ? title.size() : end + 4);
    }
    out += "<section id=\"";
    append_text(out, id);
    out += "\"><h2>";
    append_text(out, title);
    out += "</h2><dl>";
    for (std::size_t i = 1; i < cells.size() && i < names.size(); ++i) {
        out += "<dt>";
        append_text(out, names[i]);
        out += "</dt><dd>";
        append_text(out, cells[i]);
        out += "</dd>";
    }
    out += "</dl></section>";
}

} // namespace

std::string error_page(std::string_view markdown) {
    std::string page(page_head);
    std::string paragraph;
    const auto end_paragraph = [&] {
        if (!paragraph.empty())
            page += "<p>" + std::exchange(paragraph, {}) + "</p>";
    };
    std::vector<std::string_view> names;
    while (!markdown.empty()) {
        const std::size_t end = std::min(markdown.find('\n'), markdown.size());
        const std::string_view line = trim(markdown.substr(0, end));
        markdown.remove_prefix(std::min(end + 1, markdown.size()));
        if (line.starts_with("| ") || line.starts_with("|-")) {
            end_paragraph();
            const auto cells = cells_of(line);
            if (names.empty())
                names = cells;
            else if (!cells.empty() && !line.starts_with("|-"))
                append_section(page, names, cells);
        } else if (line.starts_with("# ")) {
            end_paragraph();
            page += "<h1>";
            append_text(page, line.substr(2));
            page += "</h1>";
        } else if (line.empty()) {
            end_paragraph();
        } else {
            paragraph += paragraph.empty() ? "" : " ";
            append_text(paragraph, line);
        }
    }
    end_paragraph();
    return page + "</body></html>";
}

} // namespace brim::hub
