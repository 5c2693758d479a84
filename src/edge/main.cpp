// brim-edge: reads settings, builds an Edge on the machine, runs it.

#include "edge/edge.h"
#include "io/machine_processes.h"
#include "io/real_env.h"
#include "io/resident.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace brim;

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;
constexpr int exit_check_failed = 9;
constexpr int exit_locked = 75; // EX_TEMPFAIL: another process holds the data folder [F-14]

constexpr const char* usage = R"(brim-edge: the gateway beside the machines.

  brim-edge run [--config FILE] [--set section.key=value]...
  brim-edge config check|show|example [--config FILE] [--set section.key=value]...
  brim-edge version

FILE defaults to /etc/brim/edge.toml when that exists. Settings also come from conf.d/*.toml beside the file and from
BRIM_SECTION__KEY in the environment; the later wins: file, conf.d, environment, --set. SIGHUP reads them again.
)";

struct Arguments {
    std::vector<std::string> words;
    ConfigSource source;
    bool valid = true;
};

Arguments parse(int argc, char** argv) {
    Arguments arguments;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const bool takes_value = word == "--config" || word == "--set";
        if (takes_value && i + 1 == argc)
            arguments.valid = false;
        else if (word == "--config")
            arguments.source.file = argv[++i];
        else if (word == "--set")
            arguments.source.sets.emplace_back(argv[++i]);
        else if (word.starts_with("-"))
            arguments.valid = arguments.valid && (word == "--help" || word == "-h");
        else
            arguments.words.push_back(word);
    }
    for (char** each = environ; *each != nullptr; ++each) {
        const std::string_view entry(*each);
        const std::size_t equals = entry.find('=');
        // What the edge itself gives to its drivers is no setting of its own.
        if (!entry.starts_with("BRIM_") || entry.find("__") > equals || equals == entry.npos)
            continue;
        arguments.source.environment.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    }
    constexpr const char* default_file = "/etc/brim/edge.toml";
    if (arguments.source.file.empty() && access(default_file, F_OK) == 0)
        arguments.source.file = default_file;
    return arguments;
}

int complain(const Error& error) {
    std::fprintf(stderr, "error: %s: %s\n", error.object.c_str(), error.cause.c_str());
    if (!error.fix.empty())
        std::fprintf(stderr, "hint: %s\n", error.fix.c_str());
    return error.code == Errc::busy ? exit_locked : exit_failure;
}

int config_command(const std::string& verb, const ConfigSource& source) {
    if (verb == "example") {
        std::fputs(config_example(edge::edge_schema()).c_str(), stdout);
        return 0;
    }
    const auto config = Config::load(edge::edge_schema(), source);
    if (!config) {
        std::fprintf(stderr, "%s\n", config.error().cause.c_str());
        return exit_check_failed;
    }
    if (verb == "show") {
        std::fputs(config->show_effective().c_str(), stdout);
        return 0;
    }
    const auto settings = edge::read_settings(*config);
    if (!settings) {
        complain(settings.error());
        return exit_check_failed;
    }
    io::PosixDisk disk;
    for (const edge::DriverSettings& driver : settings->drivers) {
        if (const auto loaded = edge::load_driver_config(disk, driver); !loaded) {
            complain(loaded.error());
            return exit_check_failed;
        }
    }
    std::puts("configuration is valid");
    return 0;
}

Log::Options log_options(const Config& config) {
    Log::Options options;
    const std::string& level = config.text("log.level");
    if (level == "debug")
        options.level = LogLevel::debug;
    if (level == "warn")
        options.level = LogLevel::warn;
    if (level == "error")
        options.level = LogLevel::error;
    if (config.text("log.format") == "json")
        options.format = LogFormat::json;
    return options;
}

void tell_supervisor(Log& log, std::string_view state) {
    if (const auto told = io::notify_supervisor(state); !told) {
        log.warn("edge", "the service supervisor cannot be told", {{"cause", told.error().text()}});
    }
}

void feed_watchdog(io::Timer& timer, Log& log) {
    const Duration every = io::watchdog_interval();
    if (every == Duration::zero())
        return;
    timer.start(every, [&timer, &log] {
        tell_supervisor(log, "WATCHDOG=1");
        feed_watchdog(timer, log);
    });
}

void reload(edge::Edge& edge, const ConfigSource& source, Log& log) {
    const auto config = Config::load(edge::edge_schema(), source);
    if (!config) {
        log.error("edge", "settings are wrong; the old ones stay", {{"error", config.error().cause}});
        return;
    }
    const auto settings = edge::read_settings(*config);
    const auto applied = settings ? edge.reload(*settings) : Result<void>(fail(settings.error()));
    if (applied)
        log.info("edge", "settings read again");
    else
        log.error("edge", "settings are wrong; the old ones stay", {{"error", applied.error().text()}});
}

int run(const ConfigSource& source) {
    const auto config = Config::load(edge::edge_schema(), source);
    if (!config) {
        std::fprintf(stderr, "%s\n", config.error().cause.c_str());
        return exit_check_failed;
    }
    auto settings = edge::read_settings(*config);
    if (!settings)
        return complain(settings.error());
    const SystemClock clock;
    Log log(clock, log_options(*config));
    Metrics metrics;
    io::register_process_metrics(metrics);
    io::raise_descriptor_limit();
    io::RealEnv env(log, metrics);
    std::unique_ptr<edge::Edge> edge;
    bool draining = false;
    // Before anything that starts threads: they inherit which signals are blocked.
    auto signals = io::SignalWatch::create(env.loop(), {SIGTERM, SIGINT, SIGHUP}, [&](int signal) {
        if (signal == SIGHUP)
            return reload(*edge, source, log);
        if (draining)
            _exit(exit_failure); // the second one does not wait: what was acknowledged is on disk
        draining = true;
        tell_supervisor(log, "STOPPING=1");
        edge->drain([&] { env.loop().stop(); });
    });
    if (!signals)
        return complain(signals.error());
    io::MachineProcesses processes(env.loop(), log);
    edge = std::make_unique<edge::Edge>(env, &processes, std::move(*settings));
    if (const auto started = edge->start(); !started)
        return complain(started.error());
    io::Timer watchdog(env.loop());
    feed_watchdog(watchdog, log);
    tell_supervisor(log, "READY=1");
    env.loop().run();
    edge.reset();
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    const Arguments arguments = parse(argc, argv);
    const auto& words = arguments.words;
    if (arguments.valid && words.size() == 1 && words[0] == "version") {
        std::puts("brim-edge " BRIM_VERSION);
        return 0;
    }
    if (arguments.valid && words.size() == 1 && words[0] == "run")
        return run(arguments.source);
    const bool config = words.size() == 2 && words[0] == "config" &&
                        (words[1] == "check" || words[1] == "show" || words[1] == "example");
    if (arguments.valid && config)
        return config_command(words[1], arguments.source);
    std::fputs(usage, arguments.valid && words.empty() ? stdout : stderr);
    return arguments.valid && words.empty() ? 0 : exit_usage;
}
