#include "broker/bridge_rules.h"

#include "broker/internal/topic_level.h"
#include "mqtt/codec.h"

#include <algorithm>
#include <utility>

namespace brim::broker {

namespace {

std::string rule_name(std::size_t number, const BridgeRule& rule) {
    return "bridge rule " + std::to_string(number) + " (\"" + rule.filter.substr(0, 64) + "\")";
}

/// "a/" + "#" matches the topic "a" as well, which has no prefix "a/" to take away: the rule is not for it.
bool is_for(std::string_view filter, std::string_view prefix, std::string_view topic) noexcept {
    return topic.starts_with(prefix) && mqtt::filter_matches(filter, topic);
}

bool is_shared(std::string_view filter) noexcept {
    return filter.starts_with("$share/") || filter.starts_with("$queue/");
}

} // namespace

bool filters_overlap(std::string_view a, std::string_view b) noexcept {
    const auto is_wild = [](std::string_view filter) {
        return filter.starts_with('+') || filter.starts_with('#');
    };
    if ((a.starts_with('$') && is_wild(b)) || (b.starts_with('$') && is_wild(a)))
        return false;
    std::string_view level_a;
    std::string_view level_b;
    for (;;) {
        const bool more_a = take_level(a, level_a);
        const bool more_b = take_level(b, level_b);
        if (level_a == "#" || level_b == "#")
            return true;
        if (level_a != level_b && level_a != "+" && level_b != "+")
            return false;
        if (!more_a || !more_b) // "a/#" is for "a" as well
            return more_a == more_b || (more_a && a == "#") || (more_b && b == "#");
    }
}

Result<BridgeRules::Rule>
BridgeRules::check(BridgeRule rule, std::size_t number, const BridgeRuleLimits& limits) {
    const std::string name = rule_name(number, rule);
    if (rule.qos > 2)
        return fail(Errc::invalid, name, "its QoS is above 2", "use 0, 1 or 2");
    for (const std::string& prefix : {rule.local_prefix, rule.remote_prefix}) {
        if (prefix.find_first_of("+#") != std::string::npos)
            return fail(Errc::invalid, name, "a prefix has a wildcard", "put wildcards into the filter only");
    }
    Rule checked{std::move(rule), {}, {}};
    checked.local_filter = checked.rule.local_prefix + checked.rule.filter;
    checked.remote_filter = checked.rule.remote_prefix + checked.rule.filter;
    for (const std::string& filter : {checked.local_filter, checked.remote_filter}) {
        const auto parsed =
            mqtt::TopicFilter::parse(filter, {limits.topic_bytes_max, limits.topic_levels_max});
        if (!parsed) {
            return fail(
                parsed.error().code,
                name,
                "with a prefix it is no topic filter: " + parsed.error().cause,
                "end a prefix before a wildcard with '/'"
            );
        }
        if (is_shared(filter))
            return fail(Errc::invalid, name, "it is a shared subscription", "name the topics themselves");
    }
    if (checked.comes_in() && checked.local_filter.starts_with('$')) {
        return fail(
            Errc::invalid,
            name,
            "it would let the remote broker write topics that begin with '$'",
            "set a local_prefix such as \"remote/\""
        );
    }
    if (checked.goes_out() && checked.remote_filter.starts_with('$')) {
        return fail(
            Errc::invalid,
            name,
            "it would write topics that begin with '$' at the remote broker",
            "set a remote_prefix such as \"site-1/\""
        );
    }
    return checked;
}

// What goes out by one rule and comes back by another must come back as itself: else each round makes it
// another topic, which no memory of what was sent can catch.
Result<void> BridgeRules::check_loops(const std::vector<Rule>& rules) {
    for (std::size_t out = 0; out < rules.size(); ++out) {
        for (std::size_t in = 0; in < rules.size(); ++in) {
            const Rule& a = rules[out];
            const Rule& b = rules[in];
            if (!a.goes_out() || !b.comes_in() || !filters_overlap(a.remote_filter, b.remote_filter))
                continue;
            if (a.rule.local_prefix == b.rule.local_prefix && a.rule.remote_prefix == b.rule.remote_prefix)
                continue;
            return fail(
                Errc::invalid,
                rule_name(out + 1, a.rule),
                "what it sends comes back under another name by rule " + std::to_string(in + 1),
                "give both the same prefixes, or use MQTT 5, which keeps own messages away"
            );
        }
    }
    return {};
}

Result<BridgeRules>
BridgeRules::make(std::vector<BridgeRule> rules, bool loop_safe, BridgeRuleLimits limits) {
    if (rules.empty())
        return fail(Errc::invalid, "bridge rules", "there is none", "name at least one topic");
    if (rules.size() > limits.rules_max) {
        return fail(
            Errc::too_large,
            "bridge rules",
            "more than " + std::to_string(limits.rules_max),
            "put topics under a common level and use a wildcard"
        );
    }
    std::vector<Rule> checked;
    checked.reserve(rules.size());
    for (BridgeRule& rule : rules) {
        auto one = check(std::move(rule), checked.size() + 1, limits);
        if (!one)
            return fail(std::move(one).error());
        checked.push_back(std::move(*one));
    }
    if (!loop_safe)
        BRIM_TRY(check_loops(checked));
    return BridgeRules(std::move(checked), limits);
}

BridgeMapping BridgeRules::map(
    std::size_t index, std::string_view topic, std::string_view from, std::string_view to
) const {
    BridgeMapping result{BridgeMapping::Outcome::unfit, {}, rules_[index].rule.qos, index};
    const std::string_view rest = topic.substr(from.size());
    if (to.size() + rest.size() > limits_.topic_bytes_max)
        return result;
    std::string mapped(to);
    mapped.append(rest);
    if (mapped.starts_with('$') || !mqtt::is_mqtt_text(mapped) ||
        !mqtt::is_topic_name(mapped, limits_.topic_bytes_max, limits_.topic_levels_max))
        return result;
    result.outcome = BridgeMapping::Outcome::mapped;
    result.topic = std::move(mapped);
    return result;
}

BridgeMapping BridgeRules::to_remote(std::string_view local_topic) const {
    if (!mqtt::is_topic_name(local_topic, limits_.topic_bytes_max, limits_.topic_levels_max))
        return {};
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        const Rule& rule = rules_[i];
        if (rule.goes_out() && is_for(rule.local_filter, rule.rule.local_prefix, local_topic))
            return map(i, local_topic, rule.rule.local_prefix, rule.rule.remote_prefix);
    }
    return {};
}

BridgeMapping BridgeRules::to_local(std::string_view remote_topic) const {
    if (!mqtt::is_topic_name(remote_topic, limits_.topic_bytes_max, limits_.topic_levels_max))
        return {};
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        const Rule& rule = rules_[i];
        if (rule.comes_in() && is_for(rule.remote_filter, rule.rule.remote_prefix, remote_topic))
            return map(i, remote_topic, rule.rule.remote_prefix, rule.rule.local_prefix);
    }
    return {};
}

bool BridgeRules::touches(std::string_view local_topic) const noexcept {
    return std::ranges::any_of(rules_, [local_topic](const Rule& rule) {
        return is_for(rule.local_filter, rule.rule.local_prefix, local_topic);
    });
}

std::vector<RemoteFilter> BridgeRules::remote_filters() const {
    std::vector<RemoteFilter> filters;
    for (const Rule& rule : rules_) {
        if (!rule.comes_in())
            continue;
        const auto qos = std::min<std::uint8_t>(rule.rule.qos, 1);
        const auto same = std::ranges::find(filters, rule.remote_filter, &RemoteFilter::filter);
        if (same == filters.end())
            filters.push_back({rule.remote_filter, qos});
        else
            same->qos = std::max(same->qos, qos);
    }
    return filters;
}

} // namespace brim::broker
