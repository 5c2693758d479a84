#include "io/memory_watch.h"
#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <vector>

namespace brim::io {

namespace {

constexpr std::uint64_t limit_bytes = 1'000'000;

MemoryUse percent(unsigned share) {
    return {limit_bytes, limit_bytes / 100 * share, "here"};
}

struct Watched {
    SimWorld world{86};
    SimMachine& machine = world.machine("hub");
    std::vector<Pressure> told;
    MemoryWatch watch{(machine.set_memory(percent(10)), machine.env()), [this](Pressure pressure) {
                          told.push_back(pressure);
                      }};
};

} // namespace

TEST_CASE("[B-86] pressure is high from 80 % and critical from 92 %, and ends 5 % below") {
    using enum Pressure;
    CHECK(pressure_of(percent(79), none) == none);
    CHECK(pressure_of(percent(80), none) == high);
    CHECK(pressure_of(percent(91), high) == high);
    CHECK(pressure_of(percent(92), none) == critical);
    CHECK(pressure_of(percent(87), critical) == critical);
    CHECK(pressure_of(percent(86), critical) == high);
    CHECK(pressure_of(percent(75), high) == high);
    CHECK(pressure_of(percent(75), critical) == high);
    CHECK(pressure_of(percent(74), critical) == none);
    CHECK(pressure_of(percent(74), high) == none);
    CHECK(pressure_of(percent(200), none) == critical);
    CHECK(pressure_of({0, 500, "nowhere"}, critical) == none);
    CHECK(pressure_of({UINT64_MAX, UINT64_MAX - 1, "x"}, none) == critical);
}

TEST_CASE("a use that stays where it is changes the pressure once at most") {
    rc::check([](std::uint32_t used, std::uint8_t before) {
        const MemoryUse use{limit_bytes, used % (limit_bytes + 1), "x"};
        const Pressure first = pressure_of(use, static_cast<Pressure>(before % 3));
        RC_ASSERT(pressure_of(use, first) == first);
    });
}

TEST_CASE("each look above none and each change is told, more often from 60 % on") {
    Watched it;
    it.world.run_for(std::chrono::seconds{3});
    CHECK(it.told.empty());
    it.machine.set_memory(percent(85));
    it.world.run_for(std::chrono::seconds{2});
    REQUIRE_FALSE(it.told.empty());
    CHECK(it.told.back() == Pressure::high);
    it.machine.set_memory(percent(95));
    it.world.run_for(std::chrono::milliseconds{300});
    CHECK(it.told.back() == Pressure::critical);
    CHECK(it.watch.pressure() == Pressure::critical);
    it.machine.set_memory(percent(10));
    it.world.run_for(std::chrono::milliseconds{300});
    CHECK(it.told.back() == Pressure::none);
    const std::size_t count = it.told.size();
    it.world.run_for(std::chrono::seconds{10});
    CHECK(it.told.size() == count);
}

TEST_CASE("bytes that were moved make a look due before its time") {
    Watched it;
    it.world.run_for(std::chrono::milliseconds{100});
    it.machine.set_memory(percent(95));
    it.watch.moved(limit_bytes / 32 - 1);
    it.world.run_for(std::chrono::milliseconds{100});
    CHECK(it.told.empty());
    it.watch.moved(1);
    CHECK(it.told.empty()); // not from inside
    it.world.run_for(std::chrono::milliseconds{100});
    CHECK(it.told == std::vector{Pressure::critical});
}

TEST_CASE("limit, use and pressure are shown") {
    Watched it;
    const auto shows = [&](const char* line) {
        return it.machine.env().metrics().text().find(line) != std::string::npos;
    };
    CHECK(shows("brim_memory_limit_bytes 1000000"));
    CHECK(shows("brim_memory_used_bytes 100000"));
    CHECK(shows("brim_memory_pressure 0"));
    it.machine.set_memory(percent(92));
    it.world.run_for(std::chrono::seconds{3});
    CHECK(shows("brim_memory_used_bytes 920000"));
    CHECK(shows("brim_memory_pressure 2"));
}

TEST_CASE("where no limit is known nothing is watched, shown or told; a stopped watch is silent") {
    SimWorld world(87);
    std::vector<Pressure> told;
    const auto hear = [&](Pressure pressure) { told.push_back(pressure); };
    MemoryWatch nowhere(world.machine("a").env(), hear);
    nowhere.moved(1'000'000'000);
    world.machine("b").set_memory(percent(95));
    MemoryWatch stopped(world.machine("b").env(), hear);
    stopped.stop();
    stopped.moved(1'000'000'000);
    world.run_for(std::chrono::seconds{10});
    CHECK(told.empty());
    CHECK(world.machine("a").env().metrics().text().find("brim_memory") == std::string::npos);
}

} // namespace brim::io
