// Faults at the edge and on its uplink, seen from both ends. Numbers of faults.md are scaled where said.

#include "system_rig.h"

#include <set>
#include <string>

using namespace brim;
using namespace brim::sim;
using namespace brim::sim::test;
using namespace std::chrono_literals;

namespace {

/// The versions of the drivers' files that an edge runs with: more than one is a mixture.
std::set<std::string> versions(const edge::Edge& edge) {
    std::set<std::string> out;
    for (const auto& [driver, text] : edge.published()) {
        const auto json = Json::parse(text);
        out.insert(json ? (*json)["config"].text() : text);
    }
    return out;
}

} // namespace

// Scaled from 100 devices and 1,000 kills to 12 devices and 60 kills in each of two runs; the edge's own
// tests make 1,000.
TEST_CASE("[F-01] [F-02] an edge killed and cut off power behind a dead uplink loses nothing acknowledged") {
    for (const bool power : {false, true}) {
        CAPTURE(power);
        Installation installation(
            {.seed = 101, .drivers_per_edge = 3, .devices_per_driver = 4, .report_every = 40ms}
        );
        installation.set_up();
        REQUIRE(installation.settle(30s));
        cut_uplink(installation, 0);
        Random& random = installation.world().random();
        std::uint64_t acked = 0;
        for (int round = 0; round < 60; ++round) {
            acked += run(installation, std::chrono::milliseconds(300 + random.below(500)));
            if (power)
                installation.edge(0).cut(io::CutMode::random);
            else
                installation.edge(0).kill();
            if (round == 30)
                heal_uplink(installation, 0);
        }
        CHECK(acked > 300);
        CHECK(check_laws(installation) == 0);
    }
}

TEST_CASE("[F-06] a sync that fails once on the edge is not acknowledged, and what was before is safe") {
    Installation installation({.seed = 106, .report_every = 50ms});
    installation.set_up();
    REQUIRE(installation.settle(30s));
    cut_uplink(installation, 0);
    EdgeNode& edge = installation.edge(0);
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t unsaved = edge.edge()->ledger().unsaved;
        edge.machine().disk().add_fault(
            {.kind = io::DiskFault::Kind::io_error, .op = io::DiskOp::sync, .path_part = "/data/uplink"}
        );
        CHECK(run(installation, 2s) > 10); // it goes on by itself
        CHECK(edge.edge()->ledger().unsaved > unsaved);
        edge.machine().disk().drop_caches();
    }
    CHECK(edge.edge()->log_stats().sync_errors >= 10);
    edge.cut(io::CutMode::lose_all);
    CHECK(check_laws(installation) == 0);
}

// Scaled from 24 h at 1,000 reports/s to 2 min at about 20/s; 1,440 segments of outage become the few that a
// buffer of 256 KiB holds.
TEST_CASE("[F-11] edges reconfigured, killed and cut off power under load run one version and lose nothing") {
    Installation installation(
        {.seed = 111, .drivers_per_edge = 3, .direct_devices = 0, .report_every = 50ms, .set_every = 0s}
    );
    installation.set_up();
    REQUIRE(installation.settle(30s));
    EdgeNode& node = installation.edge(0);
    Random& random = installation.world().random();
    std::uint64_t acked = 0;
    unsigned on_files = 0, on_applied = 0;
    for (int version = 2; version < 82; ++version) {
        CAPTURE(version);
        node.write_drivers(version);
        node.reload();
        installation.world().run_for(std::chrono::microseconds(random.below(4'000)));
        if (random.below(3) == 0)
            node.tear_settings();
        if (random.below(2) == 0)
            node.kill();
        else
            node.cut(io::CutMode::random);
        acked += run(installation, std::chrono::milliseconds(400 + random.below(400)));
        REQUIRE(node.edge());
        CHECK(versions(*node.edge()).size() == 1);
        const edge::ConfigState& state = node.edge()->config_state();
        CHECK(state.error.has_value() != state.from_files);
        ++(state.from_files ? on_files : on_applied);
        if (state.from_files)
            CHECK(versions(*node.edge()).begin()->find(std::to_string(version)) != std::string::npos);
    }
    CHECK(on_files > 20);
    CHECK(on_applied > 10);
    CHECK(acked > 300); // the edge and its drivers are away half of the time
    CHECK(check_laws(installation) == 0);
}

TEST_CASE("[F-18] an outage is held within the quota, replayed at the rate set, beside live reports") {
    Installation installation(
        {.seed = 118, .devices_per_driver = 4, .direct_devices = 0, .report_every = 50ms, .replay_rate = 40}
    );
    installation.set_up();
    REQUIRE(installation.settle(30s));
    cut_uplink(installation, 0);
    run(installation, 2min);
    edge::Forwarder& forwarder = installation.edge(0).edge()->forwarder();
    const std::uint64_t held = forwarder.held();
    CHECK(held > 1'500);
    heal_uplink(installation, 0);
    const auto& world = installation.world();
    REQUIRE(installation.world().run_until([&] { return forwarder.replaying(); }, 60s));
    const Mono begun = world.now();
    const std::int64_t replay_from = installation.hub().machine().wall().ms;
    REQUIRE(installation.world().run_until([&] { return !forwarder.replaying(); }, 3min));
    const std::int64_t replay_to = installation.hub().machine().wall().ms;
    const double seconds = std::chrono::duration<double>(world.now() - begun).count();
    CHECK(static_cast<double>(held) / seconds < 45);
    CHECK(static_cast<double>(held) / seconds > 30);
    CHECK(check_laws(installation) == 0);
    // Live reports reached the hub while the backlog was on its way, within a second of being made.
    std::size_t live = 0;
    for (const auto& device : installation.devices()) {
        for (const auto& point : LawChecker(installation).history(device, Property::speed)) {
            const bool during = point.received_ms > replay_from && point.received_ms < replay_to;
            if (!point.replayed && during && point.received_ms - point.time_ms < 1'000)
                ++live;
        }
    }
    CHECK(live > 500);
}

TEST_CASE("[F-18] an outage longer than the buffer drops the oldest, and counts every one") {
    Installation installation(
        {.seed = 119, .direct_devices = 0, .report_every = 40ms, .set_every = 0s, .buffer_bytes_max = 262'144}
    );
    installation.set_up();
    REQUIRE(installation.settle(30s));
    cut_uplink(installation, 0);
    run(installation, 80s);
    const auto stats = installation.edge(0).edge()->log_stats();
    CHECK(stats.bytes <= 262'144);
    const std::uint64_t missing = check_laws(installation);
    const auto& dropped = installation.edge(0).edge()->ledger().dropped();
    CHECK(missing > 100);
    CHECK(missing == edge::Ledger::sum(dropped));
    CHECK(dropped.contains("full"));
}

// Scaled from 500 cuts, 1 to 30 s apart, to 80 cuts, 0.3 to 2 s apart.
TEST_CASE("[F-19] a replay cut again and again moves on and resends no more than what was in flight") {
    constexpr std::uint64_t window = 16;
    constexpr unsigned cuts = 80;
    Installation installation(
        {.seed = 119,
         .direct_devices = 0,
         .report_every = 60ms,
         .set_every = 0s,
         .inflight = window,
         .replay_rate = 30}
    );
    installation.set_up();
    REQUIRE(installation.settle(30s));
    cut_uplink(installation, 0);
    run(installation, 60s);
    edge::Edge& edge = *installation.edge(0).edge();
    const std::uint64_t sent_before = edge.ledger().sent - edge.ledger().acknowledged;
    store::Seq low = edge.forwarder().done().low();
    heal_uplink(installation, 0);
    Random& random = installation.world().random();
    for (unsigned cut = 0; cut < cuts; ++cut) {
        run(installation, std::chrono::milliseconds(300 + random.below(1'700)));
        installation.world().links().reset("edge-0", std::string(hub_machine));
        CHECK(edge.forwarder().done().low() >= low);
        low = edge.forwarder().done().low();
    }
    CHECK(check_laws(installation) == 0);
    const std::uint64_t resent = edge.ledger().sent - edge.ledger().acknowledged - sent_before;
    CHECK(resent <= cuts * window);
    CHECK(resent > 0);
    // What the hub had already, and acknowledged once more.
    CHECK(installation.hub().hub()->ingest().stats().duplicates <= cuts * window);
}

TEST_CASE("[F-21] a link that is dead one way is noticed within 1.5 keep-alives, and leaves one session") {
    for (const bool towards_hub : {false, true}) {
        CAPTURE(towards_hub);
        Installation installation({.seed = 121, .direct_devices = 0});
        installation.set_up();
        REQUIRE(installation.settle(30s));
        run(installation, 3s);
        EdgeNode& edge = installation.edge(0);
        auto& links = installation.world().links();
        const std::string hub(hub_machine);
        links.partition(towards_hub ? "edge-0" : hub, towards_hub ? hub : "edge-0");
        const Mono begun = installation.world().now();
        const bool noticed = installation.world().run_until(
            [&] { return !edge.edge()->uplink().state().up; }, 46s // keep-alive is 30 s
        );
        CHECK(noticed);
        CHECK(installation.world().now() - begun > 1s);
        run(installation, 60s);
        const auto sessions = [&] { return installation.hub().hub()->access().broker().stats().connections; };
        CHECK(sessions() <= 1);
        links.heal(towards_hub ? "edge-0" : hub, towards_hub ? hub : "edge-0");
        REQUIRE(installation.settle(60s));
        run(installation, 50s); // longer than the hub could keep a dead one
        CHECK(sessions() == 1);
        CHECK(check_laws(installation) == 0);
    }
}
