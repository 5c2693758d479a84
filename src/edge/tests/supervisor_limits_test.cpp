// The supervisor's times and counts on the virtual clock, with processes the test ends itself.

#include "edge/supervisor.h"
#include "io/child.h"
#include "io/sim/sim_world.h"

#include <doctest/doctest.h>

#include <optional>

using namespace brim;
using namespace brim::edge;
using namespace std::chrono_literals;

namespace {

struct Processes final : io::Processes {
    struct Child final : io::Child {
        explicit Child(Processes& all) : all_(all) {}

        std::int64_t pid() const override { return 7; }

        io::LimitKind limit_kind() const override { return io::LimitKind::none; }

        void terminate(Duration within) override { all_.grace = within; }

        bool signal(int) override { return true; }

        bool running() const override { return true; }

        std::int64_t memory_bytes() const override { return -1; }

    private:
        Processes& all_;
    };

    Result<std::unique_ptr<io::Child>> start(const io::ChildSpec&, io::ChildEvents given) override {
        ++starts;
        events = std::move(given);
        return std::make_unique<Child>(*this);
    }

    void end() { std::exchange(events, {}).on_exit({.status = 1, .text = "exit status 1"}); }

    unsigned starts = 0;
    io::ChildEvents events;
    Duration grace{};
};

struct LimitRig final : SupervisorEvents {
    io::SimWorld world{3};
    Processes processes;
    Supervisor supervisor;

    explicit LimitRig(SupervisorOptions options = {})
        : supervisor(world.machine("edge").env(), processes, *this, options) {
        DriverSettings driver;
        driver.name = "d";
        driver.program = "/d";
        supervisor.put(driver);
    }

    ~LimitRig() override = default;

    void on_driver_starting(const std::string&, const Secret&) override {}

    void on_driver_ended(const std::string&) override {}

    DriverState state() { return supervisor.view().at(0).state; }

    /// Ends the driver; how long until it runs again. Nothing when it is parked.
    std::optional<Duration> restart() {
        const unsigned before = processes.starts;
        const Mono ended = world.now();
        processes.end();
        if (state() == DriverState::parked)
            return std::nullopt;
        REQUIRE(world.run_until([&] { return processes.starts > before; }, 2min));
        return world.now() - ended;
    }
};

} // namespace

TEST_CASE("[F-29] nine crashes within the window are restarted, the tenth parks") {
    LimitRig rig;
    for (int crash = 1; crash <= 9; ++crash)
        REQUIRE(rig.restart().has_value());
    CHECK(rig.state() == DriverState::running);
    CHECK_FALSE(rig.restart().has_value());
    CHECK(rig.processes.starts == 10);
    rig.world.run_for(1h);
    CHECK(rig.processes.starts == 10);
}

TEST_CASE("crashes count within the window, older ones do not") {
    for (const bool inside : {true, false}) {
        CAPTURE(inside);
        LimitRig rig({.crashes_max = 2, .crash_window = 100s, .restart_min = 1ms, .restart_max = 1ms});
        REQUIRE(rig.restart().has_value());
        const Mono first = rig.world.now(); // a millisecond or two after the crash
        rig.world.run_for(first + (inside ? 99s : 101s) - rig.world.now());
        CHECK(rig.restart().has_value() != inside);
    }
}

TEST_CASE("a driver that ends at once waits a tenth of restart_min at least, and restart_max at most") {
    Duration shortest = 1h;
    Duration longest{};
    for (std::uint64_t round = 0; round < 40; ++round) {
        LimitRig rig({.crashes_max = 1'000, .restart_min = 1'000ms, .restart_max = 4'000ms});
        rig.world.run_for(std::chrono::milliseconds(round));
        for (int crash = 0; crash < 8; ++crash) {
            const auto waited = rig.restart();
            REQUIRE(waited.has_value());
            if (crash == 0)
                CHECK(*waited <= 1'002ms);
            shortest = std::min(shortest, *waited);
            longest = std::max(longest, *waited);
        }
    }
    CHECK(shortest >= 100ms);
    CHECK(longest > 3'000ms);
    CHECK(longest <= 4'002ms);
}

TEST_CASE("a run of healthy_after makes the next wait short again, a shorter one does not") {
    for (const bool healthy : {true, false}) {
        CAPTURE(healthy);
        LimitRig rig({.crashes_max = 1'000, .restart_min = 1'000ms, .restart_max = 60'000ms});
        Duration longest{};
        for (int crash = 0; crash < 60; ++crash) {
            rig.world.run_for(healthy ? 60s : 59s);
            longest = std::max(longest, *rig.restart());
        }
        CHECK((longest <= 1'002ms) == healthy);
    }
}

TEST_CASE("a driver that is stopped has stop_wait to end") {
    LimitRig rig({.stop_wait = 3s});
    bool stopped = false;
    rig.supervisor.stop([&] { stopped = true; });
    CHECK(rig.processes.grace == 3s);
    rig.world.run_for(1min);
    CHECK_FALSE(stopped); // the process layer kills it; its end is what counts
    rig.processes.end();
    rig.world.run_for(1ms);
    CHECK(stopped);
}
