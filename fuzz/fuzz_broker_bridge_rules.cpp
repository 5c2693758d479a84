// Any text as bridge rules, topics and marks: what a rule maps out by the first rule of its direction is a
// topic name within the limits that never begins with '$', and maps back to what it was where the rule goes
// both ways; marks and stored messages read back as they were written.
#include "broker/bridge_mark.h"
#include "broker/bridge_record.h"
#include "broker/bridge_rules.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

using namespace brim;
using namespace brim::broker;

namespace {

std::string_view take(std::string_view& rest, char end) {
    const std::string_view part = rest.substr(0, rest.find(end));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    return part;
}

void require(bool holds) {
    if (!holds)
        std::abort();
}

void check_mapped(const BridgeMapping& mapping, const BridgeRuleLimits& limits) {
    if (mapping.outcome != BridgeMapping::Outcome::mapped) {
        require(mapping.topic.empty());
        return;
    }
    require(mqtt::is_topic_name(mapping.topic, limits.topic_bytes_max, limits.topic_levels_max));
    require(!mapping.topic.starts_with('$'));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    if (const auto mark = BridgeMark::parse(rest))
        require(mark->text() == rest);
    if (const auto record = decode_bridge_record(rest))
        require(encode_bridge_record(*record) == rest);
    const BridgeRuleLimits limits{16, 64, 8};
    // Lines "dfilter|local|remote", d one of 0 1 2; then, after an empty line, topics.
    std::vector<BridgeRule> rules;
    while (!rest.empty() && rules.size() < 20) {
        std::string_view line = take(rest, '\n');
        if (line.empty())
            break;
        BridgeRule rule;
        rule.direction = static_cast<BridgeDirection>(static_cast<unsigned char>(line.front()) % 3);
        rule.qos = static_cast<std::uint8_t>(static_cast<unsigned char>(line.front()) / 3 % 4);
        line.remove_prefix(1);
        rule.filter = take(line, '|');
        rule.local_prefix = take(line, '|');
        rule.remote_prefix = line;
        rules.push_back(std::move(rule));
    }
    const auto loose = BridgeRules::make(rules, true, limits);
    const auto strict = BridgeRules::make(rules, false, limits);
    require(loose || !strict); // without loop protection nothing more is allowed
    if (!loose)
        return 0;
    for (const auto& [filter, qos] : loose->remote_filters())
        require(mqtt::TopicFilter::parse(filter, {64, 8}).has_value() && qos <= 1);
    while (!rest.empty()) {
        const std::string_view topic = take(rest, '\n');
        const BridgeMapping there = loose->to_remote(topic);
        const BridgeMapping here = loose->to_local(topic);
        check_mapped(there, limits);
        check_mapped(here, limits);
        if (there.outcome != BridgeMapping::Outcome::mapped)
            continue;
        require(loose->touches(topic));
        const BridgeMapping back = loose->to_local(there.topic);
        const bool is_same_rule =
            back.rule == there.rule && rules[there.rule].direction == BridgeDirection::both;
        if (back.outcome == BridgeMapping::Outcome::mapped && (strict || is_same_rule))
            require(back.topic == topic); // else each round would make it another topic
    }
    return 0;
}
