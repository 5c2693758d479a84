// The laws of sharing: exact shares while both lanes wait, everything to a lane alone, rates that hold over
// any second.

#include "edge/lanes.h"

#include "base/random.h"

#include <doctest/doctest.h>

#include <deque>

using namespace brim;
using namespace brim::edge;

TEST_CASE("while both lanes wait the backlog gets its percentage of any run of sends, give or take one") {
    for (unsigned percent : {1U, 10U, 33U, 50U, 80U, 99U}) {
        LaneShare share(percent);
        std::deque<bool> window;
        unsigned backlog = 0;
        for (int i = 0; i < 2'000; ++i) {
            const auto lane = share.pick(true, true);
            REQUIRE(lane.has_value());
            window.push_back(*lane == Lane::backlog);
            backlog += window.back() ? 1 : 0;
            if (window.size() > 100) {
                backlog -= window.front() ? 1 : 0;
                window.pop_front();
                REQUIRE(backlog >= percent - 1);
                REQUIRE(backlog <= percent + 1);
            }
        }
    }
}

TEST_CASE("a lane that waits alone gets every send, and owes nothing for it later") {
    LaneShare share(50);
    for (int i = 0; i < 100; ++i)
        CHECK(share.pick(true, false) == Lane::backlog);
    for (int i = 0; i < 100; ++i)
        CHECK(share.pick(false, true) == Lane::live);
    CHECK_FALSE(share.pick(false, false).has_value());
    int live = 0;
    for (int i = 0; i < 10; ++i)
        live += share.pick(true, true) == Lane::live ? 1 : 0;
    CHECK(live == 5);
}

TEST_CASE("a share of nothing or of everything still lets the other lane move") {
    for (unsigned percent : {0U, 100U, 4'000'000'000U}) {
        LaneShare share(percent);
        int live = 0;
        for (int i = 0; i < 200; ++i)
            live += share.pick(true, true) == Lane::live ? 1 : 0;
        CHECK(live >= 2);
        CHECK(live <= 198);
    }
}

TEST_CASE("a record rate holds over any second at random polling times") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SeededRandom random(seed);
        const double rate = 1 + static_cast<double>(random.below(500));
        RecordRate bucket(rate);
        Mono now{std::chrono::seconds(5)};
        std::deque<Mono> taken;
        std::uint64_t count = 0;
        const Mono began = now;
        while (now - began < std::chrono::seconds(20)) {
            if (bucket.ready(now)) {
                CHECK(bucket.wait(now) == Duration::zero());
                bucket.take();
                ++count;
                taken.push_back(now);
                while (now - taken.front() >= std::chrono::seconds(1))
                    taken.pop_front();
                REQUIRE(static_cast<double>(taken.size()) <= rate * 1.1 + 2);
            } else {
                REQUIRE(bucket.wait(now) > Duration::zero());
                now += std::chrono::microseconds(random.below(3'000) + 1);
            }
        }
        CHECK(static_cast<double>(count) >= rate * 20 * 0.9);
    }
}

TEST_CASE("a rate of zero does not limit") {
    RecordRate bucket(0);
    for (int i = 0; i < 1'000; ++i) {
        REQUIRE(bucket.ready(Mono{}));
        bucket.take();
    }
}
