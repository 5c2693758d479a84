// Disks that fail, lie and lose, under whole programs: what was acknowledged arrives, or is counted.

#include "system_rig.h"

#include <algorithm>
#include <string>
#include <vector>

using namespace brim;
using namespace brim::sim;
using namespace brim::sim::test;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view edge_segments = "/data/uplink/seg-";
constexpr std::string_view hub_segments = "/hub/ingress/seg-";

/// The log's files in the order of their numbers.
std::vector<std::string> segments(io::SimDisk& disk, std::string_view prefix) {
    std::vector<std::string> out;
    for (const std::string& path : disk.paths()) {
        if (path.starts_with(prefix) && path.find("quarantine") == std::string::npos)
            out.push_back(path);
    }
    return out;
}

/// An edge that holds some thousand acknowledged reports which the hub lacks.
struct Backlog {
    explicit Backlog(std::uint64_t seed)
        : installation(
              {.seed = seed,
               .devices_per_driver = 4,
               .direct_devices = 0,
               .report_every = 20ms,
               .set_every = 0s}
          ) {
        installation.set_up();
        REQUIRE(installation.settle(30s));
        cut_uplink(installation, 0);
        run(installation, 40s);
        held = edge().edge()->forwarder().held();
        REQUIRE(held > 1'000);
    }

    EdgeNode& edge() { return installation.edge(0); }

    io::SimDisk& disk() { return edge().machine().disk(); }

    std::uint64_t quarantined() {
        const auto& dropped = edge().edge()->ledger().dropped();
        const auto found = dropped.find("quarantined");
        return found == dropped.end() ? 0 : found->second;
    }

    Installation installation;
    std::uint64_t held = 0;
};

} // namespace

TEST_CASE("[F-05] EIO on the Nth write, N = 1..200, on the edge and on the hub: not acknowledged, not lost") {
    for (const bool at_hub : {false, true}) {
        CAPTURE(at_hub);
        Installation installation({.seed = 305, .direct_devices = 2, .report_every = 20ms});
        installation.set_up();
        REQUIRE(installation.settle(30s));
        io::SimDisk& disk =
            at_hub ? installation.hub().machine().disk() : installation.edge(0).machine().disk();
        std::uint64_t acked = 0;
        for (std::uint64_t nth = 1; nth <= 200; ++nth) {
            disk.add_fault(
                {.kind = io::DiskFault::Kind::io_error,
                 .op = io::DiskOp::write,
                 .path_part = std::string(at_hub ? hub_segments : edge_segments),
                 .nth = nth}
            );
            acked += run(installation, 100ms + std::chrono::milliseconds(nth * 30));
            disk.clear_faults();
        }
        CHECK(acked > 1'000);
        const std::uint64_t failed = at_hub ? installation.hub().hub()->ingest().stats().failed
                                            : installation.edge(0).edge()->ledger().unsaved;
        CHECK(failed > 50);
        CHECK(check_laws(installation) == 0);
    }
}

TEST_CASE("[F-07] writes that end after their first byte, now and then, change nothing that is stored") {
    for (const bool at_hub : {false, true}) {
        CAPTURE(at_hub);
        Installation installation({.seed = 307, .direct_devices = 2, .report_every = 20ms});
        installation.set_up();
        REQUIRE(installation.settle(30s));
        io::SimMachine& machine = at_hub ? installation.hub().machine() : installation.edge(0).machine();
        std::uint64_t acked = 0;
        for (std::uint64_t round = 1; round <= 40; ++round) {
            machine.disk().add_fault(
                {.kind = io::DiskFault::Kind::short_write,
                 .op = io::DiskOp::write,
                 .path_part = std::string(at_hub ? hub_segments : edge_segments),
                 .nth = 1 + round % 7,
                 .times = 1 + round % 3}
            );
            acked += run(installation, 1s);
            machine.disk().clear_faults();
            // What is left of such a write must not be taken for a record by the next start.
            if (round % 10 == 0)
                at_hub ? installation.hub().kill() : installation.edge(0).kill();
            if (round % 10 == 5)
                at_hub ? installation.hub().cut(io::CutMode::random)
                       : installation.edge(0).cut(io::CutMode::random);
        }
        CHECK(acked > 1'000);
        CHECK(check_laws(installation) == 0);
    }
}

TEST_CASE(
    "[F-08] bits flipped in a backlog at rest cost the records they hit, which are counted; the rest arrives"
) {
    std::uint64_t lost = 0;
    for (std::uint64_t round = 0; round < 30; ++round) {
        CAPTURE(round);
        Backlog backlog(3'080 + round);
        backlog.edge().kill();
        Random& random = backlog.installation.world().random();
        const auto paths = segments(backlog.disk(), edge_segments);
        REQUIRE(!paths.empty());
        const std::string& path = paths[random.below(paths.size())];
        // Within what was written: behind it a segment is preallocated and empty.
        const std::uint64_t bytes =
            std::min<std::uint64_t>(backlog.disk().content(path).size(), backlog.held * 80);
        REQUIRE(backlog.disk().flip_bit(path, random.below(bytes * 8)));
        heal_uplink(backlog.installation, 0);
        const std::uint64_t missing = check_laws(backlog.installation);
        CHECK(missing <= backlog.quarantined());
        CHECK(missing < backlog.held / 2);
        lost += missing;
    }
    CHECK(lost > 0); // some of them did hit a record
}

TEST_CASE(
    "[F-09] a backlog cut off at every 4 KiB of its last segment: what is left arrives, and what comes after"
) {
    for (std::uint64_t step = 0; step < 16; ++step) {
        CAPTURE(step);
        Backlog backlog(3'090 + step);
        backlog.edge().kill();
        const auto paths = segments(backlog.disk(), edge_segments);
        REQUIRE(!paths.empty());
        REQUIRE(backlog.disk().cut_file(paths.back(), 4'096 * step));
        heal_uplink(backlog.installation, 0);
        CHECK(run(backlog.installation, 10s) > 100);
        backlog.installation.heal();
        LawChecker laws(backlog.installation);
        for (const Violation& violation : laws.check()) {
            // A tail that is gone leaves no gap to count.
            CHECK_MESSAGE(violation.law == 1, "L", violation.law, ": ", violation.text);
        }
        // No more than one segment's records.
        CHECK(laws.missing() < backlog.held / 2);
    }
}

TEST_CASE("[F-09] a log cut off after delivery: numbers that are given again are new messages to the hub") {
    unsigned went_back = 0;
    for (std::uint64_t step = 0; step < 16; ++step) {
        CAPTURE(step);
        Installation installation(
            {.seed = 3'110 + step,
             .devices_per_driver = 4,
             .direct_devices = 0,
             .report_every = 20ms,
             .set_every = 0s}
        );
        installation.set_up();
        REQUIRE(installation.settle(30s));
        CHECK(run(installation, 40s) > 1'000);
        REQUIRE(installation.settle(30s));
        EdgeNode& edge = installation.edge(0);
        const store::Seq before = edge.edge()->forwarder().next();
        edge.kill();
        io::SimDisk& disk = edge.machine().disk();
        const auto paths = segments(disk, edge_segments);
        REQUIRE(!paths.empty());
        REQUIRE(disk.cut_file(paths.back(), 4'096 * step));
        REQUIRE(installation.world().run_until([&edge] { return edge.edge() != nullptr; }, 60s));
        const store::Seq after = edge.edge()->forwarder().next();
        went_back += after < before ? 1 : 0;
        CHECK(run(installation, 10s) > 100);
        CHECK(check_laws(installation) == 0);
    }
    CHECK(went_back > 0);
}

TEST_CASE("[F-09] a log cut off after delivery, and a start in the dark that gives its numbers again") {
    unsigned went_back = 0;
    for (std::uint64_t step = 0; step < 12; ++step) {
        CAPTURE(step);
        Installation installation(
            {.seed = 3'140 + step,
             .devices_per_driver = 4,
             .direct_devices = 0,
             .report_every = 20ms,
             .set_every = 0s}
        );
        installation.set_up();
        REQUIRE(installation.settle(30s));
        CHECK(run(installation, 40s) > 1'000);
        REQUIRE(installation.settle(30s));
        cut_uplink(installation, 0);
        EdgeNode& edge = installation.edge(0);
        const store::Seq before = edge.edge()->forwarder().next();
        edge.kill();
        io::SimDisk& disk = edge.machine().disk();
        const auto paths = segments(disk, edge_segments);
        REQUIRE(!paths.empty());
        REQUIRE(disk.cut_file(paths.back(), 4'096 * step));
        const auto started = [&edge] { return edge.edge() != nullptr; };
        REQUIRE(installation.world().run_until(started, 60s));
        went_back += edge.edge()->forwarder().next() < before ? 1 : 0;
        // Some of these starts reach above all that was delivered, some do not.
        for (std::uint64_t dark = 0; dark <= step % 3; ++dark) {
            CHECK(run(installation, 3s) > 10);
            edge.kill();
            REQUIRE(installation.world().run_until(started, 60s));
        }
        heal_uplink(installation, 0);
        CHECK(run(installation, 10s) > 100);
        CHECK(check_laws(installation) == 0);
    }
    CHECK(went_back > 0);
}

TEST_CASE(
    "[F-10] segments lost, copied or under each other's names: no wrong order, and what is lost is counted"
) {
    enum class Mischief : std::uint8_t { lose, copy, swap };
    for (const Mischief mischief : {Mischief::lose, Mischief::copy, Mischief::swap}) {
        CAPTURE(static_cast<int>(mischief));
        Backlog backlog(3'100);
        backlog.edge().kill();
        const auto paths = segments(backlog.disk(), edge_segments);
        REQUIRE(paths.size() >= 3);
        const std::string& middle = paths[paths.size() / 2];
        if (mischief == Mischief::lose)
            REQUIRE(backlog.disk().lose_file(middle));
        else if (mischief == Mischief::copy)
            REQUIRE(backlog.disk().copy_file(middle, std::string(edge_segments) + "0000000099999999"));
        else
            REQUIRE(backlog.disk().swap_files(paths[paths.size() / 2 - 1], middle));
        heal_uplink(backlog.installation, 0);
        const std::uint64_t missing = check_laws(backlog.installation);
        CHECK(missing == (mischief == Mischief::lose ? backlog.quarantined() : 0));
        if (mischief == Mischief::lose)
            CHECK(missing > 0);
    }
}
