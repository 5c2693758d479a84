#include "io/file_stamps.h"

#include "io/posix_disk.h"
#include "io/sim/sim_disk.h"

#include <doctest/doctest.h>
#include <filesystem>
#include <unistd.h>

namespace brim::io {

namespace {

void put(Disk& disk, const std::string& path, ByteView text) {
    auto file = disk.open(path, OpenMode::create);
    REQUIRE(file.has_value());
    REQUIRE((*file)->truncate(0).has_value());
    REQUIRE((*file)->write_at(0, text).has_value());
}

/// Looks until nothing is due any more; how often they had to be read.
int readings(FileStamps& stamps, Disk& disk) {
    int count = 0;
    for (int i = 0; i < 5; ++i)
        count += stamps.look(disk) ? 1 : 0;
    return count;
}

void check_stamps(Disk& disk, const std::string& folder) {
    const std::string one = folder + "/one";
    const std::string two = folder + "/two";
    put(disk, one, "1");
    FileStamps stamps({one, "", two});
    CHECK(stamps.look(disk));
    CHECK(readings(stamps, disk) == 0);

    put(disk, two, "2"); // it was absent
    CHECK_FALSE(stamps.look(disk));
    put(disk, one, "1b"); // the other one follows: they are read once both are there
    CHECK_FALSE(stamps.look(disk));
    CHECK(stamps.look(disk));
    CHECK(readings(stamps, disk) == 0);

    put(disk, folder + "/new", "2c");
    REQUIRE(disk.rename(folder + "/new", two).has_value());
    CHECK(readings(stamps, disk) == 1);
    REQUIRE(disk.remove(one).has_value());
    CHECK(readings(stamps, disk) == 1);

    for (int i = 0; i < 10; ++i) {
        put(disk, one, std::to_string(1'000 + i * i * i * i * 7'919)); // never at rest
        CHECK(stamps.look(disk) == (i % 3 == 2));
    }
    CHECK(readings(stamps, disk) == 1);
    int quiet = 0;
    while (!stamps.look(disk))
        ++quiet;
    CHECK(quiet < 100);
}

} // namespace

TEST_CASE("files are read when they changed and came to rest, and now and then all the same") {
    const std::string folder = "/tmp/brim-stamps-" + std::to_string(::getpid());
    PosixDisk machine;
    REQUIRE(machine.make_dir(folder).has_value());
    check_stamps(machine, folder);
    std::filesystem::remove_all(folder);
    SimDisk simulated(1);
    REQUIRE(simulated.make_dir("/f").has_value());
    check_stamps(simulated, "/f");
}

} // namespace brim::io
