// The [[bridge]] tables of the settings file.

#include "broker/internal/setting_values.h"
#include "broker/settings.h"

#include <charconv>

namespace brim::broker {

namespace {

std::unexpected<Error> bad(std::string object, std::string cause, std::string fix) {
    return fail(Errc::invalid, std::move(object), std::move(cause), std::move(fix));
}

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t blank = text.find(' ');
        if (blank != 0)
            parts.emplace_back(text.substr(0, blank));
        text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
    }
    return parts;
}

/// "mqtt://host:1883" or "mqtts://host:8883".
Result<void> read_url(const std::string& url, const std::string& object, BridgeEntry& bridge) {
    constexpr std::string_view plain = "mqtt://";
    constexpr std::string_view tls = "mqtts://";
    bridge.is_tls = url.starts_with(tls);
    if (!bridge.is_tls && !url.starts_with(plain))
        return bad(
            object, "\"" + url + "\" is no broker's address", "write mqtt://host:port or mqtts://host:port"
        );
    std::string place = url.substr(bridge.is_tls ? tls.size() : plain.size());
    const bool has_port = place.rfind(':') != std::string::npos && !place.ends_with(']');
    if (!has_port)
        place += bridge.is_tls ? ":8883" : ":1883";
    auto to = io::Endpoint::parse("tcp:" + place);
    if (!to)
        return bad(object, to.error().cause, "write mqtt://host:port or mqtts://host:port");
    bridge.link.to = std::move(*to);
    return {};
}

} // namespace

std::vector<ConfigKey> bridge_keys() {
    using enum ConfigType;
    const std::vector<std::string> none;
    return {
        {"bridge[].name", text, words(""), "Its name: 0-9 A-Z a-z _ . -, at most 64."},
        {"bridge[].url", text, words(""), "The other broker: mqtts://host:8883 or mqtt://host:1883."},
        {"bridge[].topics",
         list,
         none,
         "What it carries: \"FILTER out|in|both QOS LOCAL-PREFIX REMOTE-PREFIX\"."},
        {"bridge[].protocol",
         choice,
         words("5"),
         "MQTT version; 5 keeps loops away by itself.",
         INT64_MIN,
         INT64_MAX,
         {"5", "3.1.1"}},
        {"bridge[].client_id", text, words(""), "Empty = the broker's id and the bridge's name."},
        {"bridge[].username", text, words(""), "User at the other broker."},
        {"bridge[].password_file", text, words(""), "File with the password; read when the broker starts."},
        {"bridge[].ca_file", text, words(""), "PEM authority of the other broker; empty = the system's."},
        {"bridge[].cert_file", text, words(""), "Client certificate shown to it (PEM)."},
        {"bridge[].key_file", text, words(""), "Its private key (PEM)."},
        {"bridge[].alpn",
         text,
         words(""),
         "Protocol named in the TLS handshake, mqtt where a port serves several; empty = none."},
        {"bridge[].insecure_plain", boolean, false, "Allow mqtt:// without TLS to another machine."},
        {"bridge[].keepalive", duration, words("60s"), "Longest silence before a ping.", 5'000, 3'600'000},
        {"bridge[].backoff_max", duration, words("2m"), "Longest wait before a new try.", 1'000, 3'600'000},
        {"bridge[].retain", boolean, true, "Hand on the retain flag."},
        {"bridge[].queue_bytes_max", size, words("64MiB"), "What may wait on disk.", 524'288, INT64_MAX},
        {"bridge[].when_full",
         choice,
         words("drop-oldest"),
         "What a full queue does.",
         INT64_MIN,
         INT64_MAX,
         {"drop-oldest", "reject"}},
        {"bridge[].queue_qos0", boolean, false, "QoS 0 waits in the queue too."},
        {"bridge[].inflight_max", integer, whole(64), "Unacknowledged messages, each way.", 1, 1'000},
    };
}

Result<BridgeRule> read_bridge_rule(std::string_view text) {
    const std::string object = "bridge topic \"" + std::string(text) + "\"";
    const std::string fix =
        "write FILTER, then out, in or both, a QoS, a local and a remote prefix; \"\" is an empty one";
    const std::vector<std::string> parts = split(text);
    if (parts.empty() || parts.size() > 5)
        return bad(object, "has " + std::to_string(parts.size()) + " words", fix);
    BridgeRule rule;
    rule.filter = parts[0];
    if (parts.size() > 1) {
        if (parts[1] != "out" && parts[1] != "in" && parts[1] != "both")
            return bad(object, "\"" + parts[1] + "\" is no direction", fix);
        rule.direction = parts[1] == "in"     ? BridgeDirection::in
                         : parts[1] == "both" ? BridgeDirection::both
                                              : BridgeDirection::out;
    }
    if (parts.size() > 2) {
        if (parts[2] != "0" && parts[2] != "1" && parts[2] != "2")
            return bad(object, "\"" + parts[2] + "\" is no QoS", fix);
        rule.qos = static_cast<std::uint8_t>(parts[2][0] - '0');
    }
    const auto prefix = [](const std::string& word) { return word == "\"\"" ? std::string() : word; };
    if (parts.size() > 3)
        rule.local_prefix = prefix(parts[3]);
    if (parts.size() > 4)
        rule.remote_prefix = prefix(parts[4]);
    return rule;
}

BridgeEntry
read_bridge(const Config& config, std::size_t index, const std::string& folder, ConfigProblems& problems) {
    const auto key = [index](std::string_view name) { return Config::item("bridge", index, name); };
    BridgeEntry bridge;
    bridge.link.name = config.text(key("name"));
    bool is_whole = true;
    const auto wrong = [&](std::string_view name, std::string_view cause, std::string_view fix) {
        is_whole = false;
        problems.add(key(name), cause, fix);
    };
    if (const auto url = read_url(config.text(key("url")), "url", bridge); !url)
        wrong("url", url.error().cause, url.error().fix);
    else if (!bridge.is_tls && !bridge.link.to.is_local() && !config.boolean(key("insecure_plain")))
        wrong(
            "url", "mqtt:// would send everything in the clear", "use mqtts://, or set insecure_plain = true"
        );
    for (const std::string& text : config.list(key("topics"))) {
        auto rule = read_bridge_rule(text);
        if (rule)
            bridge.link.rules.push_back(std::move(*rule));
        else
            wrong("topics", rule.error().object + " " + rule.error().cause, rule.error().fix);
    }
    if (config.text(key("protocol")) == "3.1.1")
        bridge.link.protocol = mqtt::ProtocolVersion::v311;
    bridge.link.client_id = config.text(key("client_id"));
    bridge.link.username = config.text(key("username"));
    bridge.password_file = config.text(key("password_file"));
    bridge.trust = {
        config.text(key("ca_file")), config.text(key("cert_file")), config.text(key("key_file")), {}
    };
    bridge.trust.protocol = config.text(key("alpn"));
    if (!bridge.trust.protocol.empty() && !bridge.is_tls)
        wrong("alpn", "a protocol is named in TLS only", "use mqtts://, or remove it");
    if (bridge.trust.protocol.size() > 255)
        wrong("alpn", "it has more than 255 bytes", "use a name such as mqtt");
    bridge.link.keepalive_s = static_cast<std::uint16_t>(seconds(config, key("keepalive")).count());
    bridge.link.backoff_max =
        std::chrono::duration_cast<std::chrono::milliseconds>(config.duration(key("backoff_max")));
    bridge.link.retain = config.boolean(key("retain"));
    bridge.link.queue_bytes_max = config.size(key("queue_bytes_max"));
    if (config.text(key("when_full")) == "reject")
        bridge.link.when_full = store::WhenFull::reject;
    bridge.link.queue_qos0 = config.boolean(key("queue_qos0"));
    bridge.link.inflight_max = static_cast<std::uint16_t>(config.integer(key("inflight_max")));
    bridge.link.packet_bytes_max = static_cast<std::uint32_t>(config.size("broker.packet_bytes_max"));
    bridge.link.folder = folder + "/bridge-" + bridge.link.name;
    if (const auto checked = bridge.link.check(); is_whole && !checked) {
        const Error& why = checked.error();
        problems.add("bridge[" + std::to_string(index) + "]", why.object + ": " + why.cause, why.fix);
    }
    return bridge;
}

} // namespace brim::broker
