#include "sim/sim_scenario.h"

#include "sim/fault_schedule.h"

namespace brim::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t options_salt = 0x6f7074696f6e73; // options and faults have randomness of their own,
constexpr std::uint64_t faults_salt = 0x6661756c7473;    // so that a change of one does not stir the other

std::string ms_text(Duration span) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(span).count()) + " ms";
}

} // namespace

ScenarioOptions draw_options(std::uint64_t seed) {
    SeededRandom random(seed ^ options_salt);
    ScenarioOptions options;
    InstallationOptions& in = options.installation;
    in.seed = seed;
    in.edges = 1 + random.below(10) / 5 + random.below(10) / 9;
    in.drivers_per_edge = 1 + random.below(3) / 2;
    in.devices_per_driver = 1 + random.below(3);
    in.direct_devices = random.below(3);
    in.report_every = std::chrono::milliseconds(100 + random.below(500));
    in.set_every = std::chrono::milliseconds(800 + random.below(4'000));
    in.keepalive = std::chrono::seconds(30);
    in.inflight = static_cast<std::uint16_t>(std::uint64_t{1} << random.below(8));
    in.replay_rate = random.below(4) == 0 ? 40.0 : 0.0;
    in.bound_by_edge = random.below(2) == 0;
    in.link.latency = std::chrono::microseconds(100 + random.below(40'000));
    in.link.jitter = in.link.latency / 2;
    in.link.whole_chunks = random.below(2) == 0;
    options.trouble = std::chrono::seconds(8 + random.below(20));
    options.fault_every = std::chrono::milliseconds(400 + random.below(2'500));
    return options;
}

std::string describe(const ScenarioOptions& options) {
    const InstallationOptions& in = options.installation;
    std::string text = std::to_string(in.edges) + " edges x " + std::to_string(in.drivers_per_edge) +
                       " drivers x " + std::to_string(in.devices_per_driver) + " devices, " +
                       std::to_string(in.direct_devices) + " direct devices, a report every " +
                       ms_text(in.report_every) + ", a set every " + ms_text(in.set_every) + ", latency " +
                       ms_text(in.link.latency) + ", " + std::to_string(in.inflight) + " in flight, ";
    text += in.bound_by_edge ? "bound by the edge, " : "bound beforehand, ";
    text += ms_text(options.trouble) + " of trouble, a fault every " + ms_text(options.fault_every);
    return text;
}

Outcome run_scenario(const ScenarioOptions& options) {
    Outcome outcome;
    Installation installation(options.installation);
    installation.set_up();
    FaultSchedule fate(installation, options.weights, options.installation.seed ^ faults_salt);
    fate.run(options.trouble, options.fault_every);
    installation.heal();
    installation.set_mood(Mood::obedient);
    outcome.violations = LawChecker(installation).check();
    const HistoryRecorder& recorder = installation.recorder();
    outcome.trace_hash = installation.world().trace_hash();
    outcome.acked = recorder.acked_count();
    outcome.forged = recorder.forged_count();
    outcome.dropped = recorder.dropped();
    for (const auto& [device, sets] : recorder.sets())
        outcome.sets += sets.size();
    outcome.faults = fate.story().size();
    outcome.story = fate.story();
    if (!outcome.violations.empty()) {
        outcome.trace = installation.world().trace_text();
        outcome.log = installation.world().log_text();
    }
    return outcome;
}

std::string complaint(std::uint64_t seed, const Outcome& outcome) {
    std::string text = "seed " + std::to_string(seed) + " breaks";
    for (const Violation& violation : outcome.violations)
        text += " L" + std::to_string(violation.law) + ": " + violation.text + ";";
    return text + " again: ./dev sim --scenario installation --seed " + std::to_string(seed);
}

} // namespace brim::sim
