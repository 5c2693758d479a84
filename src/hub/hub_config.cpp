#include "hub/hub_config.h"

#include "io/spread_network.h"

namespace brim::hub {

namespace {

std::vector<ConfigKey> hub_keys() {
    using Type = ConfigType;
    return {
        {"hub.data_dir", Type::text, std::string("/var/lib/brim-hub"), "Folder of all data; made when absent."
        },
        {"hub.public_url",
         Type::text,
         std::string(),
         "Address browsers use, for links; empty = first HTTP listener."},
        {"hub.insecure_plain",
         Type::boolean,
         false,
         "Allow plain MQTT and HTTP on addresses other than loopback."},
        {"hub.drain_wait",
         Type::duration,
         std::string("8s"),
         "How long SIGTERM waits for clients and disk.",
         0,
         60'000},
        {"hub.transport_loops",
         Type::integer,
         std::int64_t{0},
         "Further threads for the sockets of accepted connections; 0 = all is on one.",
         0,
         io::SpreadLimits::loops_max},
        {"listener[].protocol",
         Type::choice,
         std::string("mqtt"),
         "What is spoken there.",
         INT64_MIN,
         INT64_MAX,
         {"mqtt", "mqtts", "ws", "wss", "http", "https"}},
        {"listener[].address",
         Type::text,
         std::string(),
         "IP:port, [IPv6]:port or unix:/path; port 0 picks a free one."},
        {"listener[].auth",
         Type::choice,
         std::string("device"),
         "Who may connect by MQTT: devices, or apps as docs/broker.md says.",
         INT64_MIN,
         INT64_MAX,
         {"device", "users", "anonymous", "unsafe-anonymous"}},
    };
}

std::vector<ConfigKey> service_keys() {
    using Type = ConfigType;
    return {
        {"mqtt.keepalive_min",
         Type::duration,
         std::string("30s"),
         "Shortest keep-alive accepted.",
         1'000,
         1'200'000},
        {"mqtt.keepalive_max",
         Type::duration,
         std::string("20m"),
         "Longest keep-alive accepted.",
         1'000,
         64'800'000},
        {"ingest.log_bytes_max", Type::size, std::string("4GiB"), "Ingress log on disk.", 1'048'576, INT64_MAX
        },
        {"ingest.segment_bytes",
         Type::size,
         std::string("8MiB"),
         "One file of the ingress log.",
         65'536,
         67'108'864},
        {"history.days_max",
         Type::integer,
         std::int64_t{0},
         "Values and events older than this many days are dropped; 0 keeps them.",
         0,
         36'500},
        {"history.bytes_max",
         Type::size,
         std::int64_t{0},
         "Above it the oldest values and events are dropped, at least 1 MiB; 0 = no limit.",
         0,
         INT64_MAX},
        {"log.level",
         Type::choice,
         std::string("info"),
         "Least level written.",
         INT64_MIN,
         INT64_MAX,
         {"debug", "info", "warn", "error"}},
        {"log.format",
         Type::choice,
         std::string("text"),
         "Form of log lines.",
         INT64_MIN,
         INT64_MAX,
         {"text", "json"}},
    };
}

std::vector<ConfigKey> whole_schema() {
    constexpr std::int64_t packet_bytes_high = 16'777'216; // a report is one record of the ingress log
    std::vector<ConfigKey> schema = hub_keys();
    for (const auto& more :
         {broker::door_keys(),
          broker::broker_keys(),
          broker::client_limit_keys("mqtt", packet_bytes_high),
          service_keys()})
        schema.insert(schema.end(), more.begin(), more.end());
    return schema;
}

/// A listener for devices, browsers or programs.
ListenerConfig read_listener(const Config& config, std::size_t index, ConfigProblems& problems) {
    ListenerConfig listener;
    const std::string& protocol = config.text(Config::item("listener", index, "protocol"));
    using Protocol = ListenerConfig::Protocol;
    listener.protocol = protocol == "mqtts"   ? Protocol::mqtts
                        : protocol == "http"  ? Protocol::http
                        : protocol == "https" ? Protocol::https
                                              : Protocol::mqtt;
    const broker::DoorUse use{.is_tls = listener.is_tls(), .is_web = listener.is_http()};
    static_cast<broker::DoorSettings&>(listener) =
        broker::read_door(config, index, use, config.boolean("hub.insecure_plain"), problems);
    return listener;
}

/// Sorts the listeners into ours and the broker's.
void read_listeners(const Config& config, HubConfig& made, ConfigProblems& problems) {
    for (std::size_t i = 0; i < config.count("listener"); ++i) {
        const std::string auth_key = Config::item("listener", i, "auth");
        const std::string& auth = config.text(auth_key);
        const std::string protocol_key = Config::item("listener", i, "protocol");
        const std::string& protocol = config.text(protocol_key);
        if (auth == "device" && protocol.starts_with("ws")) {
            problems.add(
                protocol_key,
                "devices find MQTT over WebSocket at /mqtt of a http or https listener",
                "use that, or auth = \"users\" for apps"
            );
        } else if (auth != "device" && protocol.starts_with("http")) {
            problems.add(
                auth_key,
                "auth = \"" + auth + "\" is for MQTT",
                "remove it: accounts and tokens are asked for by the API itself"
            );
        } else if (auth == "device") {
            made.listeners.push_back(read_listener(config, i, problems));
        } else {
            made.broker.listeners.push_back(
                broker::read_listener(config, i, config.boolean("hub.insecure_plain"), problems)
            );
        }
    }
    for (const broker::Mistake& each : broker::mistakes_of(made.broker))
        problems.add(each.key, each.cause, each.fix);
}

void read_access(const Config& config, AccessOptions& access, ConfigProblems& problems) {
    const auto seconds = [&config](std::string_view key) {
        return static_cast<std::uint16_t>(
            std::chrono::duration_cast<std::chrono::seconds>(config.duration(key)).count()
        );
    };
    access.keepalive_s_min = seconds("mqtt.keepalive_min");
    access.keepalive_s_max = seconds("mqtt.keepalive_max");
    if (access.keepalive_s_min > access.keepalive_s_max) {
        problems.add(
            "mqtt.keepalive_min", "is above mqtt.keepalive_max", "make it at most mqtt.keepalive_max"
        );
    }
    broker::read_client_limits(config, "mqtt", access.broker);
}

void read_ingest(const Config& config, IngestOptions& ingest, ConfigProblems& problems) {
    constexpr std::int64_t day_ms = 86'400'000;
    constexpr std::uint64_t history_bytes_min = 1'048'576;
    ingest.retention.age_ms_max = config.integer("history.days_max") * day_ms;
    ingest.retention.bytes_max = config.size("history.bytes_max");
    if (ingest.retention.bytes_max != 0 && ingest.retention.bytes_max < history_bytes_min)
        problems.add("history.bytes_max", "is below 1 MiB", "set at least 1MiB, or 0 for no limit");
    ingest.log_bytes_max = config.size("ingest.log_bytes_max");
    ingest.segment_bytes = static_cast<std::uint32_t>(config.size("ingest.segment_bytes"));
    if (ingest.log_bytes_max < std::uint64_t{4} * ingest.segment_bytes) {
        problems.add(
            "ingest.log_bytes_max",
            "holds fewer than four segments",
            "raise it to at least 4 x ingest.segment_bytes"
        );
    }
}

} // namespace

const std::vector<ConfigKey>& hub_schema() {
    static const std::vector<ConfigKey> schema = whole_schema();
    return schema;
}

Result<HubConfig> make_hub_config(const Config& config) {
    ConfigProblems problems(config);
    HubConfig made;
    made.data_dir = config.text("hub.data_dir");
    made.public_url = config.text("hub.public_url");
    made.drain_wait =
        std::chrono::duration_cast<std::chrono::milliseconds>(config.duration("hub.drain_wait"));
    made.transport_loops = static_cast<unsigned>(config.integer("hub.transport_loops"));
    made.broker = broker::read_broker(config, made.data_dir, problems);
    read_listeners(config, made, problems);
    if (config.count("listener") == 0) {
        ListenerConfig mqtt;
        mqtt.address = {io::Endpoint::Kind::tcp, "127.0.0.1", 1'883};
        ListenerConfig http;
        http.protocol = ListenerConfig::Protocol::http;
        http.address = {io::Endpoint::Kind::tcp, "127.0.0.1", 8'080};
        made.listeners = {mqtt, http};
    }
    read_access(config, made.access, problems);
    made.ingest.folder = made.data_dir + "/ingress";
    read_ingest(config, made.ingest, problems);
    if (!problems.empty())
        return fail(problems.error());
    return made;
}

LogLevel log_level(const Config& config) {
    const std::string& level = config.text("log.level");
    return level == "debug"   ? LogLevel::debug
           : level == "warn"  ? LogLevel::warn
           : level == "error" ? LogLevel::error
                              : LogLevel::info;
}

} // namespace brim::hub
