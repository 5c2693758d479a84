#pragma once
// The event loop of a simulated process. Private to sim/.

#include "io/loop.h"

#include <map>
#include <string_view>
#include <vector>

namespace brim::io {

class SimEnv;

class SimClock final : public Clock {
public:
    explicit SimClock(const SimEnv& env) : env_(env) {}

    Mono mono() const override;
    WallTime wall() const override;

private:
    const SimEnv& env_;
};

class SimLoop final : public Loop {
public:
    explicit SimLoop(SimEnv& env) : env_(env), clock_(env) {}

    const Clock& clock() const override { return clock_; }

    Mono now() const override { return clock_.mono(); }

    void post(Work work) override;
    TimerId after(Duration delay, Work work) override;
    void cancel(TimerId timer) override;
    void at_turn_end(Work work) override;

    /// One turn that begins with `work` (an arriving packet, say): runs it now, or when the machine thaws.
    void enter(std::string_view what, Work work);
    void clear();

private:
    void wake();
    void run_posted();
    void fire(TimerId timer);
    void run(Work& work);
    void end_turn();

    SimEnv& env_;
    SimClock clock_;
    std::vector<Work> posted_;
    std::vector<Work> at_end_;
    std::map<TimerId, Work> timers_;
    TimerId last_timer_ = 0;
    bool awake_ = false; ///< an event that will run posted_ is scheduled
    bool in_turn_ = false;
};

} // namespace brim::io
