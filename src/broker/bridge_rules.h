#pragma once
// Which topics a bridge carries, in which direction, and what they are called on the other side. Pure: no
// I/O, no clock.

#include "base/error.h"
#include "mqtt/topic_filter.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brim::broker {

enum class BridgeDirection : std::uint8_t { out, in, both };

/// One line of a bridge's topic map: `filter` without its prefixes. The local topics are those that match
/// local_prefix + filter, the remote ones those that match remote_prefix + filter; what differs is exchanged.
/// Prefixes are plain text and end where they end: write the '/' yourself.
struct BridgeRule {
    BridgeDirection direction = BridgeDirection::out;
    std::string filter;   ///< such as "sensors/#"
    std::uint8_t qos = 1; ///< 0..2, the most a message is carried with; 2 is carried as 1
    std::string local_prefix{};
    std::string remote_prefix{};
};

/// Every bound of the topic map.
struct BridgeRuleLimits {
    std::size_t rules_max = 256;
    std::uint32_t topic_bytes_max = 1'024; ///< of a topic or filter on either side, with its prefix
    std::uint32_t topic_levels_max = 128;
};

/// What became of a topic.
struct BridgeMapping {
    enum class Outcome : std::uint8_t {
        mapped,
        unmatched, ///< no rule of this direction is for it
        unfit, ///< the first rule that matches would make a name that is none, is too long, or begins with
               ///< '$'
    };
    Outcome outcome = Outcome::unmatched;
    std::string topic{};  ///< only when mapped
    std::uint8_t qos = 0; ///< of the rule
    std::size_t rule = 0; ///< its index, also when unfit
};

/// What is asked of the remote broker.
struct RemoteFilter {
    std::string filter;
    std::uint8_t qos = 0;
};

/// A topic map that was checked. Values: copies are independent.
///
/// The first rule of a direction that matches a topic decides, also when its outcome is `unfit`; a topic is
/// carried once, however many rules match. No topic of the local broker that begins with '$' comes from the
/// remote side, and none such is made on the remote side: $SYS, $share and their like stay where they are.
class BridgeRules {
public:
    /// `loop_safe`: the protocol keeps our own messages away from us (MQTT 5: No Local). Without it a map
    /// that would carry what we sent back under another name, and so on without end, is refused. Errors name
    /// the rule by its number, counted from 1: Errc::invalid, Errc::malformed, Errc::too_large.
    static Result<BridgeRules>
    make(std::vector<BridgeRule> rules, bool loop_safe, BridgeRuleLimits limits = {});

    BridgeMapping to_remote(std::string_view local_topic) const;
    BridgeMapping to_local(std::string_view remote_topic) const;

    /// True when a rule of any direction is for this local topic.
    bool touches(std::string_view local_topic) const noexcept;

    /// Each filter once, with the highest QoS (1 at most) of the rules that ask for it.
    std::vector<RemoteFilter> remote_filters() const;

    std::size_t size() const noexcept { return rules_.size(); }

private:
    struct Rule {
        BridgeRule rule;
        std::string local_filter;
        std::string remote_filter;

        bool goes_out() const { return rule.direction != BridgeDirection::in; }

        bool comes_in() const { return rule.direction != BridgeDirection::out; }
    };

    BridgeRules(std::vector<Rule> rules, BridgeRuleLimits limits)
        : rules_(std::move(rules)), limits_(limits) {}

    static Result<Rule> check(BridgeRule rule, std::size_t number, const BridgeRuleLimits& limits);
    static Result<void> check_loops(const std::vector<Rule>& rules);
    BridgeMapping
    map(std::size_t index, std::string_view topic, std::string_view from, std::string_view to) const;

    std::vector<Rule> rules_;
    BridgeRuleLimits limits_;
};

/// True when some topic matches both filters (plain ones, of correct form). No memory, no recursion.
bool filters_overlap(std::string_view a, std::string_view b) noexcept;

} // namespace brim::broker
