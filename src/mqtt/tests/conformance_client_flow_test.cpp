// Conformance of our client: messages, requests, acknowledgements and their identifiers.

#include "mqtt/tests/conformance.h"

#include "mqtt/client.h"
#include "mqtt/tests/client_bench.h"

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

Bytes suback_bytes(ProtocolVersion version, std::uint16_t id) {
    Suback packet;
    packet.packet_id = id;
    packet.reasons = {ReasonCode::granted_qos0};
    Bytes bytes;
    encode_suback(bytes, packet, version);
    return bytes;
}

} // namespace

TEST_CASE("[MQTT-2.2.1-3] [MQTT3-2.3.1-2] identifiers of our client are not 0 and not in use") {
    for (const ProtocolVersion version : both_versions) {
        ClientOptions options = named(version);
        options.inflight_max = 10;
        Line line(options);
        line.up_as_is();
        std::deque<std::uint16_t> publishes;
        std::deque<std::uint16_t> requests;
        std::set<std::uint16_t> in_use;
        for (int i = 0; i < 70'000; ++i) {
            if (publishes.size() == 10) {
                line.ack(PacketType::puback, publishes.front());
                in_use.erase(publishes.front());
                publishes.pop_front();
            }
            if (requests.size() == 10) {
                line.client.data(suback_bytes(version, requests.front()), line.now);
                in_use.erase(requests.front());
                requests.pop_front();
            }
            REQUIRE(line.client.publish(to("a"), 1, line.now).has_value());
            publishes.push_back(line.take_publish().packet_id);
            REQUIRE(line.client.subscribe({{"a", 0}}, line.now).has_value());
            const auto request = decode_subscribe(line.take(), version, {});
            REQUIRE(request.has_value());
            requests.push_back(request->packet_id);
            for (const std::uint16_t id : {publishes.back(), requests.back()}) {
                if (id == 0 || !in_use.insert(id).second)
                    FAIL("identifier ", id, " in round ", i);
            }
        }
        CHECK(line.host.closes.empty());
    }
}

TEST_CASE("[MQTT-2.2.1-3] an UNSUBSCRIBE that waits for its answer keeps its identifier") {
    for (const ProtocolVersion version : both_versions) {
        Line line(named(version));
        line.up_as_is();
        REQUIRE(line.client.unsubscribe({"a"}, line.now).has_value());
        const auto first = decode_unsubscribe(line.take(), version, {});
        REQUIRE(first.has_value());
        for (int i = 0; i < 33'000; ++i) {
            REQUIRE(line.client.subscribe({{"a", 0}}, line.now).has_value());
            const auto request = decode_subscribe(line.take(), version, {});
            REQUIRE(request.has_value());
            if (request->packet_id == first->packet_id)
                FAIL("in round ", i);
            line.client.data(suback_bytes(version, request->packet_id), line.now);
        }
        Raw answer;
        answer.u16(first->packet_id).properties(version);
        if (is_v5(version))
            answer.u8(0);
        line.client.data(answer.packet(0xB0), line.now);
        CHECK(line.host.closes.empty());
    }
}

TEST_CASE("[MQTT3-2.3.1-3] what our client sends again has the identifier of before, and PUBACK frees it") {
    for (const ProtocolVersion version : both_versions) {
        Line line(version);
        line.up();
        REQUIRE(line.client.publish(to("a"), 1, line.now).has_value());
        const Publish first = line.take_publish();
        CHECK_FALSE(first.dup);
        const std::uint16_t id = first.packet_id;
        for (int i = 0; i < 3; ++i) {
            line.client.closed(line.now);
            line.up(true);
            const Publish again = line.take_publish();
            CHECK(again.packet_id == id);
            CHECK(again.dup);
        }
        line.ack(PacketType::puback, id);
        line.client.closed(line.now);
        line.up(true);
        CHECK(line.host.out.empty());
        CHECK(line.host.settled == std::map<PublishTag, int>{{1, 1}});
    }
}

TEST_CASE("[MQTT-3.3.4-6] [MQTT-2.2.1-2] [MQTT-4.3.1-1] a PUBLISH of ours, byte by byte") {
    for (const ProtocolVersion version : both_versions) {
        Line line(version);
        line.up();
        REQUIRE(line.client.publish(to("a", 0), 1, line.now).has_value());
        CHECK(line.host.out == Raw().text("a").properties(version).bytes("x").packet(0x30));
        line.host.out.clear();
        REQUIRE(line.client.publish(to("a", 1), 1, line.now).has_value());
        CHECK(line.host.out == Raw().text("a").u16(1).properties(version).bytes("x").packet(0x32));
        line.host.out.clear();
        REQUIRE(line.client.publish(to("a", 2), 1, line.now).has_value());
        CHECK(line.host.out == Raw().text("a").u16(2).properties(version).bytes("x").packet(0x34));
    }
}

TEST_CASE("[MQTT-3.3.2-14] [MQTT-1.5.7-1] [MQTT-4.7.3-1] a message that would be malformed is refused at home"
) {
    Message rows[7];
    rows[0].topic = "a/+";
    rows[1].topic = "";
    rows[2].topic = std::string("a\0b", 3);
    rows[3].response_topic = "b/#";
    rows[4].content_type = "\xFF";
    rows[5].user_properties = {{"k", "\xFF"}};
    rows[6].payload_is_utf8 = true;
    rows[6].payload = "\xFF";
    for (std::size_t i = 0; i < std::size(rows); ++i) {
        if (i >= 3)
            rows[i].topic = "a";
        Line line;
        line.up();
        INFO(i);
        const auto done = line.client.publish(rows[i], 1, line.now);
        REQUIRE_FALSE(done.has_value());
        CHECK(done.error().code == Errc::invalid);
        CHECK(line.host.out.empty());
    }
    Line line;
    line.up();
    Message good = to("a");
    good.response_topic = "b/c";
    good.content_type = "text/plain";
    good.user_properties = {{"", "\xC3\xA9"}};
    good.payload_is_utf8 = true;
    CHECK(line.client.publish(good, 1, line.now).has_value());
}

TEST_CASE(
    "[MQTT-3.3.4-7] [MQTT-3.3.4-8] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3] our client keeps to the "
    "server's Receive Maximum and holds back nothing else"
) {
    for (const std::uint16_t receive_maximum : {1, 3}) {
        ClientOptions options;
        options.keepalive_s = 10;
        Line line(ProtocolVersion::v5, options);
        Connack connack;
        connack.receive_maximum = receive_maximum;
        line.up(false, connack);
        std::vector<std::uint16_t> open;
        for (int i = 0; i < receive_maximum; ++i) {
            REQUIRE(line.client.publish(to("a", 2), 1, line.now).has_value());
            open.push_back(line.take_publish().packet_id);
        }
        CHECK(line.client.publish(to("a", 1), 1, line.now).error().code == Errc::busy);
        CHECK(line.client.publish(to("a", 2), 1, line.now).error().code == Errc::busy);
        CHECK(line.host.out.empty());
        CHECK(line.client.publish(to("a", 0), 1, line.now).has_value());
        CHECK(line.take_publish().qos == 0);
        CHECK(line.client.subscribe({{"b", 1}}, line.now).has_value());
        CHECK(line.take().type == PacketType::subscribe);
        line.publish(1, 77);
        CHECK(line.take_ack(PacketType::puback).packet_id == 77);
        line.now += std::chrono::seconds{10};
        line.client.tick(line.now);
        CHECK(line.take().type == PacketType::pingreq);
        line.ack(PacketType::pubrec, open[0]);
        CHECK(line.take_ack(PacketType::pubrel).packet_id == open[0]);
        CHECK(line.client.quota() == 0);
        line.ack(PacketType::pubcomp, open[0]);
        CHECK(line.client.quota() == 1);
    }
}

TEST_CASE("[MQTT-4.4.0-2] [MQTT-4.3.3-4] our client takes a PUBREC or PUBACK of 0x80 or more as the end") {
    for (const std::uint8_t qos : {1, 2}) {
        Line line;
        line.up();
        REQUIRE(line.client.publish(to("a", qos), 1, line.now).has_value());
        const std::uint16_t id = line.take_publish().packet_id;
        line.ack(qos == 1 ? PacketType::puback : PacketType::pubrec, id, ReasonCode::quota_exceeded);
        CHECK(line.host.out.empty());
        CHECK(line.host.reasons[1] == ReasonCode::quota_exceeded);
        line.client.closed(line.now);
        line.up(true);
        CHECK(line.host.out.empty());
    }
}

TEST_CASE(
    "[MQTT-4.5.0-2] [MQTT-3.3.4-1] [MQTT-4.3.2-5] our client acknowledges what it gets, wanted or not, and "
    "takes an identifier anew after PUBACK"
) {
    for (const ProtocolVersion version : both_versions) {
        Line line(version);
        line.up(); // subscribed to nothing
        line.publish(0, 0);
        CHECK(line.host.out.empty());
        for (int i = 0; i < 2; ++i) {
            line.publish(1, 8);
            CHECK(line.take_ack(PacketType::puback).packet_id == 8);
        }
        line.publish(2, 9);
        CHECK(line.take_ack(PacketType::pubrec).packet_id == 9);
        line.ack(PacketType::pubrel, 9);
        CHECK(line.take_ack(PacketType::pubcomp).packet_id == 9);
        CHECK(line.host.messages.size() == 4);
    }
}

TEST_CASE("[MQTT-4.6.0-1] our client sends again in the order of before") {
    for (const ProtocolVersion version : both_versions) {
        Line line(version);
        line.up();
        std::vector<std::uint16_t> ids;
        for (const std::uint8_t qos : {1, 2, 1, 2, 1}) {
            REQUIRE(line.client.publish(to("t" + std::to_string(ids.size()), qos), 1, line.now).has_value());
            ids.push_back(line.take_publish().packet_id);
        }
        line.ack(PacketType::puback, ids[2]);
        line.client.closed(line.now);
        line.up(true);
        for (const std::size_t i : {0, 1, 3, 4}) {
            const Publish again = line.take_publish();
            CHECK(again.packet_id == ids[i]);
            CHECK(again.topic == "t" + std::to_string(i));
            CHECK(again.dup);
        }
        CHECK(line.host.out.empty());
    }
}

TEST_CASE(
    "[MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4] our client's PUBACK, PUBREC and PUBREL come in the order "
    "of what they answer"
) {
    for (const ProtocolVersion version : both_versions) {
        Line line(version);
        line.up();
        line.host.acknowledges = false;
        for (const std::uint16_t id : {31, 32, 33})
            line.publish(1, id);
        for (const std::uint16_t id : {41, 42, 43})
            line.publish(2, id);
        for (const std::uint16_t id : {43, 33, 42, 32, 41})
            line.client.acknowledge(id, line.now);
        CHECK(line.host.out.empty());
        line.client.acknowledge(31, line.now);
        for (const std::uint16_t id : {31, 32, 33})
            CHECK(line.take_ack(PacketType::puback).packet_id == id);
        for (const std::uint16_t id : {41, 42, 43})
            CHECK(line.take_ack(PacketType::pubrec).packet_id == id);
        std::vector<std::uint16_t> ids;
        for (int i = 0; i < 3; ++i) {
            REQUIRE(line.client.publish(to("a", 2), 1, line.now).has_value());
            ids.push_back(line.take_publish().packet_id);
        }
        for (const std::size_t i : {2, 0, 1})
            line.ack(PacketType::pubrec, ids[i]);
        for (const std::size_t i : {2, 0, 1})
            CHECK(line.take_ack(PacketType::pubrel).packet_id == ids[i]);
    }
}

TEST_CASE(
    "[MQTT-4.7.1-1] [MQTT-4.8.2-1] [MQTT-3.8.3-2] [MQTT-3.10.3-2] our client sends no malformed filter and "
    "no empty list"
) {
    for (const ProtocolVersion version : both_versions) {
        Line line(version);
        line.up();
        for (const std::string& filter :
             {std::string("a#"),
              std::string("a/#/b"),
              std::string(),
              std::string("\xFF"),
              std::string("$share//a")}) {
            CHECK_FALSE(line.client.subscribe({{"fine", 0}, {filter, 0}}, line.now).has_value());
            CHECK_FALSE(line.client.unsubscribe({filter}, line.now).has_value());
        }
        CHECK_FALSE(line.client.subscribe({{"a", 3}}, line.now).has_value());
        CHECK(line.client.subscribe({}, line.now).has_value());
        CHECK(line.client.unsubscribe({}, line.now).has_value());
        CHECK(line.host.out.empty());
        CHECK(line.client.subscribe({{"a/#", 2}}, line.now).has_value());
        CHECK(Bytes(line.host.out.substr(4)) == Raw().properties(version).text("a/#").u8(2).body());
        CHECK(static_cast<unsigned char>(line.host.out[0]) == 0x82);
        line.host.out.clear();
        CHECK(line.client.unsubscribe({"a/#"}, line.now).has_value());
        CHECK(static_cast<unsigned char>(line.host.out[0]) == 0xA2);
    }
}
