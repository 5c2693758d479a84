#include "loop_fixture.h"

#include "io/thread_worker.h"

#include <csignal>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <thread>

namespace brim::io {

using testing::LoopFixture;

TEST_CASE("posted work runs once, in order, also from many threads at once") {
    LoopFixture fixture;
    constexpr int thread_count = 4;
    constexpr int each = 5'000;
    std::vector<int> last(thread_count, -1);
    int total = 0;
    bool ordered = true;
    std::vector<std::thread> threads;
    for (int t = 0; t < thread_count; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < each; ++i)
                fixture.loop.post([&, t, i] {
                    ordered = ordered && last[static_cast<std::size_t>(t)] == i - 1;
                    last[static_cast<std::size_t>(t)] = i;
                    ++total;
                });
        });
    CHECK(fixture.until([&] { return total == thread_count * each; }));
    for (auto& thread : threads)
        thread.join();
    CHECK(ordered);
    CHECK(total == thread_count * each);
}

TEST_CASE("a post wakes a sleeping loop at once, and stop() from another thread ends run()") {
    LoopFixture fixture;
    const Mono begun = fixture.clock.mono();
    Mono ran{};
    std::thread other([&] {
        fixture.loop.post([&] { ran = fixture.clock.mono(); });
        fixture.loop.post([&] { fixture.loop.after(5ms, [&] { fixture.loop.stop(); }); });
    });
    fixture.loop.run();
    other.join();
    CHECK(ran - begun < 1s);
    std::thread stopper([&] { fixture.loop.stop(); });
    fixture.loop.run();
    stopper.join();
    CHECK(fixture.clock.mono() - begun < 3s);
}

TEST_CASE("timers fire in order, never early, and a stopped or restarted Timer fires only its last start") {
    LoopFixture fixture;
    std::vector<int> order;
    const Mono begun = fixture.loop.now();
    Duration first{};
    fixture.loop.after(30ms, [&] { order.push_back(3); });
    fixture.loop.after(10ms, [&] {
        order.push_back(1);
        first = fixture.clock.mono() - begun;
    });
    fixture.loop.after(20ms, [&] { order.push_back(2); });
    Timer restarted(fixture.loop);
    restarted.start(1ms, [&] { order.push_back(99); });
    restarted.start(40ms, [&] { order.push_back(4); });
    {
        Timer scoped(fixture.loop);
        scoped.start(1ms, [&] { order.push_back(98); });
    }
    CHECK(restarted.running());
    CHECK(fixture.until([&] { return order.size() >= 4; }));
    CHECK(order == std::vector{1, 2, 3, 4});
    CHECK(first >= 10ms);
    CHECK_FALSE(restarted.running());
    CHECK(fixture.loop.timers() == 0);
}

TEST_CASE("a Timer may be destroyed by its own work") {
    LoopFixture fixture;
    auto timer = std::make_unique<Timer>(fixture.loop);
    timer->start(1ms, [&] { timer.reset(); });
    CHECK(fixture.until([&] { return timer == nullptr; }));
}

TEST_CASE("turn-end work runs after the turn's posts and timers, its own turn-end work in the same turn, a "
          "loop of it not for ever") {
    LoopFixture fixture;
    std::string order;
    fixture.loop.post([&] {
        fixture.loop.at_turn_end([&] {
            order += 'e';
            fixture.loop.at_turn_end([&] { order += 'f'; });
        });
        order += 'a';
    });
    fixture.loop.post([&] { order += 'b'; });
    fixture.loop.turn(0ms);
    CHECK(order == "abef");

    int rounds = 0;
    std::function<void()> again = [&] {
        ++rounds;
        fixture.loop.at_turn_end(again);
    };
    fixture.loop.at_turn_end(again);
    fixture.loop.turn(0ms);
    CHECK(rounds > 1);
    CHECK(rounds < 100);
    again = [] {};
}

TEST_CASE("work that throws is dropped and the rest of the turn goes on") {
    LoopFixture fixture;
    int ran = 0;
    fixture.loop.post([] { throw std::runtime_error("planted"); });
    fixture.loop.post([&] { ++ran; });
    fixture.loop.after(1ms, [] { throw 7; });
    fixture.loop.after(2ms, [&] { ++ran; });
    CHECK(fixture.until([&] { return ran == 2; }));
}

TEST_CASE("an event of a descriptor that was unwatched in the same turn reaches nobody") {
    LoopFixture fixture;

    struct Counter final : Watcher {
        std::function<void()> act = [] {};
        int calls = 0;

        void on_ready(std::uint32_t) override {
            ++calls;
            act();
        }
    };

    const Descriptor a(::eventfd(1, EFD_NONBLOCK));
    const Descriptor b(::eventfd(1, EFD_NONBLOCK));
    Counter first, second, later;
    WatchId watch_a = *fixture.loop.watch(a.value(), EPOLLIN, first);
    WatchId watch_b = *fixture.loop.watch(b.value(), EPOLLIN, second);
    WatchId reused = 0;
    // Whichever is called first ends both watches and takes one of their places.
    const auto end_both = [&] {
        fixture.loop.unwatch(watch_a);
        fixture.loop.unwatch(watch_b);
        reused = *fixture.loop.watch(a.value(), EPOLLOUT, later);
    };
    first.act = second.act = end_both;
    fixture.loop.turn(100ms);
    CHECK(first.calls + second.calls == 1);
    CHECK(later.calls == 0);
    CHECK(fixture.loop.watches() == 1);
    fixture.loop.turn(100ms);
    CHECK(later.calls == 1);
    fixture.loop.unwatch(reused);
}

TEST_CASE("a signal arrives as loop work") {
    LoopFixture fixture;
    int seen = 0;
    auto watch = SignalWatch::create(fixture.loop, {SIGUSR1}, [&](int signal) { seen = signal; });
    REQUIRE(watch);
    ::raise(SIGUSR1);
    CHECK(fixture.until([&] { return seen == SIGUSR1; }));
}

TEST_CASE("work that is never run is destroyed with the loop, also work that owns timers of it") {
    auto token = std::make_shared<int>(1);
    {
        LoopFixture fixture;
        fixture.loop.post([token] {});
        fixture.loop.at_turn_end([token] {});
        auto timer = std::make_shared<Timer>(fixture.loop);
        timer->start(1h, [token] {});
        fixture.loop.after(2h, [timer] {});
        CHECK(token.use_count() == 4);
    }
    CHECK(token.use_count() == 1);
}

TEST_CASE("a worker runs jobs in order off the loop and their ends in order on it") {
    LoopFixture fixture;
    ThreadWorker worker(fixture.loop, fixture.log, "test-worker");
    const auto loop_thread = std::this_thread::get_id();
    std::vector<int> jobs, ends;
    bool elsewhere = true, at_home = true;
    constexpr int count = 2'000;
    for (int i = 0; i < count; ++i)
        worker.run(
            [&, i] {
                elsewhere = elsewhere && std::this_thread::get_id() != loop_thread;
                jobs.push_back(i);
            },
            [&, i] {
                at_home = at_home && std::this_thread::get_id() == loop_thread;
                ends.push_back(i);
            }
        );
    CHECK(worker.queued() == count);
    CHECK(fixture.until([&] { return ends.size() == count; }));
    CHECK(worker.queued() == 0);
    CHECK(elsewhere);
    CHECK(at_home);
    CHECK(jobs == ends);
    CHECK(std::is_sorted(ends.begin(), ends.end()));
}

TEST_CASE("destroying a worker runs the queued jobs and drops their ends; an end may destroy its worker") {
    LoopFixture fixture;
    int jobs = 0, ends = 0;
    {
        ThreadWorker worker(fixture.loop, fixture.log, "short");
        for (int i = 0; i < 100; ++i)
            worker.run([&] { ++jobs; }, [&] { ++ends; });
    }
    fixture.settle(20ms);
    CHECK(jobs == 100);
    CHECK(ends == 0);

    auto worker = std::make_unique<ThreadWorker>(fixture.loop, fixture.log, "suicide");
    for (int i = 0; i < 10; ++i)
        worker->run(
            [] {},
            [&] {
                ++ends;
                worker.reset();
            }
        );
    fixture.settle(50ms);
    CHECK(ends == 1);
}

TEST_CASE("a job that throws still has its end, and the worker goes on") {
    LoopFixture fixture;
    ThreadWorker worker(fixture.loop, fixture.log, "thrower");
    int ends = 0;
    worker.run([] { throw std::runtime_error("planted"); }, [&] { ++ends; });
    worker.run([] {}, [&] { ++ends; });
    CHECK(fixture.until([&] { return ends == 2; }));
}

} // namespace brim::io
