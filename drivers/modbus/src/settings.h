#pragma once
// The driver's configuration as the edge pushes it, read into channels, devices and points. Pure.

#include "base/json.h"
#include "plan.h"

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace brim::modbus {

struct TcpEndpoint {
    std::string host;
    std::uint16_t port = 502;
    bool operator==(const TcpEndpoint&) const = default;
};

struct SerialEndpoint {
    std::string path;
    int baud = 9'600;
    char parity = 'N'; ///< N, O or E
    int data_bits = 8, stop_bits = 1;
    bool operator==(const SerialEndpoint&) const = default;
};

struct DeviceSettings {
    std::string product_key, device_name;
    int slave = 1; ///< 1..247
    std::vector<Point> points;
};

/// One connection with the devices behind it.
struct ChannelSettings {
    std::string id, name;
    std::variant<TcpEndpoint, SerialEndpoint> endpoint;
    std::uint32_t timeout_ms = 1'000; ///< for one whole response; 50..10,000
    unsigned retries = 1;             ///< of a request that timed out, while the device is online; 0..3
    ReadLimits reads;
    std::vector<DeviceSettings> devices;
    std::string signature; ///< equal = nothing about the channel changed
};

struct Settings {
    std::vector<ChannelSettings> channels;
    /// What could not be used, one sentence each with the object, the cause and the fix. The rest works.
    std::vector<std::string> complaints;
};

struct SettingsLimits {
    static constexpr std::size_t channels_max = 64;
    static constexpr std::uint32_t polling_ms_min = 10, polling_ms_max = 86'400'000;
    static constexpr std::uint32_t timeout_ms_min = 50, timeout_ms_max = 10'000;
    static constexpr unsigned retries_max = 3;
    static constexpr std::uint16_t gap_max = 100;
};

/// Reads `{"config":..,"deviceList":[..],"models":{..},"extensions":{..}}`. serverList is looked for in
/// config itself, in config.json and as a JSON text in config.kv; serverId, slaveId and pollingTime at the
/// device, in deviceConfig and in custom. Fails only when the text is not JSON.
Result<Settings> read_settings(std::string_view text);

} // namespace brim::modbus
