// The [[listener]] tables of a hub: what each kind takes, and what is told of the rest.

#include "hub/hub_config.h"

#include "api_rig.h"
#include "mqtt/codec.h"
#include "thing/sign.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;

namespace {

Result<HubConfig> made_of(const std::string& text) {
    const auto config = Config::parse(hub_schema(), {{"hub.toml", text}}, {});
    REQUIRE_MESSAGE(config, (config ? "" : config.error().text()));
    return make_hub_config(*config);
}

/// The lines that are told of it.
std::string told(const std::string& text) {
    const auto made = made_of(text);
    return made ? "" : made.error().cause;
}

const std::string limits = "connections_max = 9\nconnections_per_address_max = 8\nconnects_per_second = 7\n"
                           "connects_per_address_per_second = 6\npublish_rate_max = 5\n"
                           "publish_bytes_rate_max = \"4KiB\"\nproxies = [\"10.0.0.7\"]\n";

void check_limits(const broker::DoorSettings& door) {
    CHECK(door.connections.connections_max == 9);
    CHECK(door.connections.connections_per_address_max == 8);
    CHECK(door.connections.connects_per_second == 7);
    CHECK(door.connections.connects_per_address_per_second == 6);
    CHECK(door.publish_rate_max == 5);
    CHECK(door.publish_bytes_rate_max == 4'096);
    CHECK(door.proxy);
    const mqtt::ListenerOptions options = door.listener_options();
    CHECK(options.limits.connections_max == 9);
    CHECK(options.proxy);
    CHECK(options.publish_rate_max == 5);
    CHECK(options.publish_bytes_rate_max == 4'096);
}

} // namespace

TEST_CASE("each kind of listener has its limits, proxies and rates") {
    for (const char* protocol : {"mqtt", "mqtts", "http", "https"}) {
        CAPTURE(protocol);
        const auto made = made_of(
            "[[listener]]\nprotocol = \"" + std::string(protocol) + "\"\naddress = \"127.0.0.1:1\"\n" + limits
        );
        REQUIRE_MESSAGE(made, (made ? "" : made.error().text()));
        REQUIRE(made->listeners.size() == 1);
        check_limits(made->listeners[0]);
    }
    const auto web = made_of("[[listener]]\nprotocol = \"http\"\naddress = \"127.0.0.1:1\"\n"
                             "origins = [\"https://app.example\"]\n");
    REQUIRE(web);
    CHECK(web->listeners[0].origins == std::vector<std::string>{"https://app.example"});
}

TEST_CASE("[F-90] a setting that means nothing at a listener is told with its place, cause and fix") {
    const std::string plain = "[[listener]]\nprotocol = \"mqtt\"\naddress = \"127.0.0.1:1\"\n";
    const std::string with_tls = "[[listener]]\nprotocol = \"mqtts\"\naddress = \"127.0.0.1:1\"\n";
    for (const auto& [text, line] : std::vector<std::pair<std::string, std::string>>{
             {plain + "origins = [\"*\"]\n",
              "hub.toml:4:1: listener[0].origins: web pages do not speak mqtt; "},
             {plain + "tls_min = \"1.3\"\n", "hub.toml:4:1: listener[0].tls_min: is for TLS"},
             {plain + "cert_file = \"a\"\nkey_file = \"b\"\n",
              "hub.toml:5:1: listener[0].key_file: is for TLS"},
             {with_tls + "key_file = \"b\"\n", "hub.toml:4:1: listener[0].key_file: cert_file and key_file"},
             {with_tls + "crl_file = \"b\"\n", "hub.toml:4:1: listener[0].crl_file: "},
             {plain + "proxy_names_certificates = true\n",
              "hub.toml:4:1: listener[0].proxy_names_certificates: "},
             {plain + "proxies = [\"10.0.0.0/8\"]\nproxy_names_certificates = true\n",
              "hub.toml:5:1: listener[0].proxy_names_certificates: nobody is known"},
             {plain + "proxies = [\"nowhere\"]\n", "hub.toml:4:1: listener[0].proxies: "},
             {"[[listener]]\nprotocol = \"mqtt\"\naddress = \"unix:/x\"\nconnections_per_address_max = 1\n",
              "hub.toml:4:1: listener[0].connections_per_address_max: clients of a unix socket"},
             {"[[listener]]\nprotocol = \"ws\"\naddress = \"127.0.0.1:1\"\n",
              "hub.toml:2:1: listener[0].protocol: "},
             {"[[listener]]\nprotocol = \"http\"\naddress = \"127.0.0.1:1\"\nauth = \"users\"\n",
              "hub.toml:4:1: listener[0].auth: "},
             {"[[listener]]\nprotocol = \"mqtt\"\n", "hub.toml:1:1: listener[0].address: "},
         }) {
        CAPTURE(text);
        const std::string cause = told(text);
        CHECK_MESSAGE(cause.find(line) != std::string::npos, cause);
        CHECK_MESSAGE(cause.find("; ") != std::string::npos, cause);
        const bool is_one = cause.find('\n') == cause.npos || text.find("cert_file") != text.npos;
        CHECK_MESSAGE(is_one, cause);
    }
}

TEST_CASE("what one client may ask is set for devices as for apps, each limit on both sides") {
    const std::string keys = "packet_bytes_max = \"2KiB\"\ninflight_max = 3\nwindow_max = 5\nqueue_max = "
                             "4\nqueue_bytes_max = \"5KiB\"\n"
                             "sessions_max = 6\nsession_expiry_max = \"7s\"\nsubscriptions_max = 8\n"
                             "topic_levels_max = 9\ntopic_bytes_max = 20\nuser_properties_max = 11\n"
                             "topic_alias_max = 12\nconnect_wait_max = \"13s\"\n";
    const auto made = made_of("[mqtt]\n" + keys + "[broker]\n" + keys);
    REQUIRE_MESSAGE(made, (made ? "" : made.error().text()));
    for (const mqtt::BrokerLimits& given : {made->access.broker, made->broker.limits}) {
        CHECK(given.packet_bytes_max == 2'048);
        CHECK(given.inflight_count_max == 3);
        CHECK(given.window_count_max == 5);
        CHECK(given.queue_count_max == 4);
        CHECK(given.queue_bytes_max == 5'120);
        CHECK(given.sessions_max == 6);
        CHECK(given.session_expiry_s_max == 7);
        CHECK(given.subscriptions_max == 8);
        CHECK(given.topic_levels_max == 9);
        CHECK(given.topic_bytes_max == 20);
        CHECK(given.user_properties_max == 11);
        CHECK(given.topic_alias_max == 12);
        CHECK(given.connect_wait_max == 13s);
    }
    const auto plain = made_of("");
    REQUIRE(plain);
    const mqtt::BrokerLimits built_in;
    for (const mqtt::BrokerLimits& given : {plain->access.broker, plain->broker.limits}) {
        CHECK(given.packet_bytes_max == built_in.packet_bytes_max);
        CHECK(given.queue_bytes_max == built_in.queue_bytes_max);
        CHECK(given.sessions_max == built_in.sessions_max);
        CHECK(given.session_expiry_s_max == built_in.session_expiry_s_max);
        CHECK(given.subscriptions_max == built_in.subscriptions_max);
        CHECK(given.topic_levels_max == built_in.topic_levels_max);
        CHECK(given.user_properties_max == built_in.user_properties_max);
        CHECK(given.connect_wait_max == built_in.connect_wait_max);
    }
    for (const char* set :
         {"mqtt.packet_bytes_max=1023",
          "mqtt.packet_bytes_max=16777217",
          "mqtt.inflight_max=0",
          "mqtt.queue_bytes_max=1023",
          "mqtt.queue_bytes_max=4294967296",
          "mqtt.subscriptions_max=0",
          "mqtt.topic_levels_max=0",
          "mqtt.topic_bytes_max=15",
          "mqtt.user_properties_max=10001",
          "mqtt.connect_wait_max=999ms",
          "mqtt.connect_wait_max=61s"}) {
        CAPTURE(set);
        CHECK_FALSE(Config::load(hub_schema(), ConfigSource{{}, {}, {set}}));
    }
}

TEST_CASE("all that is wrong is told at once, over all listeners, bridges and sections") {
    const std::string cause =
        told("[[listener]]\nprotocol = \"mqtt\"\naddress = \"0.0.0.0:1\"\n"
             "[[listener]]\nprotocol = \"http\"\naddress = \"nonsense\"\n"
             "[[listener]]\nprotocol = \"mqtt\"\naddress = \"127.0.0.1:2\"\nauth = \"users\"\n"
             "[[bridge]]\nname = \"b\"\nurl = \"http://x\"\ntopics = [\"a sideways\"]\n"
             "[ingest]\nlog_bytes_max = \"1MiB\"\n");
    for (const char* line :
         {"hub.toml:3:1: listener[0].address: plain mqtt",
          "hub.toml:6:1: listener[1].address: ",
          "hub.toml:10:1: listener[2].auth: mqtt tcp:127.0.0.1:2: nobody may do anything there",
          "hub.toml:10:1: listener[2].auth: mqtt tcp:127.0.0.1:2: auth = \"users\", but nothing",
          "hub.toml:13:1: bridge[0].url: ",
          "hub.toml:14:1: bridge[0].topics: bridge topic \"a sideways\" \"sideways\" is no direction",
          "hub.toml:16:1: ingest.log_bytes_max: "})
        CHECK_MESSAGE(cause.find(line) != std::string::npos, line << " in\n" << cause);
}

namespace {

/// A client that speaks as it is told to.
struct RawClient final : private io::StreamHandler {
    RawClient(io::SimWorld& world, const std::string& machine, std::uint16_t port, Bytes bytes) {
        connecting = world.machine(machine).env().net().connect(
            {io::Endpoint::Kind::tcp, "hub", port},
            5s,
            [this, bytes](Result<std::unique_ptr<io::Stream>> made) {
                REQUIRE(made);
                stream = std::move(*made);
                stream->start(*this);
                stream->write(bytes);
            }
        );
        world.run_for(500ms);
    }

    std::unique_ptr<io::Connecting> connecting;
    std::unique_ptr<io::Stream> stream;
    Bytes heard;
    bool is_closed = false;

private:
    void on_data(ByteView bytes) override { heard += bytes; }

    void on_closed(const Error&) override { is_closed = true; }
};

Bytes device_login(const ApiRig& rig, std::string_view name) {
    const Device* device = rig.hub->registry().device("a1", name);
    REQUIRE(device != nullptr);
    const thing::DeviceKey key{"a1", std::string(name)};
    const auto login = thing::make_login(key, device->secret, false, "c", WallTime{1});
    mqtt::Connect packet;
    packet.version = mqtt::ProtocolVersion::v311;
    packet.client_id = login.client_id;
    packet.has_username = true;
    packet.username = login.username;
    packet.has_password = true;
    packet.password = login.password.reveal();
    packet.keepalive_s = 60;
    Bytes bytes;
    mqtt::encode_connect(bytes, packet);
    return bytes;
}

void add_device(ApiRig& rig, const std::string& name) {
    if (rig.hub->registry().product("a1") == nullptr)
        REQUIRE(
            rig.call("POST", "/api/v1/products", R"({"productKey":"a1","name":"n","nodeType":"device"})")
                .status < 300
        );
    REQUIRE(
        rig.call("POST", "/api/v1/devices", R"({"productKey":"a1","deviceName":")" + name + "\"}").status <
        300
    );
}

/// The hub again, with `more` of the listener of devices on port 1883.
void listen_as(ApiRig& rig, const broker::DoorSettings& door) {
    ListenerConfig listener;
    static_cast<broker::DoorSettings&>(listener) = door;
    listener.address = {io::Endpoint::Kind::tcp, "0.0.0.0", 1'883};
    rig.config.listeners.push_back(std::move(listener));
    rig.restart();
}

const Bytes connack("\x20\x02\0\0", 4);

} // namespace

TEST_CASE("[F-45] a listener of devices bears what its settings say, of each address too") {
    ApiRig rig;
    add_device(rig, "d1");
    broker::DoorSettings door;
    door.connections.connections_max = 3;
    door.connections.connections_per_address_max = 2;
    listen_as(rig, door);
    const RawClient first(rig.world, "x", 1'883, "");
    const RawClient second(rig.world, "x", 1'883, "");
    CHECK(RawClient(rig.world, "x", 1'883, "").is_closed);
    const RawClient device(rig.world, "y", 1'883, device_login(rig, "d1"));
    CHECK(device.heard == connack);
    CHECK(RawClient(rig.world, "z", 1'883, "").is_closed);
    const std::string metrics = rig.call("GET", "/metrics").body;
    CHECK(metrics.find(R"(brim_mqtt_rejected_total{reason="address_full"} 1)") != std::string::npos);
    CHECK(metrics.find(R"(brim_mqtt_rejected_total{reason="listener_full"} 1)") != std::string::npos);
}

TEST_CASE("a listener of devices behind a proxy shows and counts the devices, not the proxy") {
    ApiRig rig;
    add_device(rig, "d1");
    broker::DoorSettings door;
    door.proxy.emplace();
    door.proxy->trusted = *io::AddressSet::parse({"10.0.0.0/8"});
    door.connections.connections_per_address_max = 1;
    listen_as(rig, door);
    const auto header = [](const std::string& client) {
        return Bytes("PROXY TCP4 " + client + " 198.51.100.1 51234 1883\r\n");
    };
    const RawClient device(rig.world, "p", 1'883, header("192.0.2.9") + device_login(rig, "d1"));
    CHECK(device.heard == connack);
    CHECK(rig.hub->registry().device("a1", "d1")->address == "192.0.2.9:51234");
    CHECK(RawClient(rig.world, "p", 1'883, header("192.0.2.9")).is_closed);
    CHECK_FALSE(RawClient(rig.world, "p", 1'883, header("192.0.2.8")).is_closed);
    CHECK(RawClient(rig.world, "p", 1'883, device_login(rig, "d1")).is_closed);
}

TEST_CASE("[F-45] an HTTP listener counts its connections before it reads a request, the API's as MQTT's") {
    ApiRig rig;
    rig.config.listeners[0].connections.connections_per_address_max = 2;
    rig.restart();
    const RawClient silent(rig.world, "x", 8'080, "");
    const RawClient page(rig.world, "x", 8'080, "GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n");
    CHECK(page.heard.starts_with("HTTP/1.1 200"));
    CHECK(RawClient(rig.world, "x", 8'080, "GET /livez HTTP/1.1\r\nHost: hub\r\n\r\n").is_closed);
    CHECK(
        rig.call("GET", "/metrics").body.find(R"(brim_mqtt_rejected_total{reason="address_full"} 1)") !=
        std::string::npos
    );
}
