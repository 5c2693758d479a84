#pragma once
// A background thread that is none: its jobs run on the one thread, at a later virtual time. Private to sim/.

#include "io/loop.h"

#include <deque>
#include <memory>
#include <string>

namespace brim::io {

class SimEnv;

class SimWorker final : public Worker {
public:
    static constexpr std::size_t queue_max = 4096;

    SimWorker(SimEnv& env, std::string name);
    ~SimWorker() override;
    void run(Work job, Work done) override;
    std::size_t queued() const override;

private:
    struct Task {
        Work job;
        Work done;
    };
    struct State; ///< outlives the worker in scheduled events, which then find it closed

    static void schedule_next(const std::shared_ptr<State>& state);
    static void run_one(const std::shared_ptr<State>& state);

    std::shared_ptr<State> state_;
};

} // namespace brim::io
