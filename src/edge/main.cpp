// brim-edge: reads settings, builds an Edge on the machine, runs it.

#include "base/program.h"
#include "edge/edge.h"
#include "io/machine_processes.h"
#include "io/posix_disk.h"
#include "io/real_env.h"
#include "io/resident.h"

#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace brim;

constexpr const char* usage = R"(brim-edge: the gateway beside the machines.

  brim-edge run [--config FILE] [--set section.key=value]...
  brim-edge config check|show|example [--config FILE] [--set section.key=value]...
  brim-edge config show --applied [--config FILE] [--set section.key=value]...
  brim-edge version

FILE defaults to /etc/brim/edge.toml when that exists. Settings also come from conf.d/*.toml beside the file and from
BRIM_SECTION__KEY in the environment; the later wins: file, conf.d, environment, --set. SIGHUP reads them again.
What is in effect is kept in the data folder: when the files are broken, the edge goes on with that.
)";

int complain(const Error& error) {
    std::fputs(error_lines(error).c_str(), stderr);
    return exit_code_of(error);
}

/// What is wrong with settings, a driver's file or a model.
int complain_of_settings(const Error& error) {
    (void)complain(error);
    return exit_code::invalid;
}

int show_applied(const ConfigSource& source) {
    io::PosixDisk disk;
    const auto read = edge::read_configuration(disk, source);
    const std::string folder = read ? read->settings.data_dir : edge::find_data_dir(disk, source);
    const auto applied = edge::AppliedFile(disk, folder).read();
    if (!applied)
        return complain(applied.error());
    const std::optional<edge::Applied>& kept = *applied;
    if (!kept) {
        return complain(
            {Errc::not_found,
             "applied configuration",
             "there is none in " + folder,
             "start brim-edge, or name the folder by --set edge.data_dir=..."}
        );
    }
    const auto text = edge::show_masked(kept->texts);
    if (!text)
        return complain(text.error());
    std::printf(
        "# revision %s, applied %s\n# %s\n\n%s",
        kept->revision.c_str(),
        to_rfc3339(kept->at).c_str(),
        !read                              ? "the files are broken now: see config check"
        : read->revision == kept->revision ? "the files say the same"
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

int run(const ConfigSource& source) {
    const SystemClock clock;
    io::PosixDisk disk;
    auto startup = edge::prepare_start(disk, source, clock.wall());
    if (!startup)
        return complain(startup.error());
    const edge::EdgeConfig& settings = startup->configuration.settings;
    Log log(clock, {.level = settings.log_level, .format = settings.log_format});
    Metrics metrics;
    io::register_process_metrics(metrics);
    io::raise_descriptor_limit();
    io::RealEnv env(log, metrics, settings.transport_loops);
    io::Supervised supervised(env.loop(), log);
    std::unique_ptr<edge::Edge> edge;
    bool draining = false;
    // Before anything that starts threads: they inherit which signals are blocked.
    auto signals = io::SignalWatch::create(env.loop(), {SIGTERM, SIGINT, SIGHUP}, [&](int signal) {
        if (signal == SIGHUP)
            return edge->reload(source);
        if (draining)
            _exit(exit_code::failed); // the second one does not wait: what was acknowledged is on disk
        draining = true;
        supervised.stopping();
        edge->drain([&] { env.loop().stop(); });
    });
    if (!signals)
        return complain(signals.error());
    io::MachineProcesses processes(env.loop(), log);
    edge = std::make_unique<edge::Edge>(env, &processes, std::move(*startup));
    if (const auto started = edge->start(); !started)
        return complain(started.error());
    supervised.ready();
    env.loop().run();
    edge.reset();
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    CommandLine line = parse_command_line(argc, argv, environ, {"--applied"});
    constexpr const char* default_file = "/etc/brim/edge.toml";
    if (line.source.file.empty() && access(default_file, F_OK) == 0)
        line.source.file = default_file;
    const bool asks = line.help || line.words.empty();
    if (line.valid && !asks && line.has("--applied")) {
        if (line.is({"config", "show"}))
            return show_applied(line.source);
    } else if (line.valid && !asks) {
        if (line.is({"version"})) {
            std::puts("brim-edge " BRIM_VERSION);
            return exit_code::done;
        }
        if (line.is({"config", "check"}) || line.is({"config", "show"}) || line.is({"config", "example"}))
            return config_command(line.words[1], line.source);
        if (line.is({"run"}))
            return run(line.source);
    }
    std::fputs(usage, line.valid && asks ? stdout : stderr);
    return line.valid && asks ? exit_code::done : exit_code::usage;
}
