// The [[listener]] tables of the settings file.

#include "broker/internal/setting_values.h"
#include "broker/settings.h"

namespace brim::broker {

namespace {

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

/// Reads one [[listener]]; what is wrong is told at its key.
class DoorReader {
public:
    DoorReader(const Config& config, std::size_t index, ConfigProblems& problems)
        : config_(config), index_(index), problems_(problems) {}

    std::string key(std::string_view name) const { return Config::item("listener", index_, name); }

    void wrong(std::string_view name, std::string_view cause, std::string_view fix) {
        problems_.add(key(name), cause, fix);
    }

    /// Of a key that says something which nothing listens to.
    void idle(std::string_view name, std::string_view cause, std::string_view fix) {
        const std::string full = key(name);
        if (config_.is_set(full))
            problems_.add(full, cause, fix);
    }

    io::Endpoint address(bool is_tls, bool insecure_plain);
    io::TlsServerOptions tls();
    void no_tls();
    void connections(DoorSettings& door);
    std::optional<io::ProxyOptions> proxy(bool names_users);

private:
    std::uint32_t count(std::string_view name) const {
        return static_cast<std::uint32_t>(config_.integer(key(name)));
    }

    const Config& config_;
    std::size_t index_;
    ConfigProblems& problems_;
};

io::Endpoint DoorReader::address(bool is_tls, bool insecure_plain) {
    std::string address = config_.text(key("address"));
    const std::string& protocol = config_.text(key("protocol"));
    if (!address.starts_with("unix:") && !address.starts_with("tcp:"))
        address.insert(0, "tcp:");
    auto endpoint = io::Endpoint::parse(address);
    if (!endpoint) {
        wrong("address", endpoint.error().cause, endpoint.error().fix);
        return {};
    }
    if (!is_tls && !endpoint->is_local() && !insecure_plain) {
        wrong(
            "address",
            "plain " + protocol + " is served on loopback only, and " + endpoint->text() +
                " can be reached from other machines",
            "use " + protocol + "s, or set insecure_plain = true if the network is trusted"
        );
    }
    return std::move(*endpoint);
}

io::TlsServerOptions DoorReader::tls() {
    io::TlsServerOptions tls;
    tls.certificate_file = config_.text(key("cert_file"));
    tls.key_file = config_.text(key("key_file"));
    tls.client_ca_file = config_.text(key("client_ca_file"));
    tls.crl_file = config_.text(key("crl_file"));
    tls.version_min = config_.text(key("tls_min")) == "1.3" ? io::TlsVersion::v1_3 : io::TlsVersion::v1_2;
    const std::string& demand = config_.text(key("client_certificate"));
    tls.client_certificate_required = demand == "required";
    if (tls.certificate_file.empty() != tls.key_file.empty()) {
        wrong(
            tls.key_file.empty() ? "cert_file" : "key_file",
            "cert_file and key_file belong together",
            "set both or none"
        );
    }
    if (demand != "none" && tls.client_ca_file.empty()) {
        wrong(
            "client_certificate",
            "client_certificate = \"" + demand + "\" without an authority to judge by",
            "set client_ca_file"
        );
    }
    if (demand == "none" && !tls.client_ca_file.empty()) {
        wrong(
            "client_ca_file",
            "client_ca_file is set, but client_certificate is \"none\"",
            "set it to \"required\" or \"optional\""
        );
    }
    if (!tls.crl_file.empty() && tls.client_ca_file.empty())
        wrong("crl_file", "crl_file is set, but no clients' authority", "set client_ca_file");
    return tls;
}

void DoorReader::no_tls() {
    const std::string protocol = config_.text(key("protocol"));
    for (const char* name :
         {"cert_file", "key_file", "client_certificate", "client_ca_file", "crl_file", "tls_min"})
        idle(name, "is for TLS, which " + protocol + " is not", "use " + protocol + "s, or remove it");
}

void DoorReader::connections(DoorSettings& door) {
    door.connections.connections_max = count("connections_max");
    door.connections.connections_per_address_max = count("connections_per_address_max");
    door.connections.connects_per_second = count("connects_per_second");
    door.connections.connects_per_address_per_second = count("connects_per_address_per_second");
    door.publish_rate_max = count("publish_rate_max");
    door.publish_bytes_rate_max = static_cast<std::uint32_t>(config_.size(key("publish_bytes_rate_max")));
    door.origins = config_.list(key("origins"));
    if (door.address.kind == io::Endpoint::Kind::unix_socket && !door.proxy) {
        for (const char* name : {"connections_per_address_max", "connects_per_address_per_second"})
            idle(
                name, "clients of a unix socket have no address", "use connections_max or connects_per_second"
            );
    }
}

std::optional<io::ProxyOptions> DoorReader::proxy(bool names_users) {
    const std::vector<std::string>& proxies = config_.list(key("proxies"));
    const bool trusts_names = config_.boolean(key("proxy_names_certificates"));
    if (trusts_names && proxies.empty()) {
        wrong(
            "proxy_names_certificates",
            "proxy_names_certificates is set, but no proxies are",
            "name them in proxies"
        );
    } else if (trusts_names && !names_users) {
        wrong(
            "proxy_names_certificates",
            "nobody is known by a certificate's name there",
            "remove it, or use auth = \"users\" for MQTT clients that are"
        );
    }
    if (proxies.empty())
        return std::nullopt;
    auto trusted = io::AddressSet::parse(proxies);
    if (!trusted) {
        wrong("proxies", trusted.error().text(), "name addresses such as 10.0.0.7 or 10.0.0.0/24");
        return std::nullopt;
    }
    return io::ProxyOptions{std::move(*trusted), trusts_names};
}

} // namespace

std::vector<ConfigKey> door_keys() {
    std::vector<ConfigKey> keys = tls_keys();
    for (ConfigKey& key : connection_keys())
        keys.push_back(std::move(key));
    return keys;
}

DoorSettings read_door(
    const Config& config, std::size_t index, DoorUse use, bool insecure_plain, ConfigProblems& problems
) {
    DoorReader reader(config, index, problems);
    DoorSettings door;
    door.index = index;
    door.address = reader.address(use.is_tls, insecure_plain);
    if (use.is_tls)
        door.tls = reader.tls();
    else
        reader.no_tls();
    door.proxy = reader.proxy(use.names_users);
    reader.connections(door);
    if (!use.is_web)
        reader.idle(
            "origins",
            "web pages do not speak " + config.text(reader.key("protocol")),
            "remove it, or use WebSocket"
        );
    return door;
}

mqtt::ListenerOptions DoorSettings::listener_options() const {
    mqtt::ListenerOptions options;
    options.proxy = proxy;
    options.limits = connections;
    options.publish_rate_max = publish_rate_max;
    options.publish_bytes_rate_max = publish_bytes_rate_max;
    return options;
}

ListenerSettings
read_listener(const Config& config, std::size_t index, bool insecure_plain, ConfigProblems& problems) {
    const auto key = [index](std::string_view name) { return Config::item("listener", index, name); };
    ListenerSettings listener;
    const std::string& protocol = config.text(key("protocol"));
    using Protocol = ListenerSettings::Protocol;
    listener.protocol = protocol == "mqtts" ? Protocol::mqtts
                        : protocol == "ws"  ? Protocol::ws
                        : protocol == "wss" ? Protocol::wss
                                            : Protocol::mqtt;
    const std::string& auth = config.text(key("auth"));
    if (auth == "anonymous")
        listener.auth = ListenerAuth::anonymous;
    if (auth == "unsafe-anonymous")
        listener.auth = ListenerAuth::unsafe_anonymous;
    const DoorUse use{listener.is_tls(), listener.is_websocket(), listener.auth == ListenerAuth::users};
    static_cast<DoorSettings&>(listener) = read_door(config, index, use, insecure_plain, problems);
    const bool is_known = !listener.address.host.empty();
    if (listener.auth == ListenerAuth::unsafe_anonymous && is_known && !listener.address.is_local()) {
        problems.add(
            key("auth"),
            "auth = \"unsafe-anonymous\" is for measuring on loopback",
            "use 127.0.0.1, or another auth"
        );
    }
    return listener;
}

} // namespace brim::broker
