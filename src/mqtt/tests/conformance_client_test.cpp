// Conformance of our client: what binds clients, and what a client does about a server that breaks the rules.

#include "mqtt/tests/conformance.h"

#include "mqtt/client.h"
#include "mqtt/tests/client_bench.h"

#include <algorithm>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

ClientOptions named(ProtocolVersion version) {
    ClientOptions options;
    options.version = version;
    options.client_id = "c";
    return options;
}

Bytes connack_bytes(ProtocolVersion version, bool present = false) {
    Connack connack;
    connack.session_present = present;
    Bytes bytes;
    encode_connack(bytes, connack, version);
    return bytes;
}

Bytes suback_bytes(ProtocolVersion version, std::uint16_t id) {
    Suback packet;
    packet.packet_id = id;
    packet.reasons = {ReasonCode::granted_qos0};
    Bytes bytes;
    encode_suback(bytes, packet, version);
    return bytes;
}

} // namespace

TEST_CASE(
    "[MQTT-3.1.0-1] [MQTT-3.1.2-1] [MQTT-3.1.2-3] [MQTT-3.1.3-1] our client begins with CONNECT, byte by "
    "byte, and sends nothing else before CONNACK"
) {
    for (const ProtocolVersion version : both_versions) {
        ClientOptions options = named(version);
        options.client_id = "id";
        options.username = "user";
        options.password = "pass";
        options.receive_maximum = 65'535;
        options.packet_bytes_max = 0x01020304;
        options.will = std::make_shared<Message>(to("will", 1));
        Line line(options);
        line.client.connect(line.now);
        const Bytes properties("\x27\1\2\3\4", 5);
        CHECK(
            line.host.out == Raw()
                                 .text("MQTT")
                                 .u8(static_cast<unsigned>(version))
                                 .u8(0xCE)
                                 .u16(60)
                                 .properties(version, properties)
                                 .text("id")
                                 .properties(version)
                                 .text("will")
                                 .text("x")
                                 .text("user")
                                 .text("pass")
                                 .packet(0x10)
        );
        line.take();
        CHECK_FALSE(line.client.publish(to("a", 0), 1, line.now).has_value());
        CHECK_FALSE(line.client.subscribe({{"a", 0}}, line.now).has_value());
        CHECK_FALSE(line.client.unsubscribe({"a"}, line.now).has_value());
        line.client.disconnect(ReasonCode::normal_disconnection, line.now);
        line.client.tick(line.now);
        CHECK(line.host.out.empty());
    }
}

TEST_CASE("[MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT3-3.1.2-22] user name and password of ours agree with their "
          "flags; 3.1.1 has no password alone") {
    for (const ProtocolVersion version : both_versions) {
        for (const bool has_name : {false, true}) {
            for (const bool has_password : {false, true}) {
                ClientOptions options = named(version);
                options.username = has_name ? "user" : "";
                options.password = has_password ? "pass" : "";
                Line line(options);
                line.client.connect(line.now);
                const auto packet = decode_connect(line.take(), {});
                REQUIRE(packet.has_value()); // strict: a password alone is malformed in 3.1.1
                CHECK(packet->username == options.username);
                CHECK(packet->has_password == has_password);
                CHECK(packet->has_username == (has_name || (has_password && !is_v5(version))));
            }
        }
    }
}

TEST_CASE("[MQTT3-3.1.3-7] our client without an id asks 3.1.1 for a clean session") {
    for (const ProtocolVersion version : both_versions) {
        for (const char* id : {"", "c"}) {
            ClientOptions options = named(version);
            options.client_id = id;
            options.clean_start = false;
            Line line(options);
            line.client.connect(line.now);
            const auto packet = decode_connect(line.take(), {});
            REQUIRE(packet.has_value());
            CHECK(packet->clean_start == (id[0] == '\0' && !is_v5(version)));
        }
    }
}

TEST_CASE(
    "[MQTT-3.1.2-20] [MQTT-3.1.2-21] [MQTT-3.2.2-21] PINGREQ comes within the keep-alive, the server's if "
    "it names one"
) {
    for (const ProtocolVersion version : both_versions) {
        for (const std::uint16_t server_s : {0, 5, 30}) {
            if (server_s != 0 && !is_v5(version))
                continue;
            ClientOptions options = named(version);
            options.keepalive_s = 20;
            Line line(options);
            line.client.connect(line.now);
            line.take();
            Connack connack;
            connack.has_server_keepalive = server_s != 0;
            connack.server_keepalive_s = server_s;
            Bytes bytes;
            encode_connack(bytes, connack, version);
            line.client.data(bytes, line.now);
            const int due_s = server_s == 0 ? 20 : server_s;
            line.now += std::chrono::milliseconds{due_s * 1'000 - 1};
            line.client.tick(line.now);
            CHECK(line.host.out.empty());
            line.now += std::chrono::milliseconds{1};
            line.client.tick(line.now);
            CHECK(line.host.out == ByteView("\xC0\x00", 2));
        }
    }
}

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

TEST_CASE("[MQTT-3.2.2-4] session present for a client that asked for a new session ends the connection") {
    for (const ProtocolVersion version : both_versions) {
        for (const bool is_clean : {true, false}) {
            ClientOptions options = named(version);
            options.clean_start = is_clean; // false: the owner says that it has the session's state
            Line line(options);
            line.client.connect(line.now);
            line.client.data(connack_bytes(version, true), line.now);
            CHECK(line.host.closes.size() == (is_clean ? 1u : 0u));
            CHECK(line.client.connected() == !is_clean);
        }
    }
}

TEST_CASE("[MQTT-3.2.2-5] our client forgets exchanges of a session that the server does not have") {
    for (const ProtocolVersion version : both_versions) {
        Line line(version);
        line.up();
        line.publish(2, 5); // received, not released
        CHECK(line.take_ack(PacketType::pubrec).packet_id == 5);
        REQUIRE(line.client.publish(to("a"), 1, line.now).has_value());
        CHECK_FALSE(line.take_publish().dup);
        line.client.closed(line.now);
        line.up(false);
        CHECK_FALSE(line.take_publish().dup); // as a new message
        line.publish(2, 5);
        CHECK(line.host.messages.size() == 2);
    }
}

TEST_CASE("[MQTT-3.2.2-11] [MQTT-3.2.2-14] what the server does not take is not sent, nor sent again") {
    for (const bool is_retain : {false, true}) {
        for (const std::uint8_t qos : {1, 2}) {
            Line line;
            line.up();
            Message first = to("a", qos);
            first.retain = is_retain;
            REQUIRE(line.client.publish(first, 1, line.now).has_value());
            REQUIRE(line.client.publish(to("fits", 1), 2, line.now).has_value());
            line.host.out.clear();
            line.client.closed(line.now);
            Connack connack;
            connack.retain_available = !is_retain;
            connack.qos_max = is_retain ? 2 : static_cast<std::uint8_t>(qos - 1);
            line.up(true, connack);
            while (!line.host.out.empty()) {
                const Publish again = line.take_publish();
                CHECK(again.qos <= connack.qos_max);
                CHECK((connack.retain_available || !again.retain));
            }
            CHECK(line.host.settled[1] == 1);
            CHECK(
                line.host.reasons[1] ==
                (is_retain ? ReasonCode::retain_not_supported : ReasonCode::qos_not_supported)
            );
            CHECK_FALSE(line.client.publish(first, 3, line.now).has_value());
        }
    }
}

TEST_CASE("[MQTT-3.2.2-15] no request of ours is larger than the server takes") {
    for (const std::size_t name : {30, 31, 100}) {
        Line line;
        Connack connack;
        connack.packet_bytes_max = 38; // 2 header, 2 id, 1 properties, 2 length, the filter, 1 options
        line.up(false, connack);
        const auto subscribed = line.client.subscribe({{std::string(name, 'x'), 1}}, line.now);
        CHECK(subscribed.has_value() == (name == 30));
        CHECK(line.host.out.size() == (name == 30 ? 38u : 0u));
        line.host.out.clear();
        const auto unsubscribed = line.client.unsubscribe({std::string(name + 1, 'x')}, line.now);
        CHECK(unsubscribed.has_value() == (name == 30));
        CHECK(line.host.out.size() == (name == 30 ? 38u : 0u));
        if (name != 30) {
            CHECK(subscribed.error().code == Errc::too_large);
            CHECK(unsubscribed.error().code == Errc::too_large);
        }
    }
}

TEST_CASE(
    "[MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-10] our client neither sends "
    "topic aliases nor takes one, as it announces"
) {
    for (const std::uint16_t server_max : {0, 10}) {
        Line line;
        line.client.connect(line.now);
        const auto connect = decode_connect(line.take(), {});
        REQUIRE(connect.has_value());
        CHECK(connect->topic_alias_max == 0);
        Connack connack;
        connack.topic_alias_max = server_max;
        Bytes bytes;
        encode_connack(bytes, connack, ProtocolVersion::v5);
        line.client.data(bytes, line.now);
        for (int i = 0; i < 3; ++i) {
            REQUIRE(line.client.publish(to("long/topic", 0), 1, line.now).has_value());
            const Publish sent = line.take_publish();
            CHECK(sent.topic == "long/topic");
            CHECK(sent.topic_alias == 0);
        }
        line.client.data(
            Raw().text("a").properties(ProtocolVersion::v5, ByteView("\x23\0\1", 3)).packet(0x30), line.now
        );
        CHECK(line.host.closes.size() == 1);
        CHECK(line.host.messages.empty());
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

TEST_CASE("[MQTT-3.14.4-1] [MQTT3-3.14.4-2] after its DISCONNECT our client sends nothing more") {
    for (const ProtocolVersion version : both_versions) {
        ClientOptions options;
        options.keepalive_s = 10;
        Line line(version, options);
        line.up();
        line.client.disconnect(ReasonCode::normal_disconnection, line.now);
        CHECK(line.host.out == ByteView("\xE0\x00", 2));
        line.host.out.clear();
        CHECK_FALSE(line.client.publish(to("a", 0), 1, line.now).has_value());
        CHECK_FALSE(line.client.subscribe({{"a", 0}}, line.now).has_value());
        CHECK_FALSE(line.client.unsubscribe({"a"}, line.now).has_value());
        line.publish(1, 5);
        line.ack(PacketType::pubrel, 5);
        line.client.acknowledge(5, line.now);
        line.now += std::chrono::seconds{60};
        line.client.tick(line.now);
        line.client.disconnect(ReasonCode::normal_disconnection, line.now);
        CHECK(line.host.out.empty());
        CHECK(line.host.messages.empty());
    }
}

TEST_CASE(
    "[MQTT-3.14.2-1] [MQTT-3.14.1-1] DISCONNECT of a server: a wrong flag or code is answered with a reason, "
    "a right one ends the connection"
) {
    for (unsigned first_byte = 0xE0; first_byte <= 0xEF; ++first_byte) {
        Line line;
        line.up();
        line.client.data(Raw().u8(0x8B).packet(first_byte), line.now);
        CHECK(line.host.closes.size() == 1);
        CHECK(line.host.out == (first_byte == 0xE0 ? ByteView() : ByteView("\xE0\x01\x81", 3)));
    }
    Line will_code;
    will_code.up();
    will_code.client.data(Raw().u8(0x04).packet(0xE0), will_code.now); // a client's code
    CHECK(will_code.host.out == ByteView("\xE0\x01\x82", 3));
    Line expiry; // [MQTT-3.14.2-2]
    expiry.up();
    expiry.client.data(
        Raw().u8(0x8B).properties(ProtocolVersion::v5, ByteView("\x11\0\0\0\1", 5)).packet(0xE0), expiry.now
    );
    CHECK(expiry.host.out == ByteView("\xE0\x01\x82", 3));
}

TEST_CASE(
    "[MQTT-4.12.0-3] [MQTT-4.12.0-7] [MQTT-3.1.2-30] our client names no authentication method and answers "
    "no AUTH"
) {
    for (const bool is_up : {false, true}) {
        Line line;
        if (is_up) {
            line.up();
        } else {
            line.client.connect(line.now);
            const auto connect = decode_connect(line.take(), {});
            REQUIRE(connect.has_value());
            CHECK_FALSE(connect->has_auth_method);
        }
        line.client.data(
            Raw().u8(0x18).properties(ProtocolVersion::v5, Raw().u8(0x15).text("SCRAM").body()).packet(0xF0),
            line.now
        );
        CHECK(line.host.closes.size() == 1);
        while (!line.host.out.empty())
            CHECK(line.take().type == PacketType::disconnect);
    }
}

TEST_CASE(
    "[MQTT-2.1.3-1] [MQTT3-2.2.2-2] [MQTT-3.3.1-4] [MQTT-4.13.1-1] our client leaves a server whose packets "
    "have wrong flag bits"
) {
    for (const ProtocolVersion version : both_versions) {
        struct Row {
            unsigned type;
            std::vector<unsigned> flags;
            Bytes body;
        };

        const Row rows[] = {
            {3, {0, 1, 2, 3, 4, 5, 10, 11, 12, 13}, Raw().text("a").u16(1).properties(version).body()},
            {4, {0}, Raw().u16(9).body()},
            {5, {0}, Raw().u16(9).body()},
            {6, {2}, Raw().u16(9).body()},
            {7, {0}, Raw().u16(9).body()},
            {11,
             {0},
             Raw().u16(9).properties(version).bytes(is_v5(version) ? ByteView("\0", 1) : ByteView()).body()},
            {13, {0}, {}},
        };
        for (const Row& row : rows) {
            for (unsigned flags = 0; flags < 16; ++flags) {
                Line line(version);
                line.up();
                if (row.type == 11) {
                    REQUIRE(line.client.unsubscribe({"a"}, line.now).has_value());
                    const auto request = decode_unsubscribe(line.take(), version, {});
                    REQUIRE(request.has_value());
                    Raw answer;
                    answer.u16(request->packet_id).bytes(ByteView(row.body).substr(2));
                    line.client.data(answer.packet(row.type << 4 | flags), line.now);
                } else {
                    line.client.data(Raw().bytes(row.body).packet(row.type << 4 | flags), line.now);
                }
                const bool is_good = std::find(row.flags.begin(), row.flags.end(), flags) != row.flags.end();
                INFO(row.type, " ", flags);
                CHECK(line.host.closes.empty() == is_good);
                CHECK(line.client.connected() == is_good);
            }
        }
        for (const unsigned acknowledge_flags : {2u, 0x80u, 0xFFu}) {
            Line line(version);
            line.client.connect(line.now);
            line.client.data(Raw().u8(acknowledge_flags).u8(0).properties(version).packet(0x20), line.now);
            CHECK(line.host.closes.size() == 1);
        }
    }
}

TEST_CASE("[MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-4.7.0-1] our client leaves a server whose topics are none") {
    for (const ProtocolVersion version : both_versions) {
        for (const std::string& topic :
             {std::string("\xFF"), std::string("a\0b", 3), std::string("a/#"), std::string("+"), std::string()
             }) {
            Line line(version);
            line.up();
            line.client.data(Raw().text(topic).properties(version).packet(0x30), line.now);
            CHECK(line.host.closes.size() == 1);
            CHECK(line.host.messages.empty());
        }
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
