#include "store/sqlite.h"

#include "io/posix_disk.h"
#include "io/sim/sim_disk.h"
#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"
#include "store/sqlite_vfs.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <filesystem>

using namespace brim;
using namespace brim::store;

namespace {

constexpr const char* meta_path = "/data/meta.db";

std::unique_ptr<Database>
open_on(io::Disk& disk, const std::string& at = meta_path, Durability durability = Durability::full) {
    REQUIRE(disk.make_dir(at.substr(0, at.rfind('/'))));
    auto opened = Database::open(disk, at, durability);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().text()));
    return std::move(*opened);
}

std::int64_t count_rows(Database& database) {
    auto statement = database.prepare("SELECT count(*) FROM t");
    REQUIRE(statement);
    REQUIRE(*statement->step());
    return statement->integer(0);
}

bool is_whole(Database& database) {
    auto check = database.prepare("PRAGMA integrity_check");
    REQUIRE(check);
    REQUIRE(*check->step());
    return check->text(0) == "ok";
}

} // namespace

TEST_CASE("values of every type go in and come out") {
    io::SimDisk disk(1);
    const auto database = open_on(disk);
    REQUIRE(database->execute("CREATE TABLE t(a, b, c, d, e)"));
    auto insert = database->prepare("INSERT INTO t VALUES(?1, ?2, ?3, ?4, ?5)");
    REQUIRE(insert);
    insert->bind(1, INT64_MIN)
        .bind(2, 0.5)
        .bind(3, std::string_view("te\0xt", 5))
        .bind_blob(4, std::string_view("\xff\0", 2))
        .bind_null(5);
    REQUIRE(insert->run());
    auto select = database->prepare("SELECT * FROM t");
    REQUIRE(select);
    REQUIRE(*select->step());
    CHECK(select->integer(0) == INT64_MIN);
    CHECK(select->number(1) == 0.5);
    CHECK(select->text(2) == std::string_view("te\0xt", 5));
    CHECK(select->blob(3) == std::string_view("\xff\0", 2));
    CHECK(select->is_null(4));
    CHECK_FALSE(select->is_null(0));
    CHECK_FALSE(*select->step());
}

TEST_CASE("errors carry the kind of failure and the file") {
    io::SimDisk disk(1);
    const auto database = open_on(disk);
    REQUIRE(database->execute("CREATE TABLE t(a PRIMARY KEY, b REFERENCES t(a))"));
    CHECK_FALSE(database->prepare("SELECT nonsense FROM nowhere"));
    auto insert = database->prepare("INSERT INTO t VALUES(?1, ?2)");
    REQUIRE(insert);
    REQUIRE(insert->bind(1, 1).bind_null(2).run());
    const auto twice = insert->bind(1, 1).bind_null(2).run();
    REQUIRE_FALSE(twice);
    CHECK(twice.error().code == Errc::conflict);
    CHECK(twice.error().object.find(meta_path) != std::string::npos);
    CHECK_MESSAGE(insert->bind(1, 2).bind(2, 99).run().error().code == Errc::conflict, "foreign keys are on");
    CHECK_FALSE(insert->bind(9, 1).run());
}

TEST_CASE("a transaction that is not committed leaves nothing") {
    io::SimDisk disk(1);
    const auto database = open_on(disk);
    REQUIRE(database->execute("CREATE TABLE t(a)"));
    {
        const auto transaction = Transaction::begin(*database);
        REQUIRE(transaction);
        REQUIRE(database->execute("INSERT INTO t VALUES(1)"));
    }
    CHECK(count_rows(*database) == 0);
    auto transaction = Transaction::begin(*database);
    REQUIRE(transaction);
    REQUIRE(database->execute("INSERT INTO t VALUES(1)"));
    REQUIRE(transaction->commit());
    CHECK(count_rows(*database) == 1);
}

TEST_CASE("migration runs each step once, in order, and refuses a newer file") {
    io::SimDisk disk(1);
    constexpr std::array steps{"CREATE TABLE t(a)", "INSERT INTO t VALUES(1)", "INSERT INTO t VALUES(2)"};
    auto database = open_on(disk);
    REQUIRE(migrate(*database, std::span(steps).first(2)));
    CHECK(count_rows(*database) == 1);
    REQUIRE(migrate(*database, steps));
    REQUIRE(migrate(*database, steps));
    CHECK(count_rows(*database) == 2);
    CHECK(migrate(*database, std::span(steps).first(2)).error().code == Errc::unsupported);
}

TEST_CASE("a migration step that fails leaves the version before it") {
    io::SimDisk disk(1);
    constexpr std::array broken{
        "CREATE TABLE t(a)", "INSERT INTO t VALUES(1); INSERT INTO missing VALUES(1)"
    };
    constexpr std::array whole{"CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"};
    const auto database = open_on(disk);
    CHECK_FALSE(migrate(*database, broken));
    CHECK(count_rows(*database) == 0);
    REQUIRE(migrate(*database, whole));
    CHECK(count_rows(*database) == 1);
}

TEST_CASE("[F-02] a committed transaction survives a power cut at any operation, a half one never shows") {
    std::size_t cuts = 0;
    for (std::uint64_t nth = 1; nth <= 300; ++nth) {
        CAPTURE(nth);
        io::SimDisk disk(nth);
        auto database = open_on(disk);
        REQUIRE(database->execute("CREATE TABLE t(a, b)"));
        disk.add_fault({.kind = io::DiskFault::Kind::power_off, .nth = nth});
        std::int64_t committed = 0;
        for (int at = 0; at < 40; ++at) {
            auto transaction = Transaction::begin(*database);
            if (!transaction || !database->execute("INSERT INTO t VALUES(1, randomblob(900))") ||
                !database->execute("INSERT INTO t VALUES(2, randomblob(900))") || !transaction->commit())
                break;
            committed += 2;
        }
        cuts += disk.powered_off() ? 1 : 0;
        database.reset();
        disk.clear_faults();
        disk.power_cut();
        database = open_on(disk);
        const auto rows = count_rows(*database);
        CHECK(rows % 2 == 0);
        CHECK(rows >= committed);
        CHECK(rows <= committed + 2);
        CHECK(is_whole(*database));
    }
    CHECK(cuts >= 100);
}

TEST_CASE("[F-06] what is committed after a sync that failed survives a power cut as well") {
    // A row of each size up to two pages: where the last commit ends decides what the failing sync takes with
    // it.
    for (std::size_t size = 0; size < 8'192; size += 509) {
        for (const bool in_transaction : {false, true}) {
            CAPTURE(size);
            CAPTURE(in_transaction);
            io::SimDisk disk(size + 1);
            auto database = open_on(disk);
            REQUIRE(database->execute("CREATE TABLE t(a)"));
            const auto insert = [&]() -> Result<void> {
                auto statement = database->prepare("INSERT INTO t VALUES(?1)");
                REQUIRE(statement);
                statement->bind_blob(1, std::string(size, 'x'));
                if (!in_transaction)
                    return statement->run();
                auto transaction = Transaction::begin(*database);
                if (!transaction)
                    return fail(std::move(transaction).error());
                BRIM_TRY(statement->run());
                return transaction->commit();
            };
            REQUIRE(insert());
            disk.add_fault(
                {.kind = io::DiskFault::Kind::io_error,
                 .op = io::DiskOp::sync,
                 .path_part = "-wal",
                 .times = 2}
            );
            std::int64_t kept = 1;
            for (int round = 0; round < 6; ++round)
                kept += insert() ? 1 : 0;
            CHECK(kept >= 4);
            disk.power_cut(io::CutMode::lose_all);
            database.reset();
            database = open_on(disk);
            CHECK(count_rows(*database) == kept);
        }
    }
}

TEST_CASE("[F-06] what a start finds behind a sync that failed and a kill survives a power cut as well") {
    std::size_t found = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        CAPTURE(seed);
        io::SimWorld world(seed);
        io::SimMachine& machine = world.machine("m");
        io::Disk* process = &machine.env().disk();
        auto database = open_on(*process);
        REQUIRE(database->execute("CREATE TABLE t(a); INSERT INTO t VALUES(randomblob(3000))"));
        machine.disk().add_fault({.op = io::DiskOp::sync, .path_part = "-wal"});
        CHECK_FALSE(database->execute("INSERT INTO t VALUES(randomblob(3000))"));
        machine.crash();
        database.reset();
        unregister_vfs(*process);

        process = &machine.env().disk();
        database = open_on(*process);
        const std::int64_t served = count_rows(*database);
        found += served == 2 ? 1 : 0;
        REQUIRE(database->execute("INSERT INTO t VALUES(randomblob(100))"));
        machine.power_cut(io::CutMode::lose_all);
        database.reset();
        unregister_vfs(*process);

        process = &machine.env().disk();
        database = open_on(*process);
        CHECK(count_rows(*database) == served + 1);
        CHECK(is_whole(*database));
        machine.crash();
        database.reset();
        unregister_vfs(*process);
    }
    CHECK_MESSAGE(found > 30, "a refused row that was still in memory is what this is about");
}

TEST_CASE("[F-06] a power cut while the WAL is written back behind a failed sync leaves a whole database") {
    std::size_t cuts = 0;
    for (const Durability durability : {Durability::full, Durability::normal}) {
        for (std::uint64_t nth = 1; nth <= 120; ++nth) {
            CAPTURE(nth);
            io::SimDisk disk(nth);
            auto database = open_on(disk, meta_path, durability);
            REQUIRE(database->execute("CREATE TABLE t(a); CREATE INDEX i ON t(a)"));
            const auto fill = [&](int rows) {
                for (int at = 0; at < rows; ++at) {
                    auto transaction = Transaction::begin(*database);
                    if (!transaction || !database->execute("INSERT INTO t VALUES(randomblob(700))") ||
                        !database->execute("INSERT INTO t VALUES(randomblob(700))") || !transaction->commit())
                        return at;
                }
                return rows;
            };
            std::int64_t safe = 2 * fill(10);
            REQUIRE(database->checkpoint());
            std::int64_t unsafe = 2 * fill(1); // the WAL begins anew, with a sync of its own
            disk.add_fault({.op = io::DiskOp::sync, .path_part = "-wal"});
            if (durability == Durability::normal) {
                unsafe += 2 * fill(19);
                CHECK_FALSE(database->checkpoint());
            } else {
                CHECK(fill(20) == 0);
            }
            disk.add_fault({.kind = io::DiskFault::Kind::power_off, .nth = nth});
            const std::int64_t more = 2 * fill(3);
            if (durability == Durability::full || database->checkpoint())
                safe += unsafe + more;
            cuts += disk.powered_off() ? 1 : 0;
            database.reset();
            disk.clear_faults();
            disk.power_cut();
            database = open_on(disk, meta_path, durability);
            CHECK(is_whole(*database));
            CHECK(count_rows(*database) >= safe);
            CHECK(count_rows(*database) % 2 == 0);
        }
    }
    CHECK(cuts > 60);
}

TEST_CASE("[F-06] a WAL that could not be written back by itself is settled before anything new is committed"
) {
    std::size_t failed = 0;
    for (std::uint64_t nth = 1; nth <= 30; ++nth) {
        CAPTURE(nth);
        io::SimDisk disk(nth);
        auto database = open_on(disk, meta_path, Durability::normal);
        REQUIRE(database->execute("CREATE TABLE t(a)"));
        const auto fill = [&](int rows) {
            for (int at = 0; at < rows; ++at)
                REQUIRE(database->execute("INSERT INTO t VALUES(randomblob(200000))"));
        };
        // 50 pages a row: the 20th row has the WAL written back, and its first sync fails.
        bool met = false;
        disk.on_operation([&](io::DiskOp op, const std::string&) { met = met || op == io::DiskOp::sync; });
        disk.add_fault({.op = io::DiskOp::sync, .path_part = nth % 2 == 0 ? "-wal" : "meta.db"});
        fill(25);
        failed += met ? 1 : 0;
        disk.on_operation({});
        disk.add_fault({.kind = io::DiskFault::Kind::power_off, .nth = nth});
        if (auto transaction = Transaction::begin(*database); transaction)
            (void)transaction->commit();
        const bool cut = disk.powered_off();
        database.reset();
        disk.clear_faults();
        disk.power_cut();
        database = open_on(disk, meta_path, Durability::normal);
        CHECK(is_whole(*database));
        if (!cut)
            CHECK(count_rows(*database) == 25); // beginning anew wrote everything back
    }
    CHECK(failed == 30);
}

TEST_CASE("the machine's disk works the same, and a second process is kept out") {
    const auto folder =
        std::filesystem::temp_directory_path() / ("brim-sqlite-" + std::to_string(std::rand()));
    io::PosixDisk disk;
    const std::string file = folder.string() + "/meta.db";
    {
        const auto database = open_on(disk, file);
        REQUIRE(database->execute("CREATE TABLE t(a); INSERT INTO t VALUES(1)"));
        CHECK_MESSAGE(!std::filesystem::exists(file + "-shm"), "exclusive locking needs no shared memory");
        CHECK_FALSE(Database::open(disk, file, Durability::full));
        REQUIRE(database->checkpoint());
    }
    CHECK(count_rows(*open_on(disk, file)) == 1);
    std::filesystem::remove_all(folder);
}
