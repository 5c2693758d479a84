// Settings: for every accept a refuse beside it.

#include "edge/settings.h"

#include <doctest/doctest.h>

#include <cstdlib>

using namespace brim;
using namespace brim::edge;

namespace {

std::vector<std::string> good() {
    return {
        "identity.product_key=a1GATE",
        "identity.device_name=gate-1",
        "identity.device_secret=env:EDGE_TEST_SECRET",
        "uplink.url=mqtts://hub.example",
    };
}

Result<EdgeConfig> read(std::vector<std::string> sets) {
    ::setenv("EDGE_TEST_SECRET", "s3cret", 1);
    const auto config = Config::load(edge_schema(), {.file = {}, .environment = {}, .sets = std::move(sets)});
    if (!config)
        return fail(config.error());
    return read_settings(*config);
}

Result<EdgeConfig> with(const std::string& set) {
    auto sets = good();
    sets.push_back(set);
    return read(std::move(sets));
}

} // namespace

TEST_CASE("the smallest useful settings are an identity and a hub") {
    const auto config = read(good());
    if (!config)
        FAIL(config.error().text());
    CHECK(config->uplink.tls);
    CHECK(config->uplink.to.port == 8'883);
    CHECK(config->uplink.inflight == 128);
    CHECK(config->uplink.replay_share == 50);
    CHECK(config->buffer.when_full == store::WhenFull::drop_oldest);
    CHECK(config->gateway_secret.reveal() == "s3cret");
    for (std::size_t left_out = 0; left_out < 4; ++left_out) {
        auto sets = good();
        sets.erase(sets.begin() + static_cast<std::ptrdiff_t>(left_out));
        const auto missing = read(sets);
        REQUIRE_FALSE(missing.has_value());
        CHECK_FALSE(missing.error().fix.empty());
    }
}

TEST_CASE("plain MQTT is for this machine, or for those who say so") {
    CHECK(parse_uplink_url("mqtt://127.0.0.1", false)->to.port == 1'883);
    CHECK(parse_uplink_url("mqtt://localhost:2883", false)->to.port == 2'883);
    CHECK(parse_uplink_url("mqtt://[::1]", false)->to.port == 1'883);
    CHECK_FALSE(parse_uplink_url("mqtt://hub.example", false).has_value());
    CHECK(parse_uplink_url("mqtt://hub.example", true).has_value());
    CHECK(parse_uplink_url("mqtts://hub.example:443/", false)->to.port == 443);
    for (const char* wrong :
         {"", "hub.example", "http://hub.example", "mqtts://", "mqtts://hub:99999", "mqtt:hub"}) {
        CAPTURE(wrong);
        CHECK_FALSE(parse_uplink_url(wrong, true).has_value());
    }
}

TEST_CASE("limits of the settings hold on both sides") {
    CHECK(with("uplink.inflight=1").has_value());
    CHECK_FALSE(with("uplink.inflight=0").has_value());
    CHECK(with("uplink.inflight=1024").has_value());
    CHECK_FALSE(with("uplink.inflight=1025").has_value());
    CHECK(with("uplink.keepalive=30s").has_value());
    CHECK_FALSE(with("uplink.keepalive=29s").has_value());
    CHECK(with("uplink.replay_share=99").has_value());
    CHECK_FALSE(with("uplink.replay_share=100").has_value());
    CHECK(with("buffer.when_full=reject")->buffer.when_full == store::WhenFull::reject);
    CHECK_FALSE(with("buffer.when_full=forget").has_value());
    CHECK(with("buffer.bytes_max=32MiB").has_value());
    CHECK_FALSE(with("buffer.bytes_max=31MiB").has_value()); // fewer than four segments of 8 MiB
    CHECK_FALSE(with("bus.socket=tcp:0.0.0.0:1883").has_value());
    CHECK(with("http.listen=tcp:127.0.0.1:9999").has_value());
    CHECK_FALSE(with("http.listen=tcp:0.0.0.0:9999").has_value());
    CHECK(with("uplink.alpn=mqtt")->uplink.alpn == "mqtt");
    CHECK_FALSE(with("uplink.alpn=" + std::string(256, 'a')).has_value());
    CHECK_FALSE(with("uplink.nonsense=1").has_value());
    CHECK_FALSE(with("identity.product_key=has/slash").has_value());
}

TEST_CASE("driver names are what a topic and an environment can carry") {
    CHECK(valid_driver_name("modbus-2"));
    CHECK(valid_driver_name(std::string(32, 'a')));
    CHECK_FALSE(valid_driver_name(std::string(33, 'a')));
    for (const char* wrong : {"", "Modbus", "a b", "a/b", "a+", "\xc3\xa9"})
        CHECK_FALSE(valid_driver_name(wrong));
}
