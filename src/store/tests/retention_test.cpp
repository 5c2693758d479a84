#include "store/retention.h"

#include "io/sim/sim_disk.h"
#include "store/sqlite_history.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::store;

namespace {

constexpr std::int64_t day_ms = 86'400'000;
constexpr std::int64_t now_ms = 20'000 * day_ms;
constexpr const char* history_path = "/data/history.db";

struct RetentionRig {
    explicit RetentionRig(std::uint64_t seed = 1) : disk(seed) {
        REQUIRE(disk.make_dir("/data"));
        open();
    }

    void open() {
        auto opened = open_sqlite_history(disk, history_path);
        REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().text()));
        history = std::move(*opened);
    }

    /// `count` points of each of `devices` devices, one every `every_ms`, the last one `every_ms` ago.
    void fill(std::int64_t devices, std::int64_t count, std::int64_t every_ms) {
        std::vector<HistoryPoint> points;
        for (std::int64_t device = 1; device <= devices; ++device)
            for (std::int64_t at = 0; at < count; ++at)
                add(points, device, now_ms - (count - at) * every_ms);
        const Seq next = history->applied() + 1;
        for (HistoryPoint& point : points)
            point.seq = next;
        REQUIRE(history->append(points, {}, next));
    }

    static void add(std::vector<HistoryPoint>& points, std::int64_t device, std::int64_t time_ms) {
        points.push_back({device, 1, time_ms, time_ms, 0, false, std::string(20, 'v')});
    }

    /// What is stored, by reading all of it.
    std::vector<std::int64_t> times(std::int64_t device) {
        std::vector<std::int64_t> found;
        HistoryQuery query;
        query.device = device;
        query.property = 1;
        query.limit = 10'000;
        do {
            const auto page = history->query(query);
            REQUIRE(page);
            for (const HistoryPoint& point : page->points)
                found.push_back(point.time_ms);
            query.cursor = page->next;
        } while (!query.cursor.empty());
        return found;
    }

    struct Outcome {
        Retention::Next end = Retention::Next::rest;
        std::uint64_t steps = 0, by_age = 0, by_bytes = 0;
    };

    Outcome run(Retention& retention, std::size_t points_per_step_max) {
        Outcome outcome;
        while (true) {
            REQUIRE(++outcome.steps < 100'000);
            const auto step = retention.step(*history, now_ms);
            REQUIRE_MESSAGE(step, (step ? "" : step.error().text()));
            CHECK(step->dropped_by_age + step->dropped_by_bytes <= points_per_step_max);
            outcome.by_age += step->dropped_by_age;
            outcome.by_bytes += step->dropped_by_bytes;
            outcome.end = step->next;
            if (step->next != Retention::Next::go_on)
                return outcome;
        }
    }

    io::SimDisk disk;
    std::unique_ptr<History> history;
};

} // namespace

TEST_CASE(
    "[retention-1.1] points past the age go, those on the limit stay, and the newest of a property always"
) {
    RetentionRig rig;
    std::vector<HistoryPoint> points;
    for (const std::int64_t age : {day_ms + 2, day_ms + 1, day_ms, day_ms - 1})
        RetentionRig::add(points, 1, now_ms - age);
    for (const std::int64_t age : {9 * day_ms, 8 * day_ms})
        RetentionRig::add(points, 2, now_ms - age);
    RetentionRig::add(points, 3, now_ms - 9 * day_ms);
    for (HistoryPoint& point : points)
        point.seq = 1;
    REQUIRE(rig.history->append(points, {}, 1));
    Retention none({});
    CHECK(rig.run(none, 0).steps == 1);
    CHECK(*rig.history->point_count() == 7);
    Retention retention({.age_ms_max = day_ms, .points_per_step_max = 1});
    const auto outcome = rig.run(retention, 1);
    CHECK(outcome.end == Retention::Next::rest);
    CHECK(outcome.by_age == 3);
    CHECK(outcome.by_bytes == 0);
    CHECK(rig.times(1) == std::vector<std::int64_t>{now_ms - day_ms, now_ms - day_ms + 1});
    CHECK(rig.times(2) == std::vector<std::int64_t>{now_ms - 8 * day_ms});
    CHECK(rig.times(3).size() == 1);
    CHECK(*rig.history->point_count() == 4);
    CHECK(rig.run(retention, 1).by_age == 0);
}

TEST_CASE("[retention-1.2] above the bytes the oldest go until it holds, below nothing does") {
    RetentionRig rig;
    rig.fill(7, 3'000, 60'000);
    const std::uint64_t used = *rig.history->bytes_used();
    REQUIRE(used > 500'000);
    Retention enough({.bytes_max = used});
    CHECK(rig.run(enough, 0).by_bytes == 0);
    CHECK(*rig.history->point_count() == 21'000);
    const std::uint64_t limit = used * 2 / 3;
    Retention retention({.bytes_max = limit, .points_per_step_max = 500});
    const auto outcome = rig.run(retention, 500);
    CHECK(outcome.end == Retention::Next::rest);
    CHECK(*rig.history->bytes_used() <= limit);
    CHECK_MESSAGE(*rig.history->bytes_used() > limit * 8 / 10, "not much more than needed");
    CHECK(*rig.history->point_count() == 21'000 - outcome.by_bytes);
    std::uint64_t left = 0;
    for (std::int64_t device = 1; device <= 7; ++device) {
        const auto times = rig.times(device);
        left += times.size();
        REQUIRE(!times.empty());
        CHECK(times.back() == now_ms - 60'000);
        CHECK_MESSAGE(times.front() + 60'000 * static_cast<std::int64_t>(times.size()) == now_ms, "no holes");
    }
    CHECK(left == *rig.history->point_count());
    rig.fill(7, 10, 1); // new points use the room
    CHECK(*rig.history->bytes_used() <= used);
}

TEST_CASE("[retention-1.3] one point of long ago does not keep the rest from going") {
    RetentionRig rig;
    std::vector<HistoryPoint> points;
    RetentionRig::add(points, 9, 0);
    RetentionRig::add(points, 9, now_ms);
    RetentionRig::add(points, 8, now_ms + 100 * 365 * day_ms);
    REQUIRE(rig.history->append(points, {}, 0));
    rig.fill(3, 5'000, 1'000);
    const std::uint64_t limit = *rig.history->bytes_used() / 2;
    Retention retention({.bytes_max = limit});
    const auto outcome = rig.run(retention, 2'000);
    CHECK(outcome.end == Retention::Next::rest);
    CHECK(*rig.history->bytes_used() <= limit);
    CHECK(*rig.history->bytes_used() > limit / 2);
    CHECK(rig.times(9) == std::vector<std::int64_t>{now_ms});
    CHECK(outcome.steps < 1'000);
}

TEST_CASE("[retention-1.4] a limit that nothing can hold ends, says so, and keeps the newest") {
    RetentionRig rig;
    rig.fill(50, 100, 1'000);
    Retention retention({.age_ms_max = 10 * day_ms, .bytes_max = 1});
    const auto outcome = rig.run(retention, 2'000);
    CHECK(outcome.end == Retention::Next::stuck);
    CHECK(outcome.by_bytes == 50 * 99);
    CHECK(*rig.history->point_count() == 50);
}

TEST_CASE("[retention-1.5] age and bytes together; limits change while it works") {
    RetentionRig rig;
    rig.fill(2, 4'000, day_ms / 100);
    Retention retention({.age_ms_max = 30 * day_ms, .points_per_step_max = 100});
    for (int step = 0; step < 3; ++step)
        REQUIRE(retention.step(*rig.history, now_ms));
    CHECK(*rig.history->point_count() == 7'700);
    retention.set_limits({.age_ms_max = 20 * day_ms, .bytes_max = *rig.history->bytes_used() / 4});
    const auto outcome = rig.run(retention, 2'000);
    CHECK(outcome.by_age > 3'000);
    CHECK(outcome.by_bytes > 100);
    CHECK(rig.times(1).front() >= now_ms - 20 * day_ms);
}

TEST_CASE("[retention-1.6] a power cut in the middle: count, position and points agree, and only old points "
          "are gone") {
    std::size_t cuts = 0;
    for (std::uint64_t nth = 1; nth <= 120; ++nth) {
        CAPTURE(nth);
        RetentionRig rig(nth);
        rig.fill(3, 400, day_ms);
        REQUIRE(rig.history->checkpoint());
        rig.disk.add_fault({.kind = io::DiskFault::Kind::power_off, .nth = nth});
        Retention retention({.age_ms_max = 100 * day_ms, .points_per_step_max = 20});
        for (int step = 0; step < 100 && !rig.disk.powered_off(); ++step) {
            const auto done = retention.step(*rig.history, now_ms);
            if (!done || done->next != Retention::Next::go_on ||
                (step % 5 == 4 && !rig.history->checkpoint()))
                break;
        }
        cuts += rig.disk.powered_off() ? 1 : 0;
        rig.history.reset();
        rig.disk.clear_faults();
        rig.disk.power_cut(nth % 2 == 0 ? io::CutMode::random : io::CutMode::keep_all);
        rig.open();
        CHECK(rig.history->applied() == 1);
        std::uint64_t found = 0;
        for (std::int64_t device = 1; device <= 3; ++device) {
            const auto times = rig.times(device);
            found += times.size();
            CHECK(times.size() >= 100);
            CHECK(times.back() == now_ms - day_ms);
            CHECK(times.front() + day_ms * static_cast<std::int64_t>(times.size()) == now_ms);
        }
        CHECK(found == *rig.history->point_count());
        Retention again({.age_ms_max = 100 * day_ms});
        rig.run(again, 2'000);
        CHECK(*rig.history->point_count() == 300);
    }
    CHECK(cuts > 50);
}
