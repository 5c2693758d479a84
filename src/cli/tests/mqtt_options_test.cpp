#include "cli/mqtt_options.h"

#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace brim;
using namespace brim::cli;

namespace {

Result<MqttTarget> target_of(const MqttWords& words, const char* environment = nullptr) {
    return mqtt_target(words, environment, "brim-random");
}

MqttWords words_of(std::string url) {
    MqttWords words;
    words.url = std::move(url);
    return words;
}

} // namespace

TEST_CASE("[mqtt-cli] without words it is the MQTT port of this machine, without TLS") {
    const auto made = target_of({});
    REQUIRE(made);
    CHECK(made->to.text() == "tcp:localhost:1883");
    CHECK_FALSE(made->tls);
    CHECK(made->login.version == mqtt::ProtocolVersion::v5);
    CHECK(made->login.client_id == "brim-random");
    CHECK(made->login.clean_start);
}

TEST_CASE("[mqtt-cli] a CA file, --tls and port 8883 each mean TLS, and TLS the port 8883") {
    MqttWords words;
    words.ca_file = "ca.crt";
    CHECK(target_of(words)->to.port == 8'883);
    CHECK(target_of(words)->tls);
    words = {};
    words.port = 8'883;
    CHECK(target_of(words)->tls);
    words = {};
    words.tls = true;
    words.port = 1'234;
    CHECK(target_of(words)->to.port == 1'234);
    words = {};
    words.port = 8'884;
    CHECK_FALSE(target_of(words)->tls);
}

TEST_CASE("[mqtt-cli] a URL holds user, password, host, port and topic; what is typed beside it wins") {
    auto made = target_of(words_of("mqtts://ann%40x:p%3Aw%2F@broker.example:99/a/b%20c"));
    REQUIRE(made);
    CHECK(made->to.text() == "tcp:broker.example:99");
    CHECK(made->tls);
    CHECK(made->login.username == "ann@x");
    CHECK(made->login.password == "p:w/");
    CHECK(made->topics == std::vector<std::string>{"a/b c"});
    CHECK(target_of(words_of("mqtts://h/"))->to.port == 8'883);
    CHECK(target_of(words_of("mqtt://h"))->to.port == 1'883);
    CHECK(target_of(words_of("mqtt://[::1]/t"))->to.host == "::1");
    CHECK(target_of(words_of("mqtt://[::1]:7/t"))->to.port == 7);
    MqttWords words = words_of("mqtt://u:p@h:1/t");
    words.user = "other";
    words.port = 2;
    made = target_of(words);
    REQUIRE(made);
    CHECK(made->login.username == "other");
    CHECK(made->to.port == 2);
    for (const char* wrong :
         {"http://h/t", "mqtt:/h", "mqtt://", "mqtt://h:x/t", "mqtt://h/%4", "mqtt://h/%zz"}) {
        INFO(wrong);
        REQUIRE_FALSE(target_of(words_of(wrong)));
        CHECK(target_of(words_of(wrong)).error().code == Errc::invalid);
    }
}

TEST_CASE("[mqtt-cli] the password comes from one place: the words, a file, or else the environment") {
    const std::string path =
        std::filesystem::temp_directory_path() / ("brim-password-" + std::to_string(getpid()));
    std::ofstream(path) << "from file\r\n";
    MqttWords words;
    CHECK(target_of(words, "from environment")->login.password == "from environment");
    words.password_file = path;
    CHECK(target_of(words, "from environment")->login.password == "from file");
    words.password = "typed";
    CHECK_FALSE(target_of(words));
    words.password_file.clear();
    CHECK(target_of(words, "from environment")->login.password == "typed");
    words.password.clear();
    words.password_file = path + ".absent";
    CHECK(target_of(words).error().code == Errc::not_found);
    std::ofstream(path, std::ios::trunc) << std::string(MqttLimits::password_bytes_max, 'x') << '\n';
    words.password_file = path;
    CHECK(target_of(words)->login.password.size() == MqttLimits::password_bytes_max);
    std::ofstream(path, std::ios::trunc) << std::string(MqttLimits::password_bytes_max + 1, 'x');
    CHECK(target_of(words).error().code == Errc::too_large);
    std::filesystem::remove(path);
}

TEST_CASE("[mqtt-cli] words that contradict each other or the protocol are refused by name") {
    const auto refused = [](auto change) {
        MqttWords words;
        change(words);
        const auto made = target_of(words);
        return made ? std::string("accepted") : made.error().object;
    };
    CHECK(refused([](MqttWords& w) { w.insecure = true; }) == "--insecure");
    CHECK(refused([](MqttWords& w) { w.cert_file = "c"; }) == "--cert");
    CHECK(refused([](MqttWords& w) { w.keep_session = true; }) == "-c");
    CHECK(refused([](MqttWords& w) { w.version = "6"; }) == "-V 6");
    CHECK(refused([](MqttWords& w) { w.qos = 3; }) == "-q");
    CHECK(refused([](MqttWords& w) { w.qos = 2; }) == "accepted");
    CHECK(refused([](MqttWords& w) { w.keepalive_s = 65'536; }) == "-k");
    CHECK(refused([](MqttWords& w) { w.keepalive_s = 65'535; }) == "accepted");
    CHECK(refused([](MqttWords& w) { w.session_expiry = "x"; }) == "-x x");
    CHECK(refused([](MqttWords& w) { w.session_expiry = "4294967296"; }) == "-x 4294967296");
    CHECK(refused([](MqttWords& w) { w.session_expiry = "4294967295"; }) == "accepted");
    CHECK(refused([](MqttWords& w) { w.will_qos = 1; }) == "--will-payload");
    CHECK(refused([](MqttWords& w) { w.will_topic = "a/#"; }) == "--will-topic a/#");
    CHECK(refused([](MqttWords& w) {
              w.unix_path = "/run/x";
              w.tls = true;
          }) == "--unix");
    CHECK(refused([](MqttWords& w) { w.unix_path = "/run/x"; }) == "accepted");
    CHECK(refused([](MqttWords& w) {
              w.version = "311";
              w.session_expiry = "5";
          }) == "-x");
}

TEST_CASE("[mqtt-cli] version and protocol of the handshake are for TLS, and what cannot be is refused") {
    MqttWords words;
    words.tls = true;
    CHECK(target_of(words)->trust.version_min == io::TlsVersion::v1_2);
    CHECK(target_of(words)->trust.protocol.empty());
    words.tls_version = "tlsv1.3";
    words.alpn = "mqtt";
    CHECK(target_of(words)->trust.version_min == io::TlsVersion::v1_3);
    CHECK(target_of(words)->trust.protocol == "mqtt");
    words.tls_version = "tlsv1.2";
    CHECK(target_of(words)->trust.version_min == io::TlsVersion::v1_2);
    words.tls_version = "tlsv1.1";
    CHECK(target_of(words).error().object == "--tls-version tlsv1.1");
    words.tls_version = {};
    words.alpn = std::string(256, 'a');
    CHECK(target_of(words).error().object == "--tls-alpn");
    words.alpn.pop_back();
    CHECK(target_of(words));
    words.tls = false;
    CHECK(target_of(words).error().object == "--tls-alpn");
    words.alpn = {};
    words.tls_version = "tlsv1.3";
    CHECK(target_of(words).error().object == "--tls-version");
}

TEST_CASE("[mqtt-cli] a prefix of the id and the number in flight are taken, or refused") {
    MqttWords words;
    words.id_prefix = "line-7-";
    CHECK(target_of(words)->login.client_id == "line-7-brim-random");
    words.client_id = "mine";
    CHECK(target_of(words).error().object == "-I");
    words = {};
    CHECK(target_of(words)->login.inflight_max == 128);
    words.inflight_max = 3;
    CHECK(target_of(words)->login.inflight_max == 3);
    CHECK(target_of(words)->login.receive_maximum == 3);
    words.properties = {{"connect", "receive-maximum", "9"}};
    CHECK(target_of(words)->login.inflight_max == 3);
    CHECK(target_of(words)->login.receive_maximum == 9);
    words.inflight_max = 65'536;
    CHECK(target_of(words).error().object == "--max-inflight");
}

TEST_CASE("[mqtt-cli] properties go to the packet they are for") {
    MqttWords words;
    words.will_topic = "w";
    words.properties = {
        {"connect", "user-property", "a", "1"},
        {"connect", "receive-maximum", "7"},
        {"publish", "content-type", "text/plain"},
        {"publish", "message-expiry-interval", "60"},
        {"publish", "user-property", "b", "2"},
        {"will", "will-delay-interval", "9"},
        {"will", "response-topic", "r"},
        {"subscribe", "subscription-identifier", "268435455"},
        {"subscribe", "user-property", "c", "3"}
    };
    const auto made = target_of(words);
    REQUIRE(made);
    CHECK(made->login.user_properties.front().second == "1");
    CHECK(made->login.receive_maximum == 7);
    CHECK(made->publish.content_type == "text/plain");
    CHECK(made->publish.expiry_s == 60);
    CHECK(made->publish.user_properties.size() == 1);
    CHECK(made->login.will_delay_s == 9);
    REQUIRE(made->login.will);
    CHECK(made->login.will->response_topic == "r");
    CHECK(made->login.will->content_type.empty());
    CHECK(made->subscription_id == 268'435'455);
    CHECK(made->subscribe_properties.front().first == "c");
}

TEST_CASE("[mqtt-cli] properties that do not exist, or not with that value, are refused") {
    const std::vector<std::vector<std::string>> wrong{
        {"publish", "colour", "red"},
        {"puback", "user-property", "a", "b"},
        {"publish", "user-property", "a"},
        {"publish", "content-type", "a", "b"},
        {"connect", "receive-maximum", "0"},
        {"connect", "receive-maximum", "65536"},
        {"publish", "payload-format-indicator", "2"},
        {"publish", "response-topic", "a/+"},
        {"publish", "message-expiry-interval", "-1"},
        {"subscribe", "subscription-identifier", "0"},
        {"subscribe", "subscription-identifier", "268435456"},
        {"publish", "content-type", "\xff"}
    };
    for (const auto& each : wrong) {
        MqttWords words;
        words.properties = {each};
        INFO(each[0], " ", each[1], " ", each[2]);
        REQUIRE_FALSE(target_of(words));
        CHECK(target_of(words).error().code == Errc::invalid);
    }
    MqttWords old;
    old.version = "311";
    old.properties = {{"publish", "content-type", "x"}};
    CHECK_FALSE(target_of(old));
}
