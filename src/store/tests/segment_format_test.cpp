#include "store/internal/segment_format.h"

#include "store/internal/cursor_table.h"
#include "store/internal/segment_table.h"

#include <doctest/doctest.h>

#include <array>

using namespace brim;
using namespace brim::store;

namespace {

SegmentHeader sample_header() {
    SegmentHeader header;
    header.store_id.fill('x');
    header.number = 7;
    header.salt = 0x1122334455667788;
    header.first_seq = 1001;
    header.segment_bytes = segment_bytes_min;
    header.previous_number = 6;
    header.previous_end_seq = 1001;
    header.previous_end = 60'000;
    return header;
}

std::string sector_of(const SegmentHeader& header) {
    std::string sector(header_bytes, '?');
    encode_header(header, sector.data());
    return sector;
}

} // namespace

TEST_CASE("a segment header reads back as written") {
    const auto decoded = decode_header(sector_of(sample_header()));
    CHECK(decoded.state == HeaderState::valid);
    CHECK(decoded.header == sample_header());
}

TEST_CASE("one flipped bit anywhere in the header sector costs nothing") {
    const std::string sector = sector_of(sample_header());
    for (std::size_t bit = 0; bit < sector.size() * 8; ++bit) {
        std::string flipped = sector;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
        const auto decoded = decode_header(flipped);
        REQUIRE(decoded.state == HeaderState::valid);
        REQUIRE(decoded.header == sample_header());
    }
}

TEST_CASE("a header damaged in both copies is damaged, an empty one is blank") {
    std::string sector = sector_of(sample_header());
    sector[20] ^= 1;
    sector[header_copy_offset + 30] ^= 1;
    CHECK(decode_header(sector).state == HeaderState::damaged);
    CHECK(decode_header(std::string(header_bytes, '\0')).state == HeaderState::blank);
    CHECK(decode_header("").state == HeaderState::blank);
    CHECK(decode_header(std::string(100, '\0')).state == HeaderState::blank);
    CHECK(decode_header(std::string(100, 'z')).state == HeaderState::damaged);
}

TEST_CASE("every truncated prefix of a header is refused or read whole") {
    const std::string sector = sector_of(sample_header());
    for (std::size_t size = 0; size < sector.size(); ++size) {
        const auto decoded = decode_header(ByteView(sector).substr(0, size));
        CHECK((decoded.state == HeaderState::valid) == (size >= 96));
    }
}

TEST_CASE("records are sealed with their segment's identity") {
    Bytes records;
    append_record(records, RecordKind::data, 1001, "hello");
    append_record(records, RecordKind::cursor, 1002, "");
    append_record(records, RecordKind::close, 1002, "");
    mark_group_start(records.data());
    const auto seed = sample_header().seed();
    seal_records(records.data(), records.size(), seed);

    RecordHead head;
    REQUIRE(decode_record_head(records.data(), head));
    CHECK(head.seq == 1001);
    CHECK(head.length == 5);
    CHECK(head.kind == RecordKind::data);
    CHECK(head.group_start);
    const ByteView first(records.data(), record_head_bytes + 5);
    CHECK(record_is_intact(first, head.crc, seed));

    auto other = sample_header();
    SUBCASE("another number") {
        other.number = 8;
    }
    SUBCASE("another salt") {
        other.salt ^= 1;
    }
    SUBCASE("another store") {
        other.store_id[15] = 'y';
    }
    CHECK_FALSE(record_is_intact(first, head.crc, other == sample_header() ? seed + 1 : other.seed()));

    REQUIRE(decode_record_head(records.data() + first.size(), head));
    CHECK(head.kind == RecordKind::cursor);
    CHECK_FALSE(head.group_start);
}

TEST_CASE("each flipped bit of a record is noticed") {
    Bytes record;
    append_record(record, RecordKind::data, 5, "some body");
    seal_records(record.data(), record.size(), 99);
    for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
        Bytes flipped = record;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
        RecordHead head;
        const bool plausible = decode_record_head(flipped.data(), head);
        CHECK_FALSE((plausible && head.length == 9 && record_is_intact(flipped, head.crc, 99)));
    }
}

TEST_CASE("segment names carry the number") {
    CHECK(segment_file_name(18) == "seg-0000000000000012.log");
    CHECK(segment_number_of("seg-0000000000000012.log") == 18);
    CHECK(segment_number_of(segment_file_name(~0ull)) == ~0ull);
    CHECK(segment_number_of("seg-0000000000000012.log.quarantine") == 0);
    CHECK(segment_number_of("seg-000000000000001Z.log") == 0);
    CHECK(segment_number_of("lock") == 0);
}

TEST_CASE("cursors survive the way through records, the newest wins") {
    CursorTable table(10'000);
    REQUIRE(table.set("a", 10, "extra"));
    REQUIRE(table.set("b", 20, ""));
    table.set_trim({.trimmed_to = 5, .oldest_number = 2, .oldest_seq = 4});
    Bytes records;
    table.append_all(records, 21);
    CHECK(records.size() == table.all_bytes());
    CHECK_FALSE(table.dirty());

    CursorTable back(10'000);
    for (std::size_t at = 0; at < records.size();) {
        RecordHead head;
        REQUIRE(decode_record_head(records.data() + at, head));
        CHECK_FALSE(back.trim_known());
        back.restore(ByteView(records).substr(at + record_head_bytes, head.length));
        at += record_head_bytes + head.length;
    }
    CHECK(back.trim_known());
    CHECK(back.get("a").position == 10);
    CHECK(back.get("a").extra == "extra");
    CHECK(back.get("b").position == 20);
    CHECK(back.trim().oldest_number == 2);
    CHECK(back.highest() == 20);

    REQUIRE(table.set("a", 0, ""));
    REQUIRE(table.set("b", 30, ""));
    table.take_dirty([&](ByteView body) { back.restore(body); });
    CHECK(back.get("a").position == 0);
    CHECK(back.get("b").position == 30);
    REQUIRE(table.set("a", 11, ""));
    table.take_dirty([&](ByteView body) { back.restore_missing(body); });
    CHECK_MESSAGE(back.get("a").position == 0, "removed in a newer record");
}

TEST_CASE("cursor limits hold on both sides") {
    CursorTable table(150'000);
    CHECK(table.set(std::string(64, 'n'), 1, ""));
    CHECK(table.set(std::string(65, 'n'), 1, "").error().code == Errc::invalid);
    CHECK(table.set("", 1, "").error().code == Errc::invalid);
    CHECK(table.set("x", 1, std::string(65'536, 'e')));
    CHECK(table.set("x", 1, std::string(65'537, 'e')).error().code == Errc::too_large);
    CHECK(table.set("y", 1, std::string(65'536, 'e')));
    const std::size_t left = 150'000 - (table.all_bytes() - 45);
    const std::size_t head = record_head_bytes + 1 + 1 + 8;
    CHECK(table.set("z", 1, std::string(left - head + 1, 'e')).error().code == Errc::full);
    CHECK(table.set("z", 1, std::string(left - head, 'e')));
    CHECK_MESSAGE(table.set("x", 2, "").has_value(), "a smaller one fits into a full table");
}

TEST_CASE("damage is counted once however often and in whatever pieces it is met") {
    Segment segment;
    segment.first_seq = 10;
    segment.end_seq = 110;
    CHECK(segment.add_damage({20, 30}) == 10);
    CHECK(segment.add_damage({20, 30}) == 0);
    CHECK(segment.add_damage({25, 40}) == 10);
    CHECK(segment.add_damage({50, 51}) == 1);
    CHECK(segment.add_damage({40, 50}) == 10);
    CHECK(segment.damaged.size() == 1);
    CHECK(segment.records_within({0, 1000}) == 100 - 31);
    CHECK(segment.records_within({45, 60}) == 9);
}
