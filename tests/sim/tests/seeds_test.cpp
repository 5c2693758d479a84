// Whole runs drawn from seeds: the laws hold, and a run can be repeated.

#include "sim/sim_scenario.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::sim;

TEST_CASE("a seed run twice gives the same trace, event by event") {
    for (const std::uint64_t seed : {3, 11, 17}) {
        CAPTURE(seed);
        const Outcome first = run_seed(seed);
        const Outcome again = run_seed(seed);
        CHECK(first.trace_hash == again.trace_hash);
        CHECK(first.acked == again.acked);
        CHECK(first.story == again.story);
    }
    CHECK(run_seed(3).trace_hash != run_seed(4).trace_hash);
}

TEST_CASE("the laws hold on twenty seeds") {
    std::uint64_t acked = 0, faults = 0, sets = 0, forged = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const Outcome outcome = run_seed(seed);
        if (!outcome.violations.empty())
            FAIL_CHECK(complaint(seed, outcome));
        acked += outcome.acked;
        faults += outcome.faults;
        sets += outcome.sets;
        forged += outcome.forged;
    }
    // Runs in which nothing happens would keep every law.
    CHECK(acked > 500);
    CHECK(faults > 100);
    CHECK(sets > 20);
    CHECK(forged > 20);
}
