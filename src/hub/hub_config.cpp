#include "hub/hub_config.h"

#include <algorithm>

namespace brim::hub {

const std::vector<ConfigKey>& hub_schema() {
    using Type = ConfigType;
    static const std::vector<ConfigKey> schema{
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
        {"listener[].protocol",
         Type::choice,
         std::string("mqtt"),
         "What is spoken there.",
         INT64_MIN,
         INT64_MAX,
         {"mqtt", "mqtts", "http", "https"}},
        {"listener[].address",
         Type::text,
         std::string(),
         "IP:port, [IPv6]:port or unix:/path; port 0 picks a free one."},
        {"listener[].auth",
         Type::choice,
         std::string("device"),
         "Who may connect (MQTT).",
         INT64_MIN,
         INT64_MAX,
         {"device", "unsafe-anonymous"}},
        {"listener[].cert_file", Type::text, std::string(), "PEM certificate chain; empty = self-signed."},
        {"listener[].key_file", Type::text, std::string(), "PEM private key."},
        {"listener[].client_certificate",
         Type::choice,
         std::string("none"),
         "Whether clients show a certificate of client_ca_file (TLS).",
         INT64_MIN,
         INT64_MAX,
         {"none", "optional", "required"}},
        {"listener[].client_ca_file", Type::text, std::string(), "PEM authorities of client certificates."},
        {"listener[].crl_file",
         Type::text,
         std::string(),
         "PEM revocation lists, one of each of their authorities; empty = none is looked at."},
        {"listener[].tls_min",
         Type::choice,
         std::string("1.2"),
         "Oldest TLS version spoken.",
         INT64_MIN,
         INT64_MAX,
         {"1.2", "1.3"}},
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
        {"mqtt.packet_bytes_max", Type::size, std::string("262KiB"), "Largest MQTT packet.", 1'024, 16'777'216
        },
        {"mqtt.inflight_max",
         Type::integer,
         std::int64_t{128},
         "Unacknowledged messages per session and direction.",
         1,
         65'535},
        {"mqtt.queue_max", Type::integer, std::int64_t{1'000}, "Messages waiting per session.", 1, 1'000'000},
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
    return schema;
}

std::string ListenerConfig::security() const {
    if (auth == DeviceAuth::unsafe_anonymous)
        return "unsafe-anonymous";
    return protocol == Protocol::mqtts || protocol == Protocol::https ? "tls" : "plain";
}

namespace {

/// What clients must show, and that what is asked for can be judged.
Result<void> read_client_tls(
    const Config& config, std::size_t index, const std::string& object, bool tls, ListenerConfig& listener
) {
    const auto key = [index](std::string_view name) { return Config::item("listener", index, name); };
    const std::string& demand = config.text(key("client_certificate"));
    listener.client_ca_file = config.text(key("client_ca_file"));
    listener.client_certificate_required = demand == "required";
    listener.crl_file = config.text(key("crl_file"));
    listener.tls_min = config.text(key("tls_min")) == "1.3" ? io::TlsVersion::v1_3 : io::TlsVersion::v1_2;
    const auto wrong = [&object](std::string cause, std::string fix) {
        return fail(Errc::invalid, object, std::move(cause), std::move(fix));
    };
    if (!tls && (demand != "none" || !listener.client_ca_file.empty() || !listener.crl_file.empty()))
        return wrong(
            "client certificates are shown by TLS only", "use mqtts or https, or remove the client_ keys"
        );
    if (demand != "none" && listener.client_ca_file.empty())
        return wrong(
            "client_certificate = \"" + demand + "\" without an authority to judge by", "set client_ca_file"
        );
    if (demand == "none" && !listener.client_ca_file.empty())
        return wrong(
            "client_ca_file is set, but client_certificate is \"none\"",
            "set it to \"required\" or \"optional\""
        );
    if (!listener.crl_file.empty() && listener.client_ca_file.empty())
        return wrong("crl_file is set, but no clients' authority", "set client_ca_file");
    return {};
}

Result<ListenerConfig> read_listener(const Config& config, std::size_t index) {
    const auto key = [index](std::string_view name) { return Config::item("listener", index, name); };
    const std::string object = "listener " + std::to_string(index + 1);
    ListenerConfig listener;
    const std::string& protocol = config.text(key("protocol"));
    using Protocol = ListenerConfig::Protocol;
    listener.protocol = protocol == "mqtts"   ? Protocol::mqtts
                        : protocol == "http"  ? Protocol::http
                        : protocol == "https" ? Protocol::https
                                              : Protocol::mqtt;
    std::string address = config.text(key("address"));
    if (!address.starts_with("unix:") && !address.starts_with("tcp:"))
        address.insert(0, "tcp:");
    auto endpoint = io::Endpoint::parse(address);
    if (!endpoint)
        return fail(Errc::invalid, object, endpoint.error().cause, endpoint.error().fix);
    listener.address = *endpoint;
    if (config.text(key("auth")) == "unsafe-anonymous")
        listener.auth = DeviceAuth::unsafe_anonymous;
    listener.cert_file = config.text(key("cert_file"));
    listener.key_file = config.text(key("key_file"));
    const bool tls = listener.protocol == Protocol::mqtts || listener.protocol == Protocol::https;
    const bool plain_allowed = config.boolean("hub.insecure_plain");
    if (!tls && !endpoint->is_local() && !plain_allowed) {
        return fail(
            Errc::invalid,
            object + " (" + protocol + " " + endpoint->text() + ")",
            "plain " + protocol + " is served on loopback only",
            "use " + protocol + "s, or set hub.insecure_plain = true if the network is trusted"
        );
    }
    if (listener.auth == DeviceAuth::unsafe_anonymous && !endpoint->is_local()) {
        return fail(
            Errc::invalid,
            object,
            "auth = \"unsafe-anonymous\" is for measuring on loopback",
            "use 127.0.0.1 or auth = \"device\""
        );
    }
    if (listener.cert_file.empty() != listener.key_file.empty()) {
        return fail(Errc::invalid, object, "cert_file and key_file belong together", "set both or none");
    }
    BRIM_TRY(read_client_tls(config, index, object, tls, listener));
    return listener;
}

} // namespace

Result<HubConfig> make_hub_config(const Config& config) {
    HubConfig made;
    made.data_dir = config.text("hub.data_dir");
    made.public_url = config.text("hub.public_url");
    made.drain_wait =
        std::chrono::duration_cast<std::chrono::milliseconds>(config.duration("hub.drain_wait"));
    for (std::size_t i = 0; i < config.count("listener"); ++i) {
        auto listener = read_listener(config, i);
        if (!listener)
            return fail(std::move(listener).error());
        made.listeners.push_back(std::move(*listener));
    }
    if (made.listeners.empty()) {
        ListenerConfig mqtt;
        mqtt.address = {io::Endpoint::Kind::tcp, "127.0.0.1", 1'883};
        ListenerConfig http;
        http.protocol = ListenerConfig::Protocol::http;
        http.address = {io::Endpoint::Kind::tcp, "127.0.0.1", 8'080};
        made.listeners = {mqtt, http};
    }
    const auto seconds = [&config](std::string_view key) {
        return static_cast<std::uint16_t>(
            std::chrono::duration_cast<std::chrono::seconds>(config.duration(key)).count()
        );
    };
    made.access.keepalive_s_min = seconds("mqtt.keepalive_min");
    made.access.keepalive_s_max = seconds("mqtt.keepalive_max");
    if (made.access.keepalive_s_min > made.access.keepalive_s_max) {
        return fail(
            Errc::invalid,
            "mqtt.keepalive_min",
            "is above mqtt.keepalive_max",
            "make it at most mqtt.keepalive_max"
        );
    }
    made.access.broker.packet_bytes_max = static_cast<std::uint32_t>(config.size("mqtt.packet_bytes_max"));
    made.access.broker.inflight_count_max = static_cast<std::uint16_t>(config.integer("mqtt.inflight_max"));
    made.access.broker.queue_count_max = static_cast<std::uint32_t>(config.integer("mqtt.queue_max"));
    constexpr std::int64_t day_ms = 86'400'000;
    constexpr std::uint64_t history_bytes_min = 1'048'576;
    made.ingest.retention.age_ms_max = config.integer("history.days_max") * day_ms;
    made.ingest.retention.bytes_max = config.size("history.bytes_max");
    if (made.ingest.retention.bytes_max != 0 && made.ingest.retention.bytes_max < history_bytes_min) {
        return fail(
            Errc::invalid, "history.bytes_max", "is below 1 MiB", "set at least 1MiB, or 0 for no limit"
        );
    }
    made.ingest.folder = made.data_dir + "/ingress";
    made.ingest.log_bytes_max = config.size("ingest.log_bytes_max");
    made.ingest.segment_bytes = static_cast<std::uint32_t>(config.size("ingest.segment_bytes"));
    if (made.ingest.log_bytes_max < std::uint64_t{4} * made.ingest.segment_bytes) {
        return fail(
            Errc::invalid,
            "ingest.log_bytes_max",
            "holds fewer than four segments",
            "raise it to at least 4 x ingest.segment_bytes"
        );
    }
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
