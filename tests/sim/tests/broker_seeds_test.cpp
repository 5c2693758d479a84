// Whole runs of a stand-alone broker drawn from seeds: the laws hold, and a run can be repeated.

#include "sim/broker_model.h"
#include "sim/broker_scenario.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::sim;

TEST_CASE("a broker's seed run twice gives the same trace, event by event") {
    const BrokerOutcome first = run_broker_seed(2);
    const BrokerOutcome again = run_broker_seed(2);
    CHECK(first.trace_hash == again.trace_hash);
    CHECK(first.acked == again.acked);
    CHECK(first.received == again.received);
    CHECK(first.story == again.story);
    CHECK(first.trace_hash != run_broker_seed(3).trace_hash);
}

TEST_CASE("the laws and MQTT's promises hold for a broker on eight seeds") {
    std::uint64_t acked = 0, received = 0, starts = 0, faults = 0, snapshots = 0;
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        const BrokerOutcome outcome = run_broker_seed(seed);
        if (!outcome.violations.empty())
            FAIL_CHECK(complaint(seed, outcome));
        acked += outcome.acked;
        received += outcome.received;
        starts += outcome.starts;
        faults += outcome.story.size();
        snapshots += outcome.snapshots;
    }
    // Runs in which nothing happens would keep every law.
    CHECK(acked > 1'000);
    CHECK(received > 3'000);
    CHECK(starts > 20);
    CHECK(faults > 80);
    CHECK(snapshots > 5);
}

TEST_CASE("the model's own topic matching obeys section 4.7") {
    CHECK(topic_matches("#", "t/0"));
    CHECK(topic_matches("t/#", "t"));
    CHECK(topic_matches("t/+", "t/0"));
    CHECK(topic_matches("+/1", "t/1"));
    CHECK_FALSE(topic_matches("t/+", "t"));
    CHECK_FALSE(topic_matches("t/+", "t/0/1"));
    CHECK_FALSE(topic_matches("t/0", "t/01"));
    CHECK_FALSE(topic_matches("t", "t/0"));
    CHECK_FALSE(topic_matches("t/0/1", "t/0"));
}
