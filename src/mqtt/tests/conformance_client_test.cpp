// Conformance of our client: CONNECT to DISCONNECT, and what it does about a server that breaks the rules.

#include "mqtt/tests/conformance.h"

#include "mqtt/client.h"
#include "mqtt/tests/client_bench.h"

#include <algorithm>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

Bytes connack_bytes(ProtocolVersion version, bool present = false) {
    Connack connack;
    connack.session_present = present;
    Bytes bytes;
    encode_connack(bytes, connack, version);
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
