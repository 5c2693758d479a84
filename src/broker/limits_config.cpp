// Settings of what one client may ask of an MQTT server of ours: the same names in each section that has
// them.

#include "broker/internal/setting_values.h"
#include "broker/settings.h"

#include <algorithm>

namespace brim::broker {

std::vector<ConfigKey> client_limit_keys(std::string_view section, std::int64_t packet_bytes_high) {
    using enum ConfigType;
    std::vector<ConfigKey> keys{
        {"packet_bytes_max", size, words("262KiB"), "Largest packet.", 1'024, packet_bytes_high},
        {"inflight_max", integer, whole(128), "Unacknowledged messages of a client.", 1, 65'535},
        {"window_max",
         integer,
         whole(1'024),
         "The same on their way to a client, beyond inflight_max up to 4 KiB each.",
         1,
         65'535},
        {"queue_max", integer, whole(1'000), "Messages waiting per session.", 1, 10'000'000},
        {"queue_bytes_max", size, words("8MiB"), "Their bytes.", 1'024, UINT32_MAX},
        {"sessions_max", integer, whole(1'000'000), "Sessions, offline ones included.", 1, 16'000'000},
        {"session_expiry_max",
         duration,
         words("168h"),
         "Longest time a session outlives its connection.",
         0,
         4'294'967'294'000},
        {"subscriptions_max", integer, whole(1'000), "Subscriptions per session.", 1, 1'000'000},
        {"topic_levels_max", integer, whole(128), "Levels of a topic or filter.", 1, 65'535},
        {"topic_bytes_max", size, whole(1'024), "Bytes of a topic or filter.", 16, 65'535},
        {"user_properties_max", integer, whole(64), "User properties of a packet.", 0, 10'000},
        {"topic_alias_max", integer, whole(20), "Topic aliases per connection and direction.", 0, 65'535},
        {"connect_wait_max",
         duration,
         words("5s"),
         "From the accept to the whole CONNECT, logins in several steps included.",
         1'000,
         60'000},
    };
    for (ConfigKey& key : keys)
        key.name = std::string(section) + '.' + key.name;
    return keys;
}

void read_client_limits(const Config& config, std::string_view section, mqtt::BrokerLimits& limits) {
    const auto key = [section](std::string_view name) {
        return std::string(section) + '.' + std::string(name);
    };
    const auto count = [&](std::string_view name) {
        return static_cast<std::uint32_t>(config.integer(key(name)));
    };
    const auto bytes = [&](std::string_view name) {
        return static_cast<std::uint32_t>(config.size(key(name)));
    };
    limits.packet_bytes_max = bytes("packet_bytes_max");
    limits.inflight_count_max = static_cast<std::uint16_t>(count("inflight_max"));
    limits.window_count_max = static_cast<std::uint16_t>(count("window_max"));
    limits.queue_count_max = count("queue_max");
    limits.queue_bytes_max = bytes("queue_bytes_max");
    limits.sessions_max = count("sessions_max");
    limits.session_expiry_s_max = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(config.duration(key("session_expiry_max"))).count()
    );
    limits.subscriptions_max = count("subscriptions_max");
    limits.topic_levels_max = count("topic_levels_max");
    limits.topic_bytes_max = bytes("topic_bytes_max");
    limits.user_properties_max = count("user_properties_max");
    limits.topic_alias_max = static_cast<std::uint16_t>(count("topic_alias_max"));
    limits.connect_wait_max = config.duration(key("connect_wait_max"));
}

} // namespace brim::broker
