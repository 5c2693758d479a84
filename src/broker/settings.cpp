#include "broker/settings.h"

#include "broker/bridge_mark.h"
#include "broker/internal/setting_values.h"

namespace brim::broker {

namespace {

std::vector<ConfigKey> store_limit_keys() {
    using enum ConfigType;
    return {
        {"broker.keepalive_max", duration, words("18h"), "Longest keep-alive.", 10'000, 64'800'000},
        {"broker.retained_max", integer, whole(1'000'000), "Retained messages.", 0, 100'000'000},
        {"broker.retained_bytes_max", size, words("1GiB"), "Their bytes.", 0, INT64_MAX},
    };
}

mqtt::BrokerLimits read_limits(const Config& config) {
    mqtt::BrokerLimits limits;
    read_client_limits(config, "broker", limits);
    limits.keepalive_s_max = static_cast<std::uint16_t>(seconds(config, "broker.keepalive_max").count());
    limits.retained_count_max = static_cast<std::uint32_t>(config.integer("broker.retained_max"));
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
    constexpr std::int64_t packet_bytes_high = 268'435'455; // MQTT's own
    for (const auto& more :
         {client_limit_keys("broker", packet_bytes_high), store_limit_keys(), bridge_keys()})
        keys.insert(keys.end(), more.begin(), more.end());
    return keys;
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

Settings read_broker(const Config& config, const std::string& data_dir, ConfigProblems& problems) {
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
        if (algorithm)
            settings.policy.token_algorithms.push_back(*algorithm);
        else
            problems.add("broker.token_algorithms", algorithm.error().cause, algorithm.error().fix);
    }
    settings.policy.token_leeway = seconds(config, "broker.token_leeway");
    settings.policy.token_issuer = config.text("broker.token_issuer");
    settings.policy.token_audience = config.text("broker.token_audience");
    settings.policy.token_name_claim = config.text("broker.token_name_claim");
    settings.sys_interval = seconds(config, "broker.sys_interval");
    settings.limits = read_limits(config);
    settings.broker_id = config.text("broker.id");
    for (std::size_t i = 0; i < config.count("bridge"); ++i)
        settings.bridges.push_back(read_bridge(config, i, settings.folder, problems));
    if (!settings.broker_id.empty() && !is_broker_id(settings.broker_id))
        problems.add("broker.id", "is no name of a broker", "use 1 to 64 of 0-9 A-Z a-z _ . -");
    return settings;
}

std::vector<Mistake> mistakes_of(const Settings& settings) {
    std::vector<Mistake> found;
    for (const ListenerSettings& listener : settings.listeners) {
        const std::string name = listener.protocol_text() + " " + listener.address.text() + ": ";
        const std::string key = Config::item("listener", listener.index, "auth");
        if (listener.auth == ListenerAuth::unsafe_anonymous)
            continue;
        if (settings.policy.acl_file.empty()) {
            found.push_back(
                {key,
                 name + "nobody may do anything there: broker.acl_file is not set",
                 "set it to a file of rules; \"pattern readwrite #\" in it allows everything"}
            );
        }
        const bool has_source = !settings.policy.users_file.empty() ||
                                !settings.policy.token_key_file.empty() ||
                                !listener.tls.client_ca_file.empty();
        if (listener.auth == ListenerAuth::users && !has_source) {
            found.push_back(
                {key,
                 name + "auth = \"users\", but nothing says who they are",
                 "set broker.users_file, broker.token_key_file, or client_ca_file of the listener"}
            );
        }
    }
    if (!settings.policy.token_key_file.empty() && settings.policy.token_algorithms.empty()) {
        found.push_back(
            {"broker.token_algorithms",
             "is empty, so no token can be judged",
             "name those of the key, such as [\"ES256\"]"}
        );
    }
    return found;
}

Result<void> check(const Settings& settings) {
    const std::vector<Mistake> found = mistakes_of(settings);
    if (found.empty())
        return {};
    return fail(Errc::invalid, found.front().key, found.front().cause, found.front().fix);
}

} // namespace brim::broker
