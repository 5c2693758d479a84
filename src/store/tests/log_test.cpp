#include "store/internal/disk_log.h"
#include "store/tests/log_rig.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::store;
using namespace brim::store::rig;

TEST_CASE("records come back in order, after a close and after a kill") {
    LogRig rig;
    rig.open();
    CHECK(rig.log->stats().next == 1);
    CHECK(rig.append("one") == 1);
    CHECK(rig.append("") == 2);
    CHECK(rig.append(std::string("th\0ree", 6)) == 3);
    CHECK(rig.log->stats().durable == 0);
    CHECK(rig.read_all().empty());
    REQUIRE(rig.wait(3));
    CHECK(rig.log->stats().durable == 3);
    const auto all = rig.read_all();
    REQUIRE(all.size() == 3);
    CHECK(all[1] == std::pair<Seq, std::string>(2, ""));
    CHECK(all[2].second == std::string("th\0ree", 6));
    const std::string id = rig.log->store_id();
    CHECK(id.size() == 32);

    SUBCASE("closed") {
        rig.close();
    }
    SUBCASE("killed") {
        rig.kill();
    }
    SUBCASE("power cut") {
        rig.power_cut(io::CutMode::lose_all);
    }
    rig.open();
    CHECK(rig.read_all() == all);
    CHECK(rig.log->store_id() == id);
    CHECK(rig.log->stats().next == 4);
    CHECK(rig.log->stats().quarantined_records == 0);
    CHECK(rig.append("four") == 4);
}

TEST_CASE("appends of one turn share one sync, and so do those made while the disk is busy") {
    LogRig rig;
    rig.open();
    const auto syncs = rig.log->stats().syncs;
    for (int at = 0; at < 100; ++at)
        rig.append("x");
    REQUIRE(rig.wait(100));
    CHECK(rig.log->stats().syncs == syncs + 1);
    rig.disk().add_fault({.kind = io::DiskFault::Kind::slow, .op = io::DiskOp::sync, .delay = 50ms});
    rig.append("first");
    rig.world.run_for(10ms);
    for (int at = 0; at < 100; ++at)
        rig.append("y");
    REQUIRE(rig.wait(201));
    CHECK(rig.log->stats().syncs == syncs + 3);
}

TEST_CASE("callbacks come in the order of the records, and never from inside when_durable") {
    LogRig rig;
    rig.open();
    std::vector<Seq> order;
    for (int at = 0; at < 10; ++at)
        rig.append("x");
    for (const Seq seq : {7, 3, 9, 1})
        rig.log->when_durable(seq, [&order, seq](const Result<void>& result) {
            CHECK(result);
            order.push_back(seq);
        });
    CHECK(order.empty());
    rig.world.run_for(1s);
    CHECK(order == std::vector<Seq>{1, 3, 7, 9});
    CHECK(rig.wait(5));
    CHECK(rig.wait(11).error().code == Errc::invalid);
}

TEST_CASE("the time a sync takes is measured: the middle of the last ones") {
    LogRig rig;
    rig.open();
    const auto take = [&rig](int count) {
        for (int at = 0; at < count; ++at)
            REQUIRE(rig.wait(rig.append("x")));
        return rig.log->stats().sync_ms_p50;
    };
    CHECK(rig.log->stats().sync_ms_p50 == 0);
    const double quick = take(20);
    CHECK(quick > 0);
    CHECK(quick < 10);
    rig.disk().add_fault(
        {.kind = io::DiskFault::Kind::slow, .op = io::DiskOp::sync, .times = 1'000, .delay = 50ms}
    );
    CHECK(take(5) < 10);
    const double slow = take(static_cast<int>(sync_times_kept));
    CHECK(slow > 50);
    CHECK(slow < 70);
}

TEST_CASE("a callback may destroy the log") {
    LogRig rig;
    rig.open();
    const Seq seq = rig.append("x");
    bool called = false;
    rig.log->when_durable(seq, [&](const Result<void>&) {
        called = true;
        rig.log.reset();
    });
    rig.log->when_durable(seq, [&](const Result<void>&) { FAIL("the log is gone"); });
    rig.world.run_for(1s);
    CHECK(called);
}

TEST_CASE("the log grows over many segments and a reader follows") {
    LogRig rig;
    rig.open();
    const auto reader = rig.log->read_from(1);
    Record record;
    rig.fill(1'000, 1'000);
    Seq expected = 1;
    while (true) {
        const auto more = reader->next(record);
        REQUIRE(more);
        if (!*more)
            break;
        CHECK(record.seq == expected);
        CHECK(record.body == LogRig::body_of(expected, 1'000));
        ++expected;
    }
    CHECK(expected == 1'001);
    rig.fill(200, 1'000);
    REQUIRE(*reader->next(record));
    CHECK(record.seq == 1'001);
    reader->seek(1'100);
    REQUIRE(*reader->next(record));
    CHECK(record.seq == 1'100);
    reader->seek(2);
    REQUIRE(*reader->next(record));
    CHECK(record.seq == 2);
    CHECK(rig.log->stats().bytes >= 1'200'000);
    rig.close();
    rig.open();
    CHECK(rig.check_filled() == 1'200);
    CHECK(rig.read_all(900).front().first == 900);
}

TEST_CASE("the largest record fits, one byte more is refused") {
    LogRig rig;
    rig.open();
    CHECK(rig.append_durable(std::string(16'384, 'm')));
    CHECK(rig.log->append(std::string(16'385, 'm')).error().code == Errc::too_large);
    CHECK(rig.read_all().size() == 1);
}

TEST_CASE("more than pending_bytes_max waiting is refused as busy, and accepted once the disk has caught up"
) {
    LogRig rig;
    rig.options.pending_bytes_max = 16'384 + 20;
    rig.open();
    rig.append(std::string(16'384 - 20, 'p'));
    CHECK(rig.log->append("1").error().code == Errc::busy);
    CHECK(rig.log->append("").has_value());
    REQUIRE(rig.wait(2));
    CHECK(rig.log->append("1").has_value());
}

TEST_CASE("cursors are kept, also over new segments, trims and kills") {
    LogRig rig;
    rig.open();
    CHECK(rig.log->cursor("a").position == 0);
    rig.fill(10, 100);
    REQUIRE(rig.log->set_cursor("a", 7, "beside"));
    REQUIRE(rig.log->set_cursor("b", 3));
    rig.world.run_for(1'100ms);
    rig.kill();
    rig.open();
    CHECK(rig.log->cursor("a").position == 7);
    CHECK(rig.log->cursor("a").extra == "beside");
    CHECK(rig.log->cursor("b").position == 3);
    rig.fill(500, 1'000);
    rig.log->trim(400);
    CHECK(rig.log->stats().first > 300);
    rig.world.run_for(2s);
    rig.power_cut(io::CutMode::lose_all);
    rig.open();
    CHECK(rig.log->cursor("a").position == 7);
    CHECK(rig.log->cursor("b").position == 3);
    CHECK(rig.log->stats().first > 300);
    CHECK(rig.log->stats().quarantined_records == 0);
    REQUIRE(rig.log->set_cursor("b", 0));
    rig.close();
    rig.open();
    CHECK(rig.log->cursor("b").position == 0);
    CHECK(rig.log->cursor("a").position == 7);
}

TEST_CASE("a cursor set with an idle log is on disk a second later, not before") {
    LogRig rig;
    rig.open();
    rig.fill(1, 10);
    const auto changes = rig.disk().change_count();
    REQUIRE(rig.log->set_cursor("a", 1));
    rig.world.run_for(990ms);
    CHECK(rig.disk().change_count() == changes);
    rig.world.run_for(100ms);
    CHECK(rig.disk().change_count() == changes + 2);
}

TEST_CASE("trim frees whole segments and their files are used again") {
    LogRig rig;
    rig.open();
    rig.fill(600, 1'000);
    const auto files = rig.segment_paths().size();
    CHECK(files >= 10);
    rig.log->trim(599);
    const auto stats = rig.log->stats();
    CHECK(stats.first > 500);
    CHECK(stats.dropped_records == 0);
    CHECK(stats.bytes <= 2 * small_segment);
    rig.world.run_for(2s);
    CHECK(rig.segment_paths().size() <= 4);
    rig.fill(120, 1'000);
    CHECK(rig.segment_paths().size() <= 5);
    rig.log->trim(720);
    rig.kill();
    rig.open();
    for (const auto& [seq, body] : rig.read_all())
        CHECK(body == LogRig::body_of(seq, 1'000));
    CHECK(rig.log->stats().next == 721);
}

TEST_CASE("[F-03] drop_oldest keeps the newest and counts every record it drops") {
    LogRig rig;
    rig.options.bytes_max = 4ull * small_segment;
    rig.open();
    rig.fill(1'000, 1'000);
    const auto all = rig.read_all();
    const auto stats = rig.log->stats();
    CHECK(all.back().first == 1'000);
    CHECK(all.front().first == stats.first);
    CHECK(stats.dropped_records + all.size() == 1'000);
    CHECK(rig.segment_paths().size() <= 4);
    SUBCASE("what was trimmed before is not counted as dropped") {
        rig.log->trim(970);
        rig.fill(1'000, 1'000);
        CHECK(
            rig.log->stats().dropped_records + rig.read_all().size() ==
            1'000 - 970 + stats.dropped_records + 1'000
        );
    }
}

TEST_CASE("[F-03] reject refuses when full and goes on after a trim") {
    LogRig rig;
    rig.options.bytes_max = 4ull * small_segment;
    rig.options.when_full = WhenFull::reject;
    rig.open();
    Seq last = 0;
    while (true) {
        const auto seq = rig.log->append(std::string(1'000, 'r'));
        if (!seq) {
            CHECK(seq.error().code == Errc::full);
            break;
        }
        last = *seq;
        REQUIRE(last < 1'000);
    }
    REQUIRE(rig.wait(last));
    CHECK(rig.log->append(std::string(1'000, 'r')).error().code == Errc::full);
    CHECK(rig.log->stats().dropped_records == 0);
    CHECK(rig.read_all().size() == last);
    REQUIRE(rig.log->set_cursor("c", last));
    rig.log->trim(last / 2);
    CHECK(rig.append_durable("again"));
    rig.kill();
    rig.open();
    CHECK(rig.log->cursor("c").position == last);
    CHECK(rig.log->stats().next == last + 2);
}

TEST_CASE("[F-14] a second log on the folder is refused and the first is unaffected") {
    LogRig rig;
    rig.open();
    const auto second = store::Log::open(rig.machine().env("other"), rig.options);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == Errc::busy);
    CHECK(rig.append_durable("still here"));
    rig.close();
    CHECK(store::Log::open(rig.machine().env("other"), rig.options).has_value());
}

TEST_CASE("options outside their limits are refused") {
    LogRig rig;
    const auto refused = [&] { return !rig.try_open() && rig.disk().paths().empty(); };
    SUBCASE("segment too small") {
        rig.options.segment_bytes = 65'535;
    }
    SUBCASE("segment too large") {
        rig.options.segment_bytes = 67'108'865;
    }
    SUBCASE("less than 4 segments") {
        rig.options.bytes_max = 4ull * small_segment - 1;
    }
    SUBCASE("record above half a segment") {
        rig.options.record_bytes_max = small_segment / 2 + 1;
    }
    SUBCASE("no record at all") {
        rig.options.record_bytes_max = 0;
    }
    SUBCASE("pending less than a record") {
        rig.options.pending_bytes_max = 16'384 + 19;
    }
    CHECK(refused());
}

TEST_CASE("a closed log refuses appends and has released its folder") {
    LogRig rig;
    rig.open();
    rig.append("pending at close");
    bool closed = false;
    rig.log->close([&] { closed = true; });
    CHECK(rig.log->append("late").error().code == Errc::closed);
    CHECK(rig.log->set_cursor("c", 1).error().code == Errc::closed);
    rig.world.run_for(1s);
    CHECK(closed);
    rig.open();
    CHECK(rig.read_all().size() == 1);
}

TEST_CASE("the segment size may change between starts") {
    LogRig rig;
    rig.open();
    rig.fill(100, 1'000);
    rig.close();
    rig.options.segment_bytes = 2 * small_segment;
    rig.open();
    rig.fill(300, 1'000);
    rig.close();
    rig.options.segment_bytes = small_segment;
    rig.open();
    rig.fill(100, 1'000);
    CHECK(rig.check_filled() == 500);
}

TEST_CASE("cursors that are synced right after the log is opened survive a power cut, with new segments too"
) {
    LogRig rig;
    rig.open();
    for (int round = 1; round <= 40; ++round) { // more than a segment takes
        CAPTURE(round);
        const std::string told = std::to_string(round) + std::string(5'000, 'x');
        REQUIRE(rig.log->set_cursor("told", 0, told));
        REQUIRE(rig.log->sync_cursors());
        REQUIRE(rig.log->sync_cursors()); // nothing to do
        if (round % 2 == 0)
            rig.fill(3, 700);
        rig.power_cut(io::CutMode::lose_all);
        rig.open();
        CHECK(rig.log->cursor("told").extra == told);
        CHECK(rig.check_filled() == 3 * static_cast<std::size_t>(round / 2));
    }
    CHECK(rig.segment_paths().size() > 2);
    REQUIRE(rig.log->set_cursor("told", 0, "too late"));
    rig.disk().add_fault({.op = io::DiskOp::sync});
    CHECK(rig.log->sync_cursors().error().code == Errc::io);
}
