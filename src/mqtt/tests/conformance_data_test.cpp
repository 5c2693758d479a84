// Conformance, chapters 1 and 2: text, lengths, flag bits, packet identifiers, properties.

#include "mqtt/tests/conformance.h"

#include "base/random.h"

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

constexpr std::string_view good_text = "\xC3\xA9\xF0\x9F\x98\x80";

/// CONNECT payloads with `text` as client id, topic of the will, user name.
std::vector<std::pair<unsigned, Bytes>> connects_with(ProtocolVersion version, ByteView text) {
    const Bytes will_properties = Raw().properties(version).body();
    return {
        {0x02, fields({text})},
        {0x06, fields({"p"}) + will_properties + fields({text, "gone"})},
        {0x82, fields({"p", text})},
    };
}

/// Packets after CONNECT that have `text` in one field each.
std::vector<Bytes> packets_with(ProtocolVersion version, ByteView text) {
    std::vector<Bytes> packets = {
        Raw().text(text).properties(version).packet(0x30),
        Raw().u16(1).properties(version).text(text).u8(0).packet(0x82),
        Raw().u16(1).properties(version).text(text).packet(0xA2),
    };
    if (is_v5(version)) {
        const Bytes content_type = Raw().u8(0x03).text(text).body();
        const Bytes response_topic = Raw().u8(0x08).text(text).body();
        const Bytes user_name = Raw().u8(0x26).text(text).text("v").body();
        const Bytes user_value = Raw().u8(0x26).text("k").text(text).body();
        for (const Bytes& block : {content_type, response_topic, user_name, user_value})
            packets.push_back(Raw().text("a").properties(version, block).packet(0x30));
        packets.push_back(Raw().u16(1).properties(version, user_value).text("a").u8(0).packet(0x82));
    }
    return packets;
}

} // namespace

TEST_CASE("[MQTT-1.5.4-1] [MQTT-1.5.4-2] ill-formed UTF-8 or U+0000 in any text ends the connection") {
    const std::string bad[] = {
        "\xC0\xAF", "\xED\xA0\x80", "\xED\xBF\xBF", "\xFF", "\xE2\x82", std::string("a\0b", 3)
    };
    for (const ProtocolVersion version : both_versions) {
        for (const std::string& text : bad) {
            INFO(to_hex(text));
            for (const auto& [flags, payload] : connects_with(version, text)) {
                Bench bench;
                Peer peer(bench, version);
                peer.raw(raw_connect(version, flags, payload));
                check_refused(peer, ReasonCode::malformed_packet);
            }
            for (const Bytes& packet : packets_with(version, text)) {
                Bench bench;
                Peer peer(bench, version);
                peer.join("p");
                peer.raw(packet);
                check_ended(peer, ReasonCode::malformed_packet);
                CHECK(bench.host.published.empty());
            }
        }
        for (const auto& [flags, payload] : connects_with(version, good_text)) {
            Bench bench;
            Peer peer(bench, version);
            peer.raw(raw_connect(version, flags, payload));
            CHECK(peer.connack().reason == ReasonCode::success);
        }
        for (const Bytes& packet : packets_with(version, good_text)) {
            Bench bench;
            Peer peer(bench, version);
            peer.join("p");
            peer.raw(packet);
            CHECK_FALSE(peer.is_closed());
        }
    }
}

TEST_CASE("[MQTT-1.5.4-3] U+FEFF is a character like others: kept where it stands, never stripped") {
    const std::string marked = "\xEF\xBB\xBFtopic";
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join(marked);
        CHECK(bench.broker.online(marked));
        CHECK_FALSE(bench.broker.online("topic"));
        peer.subscribe(marked);
        peer.publish("topic", "without");
        CHECK(peer.is_quiet());
        peer.publish(marked, "with");
        CHECK(peer.message().topic == marked);
    }
}

TEST_CASE("[MQTT-1.5.5-1] lengths of ours are the shortest, longer ones are malformed") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p");
        peer.subscribe("a");
        const std::size_t head = is_v5(version) ? 4 : 3; // topic length, topic, property length
        for (const auto& [body, length_bytes] :
             {std::pair{127, 1}, {128, 2}, {16'383, 2}, {16'384, 3}, {200'000, 3}}) {
            bench.broker.publish(
                message("a", std::string(static_cast<std::size_t>(body) - head, 'x')), bench.host.now
            );
            CHECK(bench.host.out[peer.id()].size() == static_cast<std::size_t>(1 + length_bytes + body));
            peer.message();
        }
        peer.raw(ByteView("\xC0\x80\x00", 3));
        check_ended(peer, ReasonCode::malformed_packet);
    }
    const Bytes overlong[] = {
        Raw().text("a").bytes(ByteView("\x80\x00", 2)).packet(0x30),            // a property length of 0
        Raw().text("a").bytes(ByteView("\x83\x00\x01\x01", 4)).packet(0x30),    // of 2 and something
        Raw().u16(1).bytes(ByteView("\x03\x0B\x81\x00\0\1a\0", 8)).packet(0x82) // subscription identifier 1
    };
    for (const Bytes& packet : overlong) {
        Bench bench;
        Peer peer(bench);
        peer.join("p");
        peer.raw(packet);
        check_ended(peer, ReasonCode::malformed_packet);
    }
}

TEST_CASE("[MQTT-1.5.7-1] name and value of a user property are both text, in every packet that has one") {
    struct Row {
        std::string name;
        std::string value;
        bool is_good;
    };

    const Row rows[] = {
        {"k", "v", true},
        {"", "", true},
        {"\xFF", "v", false},
        {"k", "\xFF", false},
        {std::string(1, '\0'), "v", false},
        {"k", std::string(1, '\0'), false},
    };
    for (const auto& [name, value, is_good] : rows) {
        const Bytes block = Raw().u8(0x26).text(name).text(value).body();
        const Bytes packets[] = {
            Raw().text("a").properties(ProtocolVersion::v5, block).packet(0x30),
            Raw().u16(1).u8(0).properties(ProtocolVersion::v5, block).packet(0x40),
            Raw().u16(1).properties(ProtocolVersion::v5, block).text("a").u8(0).packet(0x82),
            Raw().u16(1).properties(ProtocolVersion::v5, block).text("a").packet(0xA2),
            Raw().u8(0x04).properties(ProtocolVersion::v5, block).packet(0xE0),
        };
        for (const Bytes& packet : packets) {
            Bench bench;
            Peer peer(bench);
            peer.join("p");
            peer.raw(packet);
            INFO(to_hex(packet));
            const bool is_disconnect = static_cast<unsigned char>(packet[0]) == 0xE0;
            CHECK(peer.is_closed() == (!is_good || is_disconnect));
            if (!is_good)
                check_ended(peer, ReasonCode::malformed_packet);
        }
    }
}

TEST_CASE("[MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] flag bits other than "
          "the listed ones are malformed") {
    for (const ProtocolVersion version : both_versions) {
        struct Row {
            unsigned type;
            unsigned flags;
            Bytes body;
        };

        const Row rows[] = {
            {4, 0, Raw().u16(9).body()},
            {5, 0, Raw().u16(9).body()},
            {6, 2, Raw().u16(9).body()},
            {7, 0, Raw().u16(9).body()},
            {8, 2, Raw().u16(9).properties(version).text("a").u8(0).body()},
            {10, 2, Raw().u16(9).properties(version).text("a").body()},
            {12, 0, {}},
            {14, 0, {}},
        };
        for (const Row& row : rows) {
            for (unsigned flags = 0; flags < 16; ++flags) {
                Bench bench;
                Peer peer(bench, version);
                peer.join("p");
                peer.raw(Raw().bytes(row.body).packet(row.type << 4 | flags));
                INFO(row.type, " ", flags);
                if (flags != row.flags) {
                    check_ended(peer, ReasonCode::malformed_packet);
                } else {
                    CHECK(peer.is_closed() == (row.type == 14));
                }
            }
        }
        for (unsigned flags = 0; flags < 16; ++flags) {
            Bench bench;
            Peer peer(bench, version);
            peer.raw(raw_connect(version, 2, fields({"p"}), 0x10 | flags));
            CHECK(peer.is_closed() == (flags != 0));
        }
    }
}

TEST_CASE("[MQTT-2.2.1-2] [MQTT-4.3.1-1] QoS 0 goes out with DUP 0 and without a packet identifier") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p");
        peer.subscribe("a");
        peer.raw(Raw().text("a").properties(version).bytes(ByteView("\0\1", 2)).packet(0x30));
        REQUIRE(bench.host.published.size() == 1);
        CHECK(bench.host.published[0].message->payload == ByteView("\0\1", 2)); // no identifier: payload
        CHECK(
            bench.host.out[peer.id()] ==
            Raw().text("a").properties(version).bytes(ByteView("\0\1", 2)).packet(0x30)
        );
    }
}

TEST_CASE("[MQTT3-2.3.1-1] SUBSCRIBE, UNSUBSCRIBE and PUBLISH with packet identifier 0 end the connection") {
    for (const ProtocolVersion version : both_versions) {
        for (const unsigned id : {0u, 1u}) {
            const Bytes packets[] = {
                Raw().text("a").u16(id).properties(version).packet(0x32),
                Raw().text("a").u16(id).properties(version).packet(0x34),
                Raw().u16(id).properties(version).text("a").u8(0).packet(0x82),
                Raw().u16(id).properties(version).text("a").packet(0xA2),
            };
            for (const Bytes& packet : packets) {
                Bench bench;
                Peer peer(bench, version);
                peer.join("p");
                peer.raw(packet);
                if (id == 0) {
                    check_ended(peer, ReasonCode::protocol_error);
                } else {
                    CHECK_FALSE(peer.is_closed());
                }
            }
        }
    }
}

TEST_CASE("[MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] an identifier to a client is not 0 and not in use") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p");
        peer.subscribe("a", 2);
        SeededRandom random(221);
        std::vector<Publish> open;
        std::set<std::uint16_t> in_use;
        for (int i = 0; i < 70'000; ++i) {
            const auto qos = static_cast<std::uint8_t>(1 + random.below(2));
            bench.broker.publish(message("a", "x", qos), bench.host.now);
            const Publish got = peer.message();
            if (got.packet_id == 0 || !in_use.insert(got.packet_id).second)
                FAIL("identifier ", got.packet_id);
            open.push_back(got);
            if (open.size() < 20)
                continue;
            const std::size_t pick = random.below(10); // the oldest are not left for ever
            const std::uint16_t id = open[pick].packet_id;
            if (open[pick].qos == 1) {
                peer.ack(PacketType::puback, id);
            } else {
                peer.ack(PacketType::pubrec, id);
                CHECK(peer.acked(PacketType::pubrel).packet_id == id);
                peer.ack(PacketType::pubcomp, id);
            }
            in_use.erase(id);
            open.erase(open.begin() + static_cast<std::ptrdiff_t>(pick));
        }
        CHECK_FALSE(peer.is_closed());
    }
}

TEST_CASE("[MQTT-2.2.1-4] the widest window leaves an identifier that is never acknowledged in use") {
    BrokerLimits limits;
    limits.inflight_count_max = 65'535;
    limits.window_count_max = 65'535;
    Bench bench(limits);
    Peer peer(bench);
    peer.join("p");
    peer.subscribe("a", 1);
    const MessagePtr one = message("a", "x", 1);
    bench.broker.publish(one, bench.host.now);
    const std::uint16_t first = peer.message().packet_id;
    std::size_t received = 1;
    for (int i = 0; i < 66'000; ++i) {
        bench.broker.publish(one, bench.host.now);
        if (peer.is_quiet())
            break;
        const std::uint16_t id = peer.message().packet_id;
        if (id == first)
            FAIL("the identifier in use came again after ", received);
        ++received;
        peer.ack(PacketType::puback, id);
    }
    CHECK(received == 65'535);
    peer.ack(PacketType::puback, first);
    CHECK_FALSE(peer.is_quiet());
}

TEST_CASE("[MQTT-2.2.1-5] [MQTT-2.2.1-6] an answer carries the identifier of what it answers") {
    for (const ProtocolVersion version : both_versions) {
        for (const std::uint16_t id : {1, 255, 256, 65'535}) {
            Bench bench;
            Peer peer(bench, version);
            peer.join("p");
            peer.publish("a", "x", 1, id);
            CHECK(peer.acked(PacketType::puback).packet_id == id);
            peer.publish("a", "x", 2, id);
            CHECK(peer.acked(PacketType::pubrec).packet_id == id);
            peer.ack(PacketType::pubrel, id);
            CHECK(peer.acked(PacketType::pubcomp).packet_id == id);
            peer.subscribe({wanting("b")}, 0, id); // checks it
            peer.raw(Raw().u16(id).properties(version).text("b").packet(0xA2));
            const auto answer = decode_unsuback(peer.take(PacketType::unsuback).frame(), version, {});
            REQUIRE(answer.has_value());
            CHECK(answer->packet_id == id);
        }
    }
}

TEST_CASE("[MQTT-2.2.2-1] no properties is a property length of 0, from us and from clients") {
    Bench bench;
    Peer peer(bench);
    peer.join("p");
    peer.raw(Raw().u16(1).u8(0).text("a").u8(0).packet(0x82));
    CHECK(bench.host.out[peer.id()] == ByteView("\x90\x04\0\1\0\0", 6));
    peer.take(PacketType::suback);
    peer.raw(Raw().u16(2).u8(0).text("a").packet(0xA2));
    CHECK(bench.host.out[peer.id()] == ByteView("\xB0\x04\0\2\0\0", 6));
    peer.take(PacketType::unsuback);

    const Bytes without[] = {
        Raw().text("a").packet(0x30),
        Raw().u16(1).packet(0x82),
        Raw().u16(1).packet(0xA2),
    };
    for (const Bytes& packet : without) {
        Peer other(bench);
        other.join("o");
        other.raw(packet);
        check_ended(other, ReasonCode::malformed_packet);
    }
    Peer connect(bench);
    connect.raw(Raw().text("MQTT").u8(5).u8(2).u16(60).packet(0x10));
    check_refused(connect, ReasonCode::malformed_packet);
}
