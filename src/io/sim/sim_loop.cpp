#include "io/sim/sim_loop.h"

#include "io/sim/sim_env.h"
#include "io/sim/sim_world.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace brim::io {

namespace {

/// Timers of the real loop tick in milliseconds, so the simulated ones do too.
Mono next_tick(Mono at) {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(at.time_since_epoch());
    return Mono(ms);
}

/// How long a process may take to get to its next turn. Never zero, so time moves on even for a busy loop.
constexpr std::uint64_t wake_us_max = 20;

} // namespace

Mono SimClock::mono() const {
    return env_.machine().mono();
}

WallTime SimClock::wall() const {
    return env_.machine().wall();
}

void SimLoop::wake() {
    if (awake_)
        return;
    awake_ = true;
    auto& world = env_.machine().world();
    const auto delay = std::chrono::microseconds(1 + world.random().below(wake_us_max));
    world.schedule(world.now() + delay, env_.lane(), [this] { run_posted(); });
}

void SimLoop::post(Work work) {
    if (!env_.alive())
        return;
    posted_.push_back(std::move(work));
    wake();
}

void SimLoop::run_posted() {
    awake_ = false;
    if (!env_.alive())
        return;
    auto& world = env_.machine().world();
    if (world.now() < env_.machine().frozen_until()) {
        awake_ = true;
        world.schedule(env_.machine().frozen_until(), env_.lane(), [this] { run_posted(); });
        return;
    }
    world.note(env_.machine().name(), env_.process() + " posted " + std::to_string(posted_.size()));
    auto batch = std::exchange(posted_, {});
    in_turn_ = true;
    for (auto& work : batch)
        run(work);
    end_turn();
}

TimerId SimLoop::after(Duration delay, Work work) {
    if (!env_.alive())
        return 0;
    const TimerId id = ++last_timer_;
    timers_.emplace(id, std::move(work));
    auto& world = env_.machine().world();
    const Mono at = next_tick(world.now() + std::max(delay, Duration{}));
    world.schedule(at, env_.lane(), [this, id] { fire(id); });
    return id;
}

void SimLoop::fire(TimerId timer) {
    const auto found = timers_.find(timer);
    if (!env_.alive() || found == timers_.end())
        return;
    if (auto& world = env_.machine().world(); world.now() < env_.machine().frozen_until()) {
        world.schedule(env_.machine().frozen_until(), env_.lane(), [this, timer] { fire(timer); });
        return;
    }
    auto work = std::move(found->second);
    timers_.erase(found);
    enter("timer", std::move(work));
}

void SimLoop::cancel(TimerId timer) {
    const auto found = timers_.find(timer);
    if (found == timers_.end())
        return;
    // The work may own what cancels it: out of the map first, destroyed last.
    const auto dropped = std::move(found->second);
    timers_.erase(found);
}

void SimLoop::at_turn_end(Work work) {
    if (!env_.alive())
        return;
    at_end_.push_back(std::move(work));
    if (!in_turn_)
        wake();
}

void SimLoop::enter(std::string_view what, Work work) {
    if (!env_.alive())
        return;
    auto& world = env_.machine().world();
    if (world.now() < env_.machine().frozen_until()) {
        auto later = [this, label = std::string(what), held = std::move(work)]() mutable {
            enter(label, std::move(held));
        };
        world.schedule(env_.machine().frozen_until(), env_.lane(), std::move(later));
        return;
    }
    world.note(env_.machine().name(), env_.process() + " " + std::string(what));
    in_turn_ = true;
    run(work);
    end_turn();
}

void SimLoop::run(Work& work) {
    if (!env_.alive())
        return;
    try {
        work();
    } catch (const std::exception& thrown) {
        env_.log().error("loop", "work threw and was dropped", {{"what", thrown.what()}});
        env_.machine().world().note(env_.machine().name(), std::string("threw ") + thrown.what());
    }
}

void SimLoop::end_turn() {
    for (std::size_t i = 0; i < at_end_.size(); ++i) {
        auto work = std::move(at_end_[i]); // running it may add more
        run(work);
    }
    at_end_.clear();
    in_turn_ = false;
}

void SimLoop::clear() {
    const auto posted = std::exchange(posted_, {});
    const auto timers = std::exchange(timers_, {});
    // at_end_ may be running right now: its works are skipped by run() and dropped when the turn ends.
    if (!in_turn_)
        at_end_.clear();
}

} // namespace brim::io
