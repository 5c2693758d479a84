#pragma once
// What the filter of one permission says of a topic or of a subscriber's filter. Needs no memory, no
// recursion.

#include <string_view>

namespace brim::broker {

/// What stands for %u and %c; empty where the client has nothing that may stand there.
struct AclFill {
    std::string_view user;
    std::string_view client_id;
};

/// How the levels of a rule are read.
enum class AclReading : unsigned char {
    literal,  ///< a `topic` line: %u and %c are themselves
    expanded, ///< a `pattern` line whose placeholders all have something to stand for
    wide,     ///< a `pattern` line to deny with a placeholder that has not: its level is as +
};

/// True when `rule` matches the topic, as section 4.7 of MQTT 5 says.
bool rule_matches(
    std::string_view rule, AclReading reading, const AclFill& fill, std::string_view topic
) noexcept;

/// True when `rule` matches every topic that `filter` (valid, without $share/) matches.
bool rule_covers(
    std::string_view rule, AclReading reading, const AclFill& fill, std::string_view filter
) noexcept;

} // namespace brim::broker
