// F-18, scaled: 1,000 devices, a day without uplink on the virtual clock. One report a device every 48
// minutes stands for one a second (30,000 reports for 86,400,000; the buffer is scaled alike), which keeps
// the run in seconds.

#include "support_rig.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace brim;
using namespace brim::edge;
using namespace brim::edge::test;
using namespace std::chrono_literals;

namespace {

void run_outage(std::uint64_t bytes_max, bool expect_drop) {
    Rig rig(18, 1'000);
    rig.config.buffer.bytes_max = bytes_max;
    rig.config.uplink.replay_rate = 1'000;
    rig.start_hub();
    rig.start_edge();
    rig.start_driver();
    REQUIRE(rig.ready(30s));
    REQUIRE(rig.world.run_until([&] { return rig.edge->uplink().sessions().open_count() == 1'000; }, 60s));
    rig.world.links().partition_both("edge", "hub");
    rig.world.links().reset("edge", "hub");
    for (int round = 0; round < 30; ++round) {
        rig.load(500, 2s);
        rig.world.run_for(48min - 2s);
    }
    const auto& ledger = rig.edge->ledger();
    CHECK(rig.acked.size() >= 29'900);
    const std::uint64_t dropped = Ledger::sum(ledger.dropped());
    CHECK((dropped > 0) == expect_drop);
    CHECK(rig.edge->forwarder().held() + dropped == rig.acked.size());
    REQUIRE(rig.edge->forwarder().oldest().has_value());
    rig.world.links().heal_both("edge", "hub");
    REQUIRE(rig.world.run_until([&] { return rig.edge->forwarder().replaying(); }, 5min));
    rig.recorder.order.clear();
    rig.load(100, 5s);
    const auto live = std::ranges::count_if(rig.recorder.order, [](const auto& o) { return !o.second; });
    const auto replayed = rig.recorder.order.size() - static_cast<std::size_t>(live);
    CHECK(live >= 480);       // not starved
    CHECK(replayed <= 5'150); // the rate cap
    CHECK(replayed >= 4'500);
    REQUIRE(rig.drain_backlog(10min));
    CHECK(rig.recorder.stored.size() + dropped == rig.acked.size());
    rig.check_laws(dropped);
    CHECK(ledger.balanced(rig.edge->forwarder().held(), rig.edge->forwarder().waiting_for_disk()));
}

} // namespace

TEST_CASE(
    "[F-18] a day's outage of 1,000 devices within the quota: all of it arrives, live data is not starved"
) {
    run_outage(16'777'216, false);
}

TEST_CASE("[F-18] a day's outage above the quota: what was dropped is counted exactly") {
    run_outage(4'194'304, true);
}
