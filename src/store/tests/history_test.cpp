#include "store/internal/history_cursor.h"
#include "store/sqlite_history.h"

#include "io/posix_disk.h"
#include "io/sim/sim_disk.h"
#include "store/sqlite.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <map>

using namespace brim;
using namespace brim::store;

namespace {

constexpr const char* path = "/data/history.db";

struct HistoryRig {
    explicit HistoryRig(std::uint64_t seed = 1) : disk(seed) {
        REQUIRE(disk.make_dir("/data"));
        open();
    }

    void open() {
        auto opened = open_sqlite_history(disk, path);
        REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().text()));
        history = std::move(*opened);
    }

    void append(const std::vector<HistoryPoint>& points, Seq up_to) {
        const auto done = history->append(points, {}, up_to);
        REQUIRE_MESSAGE(done, (done ? "" : done.error().text()));
    }

    std::vector<HistoryPoint>
    all(std::int64_t device, int property, bool ascending = true, std::size_t limit = 1'000) {
        std::vector<HistoryPoint> out;
        HistoryQuery query;
        query.device = device;
        query.property = property;
        query.ascending = ascending;
        query.limit = limit;
        do {
            const auto page = history->query(query);
            REQUIRE(page);
            CHECK(page->points.size() <= limit);
            out.insert(out.end(), page->points.begin(), page->points.end());
            query.cursor = page->next;
        } while (!query.cursor.empty());
        return out;
    }

    io::SimDisk disk;
    std::unique_ptr<History> history;
};

/// All steps of one pass.
std::uint64_t drop_before(History& history, std::int64_t before_ms, std::size_t points_per_step = 7) {
    DropSweep sweep;
    for (std::uint64_t before = 0; !sweep.done; before = sweep.dropped) {
        REQUIRE(history.drop_step(before_ms, points_per_step, sweep));
        CHECK(sweep.dropped - before <= points_per_step);
    }
    return sweep.dropped;
}

HistoryPoint point(std::int64_t device, int property, std::int64_t time_ms, Seq seq, HistoryValue value) {
    const std::int64_t received_ms = time_ms > INT64_MAX - 5 ? INT64_MAX : time_ms + 5;
    return {device, property, time_ms, received_ms, seq, false, std::move(value)};
}

} // namespace

TEST_CASE("points of every type read back as they were") {
    HistoryRig rig;
    std::vector<HistoryPoint> points{
        point(1, 1, 100, 1, std::int64_t{-7}),
        point(1, 1, 200, 1, 2.5),
        point(1, 1, 300, 1, 3.0),
        point(1, 1, 400, 1, std::string("te\0xt", 5)),
        point(1, 1, 500, 1, std::string()),
        point(1, 1, 600, 1, JsonText{"{\"a\":1}"}),
        point(1, 1, 700, 1, INT64_MIN),
        point(1, 1, INT64_MAX, 1, INT64_MAX),
        point(1, 1, -50, 1, std::int64_t{0}),
    };
    points[2].replayed = true;
    points[3].received_ms = -1'000'000;
    points[5].replayed = true;
    rig.append(points, 1);
    auto read = rig.all(1, 1);
    std::ranges::sort(points, {}, &HistoryPoint::time_ms);
    // The range of a query ends before to_ms, so the last possible millisecond is outside of every query.
    points.pop_back();
    CHECK(read == points);
    CHECK(*rig.history->point_count() == 9);
    rig.append({point(1, 2, 1, 2, std::nan(""))}, 2);
    CHECK(std::isnan(std::get<double>(rig.all(1, 2).at(0).value)));
}

TEST_CASE("two values of one millisecond are both kept, of two records or of one") {
    HistoryRig rig;
    rig.append(
        {point(1, 1, 100, 2, std::int64_t{2}),
         point(1, 1, 100, 1, std::int64_t{1}),
         point(1, 1, 100, 2, std::int64_t{3}),
         point(1, 1, 100, 2, std::int64_t{4})},
        2
    );
    const auto read = rig.all(1, 1);
    REQUIRE(read.size() == 4);
    for (std::size_t at = 0; at < 4; ++at)
        CHECK(read[at].value == HistoryValue(static_cast<std::int64_t>(at + 1)));
}

TEST_CASE("pages follow each other without gap or repetition, both ways, whatever the page size") {
    HistoryRig rig;
    std::vector<HistoryPoint> points;
    for (int at = 0; at < 100; ++at)
        points.push_back(point(1, 1, at / 7, static_cast<Seq>(1 + at / 3), std::int64_t{at}));
    rig.append(points, 40);
    rig.append({point(1, 2, 5, 41, 1.0), point(2, 1, 5, 41, 1.0)}, 41);
    for (const std::size_t limit :
         {std::size_t{1}, std::size_t{3}, std::size_t{99}, std::size_t{100}, std::size_t{101}}) {
        auto up = rig.all(1, 1, true, limit);
        auto down = rig.all(1, 1, false, limit);
        std::ranges::reverse(down);
        CHECK(up.size() == 100);
        CHECK(up == down);
        CHECK(std::ranges::is_sorted(up, {}, [](const auto& p) { return std::pair(p.time_ms, p.seq); }));
    }
}

TEST_CASE("a query's range includes its start and excludes its end") {
    HistoryRig rig;
    for (Seq at = 1; at <= 10; ++at)
        rig.append({point(1, 1, static_cast<std::int64_t>(at) * 10, at, static_cast<std::int64_t>(at))}, at);
    HistoryQuery query;
    query.device = 1;
    query.property = 1;
    query.from_ms = 30;
    query.to_ms = 60;
    for (const bool ascending : {true, false}) {
        query.ascending = ascending;
        const auto page = rig.history->query(query);
        REQUIRE(page);
        REQUIRE(page->points.size() == 3);
        CHECK(page->points.front().time_ms == (ascending ? 30 : 50));
        CHECK(page->next.empty());
    }
    query.limit = 0;
    CHECK(rig.history->query(query).error().code == Errc::invalid);
    query.limit = 10'001;
    CHECK(rig.history->query(query).error().code == Errc::invalid);
    query.limit = 10'000;
    CHECK(rig.history->query(query));
}

TEST_CASE("[F-69] a tampered cursor is refused or at worst another place in the same series") {
    HistoryRig rig;
    rig.append({point(1, 1, 10, 1, 1.0), point(2, 1, 10, 1, 2.0)}, 1);
    HistoryQuery query;
    query.device = 1;
    query.property = 1;
    for (const char* bad : {"x", "00", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "' OR 1=1 --"}) {
        query.cursor = bad;
        CHECK(rig.history->query(query).error().code == Errc::invalid);
    }
    query.cursor = encode_history_cursor({-100, 0, 0});
    CHECK(rig.history->query(query)->points.size() == 1);
    query.from_ms = 11;
    CHECK_MESSAGE(rig.history->query(query)->points.empty(), "a cursor cannot widen the range");
    const HistoryKey key{-5, 77, 3};
    CHECK(*decode_history_cursor(encode_history_cursor(key)) == key);
}

TEST_CASE("buckets hold min, max, average and count of numbers only") {
    HistoryRig rig;
    std::vector<HistoryPoint> points;
    for (int at = 0; at < 100; ++at)
        points.push_back(
            point(1, 1, 1'000 + at, 1, at % 2 == 0 ? HistoryValue(std::int64_t{at}) : HistoryValue(at * 1.0))
        );
    points.push_back(point(1, 1, 1'000, 1, std::string("not a number")));
    points.push_back(point(1, 1, 1'999, 1, 5.0));
    points.back().replayed = true;
    rig.append(points, 1);
    const auto buckets =
        rig.history->buckets({.device = 1, .property = 1, .from_ms = 1'000, .to_ms = 2'000, .buckets = 100});
    REQUIRE(buckets);
    REQUIRE(buckets->size() == 11);
    CHECK(buckets->at(0).time_ms == 1'000);
    CHECK(buckets->at(0).count == 10);
    CHECK(buckets->at(0).min == 0);
    CHECK(buckets->at(0).max == 9);
    CHECK(buckets->at(0).avg == doctest::Approx(4.5));
    CHECK_FALSE(buckets->at(0).replayed);
    CHECK(buckets->at(10).time_ms == 1'990);
    CHECK(buckets->at(10).replayed);
    const auto count_of = [&](std::size_t wanted) {
        return rig.history->buckets(
            {.device = 1, .property = 1, .from_ms = 1'000, .to_ms = 2'000, .buckets = wanted}
        );
    };
    CHECK(count_of(0).error().code == Errc::invalid);
    CHECK(count_of(5'001).error().code == Errc::invalid);
    CHECK(count_of(5'000)->size() == 101);
    CHECK(count_of(1)->at(0).count == 101);
    CHECK(count_of(3)->size() == 2);
}

TEST_CASE("latest is the newest point of every series") {
    HistoryRig rig;
    rig.append(
        {point(1, 1, 10, 1, 1.0),
         point(1, 1, 30, 1, 3.0),
         point(1, 1, 20, 1, 2.0),
         point(1, 2, 5, 1, 5.0),
         point(9, -1, 7, 1, 7.0)},
        1
    );
    rig.append({point(1, 1, 30, 2, 4.0)}, 2);
    const auto latest = rig.history->latest();
    REQUIRE(latest);
    REQUIRE(latest->size() == 3);
    CHECK(latest->at(0).value == HistoryValue(4.0));
    CHECK(latest->at(1).value == HistoryValue(5.0));
    CHECK(latest->at(2).device == 9);
    CHECK(latest->at(2).property == -1);
}

TEST_CASE("forgetting a device and dropping old points leave the rest and keep the count") {
    HistoryRig rig;
    std::vector<HistoryPoint> points;
    for (int device = 1; device <= 5; ++device)
        for (int property = 1; property <= 3; ++property)
            for (int at = 0; at < 10; ++at)
                points.push_back(point(device, property, at, 1, std::int64_t{at}));
    rig.append(points, 1);
    REQUIRE(rig.history->forget_device(3));
    CHECK(*rig.history->point_count() == 120);
    CHECK(rig.all(3, 1).empty());
    CHECK(drop_before(*rig.history, 4) == 48);
    CHECK(*rig.history->point_count() == 72);
    CHECK(rig.all(5, 3).size() == 6);
    CHECK(rig.all(5, 3).front().time_ms == 4);
    CHECK(drop_before(*rig.history, 4) == 0);
    rig.history.reset();
    rig.open();
    CHECK(*rig.history->point_count() == 72);
    CHECK(rig.history->applied() == 1);
}

TEST_CASE("notes are kept with the position, replaced and deleted") {
    HistoryRig rig;
    REQUIRE(rig.history->append({}, {{"a", std::string("b\0dy", 4)}, {"z", "1"}}, 5));
    REQUIRE(rig.history->append({}, {{"a", "new"}, {"z", ""}}, 6));
    const auto notes = rig.history->notes();
    REQUIRE(notes->size() == 1);
    CHECK(notes->at(0).name == "a");
    CHECK(notes->at(0).body == "new");
    CHECK(rig.history->append({point(1, 1, 1, 7, 1.0)}, {{"", "x"}}, 7).error().code == Errc::invalid);
    CHECK(rig.history->append({}, {{std::string(201, 'n'), "x"}}, 7).error().code == Errc::invalid);
    CHECK_MESSAGE(rig.all(1, 1).empty(), "a refused batch leaves nothing behind");
    CHECK(rig.history->applied() == 6);
    CHECK(rig.history->append({}, {{std::string(200, 'n'), "x"}}, 7));
}

TEST_CASE("[F-02] a power cut at any operation: position and points agree, and what was checkpointed is there"
) {
    std::size_t cuts = 0;
    for (std::uint64_t nth = 1; nth <= 400; ++nth) {
        CAPTURE(nth);
        HistoryRig rig(nth);
        rig.append({point(1, 1, 0, 1, std::int64_t{1})}, 1);
        REQUIRE(rig.history->checkpoint());
        rig.disk.add_fault({.kind = io::DiskFault::Kind::power_off, .nth = nth});
        Seq durable = 1;
        for (Seq seq = 2; seq <= 60 && !rig.disk.powered_off(); ++seq) {
            std::vector<HistoryPoint> batch;
            for (int at = 0; at < 20; ++at)
                batch.push_back(
                    point(at % 3, 1, static_cast<std::int64_t>(seq), seq, static_cast<std::int64_t>(seq))
                );
            if (!rig.history->append(batch, {{"n", std::to_string(seq)}}, seq))
                break;
            if (seq % 10 == 0)
                if (const auto safe = rig.history->checkpoint())
                    durable = *safe;
        }
        cuts += rig.disk.powered_off() ? 1 : 0;
        rig.history.reset();
        rig.disk.clear_faults();
        rig.disk.power_cut();
        rig.open();
        const Seq applied = rig.history->applied();
        CHECK(applied >= durable);
        CHECK(*rig.history->point_count() == 1 + (applied - 1) * 20);
        std::size_t found = 0;
        for (int device = 0; device < 3; ++device)
            for (const auto& p : rig.all(device, 1)) {
                ++found;
                CHECK(p.seq <= applied);
            }
        CHECK(found == 1 + (applied - 1) * 20);
        if (applied > 1)
            CHECK(rig.history->notes()->at(0).body == std::to_string(applied));
    }
    CHECK(cuts > 100);
}

TEST_CASE("[F-06] syncs that fail and a power cut: nothing up to a position that was given out is missing") {
    std::size_t cuts = 0, refused = 0;
    for (std::uint64_t nth = 1; nth <= 400; ++nth) {
        CAPTURE(nth);
        HistoryRig rig(nth);
        rig.append({point(1, 1, 0, 1, std::int64_t{1})}, 1);
        REQUIRE(rig.history->checkpoint());
        rig.disk.add_fault({.op = io::DiskOp::sync, .nth = 1 + nth % 7, .times = 1 + nth % 3});
        rig.disk.add_fault({.kind = io::DiskFault::Kind::power_off, .nth = nth});
        Seq durable = 1;
        for (Seq seq = 2; seq <= 60 && !rig.disk.powered_off(); ++seq) {
            std::vector<HistoryPoint> batch;
            for (int at = 0; at < 20; ++at)
                batch.push_back(
                    point(at % 3, 1, static_cast<std::int64_t>(seq), seq, static_cast<std::int64_t>(seq))
                );
            while (!rig.history->append(batch, {}, seq) && !rig.disk.powered_off())
                ++refused; // as the hub does: the same again, later
            if (seq % 5 == 0) {
                const auto safe = rig.history->checkpoint();
                durable = safe ? *safe : durable;
                refused += safe ? 0 : 1;
            }
        }
        cuts += rig.disk.powered_off() ? 1 : 0;
        rig.history.reset();
        rig.disk.clear_faults();
        rig.disk.power_cut(nth % 4 == 0 ? io::CutMode::lose_all : io::CutMode::random);
        rig.open();
        const Seq applied = rig.history->applied();
        CHECK(applied >= durable);
        CHECK(*rig.history->point_count() == 1 + (applied - 1) * 20);
        std::size_t found = 0;
        for (int device = 0; device < 3; ++device)
            found += rig.all(device, 1).size();
        CHECK(found == 1 + (applied - 1) * 20);
    }
    CHECK(cuts > 100);
    CHECK(refused > 100);
}

TEST_CASE("a full disk refuses a batch whole, and the next one works once there is space") {
    HistoryRig rig;
    rig.disk.set_quota(400'000);
    Seq seq = 0;
    Errc refusal = Errc::invalid;
    while (refusal == Errc::invalid && seq < 1'000) {
        std::vector<HistoryPoint> batch;
        for (int at = 0; at < 200; ++at)
            batch.push_back(point(at, 1, static_cast<std::int64_t>(seq), seq + 1, std::string(20, 'f')));
        if (const auto done = rig.history->append(batch, {}, seq + 1); !done)
            refusal = done.error().code;
        else
            ++seq;
    }
    CHECK(refusal == Errc::full);
    CHECK(rig.history->applied() == seq);
    CHECK(*rig.history->point_count() == seq * 200);
    rig.disk.set_quota(1ull << 30);
    rig.append({point(1, 1, 1, seq + 1, 1.0)}, seq + 1);
    CHECK(*rig.history->point_count() == seq * 200 + 1);
}

TEST_CASE("[F-16] a newer history is refused without a write") {
    HistoryRig rig;
    rig.history.reset();
    {
        auto database = Database::open(rig.disk, path, Durability::full);
        REQUIRE(database);
        REQUIRE((*database)->execute("PRAGMA user_version=2"));
    }
    const auto before = rig.disk.content(path);
    const auto opened = open_sqlite_history(rig.disk, path);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == Errc::unsupported);
    CHECK(rig.disk.content(path) == before);
}

TEST_CASE("[B-58] a damaged database is an error or serves what it holds, never a crash") {
    HistoryRig healthy;
    std::vector<HistoryPoint> points;
    for (int at = 0; at < 500; ++at)
        points.push_back(point(at % 7, at % 3, at, 1, std::string(30, static_cast<char>('a' + at % 26))));
    healthy.append(points, 1);
    REQUIRE(healthy.history->checkpoint());
    healthy.history.reset();
    const auto content = healthy.disk.content(path);
    SeededRandom random(58);
    for (int trial = 0; trial < 500; ++trial) {
        io::SimDisk disk(1);
        REQUIRE(disk.make_dir("/data"));
        disk.put_file(path, content);
        if (trial % 5 == 0)
            disk.cut_file(path, random.below(content.size()));
        else
            disk.flip_bit(path, random.below(content.size() * 8));
        auto opened = open_sqlite_history(disk, path);
        if (!opened)
            continue;
        for (int device = 0; device < 7; ++device) {
            HistoryQuery query;
            query.device = device;
            query.property = device % 3;
            (void)(*opened)->query(query).has_value();
        }
        (void)(*opened)->latest().has_value();
        (void)(*opened)->append({point(1, 1, 1, ~Seq{0} >> 1, 1.0)}, {}, ~Seq{0} >> 1).has_value();
    }
}

TEST_CASE("random batches read back like a sorted list") {
    const bool held = rc::check("history reads back", [](const std::vector<std::uint8_t>& seeds) {
        HistoryRig rig;
        std::map<std::tuple<std::int64_t, int, std::int64_t, Seq, int>, std::int64_t> model;
        Seq seq = 0;
        for (const auto seed : seeds) {
            ++seq;
            std::vector<HistoryPoint> batch;
            std::map<std::tuple<std::int64_t, int, std::int64_t>, int> ordinals;
            for (int at = 0; at < seed % 9; ++at) {
                const auto p =
                    point(seed % 3, (seed + at) % 2, (seed * 7 + at) % 5, seq, std::int64_t{seed * 100 + at});
                model[{p.device, p.property, p.time_ms, seq, ordinals[{p.device, p.property, p.time_ms}]++}] =
                    std::get<std::int64_t>(p.value);
                batch.push_back(p);
            }
            rig.append(batch, seq);
        }
        auto expected = model.begin();
        for (std::int64_t device = 0; device < 3; ++device)
            for (int property = 0; property < 2; ++property)
                for (const auto& p : rig.all(device, property, true, 4)) {
                    RC_ASSERT(expected != model.end());
                    RC_ASSERT(std::get<0>(expected->first) == device);
                    RC_ASSERT(std::get<std::int64_t>(p.value) == expected->second);
                    ++expected;
                }
        RC_ASSERT(expected == model.end());
    });
    CHECK(held);
}
