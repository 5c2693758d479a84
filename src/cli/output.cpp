#include "cli/output.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace brim::cli {

Exit exit_of(Errc code) noexcept {
    switch (code) {
    case Errc::not_found:
        return Exit::not_found;
    case Errc::unauthenticated:
    case Errc::denied:
        return Exit::denied;
    case Errc::exists:
    case Errc::conflict:
        return Exit::conflict;
    case Errc::unavailable:
    case Errc::closed:
        return Exit::unreachable;
    case Errc::timeout:
        return Exit::timeout;
    default:
        return Exit::failure;
    }
}

std::string_view exit_code_help() noexcept {
    return "What brim ends with, for scripts. The numbers stay as they are.\n\n"
           "  0  done\n"
           "  1  failure: the error names what, why and what to do (code)\n"
           "  2  usage: wrong words or options\n"
           "  3  there is no such object, or no such file (not_found)\n"
           "  4  refused: not signed in, or not allowed (unauthenticated, denied)\n"
           "  5  it exists already, or another was faster (exists, conflict)\n"
           "  6  not reachable, or the connection broke (unavailable, closed)\n"
           "  7  no answer in time; it may have been done (timeout)\n"
           "  9  a check found something bad (brim doctor)\n\n"
           "The words in brackets are the codes that errors carry: docs/errors.md, or /docs/errors at your "
           "hub.\n";
}

Exit complain(const Error& error) {
    const std::string code(errc_name(error.code));
    const std::string object = printable(error.object);
    const std::string cause = printable(error.cause);
    std::fprintf(stderr, "error: %s: %s (%s)\n", object.c_str(), cause.c_str(), code.c_str());
    if (!error.fix.empty())
        std::fprintf(stderr, "hint: %s\n", printable(error.fix).c_str());
    return exit_of(error.code);
}

std::string printable(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            c = '?';
    }
    return out;
}

std::optional<std::int64_t> parse_time(std::string_view rfc3339) {
    std::tm parts{};
    const std::string text(rfc3339);
    const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
    if (text.empty() || rest == nullptr)
        return std::nullopt;
    std::int64_t fraction_ms = 0;
    if (*rest == '.') {
        std::int64_t unit_ms = 100;
        for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit_ms /= 10)
            fraction_ms += (*rest - '0') * unit_ms;
    }
    if (std::string_view(rest) != "Z")
        return std::nullopt;
    return std::int64_t{timegm(&parts)} * 1'000 + fraction_ms;
}

std::string age(std::string_view rfc3339, std::int64_t now_ms) {
    const auto time = parse_time(rfc3339);
    if (!time)
        return "never";
    const std::int64_t seconds = std::max<std::int64_t>((now_ms - *time) / 1'000, 0);
    if (seconds < 120)
        return std::to_string(seconds) + " s ago";
    if (seconds < 7'200)
        return std::to_string(seconds / 60) + " min ago";
    if (seconds < 172'800)
        return std::to_string(seconds / 3'600) + " h ago";
    return std::to_string(seconds / 86'400) + " d ago";
}

namespace {

const Json& member_at(const Json& row, std::string_view path) {
    const Json* at = &row;
    while (!path.empty()) {
        const std::size_t dot = std::min(path.find('.'), path.size());
        at = &(*at)[path.substr(0, dot)];
        path.remove_prefix(std::min(dot + 1, path.size()));
    }
    return *at;
}

std::string cell(const Json& row, const Column& column, std::int64_t now_ms) {
    if (column.path.starts_with('@'))
        return age(member_at(row, std::string_view(column.path).substr(1)).as_string(), now_ms);
    const Json& value = member_at(row, column.path);
    if (value.is_null())
        return "-";
    if (value.is_string())
        return value.as_string().empty() ? "-" : printable(value.as_string());
    return printable(value.text());
}

/// Columns a terminal uses: wide (CJK) characters take two.
std::size_t width(std::string_view text) {
    std::size_t columns = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte & 0xc0) == 0x80)
            continue;
        columns += byte >= 0xe3 ? 2 : 1;
    }
    return columns;
}

} // namespace

void print_table(const std::vector<Column>& columns, const Json& rows, std::int64_t now_ms) {
    std::vector<std::vector<std::string>> lines;
    std::vector<std::string> titles;
    for (const Column& column : columns)
        titles.push_back(column.title);
    lines.push_back(std::move(titles));
    for (const Json& row : rows.items()) {
        std::vector<std::string> line;
        for (const Column& column : columns)
            line.push_back(cell(row, column, now_ms));
        lines.push_back(std::move(line));
    }
    std::vector<std::size_t> widths(columns.size(), 0);
    for (const auto& line : lines) {
        for (std::size_t i = 0; i < line.size(); ++i)
            widths[i] = std::max(widths[i], width(line[i]));
    }
    for (const auto& line : lines) {
        std::string text;
        for (std::size_t i = 0; i < line.size(); ++i) {
            text += line[i];
            if (i + 1 < line.size())
                text.append(widths[i] - width(line[i]) + 2, ' ');
        }
        std::puts(text.c_str());
    }
}

void print_json(const Json& value) {
    std::puts(value.text(true).c_str());
}

} // namespace brim::cli
