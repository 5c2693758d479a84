// brim-hub: reads settings, builds a Hub on the machine, runs it.

#include "base/program.h"
#include "hub/hub.h"
#include "hub/reload.h"
#include "io/real_env.h"
#include "io/resident.h"

#include <csignal>
#include <cstdio>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace brim;

constexpr const char* usage = R"(brim-hub: devices and gateways in, API and console out.

  brim-hub run [--config FILE] [--set section.key=value]...
  brim-hub config check|show|example [--config FILE] [--set section.key=value]...
  brim-hub version

FILE defaults to /etc/brim/hub.toml when that exists. Settings also come from conf.d/*.toml beside the file and from
BRIM_SECTION__KEY in the environment; the later wins: file, conf.d, environment, --set.
)";

int complain(const Error& error) {
    std::fputs(error_lines(error).c_str(), stderr);
    return exit_code_of(error);
}

int config_command(const std::string& verb, const ConfigSource& source) {
    if (verb == "example") {
        std::fputs(config_example(hub::hub_schema()).c_str(), stdout);
        return 0;
    }
    const auto config = Config::load(hub::hub_schema(), source);
    if (!config)
        return complain(config.error());
    if (const auto made = hub::make_hub_config(*config); !made) {
        (void)complain(made.error());
        return exit_code::invalid;
    }
    std::fputs(verb == "show" ? config->show_effective().c_str() : "configuration is valid\n", stdout);
    return 0;
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words)
        text += (text.empty() ? "" : " ") + word;
    return text.empty() ? "-" : text;
}

void reload_settings(hub::Reload& reload, hub::Hub& hub, Log& log) {
    hub.refresh_tls(); // a renewed or revoked certificate does not wait for settings to be in order
    const auto read = reload.read();
    if (!read) {
        const Error& why = read.error();
        log.error(
            "hub",
            "the configuration is not valid; the running one stays",
            {{"object", why.object}, {"cause", why.cause}, {"fix", why.fix}}
        );
        return;
    }
    log.set_level(read->log_level);
    hub.reload(read->settings);
    log.write(
        read->later.empty() ? LogLevel::info : LogLevel::warn,
        "hub",
        read->later.empty() ? "configuration read again" : "configuration read again; a part needs a restart",
        {{"taken", joined(read->taken)}, {"needs_restart", joined(read->later)}}
    );
}

int run(const ConfigSource& source) {
    const auto config = Config::load(hub::hub_schema(), source);
    if (!config)
        return complain(config.error());
    auto settings = hub::make_hub_config(*config);
    if (!settings) {
        (void)complain(settings.error());
        return exit_code::invalid;
    }
    const SystemClock clock;
    Log::Options log_options;
    log_options.level = hub::log_level(*config);
    if (config->text("log.format") == "json")
        log_options.format = LogFormat::json;
    Log log(clock, log_options);
    Metrics metrics;
    io::raise_descriptor_limit();
    io::RealEnv env(log, metrics, settings->transport_loops);
    io::Supervised supervised(env.loop(), log);
    // Before anything starts a thread: threads inherit the signal mask, and one that does not block SIGTERM
    // dies of it, with the whole process.
    std::unique_ptr<hub::Hub> hub;
    bool draining = false;
    hub::Reload reload(*config, source);
    auto signals = io::SignalWatch::create(env.loop(), {SIGTERM, SIGINT, SIGHUP}, [&](int signal) {
        if (signal == SIGHUP) {
            if (hub != nullptr && !draining)
                reload_settings(reload, *hub, log);
            return;
        }
        if (draining || hub == nullptr)
            _exit(exit_code::failed); // the second one does not wait: what was acknowledged is on disk
        draining = true;
        log.info("hub", "stopping", {});
        supervised.stopping();
        hub->drain([&] { env.loop().stop(); });
    });
    if (!signals)
        return complain(signals.error());
    auto started = hub::Hub::start(env, std::move(*settings));
    if (!started)
        return complain(started.error());
    hub = std::move(*started);
    if (const std::string link = hub->setup_link(); !link.empty()) {
        std::printf(
            "Set up this hub in a browser (the link works once, until the next start): %s\n", link.c_str()
        );
        std::fflush(stdout);
    }
    supervised.ready();
    env.loop().run();
    hub.reset();
    log.info("hub", "stopped", {});
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    CommandLine line = parse_command_line(argc, argv, environ);
    constexpr const char* default_file = "/etc/brim/hub.toml";
    if (line.source.file.empty() && access(default_file, F_OK) == 0)
        line.source.file = default_file;
    const bool asks = line.help || line.words.empty();
    if (line.valid && !asks) {
        if (line.is({"version"})) {
            std::puts("brim-hub " BRIM_VERSION);
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
