#pragma once
// The settings of brim-hub: schema, and the checked values the program is built from.

#include "base/config.h"
#include "hub/access.h"
#include "io/net.h"
#include "io/tls.h"

#include <string>
#include <vector>

namespace brim::hub {

/// Every key brim-hub knows.
const std::vector<ConfigKey>& hub_schema();

struct ListenerConfig {
    enum class Protocol : std::uint8_t { mqtt, mqtts, http, https };
    Protocol protocol = Protocol::mqtt;
    io::Endpoint address;
    DeviceAuth auth = DeviceAuth::device; ///< mqtt and mqtts only
    std::string cert_file, key_file;      ///< TLS; empty = self-signed in data_dir/tls
    std::string client_ca_file;           ///< TLS; empty = clients are not asked for a certificate
    bool client_certificate_required = false;
    std::string crl_file; ///< of the clients' authorities; empty = none is looked at
    io::TlsVersion tls_min = io::TlsVersion::v1_2;
    std::string security() const; ///< "tls", "plain" or "unsafe-anonymous": printed at start
};

struct HubConfig {
    std::string data_dir;
    std::string public_url; ///< as in the setup link; empty = from the first HTTP listener
    std::vector<ListenerConfig> listeners;
    AccessOptions access;
    IngestOptions ingest;
    std::chrono::milliseconds drain_wait{10'000};
};

/// Checks what single keys cannot: plain listeners away from loopback need insecure_plain = true,
/// unsafe-anonymous the same and a loopback address. Without [[listener]] the defaults are MQTT
/// 127.0.0.1:1883 and HTTP 127.0.0.1:8080.
Result<HubConfig> make_hub_config(const Config& config);
LogLevel log_level(const Config& config);

} // namespace brim::hub
