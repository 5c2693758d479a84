#pragma once
// A whole installation in one thread: machines, their disks and the network between them, moved by one seed
// through virtual time. The same seed and the same program give the same trace, event by event.
//
// Order of life: programs are destroyed before the SimWorld; an Env stays valid (though dead after a crash)
// until then, so a crashed program may be destroyed at leisure and finds that nothing it does has any effect.

#include "base/random.h"
#include "base/time.h"
#include "io/loop.h"
#include "io/sim/sim_links.h"
#include "io/sim/sim_machine.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace brim::io {

struct SimOptions {
    std::uint64_t seed = 1;
    WallTime wall{1'795'219'200'000};     ///< what every machine's clock shows at first: 2026-11-21T00:00:00Z
    std::size_t trace_lines_max = 20'000; ///< older lines are forgotten; the hash covers all of them
    int log_fd = -1;                      ///< where the machines log to; -1: a buffer, see log_text()
};

class SimWorld {
public:
    explicit SimWorld(std::uint64_t seed);
    explicit SimWorld(SimOptions options);
    ~SimWorld();
    SimWorld(const SimWorld&) = delete;
    SimWorld& operator=(const SimWorld&) = delete;

    /// The machine of this name, made (powered on, empty disk) on first use. The name is also its host name.
    SimMachine& machine(const std::string& name);

    SimLinks& links() { return *links_; }

    Random& random() { return random_; }

    std::uint64_t seed() const noexcept { return options_.seed; }

    Mono now() const noexcept { return now_; }

    /// Runs the next event, moving time forward to it. False when nothing is left to happen.
    bool step();
    /// Runs until `done` holds (true) or `at_most` of virtual time has passed (false).
    bool run_until(const std::function<bool()>& done, Duration at_most);
    void run_for(Duration span);
    /// Fate: runs `work` outside every machine, `delay` from now.
    void after(Duration delay, Work work);

    /// Adds a line to the trace. Programs under test may add their own facts.
    void note(std::string_view who, std::string_view what);

    /// Of every line so far, with its time: equal hashes mean equal runs.
    std::uint64_t trace_hash() const noexcept { return hash_; }

    /// The seed and the last lines, to print when a check fails.
    std::string trace_text() const;
    /// What the machines logged (only when SimOptions::log_fd was -1).
    std::string log_text() const;

    /// For the simulator's own parts. Events of one `lane` keep their order; those of different lanes that
    /// fall on the same instant come in an order drawn from the seed.
    void schedule(Mono at, std::uint64_t lane, Work work);

    std::uint64_t new_lane() { return ++lanes_; }

    const SimOptions& options() const noexcept { return options_; }

    int log_fd() const noexcept { return log_fd_; }

    SimMachine* find_machine(std::string_view name);

private:
    struct Key {
        Mono at;
        std::uint64_t tie;
        std::uint64_t sequence;
        auto operator<=>(const Key&) const = default;
    };

    SimOptions options_;
    int log_fd_ = -1;
    SeededRandom random_;
    Mono now_{};
    std::uint64_t hash_;
    std::uint64_t sequence_ = 0;
    std::uint64_t lanes_ = 0;
    std::deque<std::string> trace_;
    std::map<Key, Work> events_;
    std::unique_ptr<SimLinks> links_;
    std::map<std::string, std::unique_ptr<SimMachine>, std::less<>> machines_;
};

} // namespace brim::io
