#pragma once
// Permissions of clients, from a text file with the words people know from mosquitto's acl_file:
//
//     # comment
//     topic read public/#            before any `user`: for anonymous clients
//     user ann
//     topic readwrite home/#         the same as: topic home/#
//     topic deny home/safe/#
//     pattern write in/%c/%u         for everybody; %u is the user's name, %c the client id
//
// What no line allows is denied, `deny` wins over every other line wherever it stands, and a file without
// lines denies everything. `write` is to publish; `read` is to subscribe and to be sent; `readwrite` and no
// word at all are both; `deny` takes all away.

#include "base/error.h"
#include "broker/principal.h"
#include "mqtt/broker.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace brim::broker {

struct AclFill;

/// publish a topic, subscribe to a filter, receive a topic.
using Access = mqtt::Action;

struct AclLimits {
    std::size_t file_bytes_max = 4'194'304;
    std::size_t rules_max = 50'000; ///< `user` lines count as well
    std::uint32_t filter_bytes_max = 1'024;
    std::uint32_t levels_max = 128;
};

/// What was decided, and the line that decided (from 1); 0 when no line speaks of it, which denies.
struct AclDecision {
    bool allowed = false;
    std::uint32_t line = 0;
};

/// All permissions of one file. Read-only once made; copies share nothing. Any thread.
class Acl {
public:
    /// Denies everything to everybody.
    Acl() = default;

    /// `object` names the text in errors, whose cause begins with line and column. One wrong line refuses the
    /// whole text. Errc::malformed: an unknown word, a missing or wrong filter, a $share/ or $queue/ filter
    /// (shared subscriptions are judged by the filter behind that), a control character, no UTF-8;
    /// Errc::too_large: over a limit. A byte order mark at the start and CRLF are taken.
    static Result<Acl> parse(std::string_view text, std::string_view object, const AclLimits& limits = {});

    /// publish, receive: a line allows this very topic and none denies it. subscribe: one line to read
    /// matches every topic that the filter matches (`#` never matches $-topics), and no line denies all of
    /// them; what a line denies of them in part is held back at delivery (receive). $share/group/F and
    /// $queue/F are judged as F. False for what is no topic or no filter.
    ///
    /// A principal without proof is anonymous, whatever its name. Where its name or client id is no
    /// is_plain_name, a `pattern` with %u or %c allows it nothing, and one to deny holds with + in that
    /// level.
    bool allows(const Principal& who, Access what, std::string_view topic_or_filter) const {
        return explain(who, what, topic_or_filter).allowed;
    }

    /// As allows(), with the line. Cost grows with the principal's own lines and the patterns only.
    AclDecision explain(const Principal& who, Access what, std::string_view topic_or_filter) const;

private:
    friend class AclReader;

    struct Rule {
        std::string filter;
        std::uint32_t line = 0;
        bool deny = false;
        bool read = false;
        bool write = false;
        bool uses_user = false;
        bool uses_client_id = false;
    };

    using Rules = std::vector<Rule>; ///< those to deny stand first

    struct NameHash {
        using is_transparent = void;

        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };

    static AclDecision
    ask(const Rules& rules, bool is_pattern, const AclFill& fill, Access what, std::string_view text);

    std::unordered_map<std::string, Rules, NameHash, std::equal_to<>> users_;
    Rules anonymous_;
    Rules patterns_;
};

} // namespace brim::broker
