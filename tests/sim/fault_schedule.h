#pragma once
// Fate: draws one misfortune after another and lets it happen.

#include "sim/sim_scenario.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace brim::sim {

class FaultSchedule {
public:
    FaultSchedule(Installation& installation, const FaultWeights& weights, std::uint64_t seed);

    /// Lets faults happen for `span`, one every `every` on average, then ends those that last.
    void run(Duration span, Duration every);

    const std::vector<std::string>& story() const { return story_; }

private:
    using Act = void (FaultSchedule::*)();

    void strike();
    void tell(std::string what);

    std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }

    bool chance(std::uint64_t one_in) { return below(one_in) == 0; }

    Duration between(std::chrono::milliseconds from, std::chrono::milliseconds to);
    /// A machine that talks to the hub.
    std::string any_client();
    EdgeNode& any_edge();
    io::CutMode any_cut_mode();
    /// `work` after a while, if the time of trouble has not ended by then; heal() does the rest.
    void later(Duration wait, std::function<void()> work);

    void kill_hub();
    void cut_hub();
    void cut_hub_in_mid_write();
    void terminate_hub();
    void kill_edge();
    void cut_edge();
    void cut_edge_in_mid_write();
    void terminate_edge();
    void kill_driver();
    void kill_device();
    void partition();
    void half_open();
    void reset();
    void refuse();
    void slow_link();
    void hub_disk_error();
    void edge_disk_error();
    void hub_disk_full();
    void edge_disk_full();
    void slow_disk();
    void jump_clock();
    void freeze();
    void disk_error(io::SimMachine& machine);
    void disk_full(io::SimMachine& machine);

    Installation& installation_;
    SeededRandom random_;
    std::vector<std::pair<unsigned, Act>> acts_;
    unsigned weight_sum_ = 0;
    std::vector<std::string> story_;
    std::shared_ptr<bool> over_; ///< shared with events under way: the trouble has ended
};

} // namespace brim::sim
