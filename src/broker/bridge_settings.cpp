#include "broker/bridge_settings.h"

#include "broker/bridge_mark.h"
#include "mqtt/codec.h"

#include <algorithm>

namespace brim::broker {

namespace {

constexpr std::uint32_t packet_bytes_low = 1'024;
constexpr std::uint32_t packet_bytes_high = 16'777'216;
constexpr std::uint64_t packets_in_queue = 16; ///< a log has at least 4 segments, a record fills half of one
constexpr std::uint64_t segments = 8;
constexpr std::uint64_t segment_low = 65'536; // of store::LogOptions
constexpr std::uint64_t segment_high = 67'108'864;
constexpr std::size_t text_bytes_max = 1'024;

} // namespace

Result<void> BridgeSettings::check() const {
    const std::string object = "bridge \"" + name.substr(0, broker_id_bytes_max) + "\"";
    const auto wrong = [&object](std::string cause, std::string fix) {
        return fail(Errc::invalid, object, std::move(cause), std::move(fix));
    };
    if (!is_broker_id(name))
        return wrong("its name is empty, too long or has other characters", "use 1..64 of [0-9A-Za-z_.-]");
    if (to.host.empty())
        return wrong("the remote broker's address is missing", "set its host and port");
    if (folder.empty())
        return wrong("the folder of its queue is missing", "give each bridge a folder of its own");
    if (protocol == mqtt::ProtocolVersion::v31)
        return wrong("MQTT 3.1 has no bridge", "use MQTT 5 or 3.1.1");
    for (const std::string& text : {client_id, username, password}) {
        if (text.size() > text_bytes_max)
            return wrong("client id, user name or password is longer than 1,024 bytes", "shorten it");
    }
    if (!mqtt::is_mqtt_text(client_id) || !mqtt::is_mqtt_text(username))
        return wrong("client id or user name is no text that MQTT allows", "use UTF-8 without U+0000");
    if (keepalive_s < 5 || keepalive_s > 3'600)
        return wrong("the keep-alive is out of range", "use 5 s to 3,600 s");
    if (backoff_min < std::chrono::milliseconds{100} || backoff_min > backoff_max ||
        backoff_max > std::chrono::hours{1})
        return wrong(
            "the back-off is out of range", "use 100 ms or more, at most 1 h, and min not above max"
        );
    if (packet_bytes_max < packet_bytes_low || packet_bytes_max > packet_bytes_high)
        return wrong("packet_bytes_max is out of range", "use 1 KiB to 16 MiB");
    if (queue_bytes_max < std::max(packets_in_queue * packet_bytes_max, segments * segment_low)) {
        return wrong(
            "queue_bytes_max has no room for 16 of the largest messages", "raise it (at least 512 KiB)"
        );
    }
    if (inflight_max < 1 || inflight_max > 1'000)
        return wrong("inflight_max is out of range", "use 1 to 1,000");
    if (const auto made = BridgeRules::make(rules, is_v5()); !made) {
        Error error = made.error();
        error.object = object + ", " + error.object;
        return fail(std::move(error));
    }
    return {};
}

store::LogOptions BridgeSettings::log_options() const {
    const auto segment = std::clamp(queue_bytes_max / segments, segment_low, segment_high);
    store::LogOptions options;
    options.folder = folder;
    options.name = "bridge " + name;
    options.segment_bytes = static_cast<std::uint32_t>(segment);
    options.bytes_max = queue_bytes_max;
    options.record_bytes_max = static_cast<std::uint32_t>(segment / 2);
    options.pending_bytes_max = std::max<std::uint32_t>(options.record_bytes_max, 16'777'216);
    options.when_full = when_full;
    return options;
}

} // namespace brim::broker
