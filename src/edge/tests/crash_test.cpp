// F-01 and F-02: the edge dies at any moment, the uplink comes and goes; what a driver got an acknowledgement
// for arrives.

#include "support_rig.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::edge;
using namespace brim::edge::test;
using namespace std::chrono_literals;

namespace {

void run_rounds(std::uint64_t seed, unsigned rounds, bool power) {
    Rig rig(seed, 10);
    rig.start_hub();
    rig.world.links().partition_both("edge", "hub");
    rig.start_edge();
    rig.start_driver();
    rig.slow_disk(8ms);
    bool linked = false;
    for (unsigned round = 0; round < rounds; ++round) {
        Random& random = rig.world.random();
        rig.load(40, std::chrono::milliseconds(20 + random.below(600)));
        rig.burst(20); // and the end comes between arriving, syncing and acknowledging
        rig.world.run_for(std::chrono::microseconds(random.below(20'000)));
        if (power && random.below(2) == 0)
            rig.power_cut();
        else
            rig.crash_edge();
        if (random.below(4) == 0) { // the uplink comes and goes as well
            linked = !linked;
            if (linked)
                rig.world.links().heal_both("edge", "hub");
            else
                rig.world.links().partition_both("edge", "hub");
        }
        rig.start_edge();
        if (!rig.driver)
            rig.start_driver();
    }
    rig.world.links().heal_both("edge", "hub");
    REQUIRE(rig.ready(30s));
    rig.load(40, 1s);
    rig.world.run_for(2s);
    const bool drained = rig.drain_backlog(10min);
    if (!drained)
        MESSAGE(rig.world.log_text().substr(0, 3'000));
    REQUIRE(drained);
    CHECK(rig.acked.size() > rounds);
    rig.check_laws();
    CHECK(rig.edge->ledger().balanced(rig.edge->forwarder().held(), rig.edge->forwarder().waiting_for_disk())
    );
}

} // namespace

TEST_CASE("[F-01] 600 kills of the edge at random times lose nothing that was acknowledged") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        run_rounds(seed, 30, false);
    }
}

TEST_CASE("[F-01] [F-02] 400 kills and power cuts lose nothing that was acknowledged") {
    for (std::uint64_t seed = 101; seed <= 120; ++seed) {
        CAPTURE(seed);
        run_rounds(seed, 20, true);
    }
}

TEST_CASE(
    "[F-05] [F-06] a disk that fails now and then: what it refused is not acknowledged, the sums still agree"
) {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        CAPTURE(seed);
        Rig rig(seed, 4);
        rig.start_hub();
        rig.start_edge();
        rig.start_driver();
        REQUIRE(rig.ready(10s));
        Random& random = rig.world.random();
        for (int fault = 0; fault < 5; ++fault) {
            rig.world.machine("edge").disk().add_fault(
                {.kind = io::DiskFault::Kind::io_error,
                 .op = fault == 0 || random.below(2) == 0 ? io::DiskOp::sync : io::DiskOp::write,
                 .path_part = "/data/uplink",
                 .nth = 1 + random.below(20)}
            );
            rig.load(100, 2s);
        }
        rig.world.run_for(2s);
        CHECK(rig.edge->ledger().unsaved > 0);
        CHECK(rig.edge->log_stats().sync_errors > 0);
        REQUIRE(rig.drain_backlog(5min));
        rig.check_laws();
        CHECK(rig.edge->ledger().balanced(
            rig.edge->forwarder().held(), rig.edge->forwarder().waiting_for_disk()
        ));
        rig.crash_edge();
        rig.start_edge();
        REQUIRE(rig.ready(10s));
        rig.load(20, 1s);
        REQUIRE(rig.drain_backlog(5min));
        rig.check_laws();
    }
}
