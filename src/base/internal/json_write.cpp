#include "base/internal/utf8.h"
#include "base/json.h"

#include <charconv>
#include <cmath>

namespace brim {

void json_append_number(std::string& out, std::int64_t value) {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    out.append(text, end);
}

void json_append_number(std::string& out, double value) {
    if (!std::isfinite(value)) {
        out += "null";
        return;
    }
    char text[40];
    // Whole numbers without exponent while doubles tell neighbours apart: 100000.0 rather than 1e+05.
    const bool whole = std::trunc(value) == value && std::fabs(value) < 9'007'199'254'740'992.0;
    const auto end = whole ? std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr
                           : std::to_chars(text, text + sizeof text, value).ptr;
    const std::string_view digits(text, static_cast<std::size_t>(end - text));
    out += digits;
    if (digits.find_first_of(".e") == std::string_view::npos)
        out += ".0"; // it stays a double when read back
}

void json_append_string(std::string& out, std::string_view text) {
    out += '"';
    std::size_t plain_from = 0;
    std::size_t at = 0;
    const auto replace = [&](std::string_view with, std::size_t size) {
        out += text.substr(plain_from, at - plain_from);
        out += with;
        plain_from = at + size;
    };
    while (at < text.size()) {
        const char c = text[at];
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\') {
            ++at;
            continue;
        }
        const Utf8Step step = utf8_step(text, at);
        switch (c) {
        case '"':
            replace("\\\"", 1);
            break;
        case '\\':
            replace("\\\\", 1);
            break;
        case '\b':
            replace("\\b", 1);
            break;
        case '\f':
            replace("\\f", 1);
            break;
        case '\n':
            replace("\\n", 1);
            break;
        case '\r':
            replace("\\r", 1);
            break;
        case '\t':
            replace("\\t", 1);
            break;
        default:
            if (byte < 0x20) {
                const char escape[] = {'\\', 'u', '0', '0', "01"[byte >> 4], "0123456789abcdef"[byte & 0xF]};
                replace(std::string_view(escape, sizeof escape), 1);
            } else if (!step.valid) {
                replace("\xEF\xBF\xBD", 1); // U+FFFD
            }
        }
        at += step.size;
    }
    replace("", 0);
    out += '"';
}

namespace {

/// Depth is what the program built or Json::parse let in.
class JsonWriter {
public:
    JsonWriter(std::string& out, bool pretty) : out_(out), pretty_(pretty) {}

    void write(const Json& value) {
        if (value.is_object()) {
            write_members(value.members());
        } else if (value.is_array()) {
            write_items(value.items());
        } else if (value.is_string()) {
            json_append_string(out_, value.as_string());
        } else if (value.is_int()) {
            json_append_number(out_, value.as_int());
        } else if (value.is_number()) {
            json_append_number(out_, value.as_double());
        } else if (value.is_bool()) {
            out_ += value.as_bool() ? "true" : "false";
        } else {
            out_ += "null";
        }
    }

private:
    void write_members(const Json::Object& members) {
        open('{');
        bool first = true;
        for (const auto& [name, value] : members) {
            separate(first);
            json_append_string(out_, name);
            out_ += pretty_ ? ": " : ":";
            write(value);
        }
        close('}', first);
    }

    void write_items(const Json::Array& items) {
        open('[');
        bool first = true;
        for (const Json& item : items) {
            separate(first);
            write(item);
        }
        close(']', first);
    }

    void open(char bracket) {
        out_ += bracket;
        ++depth_;
    }

    void separate(bool& first) {
        if (!first)
            out_ += ',';
        first = false;
        new_line();
    }

    void close(char bracket, bool empty) {
        --depth_;
        if (!empty)
            new_line();
        out_ += bracket;
    }

    void new_line() {
        if (!pretty_)
            return;
        out_ += '\n';
        out_.append(depth_ * 2, ' ');
    }

    std::string& out_;
    bool pretty_;
    std::size_t depth_ = 0;
};

} // namespace

std::string Json::text(bool pretty) const {
    std::string out;
    JsonWriter(out, pretty).write(*this);
    return out;
}

void Json::append_to(std::string& out) const {
    JsonWriter(out, false).write(*this);
}

} // namespace brim
