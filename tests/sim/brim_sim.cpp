// brim_sim: runs seeds of the simulator's scenarios and says which break a law.

#include "sim/broker_scenario.h"
#include "sim/sim_scenario.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace {

using namespace brim;

constexpr const char* usage =
    R"(brim_sim: programs, their clients and faults in one thread, from one seed.

  brim_sim [--seeds N] [--start S]   run seeds S .. S+N-1 (default 200 from 1)
  brim_sim --seed S                  run one seed, tell its options, faults, and on failure log and trace
      --scenario installation        a hub, edges, drivers and devices
      --scenario broker              a stand-alone broker and its clients
      --scenario all                 both with each seed (default)
      --verbose                      tell options and faults of every seed
)";

enum class Scenario : std::uint8_t { installation, broker, all };

struct Arguments {
    std::uint64_t seeds = 200;
    std::uint64_t start = 1;
    Scenario scenario = Scenario::all;
    bool verbose = false;
    bool single = false;
    bool valid = true;
};

bool parse_scenario(std::string_view text, Scenario& scenario) {
    constexpr std::array<std::string_view, 3> names = {"installation", "broker", "all"};
    const auto found = std::ranges::find(names, text);
    if (found == names.end())
        return false;
    scenario = static_cast<Scenario>(found - names.begin());
    return true;
}

Arguments parse(int argc, char** argv) {
    Arguments arguments;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--verbose") {
            arguments.verbose = true;
            continue;
        }
        const std::string_view text = i + 1 < argc ? argv[i + 1] : "";
        std::uint64_t number = 0;
        const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
        const bool is_number = wrong == std::errc{} && end == text.data() + text.size() && !text.empty();
        ++i;
        if (word == "--scenario") {
            arguments.valid = arguments.valid && parse_scenario(text, arguments.scenario);
        } else if (word == "--seeds" && is_number) {
            arguments.seeds = number;
        } else if (word == "--start" && is_number) {
            arguments.start = number;
        } else if (word == "--seed" && is_number) {
            arguments.start = number;
            arguments.seeds = 1;
            arguments.single = true;
        } else {
            arguments.valid = false;
        }
    }
    return arguments;
}

// An assertion of ours ends the process at once: the signal handler still names the seed.
std::array<char, 128> last_words{};

void on_abort(int) {
    [[maybe_unused]] const auto told =
        ::write(STDOUT_FILENO, last_words.data(), std::strlen(last_words.data()));
}

void prepare_last_words(const char* scenario, std::uint64_t seed) {
    std::snprintf(
        last_words.data(),
        last_words.size(),
        "seed %llu ended the process; again: ./dev sim --scenario %s --seed %llu\n",
        static_cast<unsigned long long>(seed),
        scenario,
        static_cast<unsigned long long>(seed)
    );
}

void tell_story(std::uint64_t seed, const std::string& options, const std::vector<std::string>& story) {
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), options.c_str());
    for (const std::string& fault : story)
        std::printf("  %s\n", fault.c_str());
}

void tell(const sim::ScenarioOptions& options, const sim::Outcome& outcome) {
    tell_story(options.installation.seed, sim::describe(options), outcome.story);
    std::printf(
        "  %llu reports acknowledged, %llu dropped by policy, %llu sets, %llu forgeries, trace %016llx\n",
        static_cast<unsigned long long>(outcome.acked),
        static_cast<unsigned long long>(outcome.dropped),
        static_cast<unsigned long long>(outcome.sets),
        static_cast<unsigned long long>(outcome.forged),
        static_cast<unsigned long long>(outcome.trace_hash)
    );
}

void tell(const sim::BrokerScenarioOptions& options, const sim::BrokerOutcome& outcome) {
    tell_story(options.seed, sim::describe(options), outcome.story);
    std::printf(
        "  %llu messages acknowledged, %llu received, %llu dropped and counted, %llu starts, %llu snapshots, "
        "trace %016llx\n",
        static_cast<unsigned long long>(outcome.acked),
        static_cast<unsigned long long>(outcome.received),
        static_cast<unsigned long long>(outcome.dropped),
        static_cast<unsigned long long>(outcome.starts),
        static_cast<unsigned long long>(outcome.snapshots),
        static_cast<unsigned long long>(outcome.trace_hash)
    );
}

struct Totals {
    std::uint64_t runs = 0;
    std::uint64_t failed = 0;
    std::uint64_t acked = 0;
    std::uint64_t faults = 0;
};

/// Runs one scenario with one seed, and counts it.
template <class Options, class Run>
void run_one(
    const Arguments& arguments, std::uint64_t seed, const Options& options, Run run, Totals& totals
) {
    const auto outcome = run(options);
    ++totals.runs;
    totals.acked += outcome.acked;
    totals.faults += outcome.story.size();
    if (arguments.verbose || arguments.single)
        tell(options, outcome);
    if (outcome.violations.empty())
        return;
    ++totals.failed;
    if (arguments.single)
        std::printf("%s\n%s\n", outcome.log.c_str(), outcome.trace.c_str());
    std::printf("%s\n", sim::complaint(seed, outcome).c_str());
    std::fflush(stdout);
}

void say(const char* scenario, const Totals& totals, std::chrono::duration<double> took) {
    if (totals.runs == 0)
        return;
    std::printf(
        "%s: %llu seeds, %llu failed; %llu acknowledged, %llu faults; %.1f seeds/s\n",
        scenario,
        static_cast<unsigned long long>(totals.runs),
        static_cast<unsigned long long>(totals.failed),
        static_cast<unsigned long long>(totals.acked),
        static_cast<unsigned long long>(totals.faults),
        static_cast<double>(totals.runs) / took.count()
    );
}

} // namespace

int main(int argc, char** argv) {
    const Arguments arguments = parse(argc, argv);
    if (!arguments.valid) {
        std::fputs(usage, stderr);
        return 2;
    }
    (void)std::signal(SIGABRT, on_abort);
    (void)std::signal(SIGSEGV, [](int signal) {
        on_abort(signal);
        std::_Exit(1);
    });
    using Clock = std::chrono::steady_clock;
    Totals installations, brokers;
    Clock::duration installations_took{}, brokers_took{};
    for (std::uint64_t seed = arguments.start; seed < arguments.start + arguments.seeds; ++seed) {
        const auto begun = Clock::now();
        if (arguments.scenario != Scenario::broker) {
            prepare_last_words("installation", seed);
            run_one(arguments, seed, sim::draw_options(seed), sim::run_scenario, installations);
        }
        const auto between = Clock::now();
        if (arguments.scenario != Scenario::installation) {
            prepare_last_words("broker", seed);
            run_one(arguments, seed, sim::draw_broker_options(seed), sim::run_broker_scenario, brokers);
        }
        installations_took += between - begun;
        brokers_took += Clock::now() - between;
    }
    say("installation", installations, installations_took);
    say("broker", brokers, brokers_took);
    return installations.failed + brokers.failed == 0 ? 0 : 1;
}
