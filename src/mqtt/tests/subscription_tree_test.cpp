#include "mqtt/subscription_tree.h"

#include "base/random.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

using namespace brim;
using namespace brim::mqtt;

namespace {

TopicFilter filter_of(std::string_view text) {
    auto filter = TopicFilter::parse(text);
    REQUIRE(filter.has_value());
    return *filter;
}

std::multiset<std::uint32_t> matched(SubscriptionTree& tree, std::string_view topic) {
    SubscriptionTree::Matches matches;
    tree.match(topic, matches);
    std::multiset<std::uint32_t> result;
    for (const auto& entry : matches.plain)
        result.insert(entry.subscriber);
    return result;
}

/// Few different levels, so that random filters and topics meet often.
const std::string_view levels[] = {"a", "b", "", "$x", "\xC3\xA9", "long-level-name"};

std::string random_topic(SeededRandom& random) {
    std::string text;
    const std::uint64_t count = 1 + random.below(5);
    for (std::uint64_t i = 0; i < count; ++i) {
        if (i != 0)
            text += '/';
        text += levels[random.below(std::size(levels))];
    }
    return text.empty() ? "a" : text;
}

std::string random_filter(SeededRandom& random) {
    std::string text;
    const std::uint64_t count = 1 + random.below(5);
    for (std::uint64_t i = 0; i < count; ++i) {
        if (i != 0)
            text += '/';
        const std::uint64_t kind = random.below(10);
        if (kind < 3) {
            text += '+';
        } else if (kind == 3) {
            text += '#';
            break;
        } else {
            text += levels[random.below(std::size(levels))];
        }
    }
    return text.empty() ? "+" : text;
}

} // namespace

TEST_CASE("[B-30] the tree agrees with the naive matcher on over 10^7 random pairs") {
    SeededRandom random(7);
    std::size_t pairs = 0;
    for (int round = 0; round < 100; ++round) {
        SubscriptionTree tree;
        std::map<std::uint32_t, TopicFilter> held;
        for (int step = 0; step < 400; ++step) {
            const auto subscriber = static_cast<std::uint32_t>(random.below(100));
            // One filter for each subscriber: what is held can then be told apart in the answer.
            if (const auto place = held.find(subscriber); place != held.end()) {
                REQUIRE(tree.remove(place->second, subscriber));
                held.erase(place);
            } else {
                const TopicFilter filter = filter_of(random_filter(random));
                REQUIRE(tree.add(filter, subscriber, {}));
                held.emplace(subscriber, filter);
            }
            for (int i = 0; i < 8; ++i) {
                const std::string topic = random_topic(random);
                std::multiset<std::uint32_t> expected;
                for (const auto& [number, filter] : held) {
                    ++pairs;
                    if (filter_matches(filter.filter(), topic))
                        expected.insert(number);
                }
                if (matched(tree, topic) != expected)
                    FAIL("topic ", topic);
            }
        }
        CHECK(tree.size() == held.size());
        for (const auto& [number, filter] : held)
            REQUIRE(tree.remove(filter, number));
        CHECK(tree.size() == 0);
        CHECK(tree.node_count() == 0);
        CHECK(tree.level_count() == 0);
    }
    MESSAGE("pairs compared: ", pairs);
    CHECK(pairs > 10'000'000);
}

TEST_CASE("[B-30] a large tree agrees with the naive matcher") {
    SeededRandom random(11);
    SubscriptionTree tree;
    std::vector<TopicFilter> held;
    for (std::uint32_t i = 0; i < 2'000; ++i) {
        held.push_back(filter_of(random_filter(random)));
        tree.add(held.back(), i, {});
    }
    std::size_t pairs = 0;
    for (int i = 0; i < 500; ++i) {
        const std::string topic = random_topic(random);
        std::multiset<std::uint32_t> expected;
        for (std::uint32_t n = 0; n < held.size(); ++n) {
            ++pairs;
            if (held[n].matches(topic))
                expected.insert(n);
        }
        if (matched(tree, topic) != expected)
            FAIL("topic ", topic);
    }
    CHECK(pairs == 1'000'000);
}

TEST_CASE("[B-31] wildcards at the front never match topics that begin with a dollar sign") {
    SubscriptionTree tree;
    tree.add(filter_of("#"), 1, {});
    tree.add(filter_of("+/x"), 2, {});
    tree.add(filter_of("+"), 3, {});
    tree.add(filter_of("$SYS/#"), 4, {});
    tree.add(filter_of("$SYS/+"), 5, {});
    CHECK(matched(tree, "$SYS/x") == std::multiset<std::uint32_t>{4, 5});
    CHECK(matched(tree, "$SYS") == std::multiset<std::uint32_t>{4});
    CHECK(matched(tree, "SYS/x") == std::multiset<std::uint32_t>{1, 2});
    CHECK(matched(tree, "a") == std::multiset<std::uint32_t>{1, 3});
}

TEST_CASE("options are replaced, removal is exact, the generation tells of changes") {
    SubscriptionTree tree;
    CHECK(tree.add(filter_of("a/+"), 7, {1, 0, false, false}));
    const std::uint64_t generation = tree.generation();
    CHECK_FALSE(tree.add(filter_of("a/+"), 7, {2, 1, true, true}));
    CHECK(tree.generation() != generation);
    CHECK(tree.size() == 1);
    SubscriptionTree::Matches matches;
    tree.match("a/b", matches);
    REQUIRE(matches.plain.size() == 1);
    CHECK(matches.plain[0].options == SubscriptionOptions{2, 1, true, true});
    CHECK_FALSE(tree.remove(filter_of("a/+"), 8));
    CHECK_FALSE(tree.remove(filter_of("a/#"), 7));
    CHECK_FALSE(tree.remove(filter_of("a/b"), 7));
    CHECK_FALSE(tree.remove(filter_of("$share/g/a/+"), 7));
    CHECK(tree.remove(filter_of("a/+"), 7));
    CHECK_FALSE(tree.remove(filter_of("a/+"), 7));
}

TEST_CASE("shared groups of one filter are kept apart and vanish with their last member") {
    SubscriptionTree tree;
    tree.add(filter_of("$share/g/a/b"), 1, {});
    tree.add(filter_of("$share/g/a/b"), 2, {});
    tree.add(filter_of("$share/h/a/b"), 3, {});
    tree.add(filter_of("$share/g/a/#"), 4, {});
    tree.add(filter_of("$queue/a/b"), 5, {});
    tree.add(filter_of("a/b"), 6, {});
    SubscriptionTree::Matches matches;
    tree.match("a/b", matches);
    CHECK(matches.plain.size() == 1);
    REQUIRE(matches.groups.size() == 4);
    std::size_t members = 0;
    for (const auto* group : matches.groups)
        members += group->members.size();
    CHECK(members == 5);
    for (std::uint32_t n = 1; n <= 2; ++n)
        CHECK(tree.remove(filter_of("$share/g/a/b"), n));
    tree.match("a/b", matches);
    CHECK(matches.groups.size() == 3);
}

TEST_CASE("[B-36] a match costs what matches, not what is subscribed") {
    SubscriptionTree tree;
    for (std::uint32_t i = 0; i < 20'000; ++i) {
        tree.add(filter_of("device/" + std::to_string(i) + "/+/state"), i, {});
        tree.add(filter_of("device/" + std::to_string(i) + "/set"), i, {});
    }
    CHECK(tree.size() == 40'000);
    CHECK(matched(tree, "device/777/x/state") == std::multiset<std::uint32_t>{777});
    CHECK(matched(tree, "device/777/set") == std::multiset<std::uint32_t>{777});
    CHECK(matched(tree, "device/20000/x/state").empty());
    for (std::uint32_t i = 0; i < 20'000; ++i) {
        REQUIRE(tree.remove(filter_of("device/" + std::to_string(i) + "/+/state"), i));
        REQUIRE(tree.remove(filter_of("device/" + std::to_string(i) + "/set"), i));
    }
    CHECK(tree.node_count() == 0);
    CHECK(tree.level_count() == 0);
}

TEST_CASE("[B-29] a filter of very many levels needs no stack") {
    std::string text;
    for (int i = 0; i < 30'000; ++i)
        text += "+/";
    text += "#";
    auto deep = TopicFilter::parse(text, {65'535, 65'535});
    REQUIRE(deep.has_value());
    SubscriptionTree tree;
    tree.add(*deep, 1, {});
    CHECK(matched(tree, std::string(30'000, '/')).size() == 1);
    CHECK(matched(tree, std::string(29'000, '/')).empty());
    CHECK(tree.remove(*deep, 1));
    CHECK(tree.node_count() == 0);
}
