#include "io/http_message.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

namespace brim::io {

namespace {

char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9')
        return c - '0';
    const char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/// -1 unless `text` begins with %HH.
int escaped_byte(std::string_view text) noexcept {
    if (text.size() < 3 || text[0] != '%')
        return -1;
    const int high = hex_digit(text[1]);
    const int low = hex_digit(text[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool is_control(char c) noexcept {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

Result<std::string> decode_parameter(std::string_view raw) {
    std::string text;
    for (std::size_t i = 0; i < raw.size(); ++i) {
        if (raw[i] != '%') {
            text += raw[i] == '+' ? ' ' : raw[i];
            continue;
        }
        const int byte = escaped_byte(raw.substr(i));
        if (byte <= 0)
            return fail(Errc::malformed, "query", "'%' is not followed by a valid byte", "write it as %25");
        text += static_cast<char>(byte);
        i += 2;
    }
    if (!is_utf8(text))
        return fail(Errc::malformed, "query", "it is not UTF-8");
    return text;
}

bool has_dot_segment(std::string_view path) noexcept {
    while (!path.empty()) {
        path.remove_prefix(1); // the slash
        const auto segment = path.substr(0, path.find('/'));
        if (segment == "." || segment == "..")
            return true;
        path.remove_prefix(segment.size());
    }
    return false;
}

} // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        return lower(x) == lower(y);
    });
}

const std::string* HttpHeaders::find(std::string_view name) const noexcept {
    for (const auto& [field, value] : fields_)
        if (equal_ignoring_case(field, name))
            return &value;
    return nullptr;
}

std::string_view HttpHeaders::value(std::string_view name) const noexcept {
    const auto* found = find(name);
    return found ? std::string_view(*found) : std::string_view{};
}

std::size_t HttpHeaders::count(std::string_view name) const noexcept {
    const auto same = [name](const auto& field) { return equal_ignoring_case(field.first, name); };
    return static_cast<std::size_t>(std::count_if(fields_.begin(), fields_.end(), same));
}

bool HttpHeaders::has_token(std::string_view name, std::string_view token) const noexcept {
    for (const auto& [field, value] : fields_) {
        if (!equal_ignoring_case(field, name))
            continue;
        for (std::string_view rest = value; !rest.empty();) {
            const auto comma = rest.find(',');
            if (equal_ignoring_case(trim(rest.substr(0, comma)), token))
                return true;
            rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
        }
    }
    return false;
}

Result<HttpQuery> HttpQuery::parse(std::string_view text, std::size_t count_max) {
    HttpQuery query;
    while (!text.empty()) {
        const auto end = text.find('&');
        const auto part = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        if (part.empty())
            continue;
        if (query.parameters_.size() == count_max)
            return fail(Errc::too_large, "query", "more than " + std::to_string(count_max) + " parameters");
        const auto equals = part.find('=');
        auto name = decode_parameter(part.substr(0, equals));
        if (!name)
            return fail(std::move(name).error());
        auto value =
            decode_parameter(equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1));
        if (!value)
            return fail(std::move(value).error());
        query.parameters_.emplace_back(std::move(*name), std::move(*value));
    }
    return query;
}

const std::string* HttpQuery::find(std::string_view name) const noexcept {
    for (const auto& [parameter, value] : parameters_)
        if (parameter == name)
            return &value;
    return nullptr;
}

std::string_view HttpQuery::value(std::string_view name) const noexcept {
    const auto* found = find(name);
    return found ? std::string_view(*found) : std::string_view{};
}

Result<std::string> decode_path(std::string_view raw) {
    const auto refuse = [](std::string_view cause) {
        return fail(Errc::malformed, "path", std::string(cause));
    };
    if (!raw.starts_with('/'))
        return refuse("it does not begin with '/'");
    std::string path;
    for (std::size_t i = 0; i < raw.size(); ++i) {
        char c = raw[i];
        if (c == '%') {
            const int byte = escaped_byte(raw.substr(i));
            if (byte < 0)
                return refuse("'%' is not followed by two hex digits");
            c = static_cast<char>(byte);
            if (c == '/')
                return refuse("it holds an encoded slash");
            i += 2;
        }
        if (is_control(c))
            return refuse("it holds a control character");
        if (c == '\\')
            return refuse("it holds a backslash");
        path += c;
    }
    if (has_dot_segment(path))
        return refuse("it holds a dot segment");
    if (!is_utf8(path))
        return refuse("it is not UTF-8");
    return path;
}

std::string_view http_reason(int status) noexcept {
    static constexpr std::pair<int, std::string_view> reasons[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {207, "Multi-Status"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (const auto& [code, text] : reasons)
        if (code == status)
            return text;
    return "Unknown";
}

std::string http_date(WallTime time) {
    static constexpr std::array days = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array months = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
    };
    const std::time_t seconds = time.ms / 1000;
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[64];
    std::snprintf(
        text,
        sizeof text,
        "%s, %02d %s %04d %02d:%02d:%02d GMT",
        days[static_cast<std::size_t>(parts.tm_wday)],
        parts.tm_mday,
        months[static_cast<std::size_t>(parts.tm_mon)],
        parts.tm_year + 1900,
        parts.tm_hour,
        parts.tm_min,
        parts.tm_sec
    );
    return text;
}

} // namespace brim::io
