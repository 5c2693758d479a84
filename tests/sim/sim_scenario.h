#pragma once
// One run: an installation and a time of misfortune drawn from a seed, then calm, then the laws.

#include "sim/law_checker.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace brim::sim {

/// How often each kind of misfortune comes, relative to the others; 0 = never.
struct FaultWeights {
    unsigned kill_hub = 3;
    unsigned cut_hub = 3;
    unsigned cut_hub_in_mid_write = 4; ///< power goes in the middle of a disk operation, also while starting
    unsigned terminate_hub = 1;
    unsigned kill_edge = 4;
    unsigned cut_edge = 4;
    unsigned cut_edge_in_mid_write = 5;
    unsigned terminate_edge = 1;
    unsigned kill_driver = 2;
    unsigned kill_device = 1;
    unsigned partition = 4;
    unsigned half_open = 4;
    unsigned reset = 4;
    unsigned refuse = 1;
    unsigned slow_link = 2;
    unsigned hub_disk_error = 3;
    unsigned edge_disk_error = 3;
    unsigned hub_disk_full = 1;
    unsigned edge_disk_full = 1;
    unsigned slow_disk = 2;
    unsigned jump_clock = 2;
    unsigned freeze = 2;
};

struct ScenarioOptions {
    InstallationOptions installation;
    FaultWeights weights;
    Duration trouble = std::chrono::seconds(30);
    Duration fault_every = std::chrono::milliseconds(1500); ///< on average
};

/// What the simulator draws for a seed.
ScenarioOptions draw_options(std::uint64_t seed);
std::string describe(const ScenarioOptions& options);

struct Outcome {
    std::vector<Violation> violations;
    std::uint64_t trace_hash = 0;
    std::uint64_t acked = 0; ///< reports
    std::uint64_t faults = 0;
    std::uint64_t sets = 0;
    std::uint64_t forged = 0;
    std::uint64_t dropped = 0;
    std::vector<std::string> story; ///< the faults with their times
    std::string trace;              ///< last lines; only of failing runs
    std::string log;                ///< what the programs said; only of failing runs
};

Outcome run_scenario(const ScenarioOptions& options);

inline Outcome run_seed(std::uint64_t seed) {
    return run_scenario(draw_options(seed));
}

/// The lines to print for a failing run, ending with the command that repeats it.
std::string complaint(std::uint64_t seed, const Outcome& outcome);

} // namespace brim::sim
