// Conformance, section 3.3: PUBLISH, topic aliases, properties.

#include "mqtt/tests/conformance.h"
#include "mqtt/topic_filter.h"

#include <algorithm>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

TEST_CASE("[MQTT-3.3.1-1] [MQTT-3.3.1-3] DUP tells of a delivery that is repeated, not of how it came to us"
) {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer sender(bench, version);
        sender.join("s");
        Peer peer(bench, version);
        peer.join("p", false, 100);
        peer.subscribe("a", 2);
        for (const std::uint8_t qos : {1, 2}) {
            Publish packet;
            packet.topic = "a";
            packet.qos = qos;
            packet.packet_id = qos;
            packet.dup = true;
            sender.publish(packet);
            const Publish got = peer.message();
            CHECK(got.qos == qos);
            CHECK_FALSE(got.dup);
        }
        peer.cut();
        Peer again(bench, version);
        CHECK(again.join("p", false, 100).session_present);
        for (const std::uint8_t qos : {1, 2}) {
            const Publish got = again.message();
            CHECK(got.qos == qos);
            CHECK(got.dup);
        }
    }
}

TEST_CASE("[MQTT-3.3.1-2] [MQTT-3.3.1-4] DUP with QoS 0 and both QoS bits are malformed") {
    for (const ProtocolVersion version : both_versions) {
        for (unsigned flags = 0; flags < 16; ++flags) {
            const unsigned qos = flags >> 1 & 3;
            Raw packet;
            packet.text("a");
            if (qos != 0)
                packet.u16(1);
            packet.properties(version);
            Bench bench;
            Peer peer(bench, version);
            peer.join("p");
            peer.raw(packet.packet(0x30 | flags));
            INFO(flags);
            const bool is_good = qos != 3 && !(qos == 0 && (flags & 8) != 0);
            if (is_good) {
                CHECK_FALSE(peer.is_closed());
                CHECK(bench.host.published.size() == 1);
            } else {
                check_ended(peer, ReasonCode::malformed_packet);
                CHECK(bench.host.published.empty());
            }
        }
    }
}

TEST_CASE("[MQTT-3.3.2-1] [MQTT-3.3.2-2] a topic name is text, not empty, without wildcards") {
    struct Row {
        std::string topic;
        bool is_good;
        ReasonCode reason;
    };

    const Row rows[] = {
        {"a", true, {}},
        {"/", true, {}},
        {"$x/y", true, {}},
        {"a b/\xC3\xA9", true, {}},
        {"#", false, ReasonCode::topic_name_invalid},
        {"a/#", false, ReasonCode::topic_name_invalid},
        {"+", false, ReasonCode::topic_name_invalid},
        {"a/+/b", false, ReasonCode::topic_name_invalid},
        {"a+", false, ReasonCode::topic_name_invalid},
        {"", false, ReasonCode::protocol_error},
        {"\xFF", false, ReasonCode::malformed_packet},
    };
    for (const ProtocolVersion version : both_versions) {
        for (const Row& row : rows) {
            Bench bench;
            Peer peer(bench, version);
            peer.join("p");
            peer.raw(Raw().text(row.topic).properties(version).bytes("x").packet(0x30));
            INFO(row.topic);
            if (row.is_good) {
                REQUIRE(bench.host.published.size() == 1);
                CHECK(bench.host.published[0].message->topic == row.topic);
            } else {
                check_ended(peer, row.reason);
                CHECK(bench.host.published.empty());
            }
        }
        Bench bench;
        Peer peer(bench, version);
        peer.join("p");
        peer.raw(Raw().bytes(ByteView("\0\5a", 3)).packet(0x30)); // the packet ends inside of its topic
        check_ended(peer, ReasonCode::malformed_packet);
    }
}

TEST_CASE("[MQTT-3.3.2-3] what a client gets matches what it subscribed to, and it gets all that matches") {
    const std::vector<std::string> parts = {"a", "b", "", "$s"};
    std::vector<std::string> topics;
    for (const std::string& one : parts) {
        for (const std::string& two : parts) {
            topics.push_back(one + "/" + two);
            for (const std::string& three : parts)
                topics.push_back(one + "/" + two + "/" + three);
        }
    }
    for (const ProtocolVersion version : both_versions) {
        for (const char* filter : {"a/+", "#", "+/b", "+/+/a", "a/#", "/+/", "$s/#", "a/b"}) {
            Bench bench;
            Peer peer(bench, version);
            peer.join("p");
            peer.subscribe(filter);
            for (const std::string& topic : topics) {
                bench.broker.publish(message(topic, "x"), bench.host.now);
                CHECK(peer.is_quiet() != filter_matches(filter, topic));
                if (!peer.is_quiet())
                    CHECK(peer.message().topic == topic);
            }
        }
    }
}

TEST_CASE("[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20] "
          "properties arrive as they were: live, queued, repeated and retained") {
    Bench bench;
    Peer sender(bench);
    sender.join("s");
    Publish packet;
    packet.topic = "a";
    packet.payload = "text";
    packet.qos = 1;
    packet.packet_id = 1;
    packet.retain = true;
    packet.payload_is_utf8 = true;
    packet.content_type = "text/plain";
    packet.response_topic = "answer/here";
    packet.correlation = ByteView("\0\xFF\1", 3);
    packet.user_properties = {{"k", "2"}, {"k", "1"}, {"a", ""}, {"k", "2"}};
    const auto is_as_sent = [&](const Publish& got) {
        return got.payload_is_utf8 && got.content_type == packet.content_type &&
               got.response_topic == packet.response_topic && got.correlation == packet.correlation &&
               got.user_properties == packet.user_properties;
    };
    Peer live(bench);
    live.join("l");
    live.subscribe("a", 1);
    Peer away(bench);
    away.join("w", false, 100);
    away.subscribe("a", 1);
    away.cut();
    sender.publish(packet);
    CHECK(is_as_sent(live.message()));
    Peer queued(bench);
    queued.join("w", false, 100);
    CHECK(is_as_sent(queued.message()));
    queued.cut();
    Peer repeated(bench);
    repeated.join("w", false, 100);
    const Publish again = repeated.message();
    CHECK(again.dup);
    CHECK(is_as_sent(again));
    Peer late(bench);
    late.join("n");
    late.subscribe("a");
    CHECK(is_as_sent(late.message()));
}

TEST_CASE(
    "[MQTT-3.3.2-7] [MQTT-3.1.2-26] [MQTT-3.1.2-27] topic aliases of ours: none unless allowed, anew with "
    "each connection"
) {
    Bench bench;
    for (const std::uint16_t alias_max : {0, 1}) {
        for (int connection = 0; connection < 3; ++connection) {
            Peer peer(bench);
            Connect packet;
            const std::string id = "p" + std::to_string(alias_max);
            packet.client_id = id;
            packet.clean_start = false;
            packet.session_expiry_s = 100;
            packet.topic_alias_max = alias_max;
            peer.join(packet);
            peer.subscribe("#");
            for (int i = 0; i < 3; ++i) {
                bench.broker.publish(message("one", "x"), bench.host.now);
                const Publish got = peer.message();
                CHECK(got.topic_alias == alias_max);
                CHECK(got.topic == (alias_max == 1 && i > 0 ? "" : "one"));
                bench.broker.publish(message("two", "x"), bench.host.now);
                CHECK(peer.message().topic == "two");
            }
            peer.cut();
        }
    }
}

TEST_CASE(
    "[MQTT-3.3.2-8] [MQTT-3.3.2-12] every topic alias from 1 to the announced maximum is taken, 0 and one "
    "more are not"
) {
    BrokerLimits limits;
    limits.topic_alias_max = 7;
    for (std::uint16_t alias = 0; alias <= 8; ++alias) {
        Bench bench(limits);
        Peer peer(bench);
        CHECK(peer.join("p").topic_alias_max == 7);
        const Bytes block = Raw().u8(0x23).u16(alias).body();
        peer.raw(Raw().text("long").properties(ProtocolVersion::v5, block).packet(0x30));
        if (alias == 0 || alias == 8) {
            check_ended(peer, ReasonCode::topic_alias_invalid);
            continue;
        }
        peer.raw(Raw().text("").properties(ProtocolVersion::v5, block).packet(0x30));
        REQUIRE(bench.host.published.size() == 2);
        CHECK(bench.host.published[1].message->topic == "long");
    }
}

TEST_CASE(
    "[MQTT-3.3.2-13] [MQTT-3.3.2-14] [MQTT-3.3.2-19] a response topic is a topic name, a content type is "
    "text; also from the host"
) {
    struct Row {
        unsigned property;
        std::string text;
        bool is_good;
        ReasonCode reason;
    };

    const Row rows[] = {
        {0x08, "answer", true, {}},
        {0x08, "\xC3\xA9/x", true, {}},
        {0x08, "a/#", false, ReasonCode::protocol_error},
        {0x08, "+", false, ReasonCode::protocol_error},
        {0x08, "\xFF", false, ReasonCode::malformed_packet},
        {0x03, "text/#+", true, {}},
        {0x03, "\xFF", false, ReasonCode::malformed_packet},
    };
    for (const Row& row : rows) {
        Bench bench;
        Peer watcher(bench);
        watcher.join("w");
        watcher.subscribe("#");
        Peer peer(bench);
        peer.join("p");
        const Bytes block = Raw().u8(row.property).text(row.text).body();
        peer.raw(Raw().text("a").properties(ProtocolVersion::v5, block).packet(0x30));
        INFO(row.property, " ", row.text);
        if (row.is_good) {
            watcher.message();
        } else {
            check_ended(peer, row.reason);
        }
        Message made;
        made.topic = "a";
        (row.property == 0x08 ? made.response_topic : made.content_type) = row.text;
        const std::size_t reached =
            bench.broker.publish(std::make_shared<Message>(std::move(made)), bench.host.now);
        CHECK(reached == (row.is_good ? 1u : 0u));
        CHECK(watcher.is_quiet() == !row.is_good);
    }
}

TEST_CASE("[MQTT-3.3.4-1] a PUBLISH is answered as its QoS says: not, PUBACK, PUBREC") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer watcher(bench, version);
        watcher.join("w");
        watcher.subscribe("a");
        Peer peer(bench, version);
        peer.join("p");
        peer.publish("a", "x");
        CHECK(peer.is_quiet());
        peer.publish("a", "x", 1, 3);
        CHECK(bench.host.out[peer.id()] == ByteView("\x40\x02\0\3", 4));
        peer.take(PacketType::puback);
        peer.publish("a", "x", 2, 4);
        CHECK(bench.host.out[peer.id()] == ByteView("\x50\x02\0\4", 4));
        peer.take(PacketType::pubrec);
        CHECK(peer.is_quiet());
    }
}

TEST_CASE(
    "[MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5] [MQTT3-3.3.5-1] overlapping subscriptions "
    "give one copy at the highest QoS, with every identifier"
) {
    for (const ProtocolVersion version : both_versions) {
        for (const std::uint8_t qos : {0, 1, 2}) {
            Bench bench;
            Peer peer(bench, version);
            peer.join("p");
            const std::uint32_t is_counted = is_v5(version) ? 1 : 0;
            peer.subscribe("a/+", 0, is_counted * 5);
            peer.subscribe("a/#", 2, is_counted * 6);
            peer.subscribe("a/b", 1);
            peer.subscribe("other", 2, is_counted * 7);
            bench.broker.publish(message("a/b", "x", qos), bench.host.now);
            const Publish got = peer.message();
            CHECK(got.qos == qos);
            CHECK_FALSE(got.dup);
            std::vector<std::uint32_t> ids = got.subscription_ids;
            std::sort(ids.begin(), ids.end());
            CHECK(ids == (is_v5(version) ? std::vector<std::uint32_t>{5, 6} : std::vector<std::uint32_t>{}));
            CHECK(peer.is_quiet());
        }
    }
}

TEST_CASE("[MQTT-3.3.4-6] a PUBLISH from a client with a subscription identifier ends its connection") {
    for (const bool has_id : {false, true}) {
        Bench bench;
        Peer peer(bench);
        peer.join("p");
        const Bytes block = has_id ? Bytes("\x0B\x05") : Bytes();
        peer.raw(Raw().text("a").properties(ProtocolVersion::v5, block).packet(0x30));
        CHECK(peer.is_closed() == has_id);
        CHECK(bench.host.published.size() == (has_id ? 0u : 1u));
        if (has_id)
            check_ended(peer, ReasonCode::protocol_error);
    }
}

TEST_CASE(
    "[MQTT-3.3.4-9] [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3] a used-up quota holds back "
    "messages of QoS 1 and 2, and nothing else"
) {
    for (const std::uint16_t receive_maximum : {1, 2, 5}) {
        Bench bench;
        Peer peer(bench);
        Connect packet;
        packet.client_id = "p";
        packet.receive_maximum = receive_maximum;
        peer.join(packet);
        peer.subscribe("a", 2);
        for (int i = 0; i < receive_maximum + 2; ++i)
            bench.broker.publish(
                message("a", std::to_string(i), static_cast<std::uint8_t>(1 + i % 2)), bench.host.now
            );
        std::vector<Publish> open;
        for (int i = 0; i < receive_maximum; ++i)
            open.push_back(peer.message());
        CHECK(peer.is_quiet());
        bench.broker.publish(message("a", "zero"), bench.host.now);
        CHECK(peer.message().qos == 0);
        CHECK(peer.subscribe("b") == ReasonCode::granted_qos0);
        peer.raw(ByteView("\xC0\x00", 2));
        peer.take(PacketType::pingresp);
        peer.publish("c", "x", 1, 1);
        CHECK(peer.acked(PacketType::puback).packet_id == 1);
        peer.publish("c", "x", 2, 2);
        CHECK(peer.acked(PacketType::pubrec).packet_id == 2);
        peer.ack(PacketType::pubrel, 2);
        CHECK(peer.acked(PacketType::pubcomp).packet_id == 2);
        CHECK(peer.is_quiet());
        if (receive_maximum > 1) { // half of an exchange does not open it
            peer.ack(PacketType::pubrec, open[1].packet_id);
            peer.take(PacketType::pubrel);
            CHECK(peer.is_quiet());
        }
        peer.ack(PacketType::puback, open[0].packet_id);
        CHECK(peer.message().payload == std::to_string(receive_maximum));
        CHECK(peer.is_quiet());
    }
}

TEST_CASE("[MQTT3-3.3.5-2] a PUBLISH that is not permitted is acknowledged and goes nowhere, or ends 3.1.1") {
    for (const Verdict verdict : {Verdict::denied, Verdict::close}) {
        for (const std::uint8_t qos : {1, 2}) {
            Bench bench;
            bench.host.judge = [&](const ConnView&, const MessagePtr&, AckToken) { return verdict; };
            Peer watcher(bench, ProtocolVersion::v311);
            watcher.join("w");
            watcher.subscribe("#", 2);
            Peer peer(bench, ProtocolVersion::v311);
            peer.join("p");
            peer.publish("a", "x", qos, 1);
            if (verdict == Verdict::denied) {
                CHECK(peer.acked(qos == 1 ? PacketType::puback : PacketType::pubrec).packet_id == 1);
            } else {
                check_ended(peer, {});
            }
            CHECK(watcher.is_quiet());
        }
    }
}
