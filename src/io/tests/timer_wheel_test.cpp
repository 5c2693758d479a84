#include "io/internal/timer_wheel.h"

#include <doctest/doctest.h>
#include <map>
#include <rapidcheck.h>

namespace brim::io {

namespace {

/// What a wheel should do, by a sorted map.
struct NaiveTimers {
    std::multimap<std::uint64_t, int> due;

    std::vector<int> advance(std::uint64_t now) {
        std::vector<int> fired;
        while (!due.empty() && due.begin()->first <= now) {
            fired.push_back(due.begin()->second);
            due.erase(due.begin());
        }
        return fired;
    }

    void cancel(int name) {
        std::erase_if(due, [name](const auto& entry) { return entry.second == name; });
    }
};

std::vector<int> advance(TimerWheel& wheel, std::uint64_t now, std::vector<int>& fired) {
    fired.clear();
    wheel.collect(now);
    while (auto work = wheel.pop())
        (*work)();
    return fired;
}

} // namespace

TEST_CASE("a wheel fires what a sorted list would, in the same order, through starts, cancels and jumps") {
    const bool holds = rc::check("wheel equals naive model", [] {
        TimerWheel wheel;
        NaiveTimers naive;
        std::vector<int> fired;
        std::map<int, TimerId> ids;
        std::uint64_t now = 0;
        const auto steps = *rc::gen::resize(
            200, rc::gen::container<std::vector<std::uint32_t>>(rc::gen::arbitrary<std::uint32_t>())
        );
        int name = 0;
        for (const std::uint32_t step : steps) {
            const std::uint64_t reach = std::uint64_t{1} << ((step >> 2) % 34);
            if (step % 4 <= 1) {
                // Equal due ticks must be likely, or their order is never checked.
                const std::uint64_t due = now + 1 + (step >> 8) % reach;
                const int mine = ++name;
                ids[mine] = wheel.start(due, [&fired, mine] { fired.push_back(mine); });
                naive.due.emplace(due, mine);
            } else if (step % 4 == 2 && name > 0) {
                const int victim = 1 + static_cast<int>((step >> 8) % static_cast<unsigned>(name));
                const bool pending = std::any_of(naive.due.begin(), naive.due.end(), [victim](const auto& e) {
                    return e.second == victim;
                });
                RC_ASSERT(wheel.cancel(ids[victim]) == pending);
                naive.cancel(victim);
            } else {
                now += (step >> 8) % reach;
                RC_ASSERT(advance(wheel, now, fired) == naive.advance(now));
            }
            RC_ASSERT(wheel.size() == naive.due.size());
            if (const auto next = wheel.next_tick())
                RC_ASSERT(*next <= naive.due.begin()->first);
            else
                RC_ASSERT(naive.due.empty());
        }
        now += std::uint64_t{1} << 36;
        RC_ASSERT(advance(wheel, now, fired) == naive.advance(now));
        RC_ASSERT(wheel.size() == 0U);
    });
    CHECK(holds);
}

TEST_CASE("a timer of 24 hours fires at its tick and not one tick before, whatever the wheel did meanwhile") {
    constexpr std::uint64_t day = 24ULL * 3'600'000;
    TimerWheel wheel;
    std::vector<int> fired;
    wheel.start(day, [&] { fired.push_back(1); });
    for (std::uint64_t now = 0; now < day; now += 61'007)
        CHECK(advance(wheel, now, fired).empty());
    CHECK(advance(wheel, day - 1, fired).empty());
    CHECK(advance(wheel, day, fired) == std::vector{1});
}

TEST_CASE("an old id cancels nothing after its place was taken by another timer") {
    TimerWheel wheel;
    int fired = 0;
    const TimerId old = wheel.start(5, [] {});
    CHECK(wheel.cancel(old));
    CHECK_FALSE(wheel.cancel(old));
    const TimerId fresh = wheel.start(5, [&] { ++fired; });
    CHECK(fresh != old);
    CHECK_FALSE(wheel.cancel(old));
    CHECK_FALSE(wheel.cancel(0));
    CHECK_FALSE(wheel.cancel(~TimerId{0}));
    wheel.collect(5);
    while (auto work = wheel.pop())
        (*work)();
    CHECK(fired == 1);
    CHECK_FALSE(wheel.cancel(fresh));
}

TEST_CASE("a timer that is ready but not yet popped can be cancelled, and one started due waits for the next "
          "collect") {
    TimerWheel wheel;
    int fired = 0;
    wheel.start(3, [&] { ++fired; });
    const TimerId second = wheel.start(3, [&] { fired += 10; });
    wheel.collect(3);
    wheel.start(2, [&] { fired += 100; });
    (*wheel.pop())();
    CHECK(wheel.cancel(second));
    CHECK_FALSE(wheel.pop());
    CHECK(fired == 1);
    CHECK(wheel.next_tick() == 3U);
    wheel.collect(3);
    (*wheel.pop())();
    CHECK(fired == 101);
}

TEST_CASE("a due tick beyond the last wheel is kept as the last tick") {
    TimerWheel wheel;
    const TimerId far = wheel.start(~std::uint64_t{0}, [] {});
    wheel.collect(std::uint64_t{1} << 40);
    CHECK_FALSE(wheel.pop());
    CHECK(wheel.cancel(far));
}

} // namespace brim::io
