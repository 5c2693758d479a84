// Any text as filters and topics: what parse() takes obeys section 4.7, and the subscription tree finds
// exactly what the naive matcher says, also after removals.
#include "mqtt/subscription_tree.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string_view>
#include <vector>

using namespace brim;
using namespace brim::mqtt;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    SubscriptionTree tree;
    std::vector<std::pair<std::uint32_t, TopicFilter>> held;
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    std::uint32_t number = 0;
    while (!rest.empty() && number < 200) {
        // One line each: "-" takes the oldest filter out, "=" names a topic, anything else is a filter.
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        ++number;
        if (line.starts_with('-') && !held.empty()) {
            if (!tree.remove(held.front().second, held.front().first))
                std::abort();
            held.erase(held.begin());
        } else if (line.starts_with('=')) {
            const std::string_view topic = line.substr(1);
            if (!is_topic_name(topic))
                continue;
            SubscriptionTree::Matches matches;
            tree.match(topic, matches);
            std::multiset<std::uint32_t> found;
            for (const auto& entry : matches.plain)
                found.insert(entry.subscriber);
            for (const auto* group : matches.groups) {
                for (const auto& entry : group->members)
                    found.insert(entry.subscriber);
            }
            std::multiset<std::uint32_t> expected;
            for (const auto& [subscriber, filter] : held) {
                if (filter.matches(topic))
                    expected.insert(subscriber);
            }
            if (found != expected)
                std::abort();
        } else {
            auto filter = TopicFilter::parse(line, {512, 64});
            if (!filter)
                continue;
            if (filter->filter().empty() || filter->filter().size() > 512)
                std::abort();
            const std::size_t hash = filter->filter().find('#');
            if (hash != std::string_view::npos && hash + 1 != filter->filter().size())
                std::abort();
            if (!tree.add(*filter, number, {}))
                std::abort();
            held.emplace_back(number, std::move(*filter));
        }
    }
    for (const auto& [subscriber, filter] : held) {
        if (!tree.remove(filter, subscriber))
            std::abort();
    }
    if (tree.size() != 0 || tree.node_count() != 0 || tree.level_count() != 0)
        std::abort();
    return 0;
}
