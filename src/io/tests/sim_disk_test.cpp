#include "io/sim/sim_disk.h"

#include <doctest/doctest.h>
#include <set>

using namespace brim;
using namespace brim::io;

namespace {

std::unique_ptr<File> make(SimDisk& disk, const std::string& path) {
    auto opened = disk.open(path, OpenMode::create);
    REQUIRE(opened.has_value());
    return std::move(*opened);
}

/// A file whose name and first content are durable.
std::unique_ptr<File> make_durable(SimDisk& disk, const std::string& path, ByteView content) {
    auto file = make(disk, path);
    REQUIRE(file->write_at(0, content).has_value());
    REQUIRE(file->sync().has_value());
    REQUIRE(disk.sync_dir("").has_value());
    return file;
}

Errc code_of(const auto& result) {
    REQUIRE_FALSE(result.has_value());
    return result.error().code;
}

} // namespace

TEST_CASE("what was synced survives a power cut and the rest is lost when the cut is merciless") {
    SimDisk disk(1);
    auto file = make_durable(disk, "a", "safe");
    REQUIRE(file->write_at(4, " and lost").has_value());
    CHECK(disk.content("a") == "safe and lost");
    disk.power_cut(CutMode::lose_all);
    CHECK(disk.content("a") == "safe");
    CHECK(code_of(file->size()) == Errc::io); // the handle is of an earlier life
}

TEST_CASE("a killed process loses nothing that it wrote") {
    SimDisk disk(1);
    auto file = make(disk, "a");
    REQUIRE(file->write_at(0, "page cache").has_value());
    disk.power_cut(CutMode::keep_all);
    CHECK(disk.content("a") == "page cache");
}

TEST_CASE("a random power cut keeps any subset of the un-synced sectors, whole") {
    std::set<std::string> seen;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        SimDisk disk(seed);
        auto file = make_durable(disk, "a", Bytes(1536, 'o'));
        REQUIRE(file->write_at(0, Bytes(1536, 'n')).has_value());
        disk.power_cut();
        const auto content = disk.content("a");
        REQUIRE(content.size() == 1536);
        std::string shape;
        for (std::size_t sector = 0; sector < 3; ++sector) {
            const auto part = content.substr(sector * 512, 512);
            REQUIRE((part == Bytes(512, 'o') || part == Bytes(512, 'n')));
            shape += part[0];
        }
        seen.insert(shape);
    }
    CHECK(seen.size() == 8);
}

TEST_CASE("of several un-synced writes to one sector an older one may be the survivor") {
    std::set<std::string> seen;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        SimDisk disk(seed);
        auto file = make_durable(disk, "a", "0");
        REQUIRE(file->write_at(0, "1").has_value());
        REQUIRE(file->write_at(0, "2").has_value());
        disk.power_cut();
        seen.insert(disk.content("a"));
    }
    CHECK(seen == std::set<std::string>{"0", "1", "2"});
}

TEST_CASE("an un-synced growth may leave a file of the new size that holds zeros") {
    std::set<std::string> seen;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        SimDisk disk(seed);
        auto file = make_durable(disk, "a", "");
        REQUIRE(file->write_at(0, "x").has_value());
        disk.power_cut();
        seen.insert(disk.content("a"));
    }
    CHECK(seen == std::set<std::string>{"", "x", std::string(1, '\0')});
}

TEST_CASE("bytes behind a truncation do not come back when the file grows again") {
    SimDisk disk(3);
    auto file = make_durable(disk, "a", Bytes(1000, 'x'));
    REQUIRE(file->truncate(10).has_value());
    REQUIRE(file->allocate(1000).has_value());
    REQUIRE(file->sync().has_value());
    const auto expected = Bytes(10, 'x') + Bytes(990, '\0');
    CHECK(disk.content("a") == expected);
    CHECK(disk.durable_content("a") == expected);
}

TEST_CASE("a new name needs sync_dir, whatever was synced in the file") {
    bool lost = false;
    bool kept = false;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        SimDisk disk(seed);
        auto file = make(disk, "a");
        REQUIRE(file->write_at(0, "x").has_value());
        REQUIRE(file->sync().has_value());
        disk.power_cut();
        (disk.exists("a") ? kept : lost) = true;
    }
    CHECK(lost);
    CHECK(kept);
}

TEST_CASE("a rename is all or nothing: the old content or the new one, under one name at least") {
    bool old_seen = false;
    bool new_seen = false;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        SimDisk disk(seed);
        const auto keep = make_durable(disk, "conf", "old");
        auto file = make(disk, "conf.tmp");
        REQUIRE(file->write_at(0, "new").has_value());
        REQUIRE(file->sync().has_value());
        REQUIRE(disk.rename("conf.tmp", "conf").has_value());
        disk.power_cut();
        const auto content = disk.content("conf");
        REQUIRE((content == "old" || content == "new"));
        (content == "old" ? old_seen : new_seen) = true;
    }
    CHECK(old_seen);
    CHECK(new_seen);
}

TEST_CASE("a removal that no sync_dir covered may be undone") {
    bool back = false;
    for (std::uint64_t seed = 1; seed <= 40 && !back; ++seed) {
        SimDisk disk(seed);
        const auto keep = make_durable(disk, "a", "x");
        REQUIRE(disk.remove("a").has_value());
        CHECK_FALSE(disk.exists("a"));
        disk.power_cut();
        back = disk.exists("a");
    }
    CHECK(back);
}

TEST_CASE("the Nth change fails, and only that one") {
    SimDisk disk(1);
    auto file = make_durable(disk, "a", "0000");
    disk.add_fault({.kind = DiskFault::Kind::io_error, .op = DiskOp::write, .nth = 2});
    CHECK(file->write_at(0, "1").has_value());
    CHECK(code_of(file->write_at(1, "1")) == Errc::io);
    CHECK(file->write_at(2, "1").has_value());
}

TEST_CASE("a fault can be bound to a path and can last") {
    SimDisk disk(1);
    auto log = make(disk, "log-1");
    auto other = make(disk, "other");
    disk.add_fault({.kind = DiskFault::Kind::no_space, .path_part = "log", .nth = 1, .times = 3});
    CHECK(other->write_at(0, "x").has_value());
    for (int i = 0; i < 3; ++i)
        CHECK(code_of(log->write_at(0, "x")) == Errc::full);
    CHECK(log->write_at(0, "x").has_value());
}

TEST_CASE("a short write leaves one byte and reports an error") {
    SimDisk disk(1);
    auto file = make_durable(disk, "a", "0000");
    disk.add_fault({.kind = DiskFault::Kind::short_write, .op = DiskOp::write});
    CHECK(code_of(file->write_at(0, "1111")) == Errc::io);
    CHECK(disk.content("a") == "1000");
}

TEST_CASE("a failed sync forgets its pages: the next sync succeeds and saves nothing of them") {
    bool lost = false;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SimDisk disk(seed);
        auto file = make_durable(disk, "a", "old");
        REQUIRE(file->write_at(0, "new").has_value());
        disk.add_fault({.kind = DiskFault::Kind::io_error, .op = DiskOp::sync});
        CHECK(code_of(file->sync()) == Errc::io);
        CHECK(file->sync().has_value());
        CHECK(disk.content("a") == "new"); // the cache still shows it
        if (disk.durable_content("a") == "old")
            lost = true;
        disk.drop_caches();
        CHECK(disk.content("a") == disk.durable_content("a"));
    }
    CHECK(lost);
}

TEST_CASE("a planned power cut stops everything until power_cut() brings the machine back") {
    SimDisk disk(1);
    auto file = make_durable(disk, "a", "old");
    const auto before = disk.change_count();
    disk.add_fault({.kind = DiskFault::Kind::power_off, .nth = 2});
    CHECK(file->write_at(0, "n").has_value());
    CHECK(code_of(file->sync()) == Errc::io);
    CHECK(disk.powered_off());
    CHECK(disk.change_count() == before + 2);
    CHECK(code_of(file->write_at(0, "x")) == Errc::io);
    CHECK_FALSE(disk.exists("a"));
    disk.power_cut(CutMode::lose_all);
    CHECK(disk.content("a") == "old");
}

TEST_CASE("the quota is exact: the last byte fits, one more does not") {
    SimDisk disk(1);
    auto file = make(disk, "a");
    disk.set_quota(1000);
    CHECK(file->write_at(0, Bytes(999, 'x')).has_value());
    CHECK(file->write_at(999, "x").has_value());
    CHECK(disk.free_bytes("").value() == 0);
    CHECK(code_of(file->write_at(1000, "x")) == Errc::full);
    CHECK(code_of(file->allocate(1001)) == Errc::full);
    CHECK(file->write_at(0, "rewriting is free").has_value());
}

TEST_CASE("fate can flip, cut, lose, copy and swap") {
    SimDisk disk(1);
    disk.put_file("/data/a", "AAAA");
    disk.put_file("/data/b", "BB");
    CHECK(disk.flip_bit("/data/a", 9));
    CHECK(disk.content("/data/a") == "ACAA");
    CHECK_FALSE(disk.flip_bit("/data/a", 32));
    CHECK(disk.corrupt("/data/a", 2, "zz"));
    CHECK_FALSE(disk.corrupt("/data/a", 3, "zz"));
    CHECK(disk.cut_file("/data/a", 3));
    CHECK(disk.swap_files("/data/a", "/data/b"));
    CHECK(disk.content("/data/b") == "ACz");
    CHECK(disk.copy_file("/data/b", "/data/c"));
    CHECK(disk.lose_file("/data/b"));
    CHECK_FALSE(disk.lose_file("/data/b"));
    CHECK(disk.paths() == std::vector<std::string>{"/data/a", "/data/c"});
    disk.power_cut(CutMode::lose_all); // what fate did is on the medium
    CHECK(disk.content("/data/c") == "ACz");
}

TEST_CASE("folders list their entries sorted, and files need their folder") {
    SimDisk disk(1);
    CHECK(code_of(disk.open("/x/y/f", OpenMode::create)) == Errc::not_found);
    REQUIRE(disk.make_dir("/x/y").has_value());
    const auto second = make(disk, "/x/y/b");
    const auto first = make(disk, "/x//y/./a");
    CHECK(disk.list("/x/y/").value() == std::vector<std::string>{"a", "b"});
    CHECK(disk.list("/x").value() == std::vector<std::string>{"y"});
    CHECK(code_of(disk.list("/nowhere")) == Errc::not_found);
    CHECK(code_of(disk.open("/x/y/a", OpenMode::create_new)) == Errc::exists);
    CHECK(code_of(disk.open("/x/y/c", OpenMode::write)) == Errc::not_found);
    REQUIRE(disk.rename("/x/y", "/x/z").has_value());
    CHECK(disk.list("/x/z").value() == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a lock is held by one at a time and ends with its holder") {
    SimDisk disk(1);
    auto held = disk.lock("run/lock");
    CHECK(code_of(held) == Errc::not_found); // no such folder
    auto first = disk.lock("lock");
    REQUIRE(first.has_value());
    CHECK(code_of(disk.lock("lock")) == Errc::busy);
    first->reset();
    CHECK(disk.lock("lock").has_value());
}
