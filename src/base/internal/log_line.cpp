#include "base/internal/log_line.h"

#include "base/internal/utf8.h"
#include "base/json.h"

namespace brim {

namespace {

std::string_view level_name(LogLevel level) {
    switch (level) {
    case LogLevel::debug:
        return "debug";
    case LogLevel::info:
        return "info";
    case LogLevel::warn:
        return "warn";
    case LogLevel::error:
        return "error";
    }
    return "error";
}

std::string_view level_column(LogLevel level) {
    switch (level) {
    case LogLevel::debug:
        return "DEBUG";
    case LogLevel::info:
        return "INFO ";
    case LogLevel::warn:
        return "WARN ";
    case LogLevel::error:
        return "ERROR";
    }
    return "ERROR";
}

/// Characters that move the cursor, break the line or reorder what a terminal shows.
bool misleads(char32_t code) {
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C || code == 0x200E ||
           code == 0x200F || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0xFEFF;
}

void append_hex(std::string& out, std::string_view mark, unsigned value, int digits) {
    out += mark;
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
        out += "0123456789abcdef"[(value >> shift) & 0xF];
}

/// `quotes` escapes what would end a quoted value as well.
void append_escaped(std::string& out, std::string_view text, bool quotes) {
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Step step = utf8_step(text, at);
        if (!step.valid) {
            append_hex(out, "\\x", static_cast<unsigned char>(text[at]), 2);
        } else if (step.code == '\n') {
            out += "\\n";
        } else if (step.code == '\r') {
            out += "\\r";
        } else if (step.code == '\t') {
            out += "\\t";
        } else if (misleads(step.code)) {
            append_hex(out, "\\u", static_cast<unsigned>(step.code), 4);
        } else if (quotes && (step.code == '"' || step.code == '\\')) {
            out += '\\';
            out += text[at];
        } else {
            out += text.substr(at, step.size);
        }
        at += step.size;
    }
}

bool needs_quotes(std::string_view value) {
    if (value.empty())
        return true;
    for (std::size_t at = 0; at < value.size();) {
        const Utf8Step step = utf8_step(value, at);
        if (!step.valid || step.code <= ' ' || step.code == '"' || step.code == '\\' || step.code == '=')
            return true;
        if (misleads(step.code))
            return true;
        at += step.size;
    }
    return false;
}

void append_text_field(std::string& out, std::string_view name, std::string_view value, bool) {
    const bool cut = value.size() > log_value_bytes_max;
    if (cut)
        value = value.substr(0, log_value_bytes_max);
    const bool quoted = needs_quotes(value);
    out += ' ';
    append_escaped(out, name, false);
    out += quoted ? "=\"" : "=";
    append_escaped(out, value, quoted);
    if (cut)
        out += "...";
    if (quoted)
        out += '"';
}

void append_json_field(std::string& out, std::string_view name, std::string_view value, bool is_number) {
    out += ',';
    json_append_string(out, name);
    out += ':';
    if (is_number) {
        out += value;
    } else if (value.size() <= log_value_bytes_max) {
        json_append_string(out, value);
    } else {
        json_append_string(out, std::string(value.substr(0, log_value_bytes_max)) + "...");
    }
}

/// Keys of the JSON form that a field may not take over.
bool reserved(std::string_view name) {
    return name == "ts" || name == "level" || name == "component" || name == "msg";
}

} // namespace

std::string log_line(
    LogFormat format,
    WallTime time,
    LogLevel level,
    std::string_view component,
    std::string_view message,
    std::initializer_list<LogField> fields,
    std::string_view of_message,
    std::uint64_t suppressed
) {
    const bool json = format == LogFormat::json;
    std::string out;
    out.reserve(256);
    if (json) {
        out += "{\"ts\":\"" + to_rfc3339(time) + "\",\"level\":\"";
        out += level_name(level);
        out += '"';
        append_json_field(out, "component", component, false);
        append_json_field(out, "msg", message, false);
    } else {
        out += to_rfc3339(time) + ' ';
        out += level_column(level);
        out += ' ';
        append_escaped(out, component, false);
        out += ": ";
        append_escaped(out, message, false);
    }
    const auto append = json ? append_json_field : append_text_field;
    std::size_t count = 0;
    for (const LogField& field : fields) {
        if (++count > log_fields_max)
            break;
        append(
            out,
            json && reserved(field.name) ? "field_" + std::string(field.name) : std::string(field.name),
            field.value,
            field.is_number
        );
    }
    if (!of_message.empty())
        append(out, "message", of_message, false);
    if (suppressed > 0)
        append(out, "suppressed", std::to_string(suppressed), true);
    out += json ? "}\n" : "\n";
    return out;
}

} // namespace brim
