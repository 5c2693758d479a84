#include "cli/mqtt_options.h"

#include "cli/mqtt_properties.h"
#include "cli/output.h"
#include "mqtt/topic_filter.h"

#include <charconv>
#include <cstdio>
#include <fstream>
#include <optional>

namespace brim::cli {

namespace {

constexpr std::uint16_t plain_port = 1'883;
constexpr std::uint16_t tls_port = 8'883;

std::optional<int> hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return std::nullopt;
}

Result<std::string> unescaped(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            plain += text[i];
            continue;
        }
        const auto high = i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
        const auto low = i + 2 < text.size() ? hex_digit(text[i + 2]) : std::nullopt;
        if (!high || !low)
            return fail(
                Errc::invalid, "-L", "a % in the URL is not followed by two hex digits", "write %25 for a %"
            );
        plain += static_cast<char>(*high * 16 + *low);
        i += 2;
    }
    return plain;
}

Result<std::string> read_password(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        return fail(errno_error("file " + path, errno));
    std::string text(MqttLimits::password_bytes_max + 2, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    // An editor's line end is no part of the password.
    if (text.ends_with('\n'))
        text.pop_back();
    if (text.ends_with('\r'))
        text.pop_back();
    if (text.size() > MqttLimits::password_bytes_max)
        return fail(Errc::too_large, "file " + path, "a password has at most 65,535 bytes", "shorten it");
    return text;
}

Result<void> set_password(const MqttWords& words, const char* environment, mqtt::ClientOptions& login) {
    login.password = words.password;
    if (!words.password_file.empty()) {
        if (!words.password.empty())
            return fail(Errc::invalid, "-P", "--password-file is given as well", "use one of them");
        auto read = read_password(words.password_file);
        if (!read)
            return fail(std::move(read).error());
        login.password = std::move(*read);
    } else if (login.password.empty() && environment != nullptr) {
        login.password = environment;
    }
    if (login.password.size() > MqttLimits::password_bytes_max)
        return fail(Errc::too_large, "password", "it has more than 65,535 bytes", "shorten it");
    return {};
}

Result<void> set_version(const MqttWords& words, mqtt::ClientOptions& login) {
    using mqtt::ProtocolVersion;
    const std::string& name = words.version;
    if (name == "5" || name == "mqttv5")
        login.version = ProtocolVersion::v5;
    else if (name == "311" || name == "4" || name == "mqttv311")
        login.version = ProtocolVersion::v311;
    else if (name == "31" || name == "3" || name == "mqttv31")
        login.version = ProtocolVersion::v31;
    else
        return fail(Errc::invalid, "-V " + name, "no such protocol version", "use 5, 311 or 31");
    return {};
}

Result<void> set_session(const MqttWords& words, std::string_view random_id, mqtt::ClientOptions& login) {
    if (words.keepalive_s > 65'535)
        return fail(Errc::invalid, "-k", "the keep-alive has 16 bits", "use 0 to 65535 seconds");
    login.keepalive_s = static_cast<std::uint16_t>(words.keepalive_s);
    login.clean_start = !words.keep_session;
    if (words.keep_session && words.client_id.empty())
        return fail(Errc::invalid, "-c", "a session that is kept needs a name", "give a client id with -i");
    if (!words.id_prefix.empty() && !words.client_id.empty())
        return fail(Errc::invalid, "-I", "-i names the whole client id already", "use one of them");
    login.client_id = !words.client_id.empty() ? words.client_id : words.id_prefix + std::string(random_id);
    if (words.session_expiry.empty())
        return {};
    if (login.version != mqtt::ProtocolVersion::v5)
        return fail(
            Errc::invalid, "-x", "only MQTT 5 knows a session expiry", "leave -V away, or leave -x away"
        );
    if (words.session_expiry == "never" || words.session_expiry == "-1") {
        login.session_expiry_s = 0xFFFF'FFFF;
        return {};
    }
    const char* const end = words.session_expiry.data() + words.session_expiry.size();
    const auto [stop, wrong] = std::from_chars(words.session_expiry.data(), end, login.session_expiry_s);
    if (wrong != std::errc{} || stop != end)
        return fail(
            Errc::invalid,
            "-x " + words.session_expiry,
            "that is no number of seconds",
            "use 0 to 4294967295, or never"
        );
    return {};
}

Result<void> set_will(const MqttWords& words, Message will, mqtt::ClientOptions& login) {
    if (words.will_topic.empty()) {
        if (words.has_will_payload || words.will_retain || words.will_qos != 0)
            return fail(Errc::invalid, "--will-payload", "a will needs a topic", "give it with --will-topic");
        return {};
    }
    if (!mqtt::is_topic_name(words.will_topic))
        return fail(
            Errc::invalid, "--will-topic " + words.will_topic, "that is no topic name", "leave + and # away"
        );
    will.topic = words.will_topic;
    will.payload = words.will_payload;
    will.qos = static_cast<std::uint8_t>(words.will_qos);
    will.retain = words.will_retain;
    login.will = std::make_shared<const Message>(std::move(will));
    return {};
}

Result<void> set_handshake(const MqttWords& words, MqttTarget& made) {
    if (!made.tls && (!words.tls_version.empty() || !words.alpn.empty()))
        return fail(
            Errc::invalid,
            words.alpn.empty() ? "--tls-version" : "--tls-alpn",
            "there is no TLS to be had here",
            "give --cafile FILE, or --tls"
        );
    if (words.tls_version == "tlsv1.3")
        made.trust.version_min = io::TlsVersion::v1_3;
    else if (!words.tls_version.empty() && words.tls_version != "tlsv1.2")
        return fail(
            Errc::invalid, "--tls-version " + words.tls_version, "it is not spoken", "use tlsv1.2 or tlsv1.3"
        );
    if (words.alpn.size() > 255)
        return fail(Errc::invalid, "--tls-alpn", "a name has at most 255 bytes", "use a name such as mqtt");
    made.trust.protocol = words.alpn;
    return {};
}

/// Both ways, as in mosquitto's clients; -D connect receive-maximum says another one for what comes.
Result<void> set_inflight(const MqttWords& words, mqtt::ClientOptions& login) {
    if (words.inflight_max == 0)
        return {};
    if (words.inflight_max > 65'535)
        return fail(Errc::invalid, "--max-inflight", "the number has 16 bits", "use 1 to 65535");
    login.inflight_max = login.receive_maximum = static_cast<std::uint16_t>(words.inflight_max);
    return {};
}

Result<void> set_address(const MqttWords& words, MqttTarget& made) {
    if (words.insecure)
        return fail(
            Errc::invalid,
            "--insecure",
            "a server's certificate is always checked: unchecked TLS hides nothing from who sits in between",
            "trust a self-signed server with --cafile and its own certificate"
        );
    if (words.cert_file.empty() != words.key_file.empty())
        return fail(Errc::invalid, "--cert", "--cert and --key belong together", "give both");
    made.trust.ca_file = words.ca_file;
    made.trust.certificate_file = words.cert_file;
    made.trust.key_file = words.key_file;
    made.tls = words.tls || !words.ca_file.empty() || !words.cert_file.empty() || words.port == tls_port;
    BRIM_TRY(set_handshake(words, made));
    if (words.unix_path.empty()) {
        made.to.host = words.host.empty() ? "localhost" : words.host;
        made.to.port = words.port != 0 ? words.port : made.tls ? tls_port : plain_port;
        return {};
    }
    if (!words.host.empty() || words.port != 0 || made.tls)
        return fail(
            Errc::invalid, "--unix", "a socket file has no host, port or TLS", "leave -h, -p and TLS away"
        );
    made.to = {io::Endpoint::Kind::unix_socket, words.unix_path, 0};
    return {};
}

} // namespace

Result<void> read_mqtt_url(std::string_view url, MqttWords& words) {
    const auto wrong = [](std::string cause) {
        return fail(
            Errc::invalid, "-L", std::move(cause), "write mqtt://[user[:password]@]host[:port]/topic"
        );
    };
    if (url.starts_with("mqtts://"))
        words.tls = true;
    else if (!url.starts_with("mqtt://"))
        return wrong("the URL begins neither with mqtt:// nor with mqtts://");
    url.remove_prefix(url.find("://") + 3);
    const std::size_t slash = url.find('/');
    if (slash != std::string_view::npos) {
        auto topic = unescaped(url.substr(slash + 1));
        if (!topic)
            return fail(std::move(topic).error());
        if (!topic->empty())
            words.topics.push_back(std::move(*topic));
        url = url.substr(0, slash);
    }
    if (const std::size_t at = url.rfind('@'); at != std::string_view::npos) {
        const std::string_view who = url.substr(0, at);
        const std::size_t colon = std::min(who.find(':'), who.size());
        auto user = unescaped(who.substr(0, colon));
        auto password = unescaped(colon < who.size() ? who.substr(colon + 1) : std::string_view());
        if (!user || !password)
            return fail(user ? password.error() : user.error());
        if (words.user.empty())
            words.user = std::move(*user);
        if (words.password.empty() && words.password_file.empty())
            words.password = std::move(*password);
        url.remove_prefix(at + 1);
    }
    const std::string fallback = words.tls ? ":8883" : ":1883";
    const bool has_port = url.find(':', url.starts_with('[') ? url.find(']') : 0) != std::string_view::npos;
    const auto to = io::Endpoint::parse("tcp:" + std::string(url) + (has_port ? "" : fallback));
    if (!to)
        return wrong(to.error().cause);
    if (words.host.empty())
        words.host = to->host;
    if (words.port == 0)
        words.port = to->port;
    return {};
}

Result<MqttTarget> mqtt_target(const MqttWords& typed, const char* environment, std::string_view random_id) {
    MqttWords words = typed;
    if (!words.url.empty())
        BRIM_TRY(read_mqtt_url(words.url, words));
    MqttTarget made;
    BRIM_TRY(set_address(words, made));
    BRIM_TRY(set_version(words, made.login));
    BRIM_TRY(set_session(words, random_id, made.login));
    made.login.username = words.user;
    BRIM_TRY(set_password(words, environment, made.login));
    if (words.qos > 2 || words.will_qos > 2)
        return fail(Errc::invalid, "-q", "there is no such QoS", "use 0, 1 or 2");
    made.publish.qos = static_cast<std::uint8_t>(words.qos);
    made.login.packet_bytes_max = mqtt_packet_bytes_max;
    made.quiet = words.quiet;
    made.debug = words.debug;
    BRIM_TRY(set_inflight(words, made.login));
    Message will;
    MqttProperties properties{
        made.login, made.publish, will, made.subscription_id, made.subscribe_properties
    };
    for (const std::vector<std::string>& each : words.properties)
        BRIM_TRY(properties.put(each));
    BRIM_TRY(set_will(words, std::move(will), made.login));
    made.topics = std::move(words.topics);
    return made;
}

int complain_of_words(const Error& error) {
    const Exit code = complain(error);
    return static_cast<int>(error.code == Errc::invalid ? Exit::usage : code);
}

} // namespace brim::cli
