#include "io/sim/sim_world.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::io;

namespace {

/// Appends numbered records; with `careful` it acknowledges after the sync, else (the planted bug) before it.
class LogWriter {
public:
    LogWriter(Env& env, bool careful) : env_(env), careful_(careful), worker_(env.make_worker("log")) {
        env_.disk().make_dir("/log").value();
        file_ = std::move(*env_.disk().open("/log/a", OpenMode::create));
        const bool named = file_->sync().has_value() && env_.disk().sync_dir("/log").has_value();
        if (named)
            next();
    }

    int acknowledged = 0;

private:
    void next() {
        const auto write = [this] {
            const auto offset = static_cast<std::uint64_t>(count_) * record_bytes;
            ok_ = file_->write_at(offset, Bytes(record_bytes, static_cast<char>('a' + count_ % 26)))
                      .has_value();
            if (careful_ && ok_)
                ok_ = file_->sync().has_value();
        };
        const auto done = [this] {
            if (!ok_)
                return;
            ++count_;
            acknowledged = count_;
            next();
        };
        worker_->run(write, done);
    }

    static constexpr std::size_t record_bytes = 700;
    Env& env_;
    bool careful_;
    bool ok_ = false;
    int count_ = 0;
    std::unique_ptr<File> file_;
    std::unique_ptr<Worker> worker_;
};

/// Runs the writer, cuts the power, and counts acknowledged records that are not on the disk.
int lost_records(std::uint64_t seed, bool careful) {
    SimWorld world(seed);
    auto& machine = world.machine("edge1");
    auto writer = std::make_unique<LogWriter>(machine.env(), careful);
    world.run_for(20ms + Duration(world.random().below(20'000'000)));
    machine.power_cut();
    const int acknowledged = writer->acknowledged;
    writer.reset();
    REQUIRE(acknowledged > 0);
    const auto content = machine.disk().content("/log/a");
    int lost = 0;
    for (int i = 0; i < acknowledged; ++i) {
        const auto at = static_cast<std::size_t>(i) * 700;
        const bool there =
            at < content.size() && content.substr(at, 700) == Bytes(700, static_cast<char>('a' + i % 26));
        if (!there)
            ++lost;
    }
    return lost;
}

/// A busy little world: two processes, timers, workers, disk writes.
std::uint64_t busy_hash(std::uint64_t seed) {
    SimWorld world(seed);
    for (const auto* name : {"a", "b", "c"}) {
        auto& env = world.machine(name).env();

        struct Ticker {
            Env& env;
            Timer timer{env.loop()};
            std::unique_ptr<Worker> worker = env.make_worker("w");

            void tick() {
                worker->run(
                    [this] {
                        auto file = env.disk().open("f", OpenMode::create);
                        if (file)
                            CHECK((*file)->write_at(env.random().below(5000), "x").has_value());
                    },
                    [] {}
                );
                timer.start(std::chrono::milliseconds(1 + env.random().below(5)), [this] { tick(); });
            }
        };

        auto ticker = std::make_shared<Ticker>(env); // shared with the event below, which ends it
        ticker->tick();
        world.after(50ms, [ticker] { ticker->timer.stop(); });
    }
    world.run_for(60ms);
    return world.trace_hash();
}

} // namespace

TEST_CASE("the same seed gives the same run, another seed another") {
    CHECK(busy_hash(7) == busy_hash(7));
    CHECK(busy_hash(8) == busy_hash(8));
    CHECK(busy_hash(7) != busy_hash(8));
}

TEST_CASE("a log writer that acknowledges after its sync loses nothing in 100 power cuts") {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        CAPTURE(seed);
        CHECK(lost_records(seed, true) == 0);
    }
}

TEST_CASE("a log writer that forgets the sync is caught") {
    int caught = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
        if (lost_records(seed, false) > 0)
            ++caught;
    CHECK(caught >= 19);
}

TEST_CASE("posted work keeps its order, timers keep their time, turn-end work comes last") {
    SimWorld world(1);
    auto& loop = world.machine("m").env().loop();
    std::string order;
    const auto start = loop.now();
    loop.after(5ms, [&] {
        order += 'T';
        CHECK(loop.now() - start >= 5ms);
    });
    loop.post([&] {
        order += '1';
        loop.at_turn_end([&] { order += 'e'; });
        loop.post([&] { order += '3'; });
    });
    loop.post([&] { order += '2'; });
    const auto cancelled = loop.after(2ms, [&] { order += 'X'; });
    loop.cancel(cancelled);
    world.run_for(10ms);
    CHECK(order == "12e3T");
}

TEST_CASE("work that throws is logged and the loop goes on") {
    SimWorld world(1);
    auto& loop = world.machine("m").env().loop();
    bool went_on = false;
    loop.post([] { throw std::runtime_error("broken work"); });
    loop.post([&] { went_on = true; });
    world.run_for(1ms);
    CHECK(went_on);
    CHECK(world.log_text().find("broken work") != std::string::npos);
}

TEST_CASE("a killed process does nothing more; its page cache and its machine's clock live on") {
    SimWorld world(1);
    auto& machine = world.machine("m");
    Env& env = machine.env();
    auto file = env.disk().open("a", OpenMode::create).value();
    REQUIRE(file->write_at(0, "kept").has_value());
    auto lock = env.disk().lock("lock");
    REQUIRE(lock.has_value());
    bool ran = false;
    env.loop().after(1ms, [&] { ran = true; });
    env.loop().post([&] { ran = true; });
    const auto before = env.loop().now();
    machine.crash();
    world.run_for(10ms);
    CHECK_FALSE(ran);
    CHECK_FALSE(machine.running());
    CHECK_FALSE(file->write_at(0, "dead").has_value());
    CHECK_FALSE(env.disk().open("a", OpenMode::read).has_value());
    Env& fresh = machine.env();
    CHECK(&fresh != &env);
    CHECK(fresh.loop().now() == before + 10ms);
    CHECK(machine.disk().content("a") == "kept");
    CHECK(fresh.disk().lock("lock").has_value()
    ); // the kernel freed it, though the dead program's object is there
}

TEST_CASE("a power cut restarts the monotonic clock, a jump of the wall clock does not touch it") {
    SimWorld world(1);
    auto& machine = world.machine("m");
    Env& env = machine.env();
    world.run_for(3s);
    CHECK(env.loop().clock().mono() == Mono{} + 3s);
    const auto wall = env.loop().clock().wall();
    machine.jump_wall(-1h);
    CHECK(env.loop().clock().wall().ms == wall.ms - 3'600'000);
    CHECK(env.loop().clock().mono() == Mono{} + 3s);
    machine.power_cut();
    CHECK(machine.env().loop().clock().mono() == Mono{});
    machine.set_wall(WallTime{0});
    CHECK(machine.wall().ms == 0);
}

TEST_CASE("a power cut planned at a disk operation kills the whole machine in the middle of the job") {
    SimWorld world(1);
    auto& machine = world.machine("m");
    auto& env = machine.env();
    auto worker = env.make_worker("w");
    bool acknowledged = false;
    machine.disk().add_fault({.kind = DiskFault::Kind::power_off, .op = DiskOp::write});
    worker->run(
        [&] {
            auto file = env.disk().open("a", OpenMode::create);
            REQUIRE(file.has_value());
            CHECK_FALSE((*file)->write_at(0, "x").has_value());
        },
        [&] { acknowledged = true; }
    );
    CHECK(world.run_until([&] { return !machine.powered(); }, 1s));
    worker.reset();
    world.run_for(1s);
    CHECK_FALSE(acknowledged);
    machine.disk().clear_faults();
    CHECK(machine.restart().disk().open("b", OpenMode::create).has_value());
}

TEST_CASE("slow disk operations delay the job's answer, and jobs keep their order") {
    SimWorld world(1);
    auto& machine = world.machine("m");
    auto& env = machine.env();
    auto worker = env.make_worker("w");
    machine.disk().add_fault({.kind = DiskFault::Kind::slow, .op = DiskOp::sync, .delay = 2s});
    std::string order;
    const auto sync = [&] {
        auto file = env.disk().open("a", OpenMode::create).value();
        CHECK(file->sync().has_value());
    };
    worker->run(sync, [&] { order += '1'; });
    worker->run([] {}, [&] { order += '2'; });
    world.run_for(1900ms);
    CHECK(order.empty());
    world.run_for(200ms);
    CHECK(order == "12");
}

TEST_CASE("destroying a worker runs what was queued and drops the answers; after a crash nothing runs") {
    SimWorld world(1);
    auto& machine = world.machine("m");
    int jobs = 0;
    int answers = 0;
    auto worker = machine.env().make_worker("w");
    for (int i = 0; i < 3; ++i)
        worker->run([&] { ++jobs; }, [&] { ++answers; });
    worker.reset();
    CHECK(jobs == 3);
    worker = machine.env().make_worker("w");
    worker->run([&] { ++jobs; }, [&] { ++answers; });
    machine.crash();
    worker.reset();
    world.run_for(1s);
    CHECK(jobs == 3);
    CHECK(answers == 0);
}

TEST_CASE("a frozen machine catches up when it thaws") {
    SimWorld world(1);
    auto& machine = world.machine("m");
    auto& loop = machine.env().loop();
    Mono fired{};
    loop.after(10ms, [&] { fired = loop.now(); });
    machine.freeze(1s);
    world.run_for(2s);
    CHECK(fired == Mono{} + 1s);
}
