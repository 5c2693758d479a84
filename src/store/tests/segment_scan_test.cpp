// Finding the way again behind damage, on a file larger than what is read at once.

#include "store/internal/segment_scan.h"

#include "io/sim/sim_disk.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::store;

namespace {

constexpr std::uint32_t seed = 0x1234;

/// A record numbered 2 that begins at `at`; all before it is damaged and holds nothing but `filling`.
Bytes damaged_up_to(std::uint32_t at, char filling) {
    Bytes record;
    append_record(record, RecordKind::data, 2, "behind the damage");
    seal_records(record.data(), record.size(), seed);
    return Bytes(at, filling) + record;
}

void check_finds(std::uint32_t at, char filling) {
    CAPTURE(at);
    io::SimDisk disk(1);
    const Bytes content = damaged_up_to(at, filling);
    disk.put_file("/segment", content);
    const auto file = disk.open("/segment", io::OpenMode::read);
    REQUIRE(file);
    SegmentScan scan;
    scan.reset(**file, {.seed = seed, .end = static_cast<std::uint32_t>(content.size()), .expected = 1});
    CHECK(scan.next().value() == SegmentScan::Step::damage);
    CHECK(scan.damage_to() == at);
    CHECK(scan.lost() == 1);
    REQUIRE(scan.next().value() == SegmentScan::Step::record);
    CHECK(scan.body() == "behind the damage");
    CHECK(scan.next().value() == SegmentScan::Step::end);
}

} // namespace

TEST_CASE("the first record behind damage is found wherever a block ends that was read") {
    const std::uint32_t block_end = header_bytes + read_block_bytes;
    for (std::uint32_t at = block_end - 50; at <= block_end + 2; ++at)
        check_finds(at, '\0');
    // Bytes that may be kinds, each of them looked at closely.
    for (std::uint32_t at = block_end - record_head_bytes - 1; at <= block_end + 1; at += 2)
        check_finds(at, '\1');
}

TEST_CASE("a region of damage alone ends with it, also when the file ends earlier") {
    for (const std::size_t size : {0UZ, 19UZ, 20UZ, 1'000UZ, 300'000UZ}) {
        CAPTURE(size);
        io::SimDisk disk(1);
        disk.put_file("/segment", Bytes(size, '\2'));
        const auto file = disk.open("/segment", io::OpenMode::read);
        REQUIRE(file);
        SegmentScan scan;
        scan.reset(**file, {.seed = seed, .end = 400'000, .expected = 1});
        CHECK(scan.next().value() == SegmentScan::Step::damage);
        CHECK(scan.damage_to() == 400'000);
        CHECK(scan.next().value() == SegmentScan::Step::end);
    }
}
