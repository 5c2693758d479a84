#pragma once
// The settings of one bridge, as the program reads them from its configuration.

#include "broker/bridge_rules.h"
#include "io/net.h"
#include "mqtt/packet.h"
#include "store/log.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace brim::broker {

struct BridgeSettings {
    std::string name;   ///< 1..64 characters of [0-9A-Za-z_.-]: in logs, metrics and the default client id
    io::Endpoint to;    ///< the remote broker
    std::string folder; ///< of the queue; for this bridge alone

    mqtt::ProtocolVersion protocol = mqtt::ProtocolVersion::v5; ///< v5 or v311
    /// Empty: broker id and name, "hub-1.north". The remote session is kept under it: two programs with the
    /// same one throw each other out.
    std::string client_id;
    std::string username;
    std::string password;
    std::uint16_t keepalive_s = 60;           ///< 5..3,600
    std::uint32_t session_expiry_s = 604'800; ///< v5: how long the remote broker keeps messages for us
    std::chrono::milliseconds backoff_min{1'000
    }; ///< 100 ms .. backoff_max: the first wait is uniform in [0, this]
    std::chrono::milliseconds backoff_max{120'000};

    std::vector<BridgeRule> rules;
    bool retain = true; ///< false: messages are handed on without their retain flag, both ways

    std::uint64_t queue_bytes_max = 67'108'864; ///< at least 16 * packet_bytes_max
    store::WhenFull when_full = store::WhenFull::drop_oldest;
    bool queue_qos0 =
        false; ///< true: QoS 0 waits in the queue as QoS 1 does; false: it is sent live or dropped
    std::uint32_t packet_bytes_max =
        268'288;                     ///< 1,024 .. 16 MiB: larger ones are dropped out, end the connection in
    std::uint16_t inflight_max = 64; ///< 1..1,000, each way

    /// Every error names the bridge and the setting or rule.
    Result<void> check() const;

    bool is_v5() const { return protocol == mqtt::ProtocolVersion::v5; }

    store::LogOptions log_options() const;
};

} // namespace brim::broker
