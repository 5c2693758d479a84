#pragma once
// The settings of the broker for apps and LAN devices, the same in both programs: the section [broker], and
// the [[listener]] tables that let its clients in. docs/broker.md is their manual.

#include "base/config.h"
#include "broker/bridge_settings.h"
#include "broker/jwt.h"
#include "io/net.h"
#include "io/tls.h"
#include "mqtt/server.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace brim::broker {

/// Who may connect to a listener.
enum class ListenerAuth : std::uint8_t {
    users,           ///< whom the password file, a token or a client certificate names
    anonymous,       ///< anybody, with the rights the ACL file gives to nobody in particular
    unsafe_anonymous ///< anybody, and nothing is forbidden: for measuring, on this machine only
};

/// What every listener of a program has, whatever is spoken there.
struct DoorSettings {
    std::size_t index = 0; ///< of its [[listener]], from 0
    io::Endpoint address;
    io::TlsServerOptions tls{}; ///< with TLS; empty certificate_file = self-signed
    mqtt::ConnectionLimits connections{};
    std::optional<io::ProxyOptions> proxy{}; ///< set: only these proxies may connect
    std::uint32_t publish_rate_max = 0;      ///< of each client, messages a second; 0 = no limit
    std::uint32_t publish_bytes_rate_max = 0;
    std::vector<std::string> origins{}; ///< of web pages that may connect; empty = the same host

    /// Limits, proxies and rates; the rest is the caller's.
    mqtt::ListenerOptions listener_options() const;
};

struct ListenerSettings : DoorSettings {
    enum class Protocol : std::uint8_t { mqtt, mqtts, ws, wss };
    Protocol protocol = Protocol::mqtt;
    ListenerAuth auth = ListenerAuth::users;

    bool is_tls() const { return protocol == Protocol::mqtts || protocol == Protocol::wss; }

    bool is_websocket() const { return protocol == Protocol::ws || protocol == Protocol::wss; }

    /// "mqtts", and "users (tls)", "anonymous (plain)", "unsafe-anonymous": printed at start.
    std::string protocol_text() const;
    std::string security() const;
};

/// Where the rules come from. An empty name: there is no such source, and nobody gets in or may do anything
/// by it.
struct PolicySettings {
    std::string users_file;
    std::string acl_file;
    std::string token_key_file;
    TokenKeyForm token_key_form = TokenKeyForm::pem;
    std::vector<TokenAlgorithm> token_algorithms;
    std::chrono::seconds token_leeway{0};
    std::string token_issuer;   ///< empty: not looked at
    std::string token_audience; ///< empty: not looked at
    std::string token_name_claim = "sub";
};

/// A bridge as the settings name it.
struct BridgeEntry {
    BridgeSettings link;       ///< its password is in the file
    std::string password_file; ///< empty: none
    bool is_tls = false;
    io::TlsClientOptions trust{};
};

struct Settings {
    std::string folder;     ///< of the sessions; made when absent
    std::string tls_folder; ///< of the certificate signed by itself
    bool durable = true;    ///< sessions, their messages and retained messages survive the process
    PolicySettings policy;
    mqtt::BrokerLimits limits;
    std::chrono::seconds sys_interval{10}; ///< of the figures below $SYS/; 0 = none
    std::string broker_id; ///< names this broker to others; empty: one is made at the first start and kept
    std::vector<ListenerSettings> listeners;
    std::vector<BridgeEntry> bridges;

    /// Something asks for a broker.
    bool is_wanted() const { return !listeners.empty() || !bridges.empty(); }
};

/// Keys "SECTION.packet_bytes_max" and so on: what one client may ask of a server, each a limit of
/// mqtt::BrokerLimits with its default.
std::vector<ConfigKey> client_limit_keys(std::string_view section, std::int64_t packet_bytes_high);
void read_client_limits(const Config& config, std::string_view section, mqtt::BrokerLimits& limits);

/// Keys of the section [broker].
std::vector<ConfigKey> broker_keys();
/// Keys of [[listener]] that every listener has: certificates, how many may come, from where, how fast they
/// may publish.
std::vector<ConfigKey> door_keys();

/// Which of these mean something at a listener.
struct DoorUse {
    bool is_tls = false;
    bool is_web = false;      ///< web pages may connect: origins
    bool names_users = false; ///< a client certificate says who its client is
};

/// What listener `index` has of them; `problems` hears of those that are wrong, or mean nothing there. Plain
/// text stays on this machine unless `insecure_plain`.
DoorSettings read_door(
    const Config& config, std::size_t index, DoorUse use, bool insecure_plain, ConfigProblems& problems
);
/// One [[listener]] of the broker: its protocol is one of mqtt, mqtts, ws, wss.
ListenerSettings
read_listener(const Config& config, std::size_t index, bool insecure_plain, ConfigProblems& problems);
/// Keys of [[bridge]].
std::vector<ConfigKey> bridge_keys();
/// "sensors/# out 1 local/ remote/": the words of mosquitto's `topic` lines; "" is an empty prefix.
Result<BridgeRule> read_bridge_rule(std::string_view text);
/// One [[bridge]]; its queue is kept below `folder`.
BridgeEntry
read_bridge(const Config& config, std::size_t index, const std::string& folder, ConfigProblems& problems);
/// The section [broker] and the [[bridge]] tables; `data_dir` is the program's. Listeners are added by the
/// caller.
Settings read_broker(const Config& config, const std::string& data_dir, ConfigProblems& problems);

/// Settings that are each valid, but let nobody in together.
struct Mistake {
    std::string key, cause, fix;
};

std::vector<Mistake> mistakes_of(const Settings& settings);
/// The first of them.
Result<void> check(const Settings& settings);

} // namespace brim::broker
