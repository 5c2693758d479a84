#include "edge/settings.h"

#include "io/spread_network.h"

#include <algorithm>
#include <set>

namespace brim::edge {

namespace {

std::vector<ConfigKey> own_keys() { // NOLINT(readability-function-size): a table
    using enum ConfigType;
    const auto s = [](const char* value) { return ConfigValue(std::string(value)); };
    const auto ms = [](std::int64_t value) { return ConfigValue(value); };
    return {
        {"edge.data_dir", text, s("/var/lib/brim-edge"), "Folder for everything that must survive a restart."
        },
        {"edge.transport_loops",
         integer,
         ms(0),
         "Further threads for the sockets of accepted connections; 0 = all is on one.",
         0,
         io::SpreadLimits::loops_max},
        {"identity.product_key", text, s(""), "Product key of this gateway, as the hub knows it."},
        {"identity.device_name", text, s(""), "Device name of this gateway, as the hub knows it."},
        {"identity.device_secret", secret, s(""), "Where the device secret is kept: file:PATH or env:NAME."},
        {"uplink.url", text, s(""), "The hub: mqtts://host:8883, or mqtt://127.0.0.1:1883 on this machine."},
        {"uplink.insecure_plain", boolean, false, "Allow mqtt:// without TLS to another machine."},
        {"uplink.ca_file", text, s(""), "PEM file of the authority that signed the hub's certificate."},
        {"uplink.crl_file", text, s(""), "PEM revocation lists, one of each authority in the hub's chain."},
        {"uplink.alpn",
         text,
         s(""),
         "Protocol named in the TLS handshake, mqtt where a port serves several; empty = none."},
        {"uplink.keepalive",
         duration,
         ms(60'000),
         "Longest silence on the uplink before a ping.",
         30'000,
         1'200'000},
        {"uplink.backoff_min", duration, ms(1'000), "First reconnect wait (full jitter).", 100, 60'000},
        {"uplink.backoff_max",
         duration,
         ms(120'000),
         "Longest reconnect wait (full jitter).",
         1'000,
         3'600'000},
        {"uplink.inflight", integer, ms(128), "Reports sent and not acknowledged yet.", 1, 1'024},
        {"uplink.replay_rate",
         integer,
         ms(0),
         "Records per second out of a backlog; 0 = unlimited.",
         0,
         1'000'000},
        {"uplink.replay_share",
         integer,
         ms(50),
         "Percent of sends for the backlog while live data waits.",
         1,
         99},
        {"buffer.bytes_max", size, ms(1'073'741'824), "Disk space of the uplink buffer.", 262'144, INT64_MAX},
        {"buffer.segment_bytes", size, ms(8'388'608), "Size of one buffer file.", 65'536, 67'108'864},
        {"buffer.when_full",
         choice,
         s("drop-oldest"),
         "What a full buffer does.",
         INT64_MIN,
         INT64_MAX,
         {"drop-oldest", "reject"}},
        {"bus.socket", text, s("unix:/run/brim-edge/bus.sock"), "Where drivers connect (a unix socket)."},
        {"http.listen",
         text,
         s("unix:/run/brim-edge/status.sock"),
         "Status page: a unix socket or a loopback address."},
        {"supervisor.crashes_max", integer, ms(10), "Crashes within the window that park a driver.", 1, 1'000
        },
        {"supervisor.crash_window", duration, ms(600'000), "The window for crashes_max.", 60'000, 86'400'000},
        {"log.level",
         choice,
         s("info"),
         "Least severity written.",
         INT64_MIN,
         INT64_MAX,
         {"debug", "info", "warn", "error"}},
        {"log.format", choice, s("text"), "Form of a line.", INT64_MIN, INT64_MAX, {"text", "json"}},
        {"driver[].name", text, s(""), "Name of the driver: a-z, 0-9 and -, at most 32."},
        {"driver[].program", text, s(""), "Path of its program."},
        {"driver[].args", list, std::vector<std::string>{}, "Arguments of its program."},
        {"driver[].config_file", text, s(""), "JSON file with its config and deviceList."},
        {"driver[].models_dir",
         text,
         s(""),
         "Folder with {productKey}.json models and {productKey}.ext.json extensions."},
        {"driver[].memory_max", size, ms(268'435'456), "Memory limit of its process.", 4'194'304, INT64_MAX},
        {"driver[].enabled", boolean, true, "Start it."},
    };
}

/// Of the broker for apps and LAN devices; an edge has no other listeners of this table.
std::vector<ConfigKey> listener_keys() {
    using enum ConfigType;
    return {
        {"edge.insecure_plain",
         boolean,
         false,
         "Allow listeners without TLS on addresses other than loopback."},
        {"listener[].protocol",
         choice,
         std::string("mqtt"),
         "What is spoken there.",
         INT64_MIN,
         INT64_MAX,
         {"mqtt", "mqtts", "ws", "wss"}},
        {"listener[].address",
         text,
         std::string(),
         "IP:port, [IPv6]:port or unix:/path; port 0 picks a free one."},
        {"listener[].auth",
         choice,
         std::string("users"),
         "Who may connect, as docs/broker.md says.",
         INT64_MIN,
         INT64_MAX,
         {"users", "anonymous", "unsafe-anonymous"}},
    };
}

std::vector<ConfigKey> make_schema() {
    std::vector<ConfigKey> schema = own_keys();
    for (const auto& more : {listener_keys(), broker::door_keys(), broker::broker_keys()})
        schema.insert(schema.end(), more.begin(), more.end());
    return schema;
}

std::unexpected<Error> bad(std::string key, std::string cause, std::string fix) {
    return fail(Errc::invalid, std::move(key), std::move(cause), std::move(fix));
}

DriverSettings read_driver(const Config& config, std::size_t index, ConfigProblems& problems) {
    const auto key = [index](std::string_view name) { return Config::item("driver", index, name); };
    DriverSettings driver;
    driver.name = config.text(key("name"));
    driver.program = config.text(key("program"));
    driver.args = config.list(key("args"));
    driver.config_file = config.text(key("config_file"));
    driver.models_dir = config.text(key("models_dir"));
    driver.memory_max = config.size(key("memory_max"));
    driver.enabled = config.boolean(key("enabled"));
    if (!valid_driver_name(driver.name)) {
        problems.add(
            key("name"),
            "\"" + driver.name + "\" is no driver name",
            "use a-z, 0-9 and -, at most 32 characters"
        );
    }
    if (driver.program.empty())
        problems.add(key("program"), "is missing", "give the path of the driver's program");
    if (driver.config_file.empty())
        problems.add(key("config_file"), "is missing", "give the JSON file with its devices");
    return driver;
}

std::vector<DriverSettings> read_driver_list(const Config& config, ConfigProblems& problems) {
    std::vector<DriverSettings> drivers;
    std::set<std::string> names;
    for (std::size_t i = 0; i < config.count("driver"); ++i) {
        DriverSettings driver = read_driver(config, i, problems);
        if (!names.insert(driver.name).second) {
            problems.add(
                Config::item("driver", i, "name"), "\"" + driver.name + "\" is there twice", "rename one"
            );
        }
        drivers.push_back(std::move(driver));
    }
    return drivers;
}

LogLevel read_log_level(const std::string& name) {
    if (name == "debug")
        return LogLevel::debug;
    if (name == "warn")
        return LogLevel::warn;
    return name == "error" ? LogLevel::error : LogLevel::info;
}

io::Endpoint read_local(const Config& config, const char* key, ConfigProblems& problems) {
    auto at = io::Endpoint::parse(config.text(key));
    if (!at) {
        problems.add(key, at.error().cause, at.error().fix);
        return {};
    }
    if (!at->is_local()) {
        problems.add(
            key, at->text() + " can be reached from other machines", "use unix:PATH or tcp:127.0.0.1:PORT"
        );
    }
    return std::move(*at);
}

void read_uplink(const Config& config, EdgeConfig& out, ConfigProblems& problems) {
    auto uplink = parse_uplink_url(config.text("uplink.url"), config.boolean("uplink.insecure_plain"));
    if (!uplink)
        return problems.add("uplink.url", uplink.error().cause, uplink.error().fix);
    const auto as_ms = [&](const char* key) {
        return std::chrono::duration_cast<std::chrono::milliseconds>(config.duration(key));
    };
    uplink->ca_file = config.text("uplink.ca_file");
    uplink->crl_file = config.text("uplink.crl_file");
    uplink->alpn = config.text("uplink.alpn");
    if (!uplink->alpn.empty() && !uplink->tls)
        problems.add("uplink.alpn", "a protocol is named in TLS only", "use mqtts://, or remove it");
    if (uplink->alpn.size() > 255)
        problems.add("uplink.alpn", "it has more than 255 bytes", "use a name such as mqtt");
    uplink->keepalive = std::chrono::duration_cast<std::chrono::seconds>(config.duration("uplink.keepalive"));
    uplink->backoff_min = as_ms("uplink.backoff_min");
    uplink->backoff_max = as_ms("uplink.backoff_max");
    uplink->inflight = static_cast<std::uint16_t>(config.integer("uplink.inflight"));
    uplink->replay_rate = static_cast<double>(config.integer("uplink.replay_rate"));
    uplink->replay_share = static_cast<unsigned>(config.integer("uplink.replay_share"));
    if (uplink->backoff_max < uplink->backoff_min)
        problems.add("uplink.backoff_max", "is shorter than uplink.backoff_min", "make it longer");
    out.uplink = std::move(*uplink);
}

void read_buffer(const Config& config, EdgeConfig& out, ConfigProblems& problems) {
    out.buffer.bytes_max = config.size("buffer.bytes_max");
    out.buffer.segment_bytes = static_cast<std::uint32_t>(config.size("buffer.segment_bytes"));
    out.buffer.when_full =
        config.text("buffer.when_full") == "reject" ? store::WhenFull::reject : store::WhenFull::drop_oldest;
    if (out.buffer.bytes_max / 4 < out.buffer.segment_bytes) {
        problems.add(
            "buffer.bytes_max", "holds fewer than 4 segments", "raise it or lower buffer.segment_bytes"
        );
    }
}

} // namespace

const std::vector<ConfigKey>& edge_schema() {
    static const std::vector<ConfigKey> schema = make_schema(); // constant data, no state
    return schema;
}

bool valid_driver_name(std::string_view name) noexcept {
    return !name.empty() && name.size() <= 32 && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
}

Result<UplinkSettings> parse_uplink_url(std::string_view url, bool insecure_plain) {
    UplinkSettings uplink;
    std::string_view rest;
    if (url.starts_with("mqtts://")) {
        uplink.tls = true;
        rest = url.substr(8);
    } else if (url.starts_with("mqtt://")) {
        rest = url.substr(7);
    } else {
        return bad("uplink.url", "\"" + std::string(url) + "\" is no hub address", "write mqtts://HOST:8883");
    }
    while (rest.ends_with('/'))
        rest.remove_suffix(1);
    const std::size_t bracket = rest.rfind(']');
    const bool has_port =
        rest.find(':', bracket == std::string_view::npos ? 0 : bracket) != std::string_view::npos;
    auto to = io::Endpoint::parse(
        "tcp:" + std::string(rest) +
        (has_port     ? ""
         : uplink.tls ? ":8883"
                      : ":1883")
    );
    if (!to)
        return bad("uplink.url", to.error().cause, "write mqtts://HOST:8883");
    if (!uplink.tls && !to->is_local() && !insecure_plain) {
        return bad(
            "uplink.url",
            "plain MQTT to another machine shows every report and the password's use to the network",
            "use mqtts://, or set uplink.insecure_plain = true if you accept that"
        );
    }
    uplink.to = std::move(*to);
    return uplink;
}

namespace {

void read_broker(const Config& config, EdgeConfig& out, ConfigProblems& problems) {
    out.broker = broker::read_broker(config, out.data_dir, problems);
    for (std::size_t i = 0; i < config.count("listener"); ++i) {
        out.broker.listeners.push_back(
            broker::read_listener(config, i, config.boolean("edge.insecure_plain"), problems)
        );
    }
    out.broker_fingerprint =
        config.fingerprint("broker") + config.fingerprint("bridge") + config.fingerprint("listener");
    for (const broker::Mistake& each : broker::mistakes_of(out.broker))
        problems.add(each.key, each.cause, each.fix);
}

/// Returns what is the matter with the secret, Errc::invalid when nothing is: who starts an edge may be able
/// to do something about a file that is not there yet.
Errc read_identity(
    const Config& config, const std::optional<Secret>& kept_secret, EdgeConfig& out, ConfigProblems& problems
) {
    out.gateway = {config.text("identity.product_key"), config.text("identity.device_name")};
    if (!thing::valid_product_key(out.gateway.product_key)) {
        problems.add(
            "identity.product_key", "is missing or no product key", "copy it from the hub's device page"
        );
    }
    if (!thing::valid_device_name(out.gateway.device_name)) {
        problems.add(
            "identity.device_name", "is missing or no device name", "copy it from the hub's device page"
        );
    }
    constexpr const char* secret_key = "identity.device_secret";
    auto secret = kept_secret ? Result<Secret>(*kept_secret) : config.secret(secret_key);
    if (!secret) {
        problems.add(secret_key, secret.error().cause, secret.error().fix);
        return secret.error().code;
    }
    if (secret->empty())
        problems.add(secret_key, "is missing", "write file:PATH of a file with mode 0600");
    out.gateway_secret = std::move(*secret);
    return Errc::invalid;
}

} // namespace

Result<EdgeConfig> read_settings(const Config& config, const std::optional<Secret>& kept_secret) {
    ConfigProblems problems(config);
    EdgeConfig out;
    out.data_dir = config.text("edge.data_dir");
    out.transport_loops = static_cast<unsigned>(config.integer("edge.transport_loops"));
    if (out.data_dir.empty())
        problems.add("edge.data_dir", "is empty", "name a folder");
    const Errc of_secret = read_identity(config, kept_secret, out, problems);
    read_uplink(config, out, problems);
    read_buffer(config, out, problems);
    out.bus = read_local(config, "bus.socket", problems);
    out.http = read_local(config, "http.listen", problems);
    out.crashes_max = static_cast<unsigned>(config.integer("supervisor.crashes_max"));
    out.crash_window =
        std::chrono::duration_cast<std::chrono::minutes>(config.duration("supervisor.crash_window"));
    out.log_level = read_log_level(config.text("log.level"));
    out.log_format = config.text("log.format") == "json" ? LogFormat::json : LogFormat::text;
    out.drivers = read_driver_list(config, problems);
    read_broker(config, out, problems);
    if (problems.empty())
        return out;
    Error wrong = problems.error();
    if (wrong.cause.find('\n') == std::string::npos)
        wrong.code = of_secret;
    return fail(std::move(wrong));
}

} // namespace brim::edge
