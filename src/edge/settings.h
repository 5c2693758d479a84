#pragma once
// The settings of brim-edge: what the configuration file may say, read once into types that can only be
// valid.

#include "base/config.h"
#include "broker/settings.h"
#include "io/net.h"
#include "store/log.h"
#include "thing/envelope.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace brim::edge {

struct DriverSettings {
    std::string name; ///< [a-z0-9-], 1 to 32
    std::string program;
    std::vector<std::string> args;
    std::string config_file; ///< JSON with config and deviceList
    std::string models_dir;  ///< {productKey}.json is the model, {productKey}.ext.json the protocol extension
    std::uint64_t memory_max = 268'435'456;
    bool enabled = true;
};

struct UplinkSettings {
    io::Endpoint to;
    bool tls = false;
    std::string ca_file; ///< empty: the system's trust store
    std::string
        crl_file;     ///< revocation lists of the authorities in the hub's chain; empty: none is looked at
    std::string alpn; ///< protocol named in the TLS handshake; empty: none
    std::chrono::seconds keepalive{60};
    std::chrono::milliseconds backoff_min{1'000};
    std::chrono::milliseconds backoff_max{120'000};
    std::uint16_t inflight = 128;
    double replay_rate = 0;     ///< records/s out of the backlog; 0 = as fast as the window allows
    unsigned replay_share = 50; ///< percent of the window for the backlog while live reports wait as well
};

struct BufferSettings {
    std::uint64_t bytes_max = 1'073'741'824;
    std::uint32_t segment_bytes = 8'388'608;
    store::WhenFull when_full = store::WhenFull::drop_oldest;
};

struct EdgeConfig {
    std::string data_dir;
    unsigned transport_loops = 0; ///< of io::RealEnv
    thing::DeviceKey gateway;
    Secret gateway_secret;
    UplinkSettings uplink;
    BufferSettings buffer;
    io::Endpoint bus;
    io::Endpoint http;
    unsigned crashes_max = 10; ///< within crash_window: then the driver is parked
    std::chrono::minutes crash_window{10};
    LogLevel log_level = LogLevel::info;
    LogFormat log_format = LogFormat::text;
    std::vector<DriverSettings> drivers;
    broker::Settings broker;        ///< for apps and devices in the LAN; without listeners there is none
    std::string broker_fingerprint; ///< differs when one of its settings does
};

/// Every key brim-edge knows, with its default and sentence.
const std::vector<ConfigKey>& edge_schema();
/// Checks what the schema cannot. Errors name the key and the fix. `kept_secret` is the gateway's when it was
/// read before; else its reference is resolved now.
Result<EdgeConfig>
read_settings(const Config& config, const std::optional<Secret>& kept_secret = std::nullopt);
/// "mqtt://host[:1883]" or "mqtts://host[:8883]". Plain MQTT to another machine needs `insecure_plain`.
Result<UplinkSettings> parse_uplink_url(std::string_view url, bool insecure_plain);
bool valid_driver_name(std::string_view name) noexcept;

} // namespace brim::edge
