#pragma once
// -D COMMAND NAME VALUE [VALUE]: one MQTT 5 property, put where it belongs. Pure.

#include "base/error.h"
#include "base/message.h"
#include "mqtt/client.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace brim::cli {

/// Largest packet that is taken from a server, unless -D connect maximum-packet-size says less.
inline constexpr std::uint32_t mqtt_packet_bytes_max = 268'435'455;

/// Where properties go; all borrowed.
struct MqttProperties {
    mqtt::ClientOptions& login;
    Message& publish;
    Message& will;
    std::uint32_t& subscription_id;
    std::vector<std::pair<std::string, std::string>>& subscribe;

    /// `words` are the three or four words behind -D. Errc::invalid names the property and what it may be.
    Result<void> put(const std::vector<std::string>& words);
};

} // namespace brim::cli
