// Conformance, sections 4.7 and 4.8: topic names and filters on the wire, shared subscriptions.

#include "mqtt/tests/conformance.h"
#include "mqtt/topic_filter.h"

#include <algorithm>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

TEST_CASE("[MQTT-4.7.0-1] [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.7.3-2] filters on the wire: "
          "wildcards alone in their level, '#' last, not empty") {
    struct Row {
        std::string filter;
        bool is_good;
    };

    const Row rows[] = {
        {"#", true},       {"+", true},    {"a/#", true},
        {"+/a/#", true},   {"/", true},    {"a/+/b", true},
        {"+/+", true},     {"a//b", true}, {" ", true},
        {"", false},       {"a#", false},  {"#/a", false},
        {"a/#/b", false},  {"a+", false},  {"+a", false},
        {"a/b+/c", false}, {"++", false},  {"##", false},
        {"a/#b", false},   {"/+#", false}, {std::string(1, '\0'), false},
    };
    for (const ProtocolVersion version : both_versions) {
        for (const Row& row : rows) {
            for (const bool is_subscribe : {true, false}) {
                Raw packet;
                packet.u16(1).properties(version).text(row.filter);
                if (is_subscribe)
                    packet.u8(0);
                Bench bench;
                Peer peer(bench, version);
                peer.join("p");
                peer.raw(packet.packet(is_subscribe ? 0x82 : 0xA2));
                INFO(row.filter);
                CHECK(peer.is_closed() == !row.is_good);
                if (!row.is_good)
                    check_ended(
                        peer,
                        row.filter.size() == 1 && row.filter[0] == '\0' ? ReasonCode::malformed_packet
                                                                        : ReasonCode::topic_filter_invalid
                    );
            }
        }
    }
}

TEST_CASE("[MQTT-4.7.2-1] filters that begin with a wildcard match no topic that begins with a dollar sign") {
    for (const ProtocolVersion version : both_versions) {
        for (const char* filter : {"#", "+", "+/#", "+/x", "$SYS/#", "$SYS/+", "$SYS/x"}) {
            const bool is_plain = filter[0] == '$';
            Bench bench;
            bench.broker.publish(message("$SYS/x", "retained", 0, true), bench.host.now);
            Peer peer(bench, version);
            peer.join("p");
            peer.subscribe(filter);
            CHECK(peer.is_quiet() == !is_plain);
            if (is_plain)
                peer.message();
            bench.broker.publish(message("$SYS/x", "live"), bench.host.now);
            CHECK(peer.is_quiet() == !is_plain);
        }
    }
}

TEST_CASE("[MQTT-4.7.3-3] a filter and a topic of 65,535 bytes are within the standard, and ours to refuse") {
    const std::string longest(65'535, 'x');
    CHECK(TopicFilter::parse(longest, {65'535, 65'535}).has_value());
    CHECK_FALSE(TopicFilter::parse(longest + "x", {100'000, 100'000}).has_value());
    BrokerLimits limits;
    limits.topic_bytes_max = 65'535;
    for (const ProtocolVersion version : both_versions) {
        Bench bench(limits);
        Peer peer(bench, version);
        peer.join("p");
        CHECK(peer.subscribe(longest) == ReasonCode::granted_qos0);
        peer.publish(longest, "x");
        CHECK(peer.message().topic == longest);
        CHECK(bench.broker.publish(message(longest + "x", "x"), bench.host.now) == 0);
        CHECK(peer.is_quiet());
    }
}

TEST_CASE("[MQTT-4.7.3-4] topics are compared byte by byte: case, accents, slashes and spaces all differ") {
    const char* names[] = {
        "a/b",
        "A/b",
        "a/B",
        "a//b",
        "/a/b",
        "a/b/",
        " a/b",
        "a/b ",
        "\xC3\xA9",
        "e\xCC\x81",
        "a/./b",
        "a/../a/b",
        "a%2Fb",
        "\xEF\xBC\xA1",
        // A literal of its own: "a" would be read as a digit of the escape.
        ("\xEF\xBB\xBF"
         "a/b")
    };
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        for (const char* name : names) {
            Peer peer(bench, version);
            peer.join("p");
            peer.subscribe(name);
            for (const char* topic : names) {
                bench.broker.publish(message(topic, "x"), bench.host.now);
                CHECK(peer.is_quiet() == (topic != name));
                if (!peer.is_quiet())
                    CHECK(peer.message().topic == name);
            }
        }
    }
}

TEST_CASE("[MQTT-4.8.2-1] [MQTT-4.8.2-2] a shared filter is $share/, a name without / + #, and a filter") {
    for (const char* filter : {"$share/g/a", "$share/g/#", "$share/a b/+/c", "$share/g//", "$shared/g"}) {
        Bench bench;
        Peer peer(bench);
        peer.join("p");
        CHECK(peer.subscribe(filter) == ReasonCode::granted_qos0);
    }
    for (const char* filter :
         {"$share/", "$share//a", "$share/g", "$share/g/", "$share/+/a", "$share/g#/a", "$share/g/a#"}) {
        Bench bench;
        Peer peer(bench);
        peer.join("p");
        INFO(filter);
        peer.subscribe({wanting(filter)});
        check_ended(peer, ReasonCode::topic_filter_invalid);
    }
}

TEST_CASE("[MQTT-4.8.2-3] each member of a share gets messages at the QoS it was granted") {
    for (const std::uint8_t published : {0, 1, 2}) {
        Bench bench;
        std::vector<std::unique_ptr<Peer>> members;
        for (const std::uint8_t granted : {0, 1, 2}) {
            members.push_back(std::make_unique<Peer>(bench));
            members.back()->join("m" + std::to_string(granted));
            members.back()->subscribe("$share/g/a", granted);
        }
        for (int i = 0; i < 9; ++i)
            CHECK(bench.broker.publish(message("a", "x", published), bench.host.now) == 1);
        for (std::size_t granted = 0; granted < 3; ++granted) {
            for (int i = 0; i < 3; ++i)
                CHECK(members[granted]->message().qos == std::min<std::size_t>(granted, published));
            CHECK(members[granted]->is_quiet());
        }
    }
}

TEST_CASE(
    "[MQTT-4.8.2-4] [MQTT-4.8.2-5] a QoS 2 message begun with one member of a share is completed with it "
    "or with nobody"
) {
    for (const bool has_pubrec : {false, true}) {
        for (const bool is_back : {false, true}) {
            Bench bench;
            Peer one(bench);
            one.join("1", true, 100);
            one.subscribe("$share/g/a", 2);
            bench.broker.publish(message("a", "x", 2), bench.host.now);
            const std::uint16_t id = one.message().packet_id;
            Peer two(bench);
            two.join("2");
            two.subscribe("$share/g/a", 2);
            if (has_pubrec) {
                one.ack(PacketType::pubrec, id);
                one.take(PacketType::pubrel);
            }
            one.cut();
            bench.advance(std::chrono::seconds{is_back ? 50 : 150});
            CHECK(two.is_quiet());
            Peer again(bench);
            CHECK(again.join("1", false, 100).session_present == is_back);
            if (!is_back) {
                CHECK(again.is_quiet());
            } else if (has_pubrec) {
                CHECK(again.acked(PacketType::pubrel).packet_id == id);
            } else {
                CHECK(again.message().packet_id == id);
            }
            CHECK(two.is_quiet());
        }
    }
}

TEST_CASE("[MQTT-4.8.2-6] what a member of a share refuses goes to no other member") {
    for (const std::uint8_t qos : {1, 2}) {
        Bench bench;
        Peer one(bench);
        Peer two(bench);
        one.join("1", true, 100);
        two.join("2", true, 100);
        one.subscribe("$share/g/a", 2);
        two.subscribe("$share/g/a", 2);
        bench.broker.publish(message("a", "x", qos), bench.host.now);
        Peer& chosen = one.is_quiet() ? two : one;
        Peer& other = one.is_quiet() ? one : two;
        const std::uint16_t id = chosen.message().packet_id;
        chosen.ack(
            qos == 1 ? PacketType::puback : PacketType::pubrec, id, ReasonCode::implementation_specific_error
        );
        CHECK(chosen.is_quiet());
        CHECK(other.is_quiet());
        CHECK(bench.broker.stats().queued == 0);
    }
}
