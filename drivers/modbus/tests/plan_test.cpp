#include "plan.h"
#include "poll.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <numeric>
#include <set>

using namespace brim;
using namespace brim::modbus;

namespace {

Point point(Area area, std::uint16_t address, std::uint16_t count) {
    Point out;
    out.identifier = "p" + std::to_string(address);
    out.area = area;
    out.address = address;
    out.encoding.type = is_bits(area) ? RawType::boolean : RawType::custom;
    out.encoding.register_count = count;
    return out;
}

std::vector<Read> plan_all(const std::vector<Point>& points, const ReadLimits& limits = {}) {
    std::vector<std::size_t> all(points.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    return plan(points, all, limits);
}

} // namespace

TEST_CASE("[modbus-plan-1] neighbours of one area share a request, strangers do not") {
    const std::vector<Point> points{
        point(Area::holding, 2, 2),
        point(Area::holding, 0, 2),
        point(Area::holding, 5, 1),
        point(Area::input, 4, 1),
        point(Area::coil, 0, 1),
    };
    const auto reads = plan_all(points);
    REQUIRE(reads.size() == 4);
    CHECK(reads[0].area == Area::coil);
    CHECK(reads[1].area == Area::holding);
    CHECK(reads[1].address == 0);
    CHECK(reads[1].count == 4);
    CHECK(reads[1].points == std::vector<std::size_t>{1, 0});
    CHECK(reads[2].address == 5);
    CHECK(plan_all(points, {.gap_max = 1}).size() == 3);
}

TEST_CASE("[modbus-plan-2] a request holds 125 registers or 2,000 bits at most") {
    CHECK(plan_all({point(Area::holding, 0, 100), point(Area::holding, 100, 25)}).size() == 1);
    CHECK(plan_all({point(Area::holding, 0, 100), point(Area::holding, 100, 26)}).size() == 2);
    std::vector<Point> bits;
    for (std::uint16_t i = 0; i < 2'001; ++i)
        bits.push_back(point(Area::input_bit, i, 1));
    const auto reads = plan_all(bits);
    REQUIRE(reads.size() == 2);
    CHECK(reads[0].count == 2'000);
    CHECK(reads[1].count == 1);
}

TEST_CASE("[modbus-plan-3] any points are all served once, inside of their requests and limits") {
    const bool held = rc::check("plan", [] {
        std::vector<Point> points;
        const int count = *rc::gen::inRange(0, 60);
        for (int i = 0; i < count; ++i) {
            points.push_back(point(
                *rc::gen::element(Area::holding, Area::input, Area::coil),
                *rc::gen::inRange<std::uint16_t>(0, 400),
                *rc::gen::inRange<std::uint16_t>(1, 5)
            ));
        }
        const ReadLimits limits{
            .registers_max = 20, .bits_max = 30, .gap_max = *rc::gen::inRange<std::uint16_t>(0, 6)
        };
        std::multiset<std::size_t> served;
        for (const Read& read : plan_all(points, limits)) {
            RC_ASSERT(read.count <= (is_bits(read.area) ? limits.bits_max : limits.registers_max));
            for (const std::size_t index : read.points) {
                served.insert(index);
                RC_ASSERT(points[index].area == read.area);
                RC_ASSERT(points[index].address >= read.address);
                RC_ASSERT(
                    points[index].address + points[index].encoding.register_count <= read.address + read.count
                );
            }
        }
        RC_ASSERT(served.size() == points.size());
        RC_ASSERT(std::set<std::size_t>(served.begin(), served.end()).size() == points.size());
    });
    CHECK(held);
}

TEST_CASE("[modbus-plan-4] coils side by side are written together, registers one value a request") {
    const auto writes = plan_writes({
        {Area::holding, 4, {1}},
        {Area::coil, 2, {1}},
        {Area::coil, 1, {0}},
        {Area::coil, 5, {1}},
        {Area::holding, 5, {2, 3}},
    });
    REQUIRE(writes.size() == 4);
    CHECK(writes[0].area == Area::coil);
    CHECK(writes[0].address == 1);
    CHECK(writes[0].data == std::vector<std::uint16_t>{0, 1});
    CHECK(writes[1].address == 5);
    CHECK(writes[2].data.size() == 1);
    CHECK(writes[3].data.size() == 2);
}

TEST_CASE("[modbus-plan-5] bits of one register are written together, whole registers are not") {
    const auto writes = plan_writes({
        {Area::holding, 4, {0x0010}, 0x00f0},
        {Area::holding, 5, {7}, 0x000f},
        {Area::holding, 4, {0x0002}, 0x001f}, // overlaps: the later one wins
        {Area::holding, 6, {1}},
        {Area::holding, 6, {2}, 0x000f},
    });
    REQUIRE(writes.size() == 4);
    CHECK(writes[0].data == std::vector<std::uint16_t>{0x0002});
    CHECK(writes[0].mask == 0x00ff);
    CHECK(writes[1].mask == 0x000f);
    CHECK(writes[2].mask == 0xffff);
    CHECK(writes[3].mask == 0x000f);
}

TEST_CASE("[modbus-poll-1] three failed cycles take a device offline, one answer brings it back") {
    Health health;
    CHECK_FALSE(health.online());
    CHECK_FALSE(health.failed());
    CHECK(health.answered());
    CHECK_FALSE(health.answered());
    CHECK_FALSE(health.failed());
    CHECK_FALSE(health.failed());
    CHECK_FALSE(health.answered()); // two are not three
    CHECK_FALSE(health.failed());
    CHECK_FALSE(health.failed());
    CHECK(health.failed());
    CHECK_FALSE(health.online());
    CHECK_FALSE(health.failed());
    CHECK(health.answered());
}

TEST_CASE("[modbus-poll-2] points with one polling time make one group; an offline device is asked rarely") {
    DeviceSettings device;
    device.points = {point(Area::holding, 0, 1), point(Area::holding, 1, 1), point(Area::holding, 2, 1)};
    device.points[1].polling_ms = 200;
    DevicePoll poll(device, {}, 10'000);
    REQUIRE(poll.groups.size() == 2);
    CHECK(poll.groups[0].period_ms == 200);
    CHECK(poll.groups[1].reads.size() == 2);
    poll.health.answered();
    poll.cycle_ended(0, 10'050, 500);
    CHECK(poll.groups[0].due_ms == 10'200);
    CHECK(poll.next_group() == 1);
    poll.cycle_ended(1, 12'500, 500); // late: no catching up
    CHECK(poll.groups[1].due_ms == 12'501);
    for (int i = 0; i < 3; ++i)
        poll.health.failed();
    poll.cycle_ended(0, 13'000, 500);
    CHECK(poll.groups[0].due_ms == 15'500);
    CHECK(poll.groups[1].due_ms == 15'500);
    CHECK_FALSE(DevicePoll(DeviceSettings{}, {}, 0).next_group().has_value());
}

TEST_CASE("[modbus-poll-3] a point that waits for a change is reported when it changed") {
    DeviceSettings device;
    device.points = {point(Area::holding, 0, 1), point(Area::holding, 1, 1)};
    device.points[1].on_change = true;
    DevicePoll poll(device, {}, 0);
    std::vector<PointValue> values{{0, std::int64_t{1}}, {1, std::int64_t{1}}};
    auto cycle = values;
    poll.filter_unchanged(cycle);
    CHECK(cycle.size() == 2);
    cycle = values;
    poll.filter_unchanged(cycle);
    CHECK(cycle.size() == 1);
    cycle = {{1, std::int64_t{2}}};
    poll.filter_unchanged(cycle);
    CHECK(cycle.size() == 1);
    poll.forget();
    poll.filter_unchanged(cycle);
    CHECK(cycle.size() == 1);
}

TEST_CASE("[modbus-poll-4] values become what the model calls them") {
    CHECK(as_kind(Kind::whole, Value(2.0)) == Value(std::int64_t{2}));
    CHECK(as_kind(Kind::whole, Value(1e300)) == Value(1e300));
    CHECK(as_kind(Kind::real, Value(std::int64_t{2})) == Value(2.0));
    CHECK(as_kind(Kind::text, Value(std::int64_t{2})) == Value(std::string("2")));
}

TEST_CASE("[modbus-poll-5] a refused point is news once, and again after it was served") {
    DeviceSettings device;
    device.points = {point(Area::holding, 0, 1)};
    DevicePoll poll(device, {}, 0);
    CHECK(poll.refused(0, 2));
    CHECK_FALSE(poll.refused(0, 2));
    CHECK(poll.refused(0, 3));
    std::vector<PointValue> values;
    poll.collect(poll.groups[0].reads[0], {7}, values);
    CHECK(values.size() == 1);
    CHECK(poll.refused(0, 3));
}
