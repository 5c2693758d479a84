#pragma once
// What the words of `brim mqtt ...` mean, checked before anything is opened: the letters are those of
// mosquitto_pub and mosquitto_sub. Pure, but for reading files that options name.

#include "base/error.h"
#include "base/log.h"
#include "io/net.h"
#include "io/tls.h"
#include "mqtt/client.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace brim::cli {

struct MqttLimits {
    /// Of one published message. The protocol's own end is 256 MiB; four copies of that live on the way.
    static constexpr std::size_t payload_bytes_max = std::size_t{64} * 1'048'576;
    static constexpr std::size_t password_bytes_max = 65'535; ///< the format's
    static constexpr std::size_t filters_max = 1'000;         ///< of one SUBSCRIBE
    static constexpr unsigned bench_clients_max = 10'000;     ///< publishers and, separately, subscribers
    static constexpr unsigned width_max = 10'000;             ///< of a field in --format
};

/// The options that all three commands share, as they were typed; empty and 0 mean "not given".
struct MqttWords {
    std::string url, host, unix_path;
    std::uint16_t port = 0;
    bool tls = false;
    bool insecure = false;
    std::string ca_file, cert_file, key_file;
    std::string tls_version; ///< tlsv1.2 or tlsv1.3: the oldest that is spoken
    std::string alpn;
    std::string id_prefix; ///< -I: the random client id begins with it
    std::uint32_t inflight_max = 0;
    bool no_delay = false; ///< taken, and always so
    bool quiet = false;
    bool debug = false;
    std::string client_id, user, password, password_file;
    std::string version = "5";
    std::uint32_t keepalive_s = 60;
    bool keep_session = false;
    std::string session_expiry; ///< seconds, or "never" ("∞" for who comes from mosquitto: "-1")
    std::string will_topic, will_payload;
    bool has_will_payload = false;
    unsigned will_qos = 0;
    bool will_retain = false;
    std::vector<std::vector<std::string>> properties; ///< -D COMMAND NAME VALUE [VALUE]
    std::vector<std::string> topics;
    unsigned qos = 0;
};

/// Where to, as whom, and how; and the properties that go with each message or subscription.
struct MqttTarget {
    io::Endpoint to;
    bool tls = false;
    io::TlsClientOptions trust;
    bool quiet = false; ///< what goes wrong on the way is told by the exit code alone
    bool debug = false; ///< what happens is told on standard error
    mqtt::ClientOptions login;
    Message publish; ///< without topic and payload
    std::uint32_t subscription_id = 0;
    std::vector<std::pair<std::string, std::string>> subscribe_properties;
    std::vector<std::string> topics; ///< of -t, or of the URL's path
};

/// Errors are Errc::invalid (a word is wrong: exit code 2) or of the file that was to be read. `environment`
/// is the value of BRIM_MQTT_PASSWORD, null when it is not set; `random_id` is used where none is given.
Result<MqttTarget> mqtt_target(const MqttWords& words, const char* environment, std::string_view random_id);

/// "mqtt://user:password@host:port/topic" and "mqtts://..." into the words; what was typed beside it wins.
/// Percent signs stand for bytes, as in any URL.
Result<void> read_mqtt_url(std::string_view url, MqttWords& words);

/// Says it and returns Exit::usage for Errc::invalid, else the error's own exit code: see output.h.
int complain_of_words(const Error& error);

} // namespace brim::cli
