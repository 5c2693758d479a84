// brim_sim: runs seeds of the whole-system simulator and says which break a law.

#include "sim/sim_scenario.h"

#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <unistd.h>

namespace {

using namespace brim;

constexpr const char* usage =
    R"(brim_sim: a hub, edges, drivers, devices and faults in one thread, from one seed.

  brim_sim [--seeds N] [--start S]   run seeds S .. S+N-1 (default 200 from 1)
  brim_sim --seed S                  run one seed, tell its options, faults, and on failure log and trace
      --verbose                      tell options and faults of every seed
)";

struct Arguments {
    std::uint64_t seeds = 200;
    std::uint64_t start = 1;
    bool verbose = false;
    bool single = false;
    bool valid = true;
};

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
        if (word == "--seeds" && is_number) {
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
std::array<char, 96> last_words{};

void on_abort(int) {
    [[maybe_unused]] const auto told =
        ::write(STDOUT_FILENO, last_words.data(), std::strlen(last_words.data()));
}

void prepare_last_words(std::uint64_t seed) {
    std::snprintf(
        last_words.data(),
        last_words.size(),
        "seed %llu ended the process; again: ./dev sim --seed %llu\n",
        static_cast<unsigned long long>(seed),
        static_cast<unsigned long long>(seed)
    );
}

void tell(const sim::ScenarioOptions& options, const sim::Outcome& outcome) {
    std::printf("seed %llu: ", static_cast<unsigned long long>(options.installation.seed));
    std::printf("%s\n", sim::describe(options).c_str());
    for (const std::string& fault : outcome.story)
        std::printf("  %s\n", fault.c_str());
    std::printf(
        "  %llu reports acknowledged, %llu dropped by policy, %llu sets, %llu forgeries, trace %016llx\n",
        static_cast<unsigned long long>(outcome.acked),
        static_cast<unsigned long long>(outcome.dropped),
        static_cast<unsigned long long>(outcome.sets),
        static_cast<unsigned long long>(outcome.forged),
        static_cast<unsigned long long>(outcome.trace_hash)
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
    const auto begun = std::chrono::steady_clock::now();
    std::uint64_t failed = 0, acked = 0, faults = 0, sets = 0;
    for (std::uint64_t seed = arguments.start; seed < arguments.start + arguments.seeds; ++seed) {
        prepare_last_words(seed);
        const sim::ScenarioOptions options = sim::draw_options(seed);
        const sim::Outcome outcome = sim::run_scenario(options);
        acked += outcome.acked;
        faults += outcome.faults;
        sets += outcome.sets;
        if (arguments.verbose || arguments.single)
            tell(options, outcome);
        if (outcome.violations.empty())
            continue;
        ++failed;
        if (arguments.single)
            std::printf("%s\n%s\n", outcome.log.c_str(), outcome.trace.c_str());
        std::printf("%s\n", sim::complaint(seed, outcome).c_str());
        std::fflush(stdout);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    std::printf(
        "%llu seeds, %llu failed; %llu reports acknowledged, %llu sets, %llu faults; %.1f seeds/s\n",
        static_cast<unsigned long long>(arguments.seeds),
        static_cast<unsigned long long>(failed),
        static_cast<unsigned long long>(acked),
        static_cast<unsigned long long>(sets),
        static_cast<unsigned long long>(faults),
        static_cast<double>(arguments.seeds) / took.count()
    );
    return failed == 0 ? 0 : 1;
}
