// Real processes on the real loop: restarts, parking, the environment, and an end within its time.

#include "edge/supervisor.h"
#include "io/machine_processes.h"
#include "io/real_env.h"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <map>
#include <unistd.h>

using namespace brim;
using namespace brim::edge;
using namespace std::chrono_literals;

namespace {

struct SupervisorBench final : SupervisorEvents {
    SystemClock clock;
    int null_fd = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    Log log{clock, Log::Options{.fd = null_fd}};
    Metrics metrics;
    io::RealEnv env{log, metrics};
    io::MachineProcesses processes{env.loop(), log};
    unsigned starts = 0;
    unsigned ends = 0;
    std::string token;
    Supervisor supervisor;

    explicit SupervisorBench(
        SupervisorOptions options =
            {.bus_path = "/run/b.sock",
             .crashes_max = 3,
             .restart_min = 10ms,
             .restart_max = 20ms,
             .stop_wait = 1s}
    )
        : supervisor(env, processes, *this, options) {}

    ~SupervisorBench() override { ::close(null_fd); }

    void on_driver_starting(const std::string&, const Secret& given) override {
        ++starts;
        token = given.reveal();
    }

    void on_driver_ended(const std::string&) override { ++ends; }

    bool until(const std::function<bool()>& done) {
        const Mono give_up = clock.mono() + 10s;
        while (!done() && clock.mono() < give_up)
            env.loop().turn(10ms);
        return done();
    }

    DriverView view() { return supervisor.view().at(0); }

    static DriverSettings shell(std::string script) {
        DriverSettings driver;
        driver.name = "d1";
        driver.program = "/bin/sh";
        driver.args = {"-c", std::move(script)};
        return driver;
    }
};

} // namespace

TEST_CASE(
    "[F-29] a driver that keeps ending is restarted, then parked with a reason, and unparked by new settings"
) {
    SupervisorBench bench;
    bench.supervisor.put(SupervisorBench::shell("exit 3"));
    REQUIRE(bench.until([&] { return bench.view().state == DriverState::parked; }));
    CHECK(bench.starts == 3);
    CHECK(bench.ends == 3);
    CHECK(bench.view().reason.find("3") != std::string::npos);
    bench.supervisor.put(SupervisorBench::shell("exec sleep 100"));
    REQUIRE(bench.until([&] { return bench.view().state == DriverState::running; }));
    CHECK(bench.view().pid > 0);
    CHECK(bench.starts == 4);
}

TEST_CASE("a driver gets the environment of the bus and a new token for every start") {
    SupervisorBench bench;
    bench.supervisor.put(SupervisorBench::shell(
        "[ \"$BRIM_BUS\" = /run/b.sock ] && [ \"$BRIM_DRIVER\" = d1 ] && [ \"$FUNCTION_NAME\" = d1 ] && "
        "[ ${#BRIM_BUS_TOKEN} = 64 ] && exec sleep 100; exit 1"
    ));
    for (int i = 0; i < 50; ++i)
        bench.env.loop().turn(10ms);
    CHECK(bench.view().state == DriverState::running);
    const std::string first = bench.token;
    CHECK(first.size() == 64);
    bench.supervisor.put(SupervisorBench::shell("exec sleep 101")); // other arguments: a new process
    REQUIRE(bench.until([&] { return bench.starts == 2 && bench.view().state == DriverState::running; }));
    CHECK(bench.token != first);
    CHECK(bench.supervisor.owns("d1", bench.view().pid));
    CHECK_FALSE(bench.supervisor.owns("d1", ::getpid()));
    CHECK_FALSE(bench.supervisor.owns("d2", bench.view().pid));
}

TEST_CASE("[F-95] a driver that ignores SIGTERM is gone within the stop time") {
    SupervisorBench bench;
    bench.supervisor.put(SupervisorBench::shell("trap '' TERM; while :; do sleep 0.05; done"));
    for (int i = 0; i < 20; ++i)
        bench.env.loop().turn(10ms);
    bool stopped = false;
    const Mono began = bench.clock.mono();
    bench.supervisor.stop([&] { stopped = true; });
    REQUIRE(bench.until([&] { return stopped; }));
    CHECK(bench.clock.mono() - began < 5s);
    CHECK(bench.view().state == DriverState::stopped);
    CHECK(bench.ends == 1);
}

TEST_CASE("a program that is not there is a crash with a reason, not an end of the gateway") {
    SupervisorBench bench;
    DriverSettings driver = SupervisorBench::shell("");
    driver.program = "/no/such/program";
    bench.supervisor.put(driver);
    REQUIRE(bench.until([&] { return bench.view().state == DriverState::parked; }));
    CHECK(bench.view().reason.find("/no/such/program") != std::string::npos);
}
