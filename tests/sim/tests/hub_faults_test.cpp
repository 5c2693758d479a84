// Faults at the hub, seen from the edges, the devices and the console.

#include "base/hash.h"
#include "system_rig.h"

using namespace brim;
using namespace brim::sim;
using namespace brim::sim::test;
using namespace std::chrono_literals;

TEST_CASE("[F-06] a sync that fails once on the hub is not acknowledged, and what was before is safe") {
    Installation installation({.seed = 206, .direct_devices = 2, .report_every = 50ms});
    installation.set_up();
    REQUIRE(installation.settle(30s));
    io::SimDisk& disk = installation.hub().machine().disk();
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t failed = installation.hub().hub()->ingest().stats().failed;
        disk.add_fault(
            {.kind = io::DiskFault::Kind::io_error, .op = io::DiskOp::sync, .path_part = "/hub/ingress/seg"}
        );
        CHECK(run(installation, 4s) > 10);
        CHECK(installation.hub().hub()->ingest().stats().failed > failed);
        disk.drop_caches();
    }
    CHECK(installation.hub().hub()->ingest().stats().log.sync_errors >= 10);
    installation.hub().cut(io::CutMode::lose_all);
    CHECK(check_laws(installation) == 0);
    // Told to wait, not thrown out: one connection at set-up, one after the power cut.
    CHECK(installation.edge(0).edge()->uplink().state().connects == 2);
}

TEST_CASE("[F-16] a hub refuses an ingress log of a newer format, writes nothing, and starts on the old one"
) {
    constexpr std::size_t copies_at[] = {0, 256};
    Installation installation({.seed = 216});
    installation.set_up();
    run(installation, 5s);
    HubNode& hub = installation.hub();
    hub.kill();
    io::SimDisk& disk = hub.machine().disk();
    std::string segment;
    for (const std::string& path : disk.paths()) {
        if (path.starts_with("/hub/ingress/seg-"))
            segment = path;
    }
    REQUIRE(!segment.empty());
    const Bytes old = disk.content(segment);
    Bytes newer = old;
    for (const std::size_t copy : copies_at) { // as version 2 would write it
        newer[copy + 11] = 2;
        const auto crc = crc32c(ByteView(newer).substr(copy, 92));
        for (std::size_t at = 0; at < 4; ++at)
            newer[copy + 92 + at] = static_cast<char>(crc >> (24 - 8 * at));
    }
    disk.put_file(segment, newer);
    const std::uint64_t refused = hub.failed_starts();
    run(installation, 3s);
    CHECK(hub.failed_starts() > refused + 1);
    CHECK(hub.last_refusal().find("format 2 is newer") != std::string::npos);
    CHECK(disk.content(segment) == newer);
    disk.put_file(segment, old);
    CHECK(check_laws(installation) == 0);
}

// Scaled from 100 k TLS clients to 3 gateways with 12 devices and 30 devices of their own.
TEST_CASE("[F-86] after kill -9 of the hub all are back within 60 s, and nothing acknowledged is lost") {
    Installation installation(
        {.seed = 286,
         .edges = 3,
         .drivers_per_edge = 2,
         .devices_per_driver = 2,
         .direct_devices = 30,
         .report_every = 400ms}
    );
    installation.set_up();
    REQUIRE(installation.settle(60s));
    for (int round = 0; round < 5; ++round) {
        CHECK(run(installation, 3s) > 50);
        installation.hub().kill();
        installation.hub().stay_down(std::chrono::milliseconds(200 + 3'000 * round));
        const bool back = installation.world().run_until(
            [&] {
                hub::Hub* hub = installation.hub().hub();
                return hub && hub->access().broker().stats().connections == 33;
            },
            60s + std::chrono::seconds(3 * round)
        );
        CHECK(back);
    }
    CHECK(check_laws(installation) == 0);
}

TEST_CASE("[F-87] a hub whose clock is set back an hour or forward a year throws nobody out and loses nothing"
) {
    for (const auto by : {-3'600'000ms, std::chrono::milliseconds(365LL * 86'400'000)}) {
        CAPTURE(by.count());
        Installation installation({.seed = 287, .edges = 2, .direct_devices = 2});
        installation.set_up();
        REQUIRE(installation.settle(30s));
        const std::uint64_t connects = installation.edge(0).edge()->uplink().state().connects;
        installation.hub().machine().jump_wall(by);
        CHECK(run(installation, 2min) > 500);
        CHECK(installation.edge(0).edge()->uplink().state().connects == connects);
        CHECK(installation.hub().hub()->access().broker().stats().connections == 4);
        CHECK(check_laws(installation) == 0);
    }
}

TEST_CASE("[F-95] SIGTERM under load: hub and edge end within 10 s, say why, and lose nothing") {
    Installation installation({.seed = 295, .edges = 2, .direct_devices = 4, .report_every = 30ms});
    installation.set_up();
    REQUIRE(installation.settle(30s));
    auto& world = installation.world();
    for (int round = 0; round < 5; ++round) {
        CHECK(run(installation, 2s) > 100);
        const std::uint64_t starts = installation.hub().starts();
        const edge::UplinkState& seen = installation.edge(1).edge()->uplink().state();
        installation.hub().terminate();
        REQUIRE(world.run_until([&] { return !seen.up; }, 10s));
        REQUIRE(seen.last_error.has_value());
        CHECK_MESSAGE(seen.last_error->cause.contains("shutting down"), seen.last_error->cause);
        REQUIRE(world.run_until([&] { return installation.hub().starts() > starts; }, 10s + 1s));
        REQUIRE(installation.settle(60s));
        REQUIRE(installation.edge(0).edge() != nullptr);
        installation.edge(0).terminate();
        REQUIRE(world.run_until([&] { return installation.edge(0).edge() == nullptr; }, 10s));
        REQUIRE(installation.settle(60s));
    }
    CHECK(installation.recorder().dropped() == 0);
    CHECK(check_laws(installation) == 0);
}
