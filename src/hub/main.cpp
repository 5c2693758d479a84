// brim-hub: reads settings, builds a Hub on the machine, runs it.

#include "hub/hub.h"
#include "hub/reload.h"
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

constexpr const char* usage = R"(brim-hub: devices and gateways in, API and console out.

  brim-hub run [--config FILE] [--set section.key=value]...
  brim-hub config check|show|example [--config FILE] [--set section.key=value]...
  brim-hub version

FILE defaults to /etc/brim/hub.toml when that exists. Settings also come from conf.d/*.toml beside the file and from
BRIM_SECTION__KEY in the environment; the later wins: file, conf.d, environment, --set.
)";

struct Arguments {
    std::string command, verb;
    ConfigSource source;
    bool valid = true;
};

Arguments parse(int argc, char** argv) {
    Arguments arguments;
    std::vector<std::string> words;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const bool has_value = i + 1 < argc;
        if (word == "--config" && has_value)
            arguments.source.file = argv[++i];
        else if (word == "--set" && has_value)
            arguments.source.sets.emplace_back(argv[++i]);
        else if (word.starts_with("-"))
            arguments.valid = word == "--help" || word == "-h";
        else
            words.push_back(word);
    }
    if (!words.empty())
        arguments.command = words[0];
    if (words.size() > 1)
        arguments.verb = words[1];
    if (words.size() > 2)
        arguments.valid = false;
    for (char** each = environ; *each != nullptr; ++each) {
        const char* equals = std::strchr(*each, '=');
        if (equals == nullptr || std::strncmp(*each, "BRIM_", 5) != 0)
            continue;
        arguments.source.environment.emplace(
            std::string(*each, static_cast<std::size_t>(equals - *each)), equals + 1
        );
    }
    return arguments;
}

int complain(const Error& error) {
    std::fprintf(
        stderr,
        "error: %s: %s (%s)\n",
        error.object.c_str(),
        error.cause.c_str(),
        std::string(errc_name(error.code)).c_str()
    );
    if (!error.fix.empty())
        std::fprintf(stderr, "hint: %s\n", error.fix.c_str());
    return exit_failure;
}

int config_command(const std::string& verb, const ConfigSource& source) {
    if (verb == "example") {
        std::fputs(config_example(hub::hub_schema()).c_str(), stdout);
        return 0;
    }
    if (verb != "check" && verb != "show") {
        std::fputs(usage, stderr);
        return exit_usage;
    }
    const auto config = Config::load(hub::hub_schema(), source);
    if (!config) {
        std::fprintf(stderr, "%s\n", config.error().cause.c_str());
        return exit_check_failed;
    }
    if (const auto made = hub::make_hub_config(*config); !made) {
        complain(made.error());
        return exit_check_failed;
    }
    std::fputs(verb == "show" ? config->show_effective().c_str() : "configuration is valid\n", stdout);
    return 0;
}

void tell_supervisor(Log& log, std::string_view state) {
    if (const auto told = io::notify_supervisor(state); !told) {
        log.warn("hub", "the supervisor cannot be told", {{"cause", told.error().text()}});
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

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words)
        text += (text.empty() ? "" : " ") + word;
    return text.empty() ? "-" : text;
}

void reload_settings(hub::Reload& reload, hub::Hub& hub, Log& log) {
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
    if (!config) {
        std::fprintf(stderr, "%s\n", config.error().cause.c_str());
        return exit_failure;
    }
    auto settings = hub::make_hub_config(*config);
    if (!settings)
        return complain(settings.error());
    const SystemClock clock;
    Log::Options log_options;
    log_options.level = hub::log_level(*config);
    if (config->text("log.format") == "json")
        log_options.format = LogFormat::json;
    Log log(clock, log_options);
    Metrics metrics;
    io::raise_descriptor_limit();
    io::RealEnv env(log, metrics);
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
            return env.loop().stop(); // the second one does not wait: acknowledged data is safe already
        draining = true;
        log.info("hub", "stopping", {});
        tell_supervisor(log, "STOPPING=1");
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
    io::Timer watchdog(env.loop());
    feed_watchdog(watchdog, log);
    tell_supervisor(log, "READY=1");
    env.loop().run();
    hub.reset();
    log.info("hub", "stopped", {});
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    Arguments arguments = parse(argc, argv);
    if (!arguments.valid || arguments.command.empty()) {
        std::fputs(usage, arguments.valid ? stdout : stderr);
        return arguments.valid ? 0 : exit_usage;
    }
    constexpr const char* default_file = "/etc/brim/hub.toml";
    if (arguments.source.file.empty() && access(default_file, F_OK) == 0)
        arguments.source.file = default_file;
    if (arguments.command == "version") {
        std::puts("brim-hub " BRIM_VERSION);
        return 0;
    }
    if (arguments.command == "config")
        return config_command(arguments.verb, arguments.source);
    if (arguments.command == "run" && arguments.verb.empty())
        return run(arguments.source);
    std::fputs(usage, stderr);
    return exit_usage;
}
