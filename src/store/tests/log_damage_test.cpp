// Stored bytes that changed by themselves: flipped bits, cut files, files lost, copied and renamed.

#include "store/internal/segment_format.h"
#include "store/tests/log_rig.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::store;
using namespace brim::store::rig;

namespace {

/// 400 records of 1,000 bytes over 7 segments, closed in order.
void make_backlog(LogRig& rig) {
    rig.open();
    rig.fill(400, 1'000);
    rig.close();
}

/// Puts every file of a healthy backlog back, for the next trial.
class Snapshot {
public:
    explicit Snapshot(LogRig& rig) {
        for (const auto& path : rig.disk().paths())
            files_.emplace_back(path, rig.disk().content(path));
    }

    void restore(LogRig& rig) const {
        for (const auto& path : rig.disk().paths())
            rig.disk().lose_file(path);
        for (const auto& [path, content] : files_)
            rig.disk().put_file(path, content);
    }

private:
    std::vector<std::pair<std::string, Bytes>> files_;
};

} // namespace

TEST_CASE(
    "[F-08] [B-58] 1,000 flipped bits: only the record hit is lost, counted, and nothing wrong is served"
) {
    LogRig rig(8);
    make_backlog(rig);
    const Snapshot healthy(rig);
    const auto paths = rig.segment_paths();
    REQUIRE(paths.size() >= 7);
    SeededRandom random(88);
    std::size_t lost_records = 0;
    for (int trial = 0; trial < 1'000; ++trial) {
        CAPTURE(trial);
        healthy.restore(rig);
        const auto& path = paths[random.below(paths.size())];
        const auto bit = random.below(rig.disk().content(path).size() * 8);
        CAPTURE(path);
        CAPTURE(bit);
        rig.disk().flip_bit(path, bit);
        rig.open();
        const auto count = rig.check_filled();
        CHECK(count >= 399);
        lost_records += 400 - count;
        CHECK(rig.log->stats().quarantined_records == 400 - count);
        CHECK(rig.log->stats().quarantined_segments == 0);
        CHECK_MESSAGE(rig.check_filled() == count, "a second reading finds the same");
        CHECK(rig.log->stats().quarantined_records == 400 - count);
        CHECK(rig.log->stats().next == 401);
        rig.kill();
    }
    CHECK_MESSAGE(lost_records > 700, "the trials did hit records");
}

TEST_CASE("[F-08] a record that imitates another segment's records is not taken for one") {
    LogRig rig(9);
    rig.open();
    rig.fill(1, 100);
    // A payload that holds a whole segment image, as a gateway that uploads its own files would send.
    const auto image = rig.disk().content(rig.segment_paths().front()).substr(header_bytes, 2'000);
    REQUIRE(rig.append_durable(image));
    rig.fill(3, 100);
    rig.close();
    // Damage the head of the record with the image: the search for the next record goes through the image.
    const auto path = rig.segment_paths().front();
    const auto at = rig.disk().content(path).find(image, header_bytes + 1);
    REQUIRE(at != std::string::npos);
    rig.disk().flip_bit(path, (at - 12) * 8);
    rig.open();
    const auto all = rig.read_all();
    REQUIRE(all.size() == 4);
    CHECK(all[0].first == 1);
    CHECK(all[1].first == 3);
    CHECK(rig.log->stats().quarantined_records == 1);
}

TEST_CASE("[F-08] what a start gave up as torn does not come back behind records written since") {
    LogRig rig(90);
    rig.open();
    constexpr std::size_t bytes = 40;
    constexpr std::size_t record_bytes = record_head_bytes + bytes;
    rig.fill(8, bytes, 8);  // one group,
    rig.fill(12, bytes, 1); // and twelve groups of one
    rig.kill();
    const auto path = rig.segment_paths().front();
    Bytes content = rig.disk().content(path);
    const std::size_t first = content.find(LogRig::body_of(1, bytes)) - record_head_bytes;
    // Eight records are missing, bytes and all, and the first one is damaged: nothing says any more that the
    // first group was acknowledged, and those behind the gap have numbers that cannot be so near.
    content.erase(first + 8 * record_bytes, 8 * record_bytes);
    content[first + record_head_bytes] ^= 1;
    rig.disk().put_file(path, content);
    rig.open();
    CHECK(rig.read_all().empty());
    const Seq added = rig.log->stats().next;
    REQUIRE(rig.append_durable(LogRig::body_of(added, bytes)));
    rig.kill();
    rig.open();
    const auto all = rig.read_all();
    REQUIRE(all.size() == 1);
    CHECK(all[0].first == added);
    CHECK(rig.log->stats().next == added + 1);
}

TEST_CASE("[F-09] truncated at every 512 bytes: opens, serves what is left, counts the rest") {
    LogRig rig(10);
    rig.open();
    rig.fill(150, 1'000);
    rig.close();
    const Snapshot healthy(rig);
    const auto paths = rig.segment_paths();
    REQUIRE(paths.size() == 3);
    for (const auto& path : paths) {
        const bool last = path == paths.back();
        for (std::uint64_t size = 0; size < small_segment; size += 512) {
            CAPTURE(path);
            CAPTURE(size);
            healthy.restore(rig);
            REQUIRE(rig.disk().cut_file(path, size));
            rig.open();
            const auto count = rig.check_filled();
            CHECK(count >= 150 - small_segment / 1'020 - 1);
            // The tail of the newest segment is indistinguishable from what was never acknowledged.
            if (!last)
                CHECK(rig.log->stats().quarantined_records == 150 - count);
            const auto next = rig.log->stats().next;
            CHECK(rig.append_durable(LogRig::body_of(next, 50)));
            rig.kill();
            rig.open();
            CHECK(rig.check_filled() == count + 1);
            rig.kill();
        }
    }
}

TEST_CASE("[F-02] what was behind a torn tail does not come back behind records written later") {
    LogRig rig(19);
    rig.open();
    const std::string body(600, 'x');
    rig.append(body);
    rig.append("torn " + body);
    rig.append("ghost " + body);
    REQUIRE(rig.wait(3));
    rig.kill();
    // One group of which the middle never reached the disk.
    const auto path = rig.segment_paths().front();
    const auto torn = rig.disk().content(path).find("torn ");
    REQUIRE(torn != std::string::npos);
    rig.disk().corrupt(path, torn, std::string(100, '\0'));
    rig.open();
    CHECK(rig.read_all().size() == 1);
    CHECK(rig.log->stats().quarantined_records == 0);
    CHECK(rig.log->stats().next == 2);
    REQUIRE(rig.append_durable("other" + body)
    ); // as long as the torn one: the ghost would follow without a gap
    rig.kill();
    rig.open();
    const auto all = rig.read_all();
    REQUIRE(all.size() == 2);
    CHECK(all[1].second == "other" + body);
}

TEST_CASE("[F-10] a lost segment is noticed and counted, the rest is served in order") {
    LogRig rig(11);
    make_backlog(rig);
    const auto paths = rig.segment_paths();
    for (std::size_t lost = 0; lost + 1 < paths.size(); ++lost) {
        CAPTURE(lost);
        const Snapshot healthy(rig);
        rig.disk().lose_file(paths[lost]);
        rig.open();
        const auto count = rig.check_filled();
        CHECK(count < 400);
        CHECK(count >= 335);
        CHECK(rig.log->stats().quarantined_records == 400 - count);
        rig.kill();
        healthy.restore(rig);
    }
}

TEST_CASE("[F-10] a copied segment is set aside, under whatever name") {
    LogRig rig(12);
    make_backlog(rig);
    const auto paths = rig.segment_paths();
    SUBCASE("with a higher name") {
        rig.disk().copy_file(paths[2], "/data/log/" + segment_file_name(99));
    }
    SUBCASE("with a lower name") {
        rig.disk().copy_file(paths[2], "/data/log/" + segment_file_name(0x0));
    }
    SUBCASE("over another") {
        rig.disk().copy_file(paths[2], paths[4]);
    }
    rig.open();
    const auto count = rig.check_filled();
    CHECK(rig.log->stats().quarantined_records == 400 - count);
    CHECK(count >= 335);
    CHECK(rig.append_durable(LogRig::body_of(rig.log->stats().next, 10)));
}

TEST_CASE("[F-10] two segments under each other's names change nothing") {
    LogRig rig(13);
    make_backlog(rig);
    const auto paths = rig.segment_paths();
    for (std::size_t other = 1; other < paths.size(); ++other) {
        rig.disk().swap_files(paths[0], paths[other]);
        rig.open();
        CHECK(rig.check_filled() == 400);
        CHECK(rig.log->stats().quarantined_segments == 0);
        rig.kill();
    }
    rig.open();
    rig.fill(400, 1'000);
    CHECK(rig.check_filled() == 800);
    rig.log->trim(790);
    rig.world.run_for(2s);
    rig.fill(100, 1'000);
    rig.kill();
    rig.open();
    CHECK(rig.read_all().back().first == 900);
    CHECK(rig.log->stats().quarantined_records == 0);
}

TEST_CASE("[F-10] a segment of another store is set aside") {
    LogRig other(99);
    other.open();
    other.fill(100, 1'000);
    other.close();
    LogRig rig(14);
    make_backlog(rig);
    const auto foreign = other.disk().content(other.segment_paths().front());
    rig.disk().put_file("/data/log/" + segment_file_name(50), foreign);
    rig.open();
    CHECK(rig.check_filled() == 400);
    CHECK(rig.log->stats().quarantined_segments == 1);
    CHECK(rig.quarantine_files() == 1);
}

TEST_CASE("[B-82] a segment whose header is destroyed is set aside, all others are served and appended to") {
    LogRig rig(15);
    make_backlog(rig);
    const auto paths = rig.segment_paths();
    bool newest = false;
    SUBCASE("the newest") {
        newest = true;
    }
    SUBCASE("one in the middle") {
        newest = false;
    }
    const auto& path = newest ? paths.back() : paths[3];
    rig.disk().corrupt(path, 0, std::string(512, '\xff'));
    rig.open();
    const auto count = rig.check_filled();
    CHECK(count >= 335);
    CHECK(count < 400);
    CHECK(rig.log->stats().quarantined_segments == 1);
    CHECK(rig.quarantine_files() == 1);
    if (!newest)
        CHECK(rig.log->stats().quarantined_records == 400 - count);
    CHECK_MESSAGE(rig.log->stats().next > 400, "numbers of lost records are not given out again");
    const Seq next = rig.append(LogRig::body_of(rig.log->stats().next, 10));
    REQUIRE(rig.wait(next));
    rig.kill();
    rig.open();
    CHECK(rig.check_filled() == count + 1);
    CHECK(rig.read_all().back().first == next);
}

TEST_CASE("a damaged segment is kept for inspection when it is trimmed") {
    LogRig rig(16);
    make_backlog(rig);
    rig.disk().flip_bit(rig.segment_paths()[1], 30'000 * 8);
    rig.open();
    CHECK(rig.check_filled() == 399);
    rig.log->trim(400);
    rig.world.run_for(3s);
    CHECK(rig.quarantine_files() == 1);
    CHECK(rig.log->stats().quarantined_segments == 1);
    rig.kill();
    rig.open();
    CHECK(rig.log->stats().quarantined_records == 0);
}

TEST_CASE("pages that cannot be read cost only the records on them") {
    LogRig rig(17);
    make_backlog(rig);
    rig.open();
    // The block read fails once, then one of its 4 KiB pages.
    rig.disk().add_fault({.op = io::DiskOp::read, .nth = 2, .times = 2});
    const auto count = rig.check_filled();
    CHECK(count < 400);
    CHECK(count >= 394);
    CHECK(rig.log->stats().quarantined_records == 400 - count);
}

TEST_CASE("a cursor whose newest record is damaged falls back to an older one, never to nothing") {
    LogRig rig(18);
    rig.open();
    rig.fill(20, 1'000);
    REQUIRE(rig.log->set_cursor("c", 10));
    rig.fill(60, 1'000);
    REQUIRE(rig.log->set_cursor("c", 70));
    rig.close();
    const Snapshot healthy(rig);
    const auto paths = rig.segment_paths();
    REQUIRE(paths.size() == 2);
    for (std::uint64_t at = header_bytes; at < 20'000; at += 7) {
        healthy.restore(rig);
        rig.disk().flip_bit(paths[1], at * 8);
        rig.open();
        const Seq position = rig.log->cursor("c").position;
        CHECK((position == 10 || position == 70));
        rig.kill();
    }
}
