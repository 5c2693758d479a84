// Wall time through clocks that jump, both ways, while running and over restarts; and the hub as a witness.

#include "edge/hub_clock.h"
#include "edge/time_floor.h"
#include "io/sim/sim_world.h"

#include <doctest/doctest.h>

#include <optional>

using namespace brim;
using namespace brim::edge;
using namespace std::chrono_literals;

namespace {

constexpr auto years10 = std::chrono::hours(24 * 3'652);

struct ClockRig {
    io::SimWorld world{1};
    std::unique_ptr<io::Worker> worker;
    std::unique_ptr<TimeFloor> floor;
    WallTime begun = machine().wall();
    Mono begun_at = world.now();

    ClockRig() { start(); }

    ~ClockRig() { stop(); }

    io::SimMachine& machine() { return world.machine("edge"); }

    /// What an honest clock would show.
    WallTime truth() const {
        return {
            begun.ms + std::chrono::duration_cast<std::chrono::milliseconds>(world.now() - begun_at).count()
        };
    }

    std::int64_t error_ms() const { return floor->now().ms - truth().ms; }

    void start() {
        io::Env& env = machine().env();
        REQUIRE(env.disk().make_dir("/data"));
        worker = env.make_worker("files");
        floor = std::make_unique<TimeFloor>(env.loop(), env.disk(), "/data/time-floor");
        floor->load();
        floor->keep(*worker);
    }

    void stop() {
        machine().crash();
        floor.reset();
        worker.reset();
    }

    /// No power for `off`; the clock stands at `wall` afterwards, or is right.
    void reboot(Duration off, std::optional<WallTime> wall = std::nullopt) {
        machine().power_cut(io::CutMode::lose_all);
        floor.reset();
        worker.reset();
        world.run_for(off);
        machine().set_wall(wall.value_or(truth()));
        start();
    }

    WallTime stored() { return TimeFloor::stored(machine().disk(), "/data/time-floor"); }
};

} // namespace

TEST_CASE("a clock set back while running never turns stamps back, however far it jumps") {
    for (const auto back : {std::chrono::milliseconds(5), std::chrono::milliseconds(3'600'000)}) {
        ClockRig rig;
        rig.world.run_for(10min);
        WallTime last = rig.floor->now();
        rig.machine().jump_wall(-back);
        for (int i = 0; i < 200; ++i) {
            CHECK(rig.floor->now() >= last);
            last = rig.floor->now();
            rig.world.run_for(7s);
        }
        CHECK(std::abs(rig.error_ms()) <= 10'000);
        CHECK(rig.floor->clock_is_behind() == (back > TimeFloor::agree_max));
    }
    ClockRig rig;
    rig.world.run_for(10min);
    rig.machine().set_wall(WallTime{5'000}); // 1970
    CHECK(std::abs(rig.error_ms()) <= 10'000);
    rig.world.run_for(24h);
    CHECK(std::abs(rig.error_ms()) <= 10'000);
    CHECK(rig.stored().ms >= rig.truth().ms - 80'000); // and it is stored all the while
}

TEST_CASE("a clock ten years ahead for a minute stamps that minute and leaves nothing behind") {
    ClockRig rig;
    rig.world.run_for(10min);
    rig.machine().jump_wall(years10);
    rig.world.run_for(60s);
    CHECK(rig.floor->clock_is_doubted());
    CHECK(rig.stored() < rig.truth());
    rig.machine().jump_wall(-years10);
    CHECK(std::abs(rig.error_ms()) <= 10'000);
    rig.world.run_for(3h);
    CHECK(std::abs(rig.error_ms()) <= 10'000);
    CHECK_FALSE(rig.floor->clock_is_doubted());
    rig.reboot(1min);
    CHECK(std::abs(rig.error_ms()) <= 100'000);
    CHECK_FALSE(rig.floor->clock_is_behind());
}

TEST_CASE("power lost while the clock is ten years ahead: the next start is not years ahead") {
    ClockRig rig;
    rig.world.run_for(10min);
    rig.machine().jump_wall(years10);
    rig.world.run_for(150s);
    REQUIRE(rig.floor->save()); // an orderly stop writes no more than a crash
    rig.reboot(1min);
    CHECK(std::abs(rig.error_ms()) <= 10'000);
    rig.reboot(1min, WallTime{5'000});
    CHECK(std::abs(rig.error_ms()) <= 200'000);
}

TEST_CASE("started while the clock is ten years ahead: nothing of it is stored before it lasted") {
    ClockRig rig;
    rig.world.run_for(10min);
    rig.reboot(1min, WallTime{rig.truth().ms + std::chrono::milliseconds(years10).count()});
    rig.world.run_for(4min);
    CHECK(rig.floor->clock_is_doubted());
    rig.machine().jump_wall(-years10);
    CHECK(std::abs(rig.error_ms()) <= 120'000);
    rig.reboot(1min);
    CHECK(std::abs(rig.error_ms()) <= 10'000);
}

TEST_CASE("a clock that is ahead is believed when it lasts, one that wanders is not") {
    ClockRig rig;
    rig.world.run_for(10min);
    rig.machine().jump_wall(8h);
    rig.world.run_for(TimeFloor::believe_after - 20s);
    CHECK(rig.floor->clock_is_doubted());
    CHECK(rig.floor->floor() < WallTime{rig.truth().ms + 10'000});
    rig.world.run_for(40s);
    CHECK_FALSE(rig.floor->clock_is_doubted());
    CHECK(rig.floor->floor() >= WallTime{rig.truth().ms + 28'700'000});

    ClockRig wandering;
    wandering.world.run_for(10min);
    for (int i = 0; i < 60; ++i) {
        wandering.machine().jump_wall(1h);
        wandering.world.run_for(1min);
        CHECK(wandering.floor->clock_is_doubted());
    }
    CHECK(wandering.floor->floor() < WallTime{wandering.truth().ms + 10'000});
}

TEST_CASE("drift is followed, a step above what drift explains is doubted") {
    ClockRig rig;
    rig.world.run_for(1min);
    rig.machine().jump_wall(TimeFloor::drift_max);
    rig.world.run_for(10s);
    CHECK_FALSE(rig.floor->clock_is_doubted());
    CHECK(rig.floor->floor().ms >= rig.truth().ms + 990);
    rig.machine().jump_wall(TimeFloor::drift_max + 10ms);
    rig.world.run_for(10s);
    CHECK(rig.floor->clock_is_doubted());
}

TEST_CASE("the hub as a witness: what it agrees with is believed at once, forward and back") {
    ClockRig rig;
    rig.world.run_for(10min);
    rig.machine().jump_wall(years10);
    rig.floor->confirm(rig.truth()); // it does not agree
    CHECK(rig.floor->floor() <= WallTime{rig.truth().ms + 10'000});
    rig.world.run_for(TimeFloor::believe_after + 1min);
    CHECK(rig.floor->floor() > WallTime{rig.truth().ms + 1'000'000}); // it lasted: believed, wrongly
    rig.machine().jump_wall(-years10);
    CHECK(rig.floor->clock_is_behind());
    rig.floor->confirm(WallTime{rig.truth().ms + 61'000});
    CHECK(rig.floor->clock_is_behind());
    rig.floor->confirm(WallTime{rig.truth().ms + 60'000});
    CHECK_FALSE(rig.floor->clock_is_behind());
    CHECK(rig.error_ms() == 0);
    rig.world.run_for(70s);
    rig.reboot(1min);
    CHECK(rig.error_ms() == 0);
}

TEST_CASE("without a stored floor the clock is believed; a floor that is no number is none") {
    ClockRig rig;
    CHECK(rig.floor->floor() == rig.truth());
    rig.machine().disk().put_file("/data/time-floor", "soon\n");
    rig.stop();
    rig.start();
    CHECK(rig.floor->floor() == rig.truth());
    rig.machine().disk().put_file("/data/time-floor", std::string(65, '1'));
    CHECK(rig.stored().ms == 0);
    rig.machine().disk().put_file("/data/time-floor", "1795219200000\n");
    CHECK(rig.stored().ms == 1'795'219'200'000);
}

TEST_CASE("the hub's answer is its time, corrected for the way, and only to the question asked") {
    HubClock clock;
    const Mono asked{100s};
    const std::string question = clock.ask(asked, WallTime{7'000});
    CHECK(question == R"({"deviceSendTime":"7000"})");
    const auto answer = [](const char* mark, const char* received, const char* sent) {
        return std::string(R"({"deviceSendTime":")") + mark + R"(","serverRecvTime":)" + received +
               R"(,"serverSendTime":)" + sent + "}";
    };
    CHECK_FALSE(clock.answer(answer("6999", "\"50000\"", "\"50000\""), asked + 1s).has_value());
    CHECK_FALSE(clock.answer("{", asked + 1s).has_value());
    CHECK(clock.answer(answer("7000", "\"50000\"", "\"50200\""), asked + 1s)->ms == 50'600);
    CHECK_FALSE(clock.answer(answer("7000", "50000", "50200"), asked + 1s).has_value()); // answered before
    const auto late = [&](Duration trip, const char* received, const char* sent) {
        (void)clock.ask(asked, WallTime{8'000});
        return clock.answer(answer("8000", received, sent), asked + trip);
    };
    CHECK(late(10s, "50000", "50000")->ms == 55'000);
    CHECK_FALSE(late(10s + 1ms, "50000", "50000").has_value());
    CHECK_FALSE(late(1s, "50001", "50000").has_value());
    CHECK_FALSE(late(1s, "50000", "52000").has_value()); // longer there than it was away
    CHECK_FALSE(late(1s, "\"x\"", "50000").has_value());
    CHECK_FALSE(late(1s, "null", "50000").has_value());
    CHECK_FALSE(late(1s, "0", "50000").has_value());
    CHECK_FALSE(late(1s, "9223372036854775807", "9223372036854775807").has_value()); // once overflowed
}
