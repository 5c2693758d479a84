// F-11: whatever interrupts an apply, at whatever operation on the disk, the edge runs on all of the old
// configuration or all of the new one, and its status says on which.

#include "base/hash.h"

#include "support_apply.h"

#include <doctest/doctest.h>

#include <utility>
#include <vector>

using namespace brim;
using namespace brim::edge;
using namespace brim::edge::test;
using namespace std::chrono_literals;

namespace {

void check_restart(ApplyRig& rig, bool files_good, Whole expected) {
    rig.disk().on_operation({});
    if (!files_good)
        rig.break_files();
    const bool started = rig.start();
    if (!started)
        MESSAGE(rig.refusal);
    REQUIRE(started);
    CHECK(rig.running() == expected);
    const ConfigState& state = rig.edge->config_state();
    CHECK(state.from_files == files_good);
    CHECK(state.error.has_value() != files_good);
    const Json status = status_of(*rig.edge)["config"];
    CHECK(status["source"].as_string() == (files_good ? "files" : "applied"));
    CHECK((status.find("error") != nullptr) != files_good);
}

/// Interrupts the reload after each number of operations, and how; returns how many restarts on broken files
/// found the new configuration.
template <class Interrupt>
std::pair<std::size_t, std::size_t> each_operation(Change change, Interrupt interrupt) {
    std::size_t fallen_old = 0, fallen_new = 0;
    const std::size_t operations = ApplyRig(1, change).trace().size();
    REQUIRE(operations > 15);
    for (std::size_t done = 0; done <= operations; ++done) {
        for (const bool files_good : {true, false}) {
            CAPTURE(done);
            CAPTURE(files_good);
            ApplyRig rig(1 + done, change);
            REQUIRE(rig.start());
            CHECK(rig.running() == Whole::old_one);
            rig.put_files(2);
            rig.kill_after(done);
            rig.reload();
            interrupt(rig);
            rig.disk().on_operation({});
            const auto kept = AppliedFile(rig.disk(), "/data").read();
            REQUIRE(kept.has_value());
            REQUIRE(kept->has_value());
            const bool is_new = (*kept)->revision == rig.revision_new;
            if (!files_good)
                ++(is_new ? fallen_new : fallen_old);
            check_restart(rig, files_good, files_good || is_new ? Whole::new_one : Whole::old_one);
        }
    }
    return {fallen_old, fallen_new};
}

} // namespace

TEST_CASE("[F-11] killed between any two operations of an apply, the edge is wholly old or wholly new") {
    for (const Change change : {Change::at_once, Change::at_start}) {
        const auto [of_old, of_new] = each_operation(change, [](ApplyRig& rig) { rig.kill(); });
        CHECK(of_old > 10); // until the rename
        CHECK(of_new >= 1); // after it
    }
}

TEST_CASE("[F-11] without power between any two operations of an apply, the edge is wholly old or wholly new"
) {
    for (const io::CutMode mode : {io::CutMode::random, io::CutMode::lose_all, io::CutMode::keep_all}) {
        const auto [of_old, of_new] =
            each_operation(Change::at_once, [mode](ApplyRig& rig) { rig.power_cut(mode); });
        CHECK(of_old > 10);
        CHECK(of_new >= 1);
    }
}

TEST_CASE("[F-11] power that fails inside an operation of an apply leaves it wholly old or wholly new") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        for (std::uint64_t nth = 1; nth <= 6; ++nth) { // truncate, write, sync, rename, sync_dir and none
            CAPTURE(seed);
            CAPTURE(nth);
            ApplyRig rig(seed);
            REQUIRE(rig.start());
            rig.put_files(2);
            rig.disk().add_fault({.kind = io::DiskFault::Kind::power_off, .path_part = "", .nth = nth});
            rig.reload();
            rig.world.run_for(1s);
            if (nth == 6)
                CHECK(rig.running() == Whole::new_one);
            else
                CHECK_FALSE(rig.machine().running("main"));
            rig.power_cut(io::CutMode::random);
            rig.disk().clear_faults();
            rig.break_files();
            REQUIRE(rig.start());
            CHECK(rig.running() != Whole::mixed);
            CHECK_FALSE(rig.edge->config_state().from_files);
            if (nth <= 3)
                CHECK(rig.running() == Whole::old_one);
            if (nth == 6)
                CHECK(rig.running() == Whole::new_one);
        }
    }
}

TEST_CASE("[F-11] an apply that the disk refuses at any operation keeps the old one running and says why") {
    for (const auto kind : {io::DiskFault::Kind::io_error, io::DiskFault::Kind::no_space}) {
        const auto operations = ApplyRig(1).trace();
        for (std::size_t n = 0; n < operations.size(); ++n) {
            const auto [op, path] = operations[n];
            CAPTURE(n);
            CAPTURE(path);
            CAPTURE(io::disk_op_name(op));
            std::uint64_t nth = 0;
            for (std::size_t i = 0; i <= n; ++i)
                nth += operations[i].op == op && operations[i].path.find(path) != std::string::npos ? 1 : 0;
            ApplyRig rig(1 + n);
            REQUIRE(rig.start());
            rig.put_files(2);
            rig.disk().add_fault({.kind = kind, .op = op, .path_part = path, .nth = nth});
            rig.reload();
            CHECK(rig.running() == Whole::old_one);
            const ConfigState& state = rig.edge->config_state();
            REQUIRE(state.error.has_value());
            CHECK(state.error->code == (kind == io::DiskFault::Kind::no_space ? Errc::full : Errc::io));
            CHECK(status_of(*rig.edge)["config"]["error"]["cause"].as_string() == state.error->cause);
            for (const ReadyCheck& check : ready_checks(*rig.edge)) {
                if (check.name == "configuration")
                    CHECK_FALSE(check.ok);
            }
            if (n % 2 == 0) { // it heals by itself when the disk does
                rig.reload();
                CHECK(rig.running() == Whole::new_one);
                CHECK_FALSE(rig.edge->config_state().error.has_value());
            }
            rig.kill();
            rig.disk().clear_faults();
            rig.break_files();
            REQUIRE(rig.start());
            CHECK(rig.running() != Whole::mixed);
        }
    }
}

TEST_CASE("[F-11] killed between any two operations of a start on changed files, the next start is whole") {
    std::size_t operations = 0;
    {
        ApplyRig rig(1);
        REQUIRE(rig.start());
        rig.kill();
        rig.put_files(2);
        rig.disk().on_operation([&](io::DiskOp, const std::string&) { ++operations; });
        REQUIRE(prepare_start(rig.machine().env("main").disk(), ApplyRig::source(), rig.machine().wall()));
        rig.disk().on_operation({});
    }
    REQUIRE(operations > 15);
    std::size_t of_new = 0;
    for (std::size_t done = 0; done <= operations; ++done) {
        CAPTURE(done);
        ApplyRig rig(done + 1);
        REQUIRE(rig.start());
        rig.kill();
        rig.put_files(2);
        io::Disk& view = rig.machine().env("main").disk();
        rig.kill_after(done);
        (void)prepare_start(view, ApplyRig::source(), rig.machine().wall()); // it is dead from some point on
        rig.power_cut(done % 2 == 0 ? io::CutMode::random : io::CutMode::keep_all);
        rig.disk().on_operation({});
        rig.break_files();
        REQUIRE(rig.start());
        REQUIRE(rig.running() != Whole::mixed);
        of_new += rig.running() == Whole::new_one ? 1 : 0;
    }
    CHECK(of_new >= 1);
    CHECK(of_new < operations);
}

TEST_CASE("[F-11] a change that needs a start waits for it as a whole, and status says for what") {
    ApplyRig rig(5, Change::at_start);
    REQUIRE(rig.start());
    rig.put_files(2);
    rig.reload();
    CHECK(rig.running() == Whole::old_one);
    CHECK(rig.edge->config_state().next == rig.revision_new);
    const Json status = status_of(*rig.edge)["config"];
    CHECK(status["next"]["revision"].as_string() == rig.revision_new);
    REQUIRE(status["next"]["waitsFor"].items().size() == 1);
    CHECK(status["next"]["waitsFor"].items()[0].as_string() == "uplink.inflight");
    rig.put_files(1); // changed their mind
    rig.reload();
    CHECK(rig.running() == Whole::old_one);
    CHECK(status_of(*rig.edge)["config"].find("next") == nullptr);
    rig.kill();
    rig.break_files();
    REQUIRE(rig.start());
    CHECK(rig.running() == Whole::old_one);
    rig.put_files(2);
    rig.reload();
    rig.kill();
    rig.break_files();
    REQUIRE(rig.start());
    CHECK(rig.running() == Whole::new_one);
}

TEST_CASE("[F-11] broken files do not change what runs, and good ones are taken again") {
    ApplyRig rig(6);
    REQUIRE(rig.start());
    rig.put_files(2);
    rig.break_files();
    rig.reload();
    CHECK(rig.running() == Whole::old_one);
    REQUIRE(rig.edge->config_state().error.has_value());
    CHECK(rig.edge->config_state().error->cause.find("/etc/edge.toml:") != std::string::npos);
    CHECK(rig.edge->config_state().from_files);
    rig.put_files(2);
    rig.reload();
    CHECK(rig.running() == Whole::new_one);
    const std::string metrics = rig.machine().env("main").metrics().text();
    const auto shows = [&](const std::string& revision, const char* value) {
        const std::string line =
            "brim_edge_config_info{revision=\"" + revision + "\",source=\"files\"} " + value + "\n";
        return metrics.find(line) != std::string::npos;
    };
    CHECK(shows(rig.revision_new, "1.0"));
    CHECK(shows(rig.revision_old, "0.0"));
}

TEST_CASE("two reloads at once: the second reads what the first may have missed") {
    ApplyRig rig(7);
    REQUIRE(rig.start());
    rig.edge->reload(ApplyRig::source());
    rig.put_files(2);
    rig.edge->reload(ApplyRig::source());
    rig.world.run_for(1s);
    CHECK_FALSE(rig.edge->reloading());
    CHECK(rig.running() == Whole::new_one);
}

TEST_CASE("with broken files and nothing applied the start is refused, with file and line and nothing written"
) {
    ApplyRig rig(8);
    rig.break_files();
    const std::uint64_t changes = rig.disk().change_count();
    CHECK_FALSE(rig.start());
    CHECK(rig.refusal.find("/etc/edge.toml:") != std::string::npos);
    CHECK(rig.refusal.find("nothing was applied before") != std::string::npos);
    CHECK(rig.disk().change_count() == changes);
}

TEST_CASE("a first start whose disk takes no snapshot runs on the files and says so") {
    ApplyRig rig(9);
    rig.disk().add_fault(
        {.kind = io::DiskFault::Kind::no_space, .op = io::DiskOp::write, .path_part = "config.applied"}
    );
    REQUIRE(rig.start());
    CHECK(rig.running() == Whole::old_one);
    REQUIRE(rig.edge->config_state().error.has_value());
    CHECK(rig.edge->config_state().error->code == Errc::full);
    rig.reload(); // the disk has room again: kept now, though nothing changed
    CHECK_FALSE(rig.edge->config_state().error.has_value());
    rig.kill();
    rig.break_files();
    REQUIRE(rig.start());
    CHECK(rig.running() == Whole::old_one);
}

TEST_CASE("a start whose disk does not keep changed files runs on what was applied") {
    ApplyRig rig(10);
    REQUIRE(rig.start());
    rig.kill();
    rig.put_files(2);
    rig.disk().add_fault(
        {.kind = io::DiskFault::Kind::io_error, .op = io::DiskOp::sync, .path_part = "config.applied"}
    );
    REQUIRE(rig.start());
    CHECK(rig.running() == Whole::old_one);
    CHECK_FALSE(rig.edge->config_state().from_files);
    REQUIRE(rig.edge->config_state().error.has_value());
    CHECK(rig.edge->config_state().error->code == Errc::io);
}

TEST_CASE("[F-16] a configuration applied by a newer brim-edge is refused without a write") {
    ApplyRig rig(11);
    REQUIRE(rig.start());
    rig.kill();
    Bytes file = rig.disk().content("/data/config.applied");
    const std::string title = "brim-edge applied configuration 2";
    Bytes sum;
    put_u32(sum, crc32c(title));
    file.replace(0, file.find('\n'), title + " " + to_hex(sum));
    rig.disk().put_file("/data/config.applied", file);
    for (const bool files_good : {true, false}) {
        if (!files_good)
            rig.break_files();
        const std::uint64_t changes = rig.disk().change_count();
        CHECK_FALSE(rig.start());
        CHECK(rig.refusal.find("format 2 is newer") != std::string::npos);
        CHECK(rig.disk().content("/data/config.applied") == file);
        CHECK(rig.disk().change_count() - changes <= 1); // make_dir of the folder that is there
        rig.machine().crash("main");
    }
}

TEST_CASE("a damaged applied configuration is set aside and kept, and good files run") {
    ApplyRig rig(12);
    for (int round = 1; round <= 2; ++round) {
        REQUIRE(rig.start());
        rig.kill();
        REQUIRE(rig.disk().flip_bit("/data/config.applied", 4'000));
        const Bytes damaged = rig.disk().content("/data/config.applied");
        REQUIRE(rig.start());
        CHECK(rig.running() == Whole::old_one);
        CHECK(rig.edge->config_state().from_files);
        CHECK(rig.disk().content("/data/config.applied.quarantine-" + std::to_string(round)) == damaged);
        rig.kill();
    }
    REQUIRE(rig.disk().flip_bit("/data/config.applied", 4'000));
    rig.break_files();
    CHECK_FALSE(rig.start());
    CHECK(rig.refusal.find("is damaged") != std::string::npos);
    CHECK_FALSE(rig.disk().content("/data/config.applied.quarantine-3").empty());
}
