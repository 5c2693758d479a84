// brim-edge: reads settings, builds an Edge on the machine, runs it.

#include "edge/edge.h"
#include "io/machine_processes.h"
#include "io/posix_disk.h"
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
  brim-edge config show --applied [--config FILE] [--set section.key=value]...
  brim-edge version

FILE defaults to /etc/brim/edge.toml when that exists. Settings also come from conf.d/*.toml beside the file and from
BRIM_SECTION__KEY in the environment; the later wins: file, conf.d, environment, --set. SIGHUP reads them again.
What is in effect is kept in the data folder: when the files are broken, the edge goes on with that.
)";

struct Arguments {
    std::vector<std::string> words;
    ConfigSource source;
    bool applied = false;
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
        else if (word == "--applied")
            arguments.applied = true;
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

/// Errors in the settings have a line each, with their places; nothing belongs in front of it.
int complain_of_settings(const Error& error) {
    if (error.object != "configuration")
        (void)complain(error);
    else
        std::fprintf(stderr, "%s\n", error.cause.c_str());
    return exit_check_failed;
}

int show_applied(const ConfigSource& source) {
    io::PosixDisk disk;
    const auto read = edge::read_configuration(disk, source);
    const std::string folder = read ? read->settings.data_dir : edge::find_data_dir(disk, source);
    const auto applied = edge::AppliedFile(disk, folder).read();
    if (!applied)
        return complain(applied.error());
    if (!*applied) {
        return complain(
            {Errc::not_found,
             "applied configuration",
             "there is none in " + folder,
             "start brim-edge, or name the folder by --set edge.data_dir=..."}
        );
    }
    const auto text = edge::show_masked((*applied)->texts);
    if (!text)
        return complain(text.error());
    std::printf(
        "# revision %s, applied %s\n# %s\n\n%s",
        (*applied)->revision.c_str(),
        to_rfc3339((*applied)->at).c_str(),
        !read                                    ? "the files are broken now: see config check"
        : read->revision == (*applied)->revision ? "the files say the same"
                                                 : "the files say something else by now",
        text->c_str()
    );
    return 0;
}

int config_command(const std::string& verb, const ConfigSource& source) {
    if (verb == "example") {
        std::fputs(config_example(edge::edge_schema()).c_str(), stdout);
        return 0;
    }
    if (verb == "show") {
        const auto config = Config::load(edge::edge_schema(), source);
        if (!config)
            return complain_of_settings(config.error());
        std::fputs(config->show_effective().c_str(), stdout);
        return 0;
    }
    io::PosixDisk disk;
    if (const auto read = edge::read_configuration(disk, source); !read)
        return complain_of_settings(read.error());
    std::puts("configuration is valid");
    return 0;
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

int run(const ConfigSource& source) {
    const SystemClock clock;
    io::PosixDisk disk;
    auto startup = edge::prepare_start(disk, source, clock.wall());
    if (!startup && startup.error().code == Errc::invalid) {
        (void)complain_of_settings(startup.error());
        std::fprintf(stderr, "hint: %s\n", startup.error().fix.c_str());
        return exit_check_failed;
    }
    if (!startup)
        return complain(startup.error());
    const edge::EdgeConfig& settings = startup->configuration.settings;
    Log log(clock, {.level = settings.log_level, .format = settings.log_format});
    Metrics metrics;
    io::register_process_metrics(metrics);
    io::raise_descriptor_limit();
    io::RealEnv env(log, metrics);
    std::unique_ptr<edge::Edge> edge;
    bool draining = false;
    // Before anything that starts threads: they inherit which signals are blocked.
    auto signals = io::SignalWatch::create(env.loop(), {SIGTERM, SIGINT, SIGHUP}, [&](int signal) {
        if (signal == SIGHUP)
            return edge->reload(source);
        if (draining)
            _exit(exit_failure); // the second one does not wait: what was acknowledged is on disk
        draining = true;
        tell_supervisor(log, "STOPPING=1");
        edge->drain([&] { env.loop().stop(); });
    });
    if (!signals)
        return complain(signals.error());
    io::MachineProcesses processes(env.loop(), log);
    edge = std::make_unique<edge::Edge>(env, &processes, std::move(*startup));
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
    if (arguments.valid && !arguments.applied && words.size() == 1 && words[0] == "run")
        return run(arguments.source);
    if (arguments.valid && arguments.applied && words.size() == 2 && words[0] == "config" &&
        words[1] == "show")
        return show_applied(arguments.source);
    const bool config = words.size() == 2 && words[0] == "config" && !arguments.applied &&
                        (words[1] == "check" || words[1] == "show" || words[1] == "example");
    if (arguments.valid && config)
        return config_command(words[1], arguments.source);
    std::fputs(usage, arguments.valid && words.empty() ? stdout : stderr);
    return arguments.valid && words.empty() ? 0 : exit_usage;
}
