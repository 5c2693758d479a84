#include "io/sim/sim_worker.h"

#include "base/assert.h"
#include "io/sim/sim_env.h"
#include "io/sim/sim_world.h"

#include <exception>

namespace brim::io {

namespace {

constexpr std::uint64_t job_us_min = 10;
constexpr std::uint64_t job_us_max = 2000;

} // namespace

struct SimWorker::State {
    SimEnv& env;
    std::string name;
    std::deque<Task> waiting{};
    bool busy = false; ///< an event for the next job, or the time a job takes, is under way
    bool open = true;
};

SimWorker::SimWorker(SimEnv& env, std::string name)
    : state_(std::make_shared<State>(State{.env = env, .name = std::move(name)})) {}

SimWorker::~SimWorker() {
    state_->open = false;
    // A real worker finishes its queue before the thread ends; a killed process does not.
    for (auto& task : state_->waiting)
        if (state_->env.alive())
            task.job();
}

std::size_t SimWorker::queued() const {
    return state_->waiting.size();
}

void SimWorker::run(Work job, Work done) {
    if (!state_->env.alive())
        return;
    BRIM_ASSERT(
        state_->waiting.size() < queue_max, "a worker's queue is full: the caller has no bound of its own"
    );
    state_->waiting.push_back({std::move(job), std::move(done)});
    if (!state_->busy)
        schedule_next(state_);
}

void SimWorker::schedule_next(const std::shared_ptr<State>& state) {
    state->busy = true;
    auto& world = state->env.machine().world();
    const auto delay = std::chrono::microseconds(job_us_min + world.random().below(job_us_max));
    world.schedule(world.now() + delay, state->env.lane(), [state] { run_one(state); });
}

void SimWorker::run_one(const std::shared_ptr<State>& state) {
    auto& machine = state->env.machine();
    auto& world = machine.world();
    state->busy = false;
    if (!state->open || !state->env.alive() || state->waiting.empty())
        return;
    if (world.now() < machine.frozen_until()) {
        state->busy = true;
        world.schedule(machine.frozen_until(), state->env.lane(), [state] { run_one(state); });
        return;
    }
    world.note(machine.name(), "worker " + state->name + " runs a job");
    auto task = std::move(state->waiting.front());
    state->waiting.pop_front();
    state->busy = true;
    try {
        task.job();
    } catch (const std::exception& thrown) {
        state->env.log().error("worker", "a job threw", {{"worker", state->name}, {"what", thrown.what()}});
    }
    if (!state->env.alive() || !state->open)
        return;
    auto finish = [state, done = std::move(task.done)]() mutable {
        if (!state->open)
            return;
        state->env.loop().post([state, told = std::move(done)]() mutable {
            if (state->open)
                told();
        });
        state->busy = false;
        if (!state->waiting.empty())
            schedule_next(state);
    };
    world.schedule(world.now() + machine.disk().take_cost(), state->env.lane(), std::move(finish));
}

} // namespace brim::io
