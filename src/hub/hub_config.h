#pragma once
// The settings of brim-hub: schema, and the checked values the program is built from.

#include "base/config.h"
#include "broker/settings.h"
#include "hub/access.h"
#include "io/net.h"
#include "io/tls.h"

#include <string>
#include <vector>

namespace brim::hub {

/// Every key brim-hub knows.
const std::vector<ConfigKey>& hub_schema();

/// A listener for devices (mqtt, mqtts), or for browsers and programs (http, https).
/// Its certificate, when it names none, is one signed by itself in data_dir/tls.
struct ListenerConfig : broker::DoorSettings {
    enum class Protocol : std::uint8_t { mqtt, mqtts, http, https };
    Protocol protocol = Protocol::mqtt;

    bool is_tls() const { return protocol == Protocol::mqtts || protocol == Protocol::https; }

    bool is_http() const { return protocol == Protocol::http || protocol == Protocol::https; }
};

struct HubConfig {
    std::string data_dir;
    std::string public_url; ///< as in the setup link; empty = from the first HTTP listener
    std::vector<ListenerConfig> listeners;
    AccessOptions access;
    IngestOptions ingest;
    broker::Settings broker; ///< with the listeners for apps; none = there is no such broker
    std::chrono::milliseconds drain_wait{10'000};
    unsigned transport_loops = 0; ///< of io::RealEnv
};

/// Checks what single keys cannot, and tells all that is wrong as Config::load() does: plain listeners away
/// from loopback need insecure_plain = true, unsafe-anonymous a loopback address in any case. Without
/// [[listener]] the defaults are MQTT 127.0.0.1:1883 and HTTP 127.0.0.1:8080.
Result<HubConfig> make_hub_config(const Config& config);
LogLevel log_level(const Config& config);

} // namespace brim::hub
