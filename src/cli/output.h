#pragma once
// What `brim` prints: tables for people, JSON for programs; data on stdout, everything else on stderr; exit
// codes.

#include "base/error.h"
#include "base/json.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brim::cli {

/// Stable; listed in `brim help exit-codes`.
enum class Exit : int {
    ok = 0,
    failure = 1,
    usage = 2,
    not_found = 3,
    denied = 4,
    conflict = 5,
    unreachable = 6,
    timeout = 7,
    check_failed = 9, ///< 8 has no meaning
};

Exit exit_of(Errc code) noexcept;
/// What `brim help exit-codes` prints.
std::string_view exit_code_help() noexcept;
/// "error: object: cause (code)" and "hint: fix" on stderr; returns the exit code.
Exit complain(const Error& error);

enum class Format : unsigned char { table, json };

struct Column {
    std::string title;
    std::string path; ///< member name, or "a.b" for a member of a member; "@name" shows a time as an age
};

/// `rows` as aligned columns, never cut; control characters of foreign text are shown as '?'.
void print_table(const std::vector<Column>& columns, const Json& rows, std::int64_t now_ms);
void print_json(const Json& value);
/// A text as a terminal may show it: no control characters.
std::string printable(std::string_view text);
/// ms since 1970 of an RFC 3339 time in UTC; nothing when it is not one.
std::optional<std::int64_t> parse_time(std::string_view rfc3339);
/// "3 s ago", "5 min ago", "never".
std::string age(std::string_view rfc3339, std::int64_t now_ms);

} // namespace brim::cli
