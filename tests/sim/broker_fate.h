#pragma once
// Fate over a stand-alone broker: draws one misfortune after another and lets it happen.

#include "sim/broker_scenario.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace brim::sim {

class BrokerFate {
public:
    BrokerFate(BrokerWorld& broker_world, std::uint64_t seed);

    /// Lets faults happen for `span`, one every `every` on average, then ends those that last.
    void run(Duration span, Duration every);

    const std::vector<std::string>& story() const { return story_; }

private:
    using Act = void (BrokerFate::*)();

    void strike();
    void tell(std::string what);

    std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }

    bool chance(std::uint64_t one_in) { return below(one_in) == 0; }

    Duration between(std::chrono::milliseconds from, std::chrono::milliseconds to);
    /// Never the witness.
    BrokerClient& any_client();
    /// `work` after a while, if the time of trouble has not ended by then; heal() does the rest.
    void later(Duration wait, std::function<void()> work);

    // to the broker
    void kill();
    void cut();
    void cut_in_mid_write();
    void terminate();
    void disk_error();
    void disk_full();
    void slow_disk();
    void jump_clock();
    void freeze();
    void kick();
    // to the network
    void partition();
    void half_open();
    void reset();
    void refuse();
    void slow_link();
    // to a client, or by it
    void cut_sending();
    void cut_reading();
    void leave();
    void take_over();
    void guest();
    void slow_reader();
    void forbid();

    BrokerWorld& broker_world_;
    SeededRandom random_;
    std::vector<std::pair<unsigned, Act>> acts_;
    unsigned weight_sum_ = 0;
    std::vector<std::string> story_;
    std::shared_ptr<bool> over_; ///< shared with events under way: the trouble has ended
};

} // namespace brim::sim
