#pragma once
// How a log line looks; no state, no clock. Whatever a peer puts into a field stays inside its line and its
// field: control characters, quotes, text direction marks and broken UTF-8 are escaped.

#include "base/log.h"

namespace brim {

/// Longer field values are cut, and end in "...".
inline constexpr std::size_t log_value_bytes_max = 2'048;
inline constexpr std::size_t log_fields_max = 64;

/// Says how often a message was left out that has not come again since.
inline constexpr std::string_view log_suppressed_text = "lines left out by the rate limit";

/// One line with its newline. `of_message` (when not empty) and `suppressed` (when not 0) follow the fields.
std::string log_line(
    LogFormat format,
    WallTime time,
    LogLevel level,
    std::string_view component,
    std::string_view message,
    std::initializer_list<LogField> fields,
    std::string_view of_message,
    std::uint64_t suppressed
);

} // namespace brim
