// Conformance, section 3.3.1.3: RETAIN, retained messages and how subscriptions ask for them.

#include "mqtt/tests/conformance.h"

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

TEST_CASE("[MQTT-3.3.1-5] [MQTT3-3.3.1-7] a retained message takes the place of the one before, with its QoS"
) {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer sender(bench, version);
        sender.join("s");
        std::uint16_t id = 0;
        for (const std::uint8_t qos : {1, 2, 0, 2}) {
            const std::string payload = "of " + std::to_string(qos);
            sender.publish("a", payload, qos, qos == 0 ? std::uint16_t{0} : ++id, true);
            CHECK(bench.broker.stats().retained == 1);
            Peer peer(bench, version);
            peer.join("p");
            peer.subscribe("a", 2);
            const Publish got = peer.message();
            CHECK(got.payload == payload);
            CHECK(got.qos == qos);
            CHECK(got.retain);
            CHECK(peer.is_quiet());
        }
    }
}

TEST_CASE("[MQTT-3.3.1-6] [MQTT-3.3.1-7] an empty retained message is passed on, clears, and is not kept") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer sender(bench, version);
        sender.join("s");
        Peer peer(bench, version);
        peer.join("p");
        peer.subscribe("#");
        for (const char* topic : {"a", "never retained"}) {
            sender.publish("a", "x", 0, 0, true);
            CHECK(peer.message().payload == "x");
            sender.publish(topic, "", 0, 0, true);
            CHECK(peer.message().payload.empty());
            CHECK(bench.broker.stats().retained == (topic == std::string_view("a") ? 0u : 1u));
        }
        sender.publish("a", "", 0, 0, true);
        Peer late(bench, version);
        late.join("l");
        late.subscribe("#");
        CHECK(late.is_quiet());
    }
}

TEST_CASE("[MQTT-3.3.1-8] [MQTT3-3.3.1-12] without RETAIN nothing is kept, replaced or cleared") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer sender(bench, version);
        sender.join("s");
        sender.publish("b", "x");
        CHECK(bench.broker.stats().retained == 0);
        sender.publish("a", "kept", 0, 0, true);
        sender.publish("a", "live");
        sender.publish("a", "");
        Peer late(bench, version);
        late.join("l");
        late.subscribe("#");
        CHECK(late.message().payload == "kept");
        CHECK(late.is_quiet());
    }
}

TEST_CASE(
    "[MQTT3-3.3.1-6] [MQTT3-3.3.1-8] [MQTT3-3.3.1-9] 3.1.1: RETAIN is 1 for what was kept, 0 for what is "
    "live"
) {
    Bench bench;
    Peer sender(bench, ProtocolVersion::v311);
    sender.join("s");
    sender.publish("a/1", "one", 0, 0, true)
        .publish("a/2", "two", 0, 0, true)
        .publish("b", "three", 0, 0, true);
    Peer peer(bench, ProtocolVersion::v311);
    peer.join("p");
    peer.subscribe("a/+");
    for (const char* payload : {"one", "two"}) {
        const Publish got = peer.message();
        CHECK(got.payload == payload);
        CHECK(got.retain);
    }
    CHECK(peer.is_quiet());
    sender.publish("a/1", "live", 0, 0, true);
    CHECK_FALSE(peer.message().retain);
    peer.subscribe("a/1"); // [MQTT3-3.8.4-3]: sent again to who subscribes again
    CHECK(peer.message().retain);
}

TEST_CASE("[MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] retain handling: always, only when new, never") {
    for (const RetainHandling handling :
         {RetainHandling::send, RetainHandling::send_if_new, RetainHandling::never}) {
        Bench bench;
        for (const char* topic : {"r/1", "r/2", "s"})
            bench.broker.publish(message(topic, topic, 1, true), bench.host.now);
        Peer peer(bench);
        peer.join("p");
        SubscribeFilter wanted = wanting("r/+", 1);
        wanted.retain_handling = handling;
        for (const bool is_new : {true, false, true}) {
            if (is_new) {
                peer.unsubscribe("r/+");
                peer.take(PacketType::unsuback);
            }
            peer.subscribe({wanted});
            const bool is_sent =
                handling == RetainHandling::send || (handling == RetainHandling::send_if_new && is_new);
            for (const char* topic : {"r/1", "r/2"}) {
                if (is_sent)
                    CHECK(peer.message().topic == topic);
            }
            CHECK(peer.is_quiet());
        }
    }
}

TEST_CASE("[MQTT-3.3.1-12] [MQTT-3.3.1-13] retain as published: the flag as it came, or 0") {
    for (const bool is_retained : {false, true}) {
        for (const bool as_published : {false, true}) {
            Bench bench;
            Peer peer(bench);
            peer.join("p");
            SubscribeFilter wanted = wanting("a", 1);
            wanted.retain_as_published = as_published;
            peer.subscribe({wanted});
            Peer sender(bench);
            sender.join("s");
            sender.publish("a", "x", 1, 1, is_retained);
            CHECK(peer.message().retain == (as_published && is_retained));
        }
    }
}
