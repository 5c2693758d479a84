#include "mqtt/internal/match_cache.h"

#include <doctest/doctest.h>

using namespace brim::mqtt;

namespace {

struct Cached {
    SubscriptionTree tree;
    MatchCache cache{tree};

    void subscribe(std::string_view filter, std::uint32_t subscriber) {
        tree.add(*TopicFilter::parse(filter), subscriber, {});
    }

    const SubscriptionTree::Matches& find(const std::string& topic) {
        return cache.find(topic, cache.slot(topic));
    }

    /// Every topic of `count`, `times` times in turn.
    void use(int count, int times, int first = 0) {
        for (int time = 0; time < times; ++time) {
            for (int i = first; i < first + count; ++i) {
                const auto& found = find("t/" + std::to_string(i));
                REQUIRE(found.plain.size() == 1);
                REQUIRE(found.plain.front().subscriber == static_cast<std::uint32_t>(i));
            }
        }
    }
};

} // namespace

TEST_CASE("matches of a topic are found again, in the order of subscribers, until a subscription changes") {
    Cached cached;
    cached.subscribe("a/#", 9);
    cached.subscribe("a/b", 7);
    cached.subscribe("+/b", 8);
    for (int i = 0; i < 2; ++i) {
        const auto& found = cached.find("a/b");
        REQUIRE(found.plain.size() == 3);
        CHECK(found.plain[0].subscriber == 7);
        CHECK(found.plain[1].subscriber == 8);
        CHECK(found.plain[2].subscriber == 9);
    }
    cached.tree.remove(*TopicFilter::parse("+/b"), 8);
    CHECK(cached.find("a/b").plain.size() == 2);
}

TEST_CASE("the cache has more places when topics that come again lose theirs, and no more than that") {
    Cached cached;
    for (int i = 0; i < 20'000; ++i)
        cached.subscribe("t/" + std::to_string(i), static_cast<std::uint32_t>(i));
    cached.use(10, 3);
    cached.cache.adapt();
    CHECK(cached.cache.size() == MatchCache::slots_min);

    for (int second = 0; second < 10; ++second) {
        cached.use(1'000, 3);
        cached.cache.adapt();
    }
    const std::size_t grown = cached.cache.size();
    CHECK(grown >= 1'024);
    CHECK(grown <= 4'096);

    SUBCASE("at most so many") {
        for (int second = 0; second < 20; ++second) {
            cached.use(20'000, 2);
            cached.cache.adapt();
        }
        CHECK(cached.cache.size() == MatchCache::slots_max);
    }
    SUBCASE("given back") {
        cached.cache.release();
        CHECK(cached.cache.size() == MatchCache::slots_min);
        cached.use(1'000, 2);
    }
}

TEST_CASE("topics that never come again do not make the cache grow") {
    Cached cached;
    cached.subscribe("n/#", 1);
    for (int i = 0; i < 100'000; ++i) {
        REQUIRE(cached.find("n/" + std::to_string(i)).plain.size() == 1);
        if (i % 10'000 == 0)
            cached.cache.adapt();
    }
    cached.cache.adapt();
    CHECK(cached.cache.size() == MatchCache::slots_min);
}

TEST_CASE("a list too long to keep is right all the same") {
    Cached cached;
    for (std::uint32_t i = 0; i < 3 * MatchCache::matches_max; ++i)
        cached.subscribe("many", i);
    for (int i = 0; i < 2; ++i)
        CHECK(cached.find("many").plain.size() == 3 * MatchCache::matches_max);
    CHECK(cached.cache.slot("many").matches.plain.empty());
    // Nor does the memory it took stay with another topic.
    cached.subscribe("one", 1);
    CHECK(cached.find("one").plain.size() == 1);
    CHECK(cached.find("one").plain.capacity() <= 2 * MatchCache::matches_max);
}
