#include "broker/settings.h"

#include "broker/bridge_mark.h"

#include <algorithm>

namespace brim::broker {

namespace {

std::unexpected<Error> bad(std::string object, std::string cause, std::string fix) {
    return fail(Errc::invalid, std::move(object), std::move(cause), std::move(fix));
}

ConfigValue words(const char* value) {
    return ConfigValue(std::string(value));
}

ConfigValue whole(std::int64_t value) {
    return ConfigValue(value);
}

std::vector<ConfigKey> limit_keys() {
    using enum ConfigType;
    return {
        {"broker.packet_bytes_max", size, words("262KiB"), "Largest packet.", 1'024, 268'435'455},
        {"broker.inflight_max",
         integer,
         whole(128),
         "Unacknowledged messages per session and direction.",
         1,
         65'535},
        {"broker.queue_max", integer, whole(1'000), "Messages waiting per session.", 1, 10'000'000},
        {"broker.queue_bytes_max", size, words("8MiB"), "Their bytes.", 1'024, INT64_MAX},
        {"broker.sessions_max", integer, whole(1'000'000), "Sessions, offline ones included.", 1, 16'000'000},
        {"broker.session_expiry_max",
         duration,
         words("168h"),
         "Longest time a session outlives its connection.",
         0,
         4'294'967'294'000},
        {"broker.subscriptions_max", integer, whole(1'000), "Subscriptions per session.", 1, 1'000'000},
        {"broker.topic_levels_max", integer, whole(128), "Levels of a topic or filter.", 1, 65'535},
        {"broker.topic_bytes_max", size, whole(1'024), "Bytes of a topic or filter.", 16, 65'535},
        {"broker.user_properties_max", integer, whole(64), "User properties of a packet.", 0, 10'000},
        {"broker.topic_alias_max",
         integer,
         whole(20),
         "Topic aliases per connection and direction.",
         0,
         65'535},
        {"broker.keepalive_max", duration, words("18h"), "Longest keep-alive.", 10'000, 64'800'000},
        {"broker.retained_max", integer, whole(1'000'000), "Retained messages.", 0, 100'000'000},
        {"broker.retained_bytes_max", size, words("1GiB"), "Their bytes.", 0, INT64_MAX},
    };
}

std::chrono::seconds seconds(const Config& config, std::string_view key) {
    return std::chrono::duration_cast<std::chrono::seconds>(config.duration(key));
}

mqtt::BrokerLimits read_limits(const Config& config) {
    const auto u32 = [&](std::string_view key) { return static_cast<std::uint32_t>(config.integer(key)); };
    mqtt::BrokerLimits limits;
    limits.packet_bytes_max = static_cast<std::uint32_t>(config.size("broker.packet_bytes_max"));
    limits.inflight_count_max = static_cast<std::uint16_t>(u32("broker.inflight_max"));
    limits.queue_count_max = u32("broker.queue_max");
    limits.queue_bytes_max =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(config.size("broker.queue_bytes_max"), UINT32_MAX)
        );
    limits.sessions_max = u32("broker.sessions_max");
    limits.session_expiry_s_max =
        static_cast<std::uint32_t>(seconds(config, "broker.session_expiry_max").count());
    limits.subscriptions_max = u32("broker.subscriptions_max");
    limits.topic_levels_max = u32("broker.topic_levels_max");
    limits.topic_bytes_max = static_cast<std::uint32_t>(config.size("broker.topic_bytes_max"));
    limits.user_properties_max = u32("broker.user_properties_max");
    limits.topic_alias_max = static_cast<std::uint16_t>(u32("broker.topic_alias_max"));
    limits.keepalive_s_max = static_cast<std::uint16_t>(seconds(config, "broker.keepalive_max").count());
    limits.retained_count_max = u32("broker.retained_max");
    limits.retained_bytes_max = config.size("broker.retained_bytes_max");
    return limits;
}

} // namespace

std::vector<ConfigKey> broker_keys() {
    using enum ConfigType;
    std::vector<ConfigKey> keys{
        {"broker.id",
         text,
         words(""),
         "Names this broker to others over bridges; empty = made at the first start."},
        {"broker.durable", boolean, true, "Sessions and retained messages survive the process."},
        {"broker.users_file", text, words(""), "Users and password hashes (brim mqtt user)."},
        {"broker.acl_file", text, words(""), "Who may publish and subscribe to what."},
        {"broker.token_key_file", text, words(""), "Key of JSON Web Tokens, as token_key_form says."},
        {"broker.token_key_form",
         choice,
         words("pem"),
         "One PEM public key, a JWK Set, or a shared secret.",
         INT64_MIN,
         INT64_MAX,
         {"pem", "jwks", "secret"}},
        {"broker.token_algorithms",
         list,
         std::vector<std::string>{},
         "Signatures taken: HS256, HS384, HS512, RS256, RS384, RS512, PS256, ES256, ES384, EdDSA."},
        {"broker.token_leeway", duration, words("0s"), "For clocks that differ.", 0, 600'000},
        {"broker.token_issuer", text, words(""), "Required claim iss; empty = not looked at."},
        {"broker.token_audience", text, words(""), "Required claim aud; empty = not looked at."},
        {"broker.token_name_claim", text, words("sub"), "Claim that names the user."},
        {"broker.sys_interval", duration, words("10s"), "Of the figures below $SYS/; 0 = none.", 0, 3'600'000
        },
    };
    for (const auto& more : {limit_keys(), bridge_keys()})
        keys.insert(keys.end(), more.begin(), more.end());
    return keys;
}

std::vector<ConfigKey> tls_keys() {
    using enum ConfigType;
    return {
        {"listener[].cert_file", text, words(""), "PEM certificate chain; empty = self-signed."},
        {"listener[].key_file", text, words(""), "PEM private key."},
        {"listener[].client_certificate",
         choice,
         words("none"),
         "Whether clients show a certificate of client_ca_file (TLS).",
         INT64_MIN,
         INT64_MAX,
         {"none", "optional", "required"}},
        {"listener[].client_ca_file", text, words(""), "PEM authorities of client certificates."},
        {"listener[].crl_file",
         text,
         words(""),
         "PEM revocation lists, one of each of their authorities; empty = none is looked at."},
        {"listener[].tls_min",
         choice,
         words("1.2"),
         "Oldest TLS version spoken.",
         INT64_MIN,
         INT64_MAX,
         {"1.2", "1.3"}},
    };
}

std::vector<ConfigKey> connection_keys() {
    using enum ConfigType;
    const std::vector<std::string> none;
    return {
        {"listener[].connections_max",
         integer,
         whole(0),
         "Connections at a time; 0 = no limit.",
         0,
         10'000'000},
        {"listener[].connections_per_address_max",
         integer,
         whole(0),
         "Of one IPv4 address or IPv6 /64; 0 = no limit.",
         0,
         10'000'000},
        {"listener[].connects_per_second", integer, whole(0), "New ones; 0 = no limit.", 0, 1'000'000},
        {"listener[].connects_per_address_per_second",
         integer,
         whole(0),
         "New ones of one address; 0 = no limit.",
         0,
         1'000'000},
        {"listener[].publish_rate_max",
         integer,
         whole(0),
         "Messages a second of one client, above it is read more slowly; 0 = no limit.",
         0,
         10'000'000},
        {"listener[].publish_bytes_rate_max",
         size,
         whole(0),
         "The same in bytes a second; 0 = no limit.",
         0,
         UINT32_MAX},
        {"listener[].proxies",
         list,
         none,
         "Addresses of load balancers, the only ones that may connect; they send the PROXY protocol."},
        {"listener[].proxy_names_certificates",
         boolean,
         false,
         "The proxy ends TLS and says whose client certificate it verified."},
        {"listener[].origins",
         list,
         none,
         "Web pages that may connect (ws, wss), as https://host; * = any; empty = of the same host."},
    };
}

Result<io::TlsServerOptions>
read_tls(const Config& config, std::size_t index, const std::string& object, bool is_tls) {
    const auto key = [index](std::string_view name) { return Config::item("listener", index, name); };
    io::TlsServerOptions tls;
    tls.certificate_file = config.text(key("cert_file"));
    tls.key_file = config.text(key("key_file"));
    tls.client_ca_file = config.text(key("client_ca_file"));
    tls.crl_file = config.text(key("crl_file"));
    tls.version_min = config.text(key("tls_min")) == "1.3" ? io::TlsVersion::v1_3 : io::TlsVersion::v1_2;
    const std::string& demand = config.text(key("client_certificate"));
    tls.client_certificate_required = demand == "required";
    if (tls.certificate_file.empty() != tls.key_file.empty())
        return bad(object, "cert_file and key_file belong together", "set both or none");
    if (!is_tls && (demand != "none" || !tls.client_ca_file.empty() || !tls.crl_file.empty()))
        return bad(
            object,
            "client certificates are shown by TLS only",
            "use a protocol with TLS, or remove the client_ keys"
        );
    if (demand != "none" && tls.client_ca_file.empty())
        return bad(
            object,
            "client_certificate = \"" + demand + "\" without an authority to judge by",
            "set client_ca_file"
        );
    if (demand == "none" && !tls.client_ca_file.empty())
        return bad(
            object,
            "client_ca_file is set, but client_certificate is \"none\"",
            "set it to \"required\" or \"optional\""
        );
    if (!tls.crl_file.empty() && tls.client_ca_file.empty())
        return bad(object, "crl_file is set, but no clients' authority", "set client_ca_file");
    return tls;
}

Result<io::Endpoint> read_address(
    const Config& config, std::size_t index, const std::string& object, bool is_tls, bool insecure_plain
) {
    std::string address = config.text(Config::item("listener", index, "address"));
    const std::string& protocol = config.text(Config::item("listener", index, "protocol"));
    if (!address.starts_with("unix:") && !address.starts_with("tcp:"))
        address.insert(0, "tcp:");
    auto endpoint = io::Endpoint::parse(address);
    if (!endpoint)
        return bad(object, endpoint.error().cause, endpoint.error().fix);
    if (!is_tls && !endpoint->is_local() && !insecure_plain) {
        return bad(
            object + " (" + protocol + " " + endpoint->text() + ")",
            "plain " + protocol + " is served on loopback only",
            "use " + protocol + "s, or set insecure_plain = true if the network is trusted"
        );
    }
    return endpoint;
}

namespace {

Result<void> read_connections(
    const Config& config, std::size_t index, const std::string& object, ListenerSettings& listener
) {
    const auto key = [index](std::string_view name) { return Config::item("listener", index, name); };
    const auto u32 = [&](std::string_view name) {
        return static_cast<std::uint32_t>(config.integer(key(name)));
    };
    listener.connections.connections_max = u32("connections_max");
    listener.connections.connections_per_address_max = u32("connections_per_address_max");
    listener.connections.connects_per_second = u32("connects_per_second");
    listener.connections.connects_per_address_per_second = u32("connects_per_address_per_second");
    listener.publish_rate_max = u32("publish_rate_max");
    listener.publish_bytes_rate_max = static_cast<std::uint32_t>(config.size(key("publish_bytes_rate_max")));
    listener.origins = config.list(key("origins"));
    const std::vector<std::string>& proxies = config.list(key("proxies"));
    const bool trusts_names = config.boolean(key("proxy_names_certificates"));
    if (proxies.empty() && trusts_names)
        return bad(object, "proxy_names_certificates is set, but no proxies are", "name them in proxies");
    if (proxies.empty())
        return {};
    auto trusted = io::AddressSet::parse(proxies);
    if (!trusted)
        return bad(object, trusted.error().text(), "name addresses such as 10.0.0.7 or 10.0.0.0/24");
    listener.proxy = io::ProxyOptions{std::move(*trusted), trusts_names};
    return {};
}

} // namespace

Result<ListenerSettings> read_listener(const Config& config, std::size_t index, bool insecure_plain) {
    const auto key = [index](std::string_view name) { return Config::item("listener", index, name); };
    const std::string object = "listener " + std::to_string(index + 1);
    ListenerSettings listener;
    const std::string& protocol = config.text(key("protocol"));
    using Protocol = ListenerSettings::Protocol;
    listener.protocol = protocol == "mqtts" ? Protocol::mqtts
                        : protocol == "ws"  ? Protocol::ws
                        : protocol == "wss" ? Protocol::wss
                                            : Protocol::mqtt;
    auto address = read_address(config, index, object, listener.is_tls(), insecure_plain);
    if (!address)
        return fail(std::move(address).error());
    listener.address = std::move(*address);
    const std::string& auth = config.text(key("auth"));
    if (auth == "anonymous")
        listener.auth = ListenerAuth::anonymous;
    if (auth == "unsafe-anonymous")
        listener.auth = ListenerAuth::unsafe_anonymous;
    if (listener.auth == ListenerAuth::unsafe_anonymous && !listener.address.is_local()) {
        return bad(
            object,
            "auth = \"unsafe-anonymous\" is for measuring on loopback",
            "use 127.0.0.1, or another auth"
        );
    }
    auto tls = read_tls(config, index, object, listener.is_tls());
    if (!tls)
        return fail(std::move(tls).error());
    listener.tls = std::move(*tls);
    BRIM_TRY(read_connections(config, index, object, listener));
    return listener;
}

std::string ListenerSettings::protocol_text() const {
    switch (protocol) {
    case Protocol::mqtt:
        return "mqtt";
    case Protocol::mqtts:
        return "mqtts";
    case Protocol::ws:
        return "ws";
    case Protocol::wss:
        return "wss";
    }
    return "mqtt";
}

std::string ListenerSettings::security() const {
    if (auth == ListenerAuth::unsafe_anonymous)
        return "unsafe-anonymous";
    const std::string who = auth == ListenerAuth::users ? "users" : "anonymous";
    return who + (is_tls() ? " (tls)" : " (plain)");
}

Result<Settings> read_broker(const Config& config, const std::string& data_dir) {
    Settings settings;
    settings.folder = data_dir + "/broker";
    settings.tls_folder = data_dir + "/tls";
    settings.durable = config.boolean("broker.durable");
    settings.policy.users_file = config.text("broker.users_file");
    settings.policy.acl_file = config.text("broker.acl_file");
    settings.policy.token_key_file = config.text("broker.token_key_file");
    const std::string& form = config.text("broker.token_key_form");
    settings.policy.token_key_form = form == "jwks"     ? TokenKeyForm::jwks
                                     : form == "secret" ? TokenKeyForm::secret
                                                        : TokenKeyForm::pem;
    for (const std::string& name : config.list("broker.token_algorithms")) {
        const auto algorithm = token_algorithm(name);
        if (!algorithm)
            return bad("broker.token_algorithms", algorithm.error().cause, algorithm.error().fix);
        settings.policy.token_algorithms.push_back(*algorithm);
    }
    settings.policy.token_leeway = seconds(config, "broker.token_leeway");
    settings.policy.token_issuer = config.text("broker.token_issuer");
    settings.policy.token_audience = config.text("broker.token_audience");
    settings.policy.token_name_claim = config.text("broker.token_name_claim");
    settings.sys_interval = seconds(config, "broker.sys_interval");
    settings.limits = read_limits(config);
    settings.broker_id = config.text("broker.id");
    for (std::size_t i = 0; i < config.count("bridge"); ++i) {
        auto bridge = read_bridge(config, i, settings.folder);
        if (!bridge)
            return fail(std::move(bridge).error());
        settings.bridges.push_back(std::move(*bridge));
    }
    if (!settings.broker_id.empty() && !is_broker_id(settings.broker_id))
        return bad("broker.id", "is no name of a broker", "use 1 to 64 of 0-9 A-Z a-z _ . -");
    return settings;
}

Result<void> check(const Settings& settings) {
    for (std::size_t i = 0; i < settings.listeners.size(); ++i) {
        const ListenerSettings& listener = settings.listeners[i];
        const std::string object = listener.protocol_text() + " " + listener.address.text();
        if (listener.auth == ListenerAuth::unsafe_anonymous)
            continue;
        if (settings.policy.acl_file.empty()) {
            return bad(
                object,
                "nobody may do anything there: broker.acl_file is not set",
                "set it to a file of rules; \"pattern readwrite #\" in it allows everything"
            );
        }
        const bool has_source = !settings.policy.users_file.empty() ||
                                !settings.policy.token_key_file.empty() ||
                                !listener.tls.client_ca_file.empty();
        if (listener.auth == ListenerAuth::users && !has_source) {
            return bad(
                object,
                "auth = \"users\", but nothing says who they are",
                "set broker.users_file, broker.token_key_file, or client_ca_file of the listener"
            );
        }
    }
    if (!settings.policy.token_key_file.empty() && settings.policy.token_algorithms.empty()) {
        return bad(
            "broker.token_algorithms",
            "is empty, so no token can be judged",
            "name those of the key, such as [\"ES256\"]"
        );
    }
    return {};
}

} // namespace brim::broker
