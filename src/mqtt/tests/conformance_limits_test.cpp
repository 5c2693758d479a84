// Conformance, sections 3.1 and 3.2: what one side says that it takes, and what it is told.

#include "mqtt/tests/conformance.h"

#include <algorithm>
#include <array>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

/// MQTT 5 table 3-1 without success.
constexpr std::array<unsigned, 21> connect_refusals = {0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86,
                                                       0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95,
                                                       0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F};

/// The sizes of all packets that wait for a peer, which are taken.
std::vector<std::size_t> sizes(Bench& bench, Peer& peer) {
    std::vector<std::size_t> found;
    while (!peer.is_quiet()) {
        const std::size_t before = bench.host.out[peer.id()].size();
        peer.next();
        found.push_back(before - bench.host.out[peer.id()].size());
    }
    return found;
}

} // namespace

TEST_CASE(
    "[MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT3-3.2.2-5] a refusal has a code of its table, whatever the host "
    "says, and ends the connection"
) {
    for (const ProtocolVersion version : both_versions) {
        for (unsigned code = 1; code < 256; ++code) {
            Bench bench;
            bench.host.refusal = static_cast<ReasonCode>(code);
            Peer peer(bench, version);
            peer.raw(raw_connect(version, 2, fields({"p"})));
            const Received answer = peer.take(PacketType::connack);
            REQUIRE(answer.body.size() >= 2);
            const unsigned said = static_cast<unsigned char>(answer.body[1]);
            INFO(code, " ", said);
            const auto* const place = std::find(connect_refusals.begin(), connect_refusals.end(), said);
            if (is_v5(version)) {
                CHECK(place != connect_refusals.end());
                if (std::find(connect_refusals.begin(), connect_refusals.end(), code) !=
                    connect_refusals.end())
                    CHECK(said == code);
            } else {
                CHECK(said >= 1);
                CHECK(said <= 5);
            }
            CHECK(peer.is_closed());
        }
    }
}

TEST_CASE("[MQTT-3.2.2-9] [MQTT-3.2.2-10] Maximum QoS is told when it is below 2, and every QoS is subscribed"
) {
    for (const std::uint8_t qos_max : {0, 1, 2}) {
        for (const std::uint8_t wanted : {0, 1, 2}) {
            Bench bench;
            bench.host.prototype.qos_max = qos_max;
            Peer peer(bench);
            peer.raw(raw_connect(ProtocolVersion::v5, 2, fields({"p"})));
            const Received raw = peer.take(PacketType::connack);
            const auto connack = decode_connack(raw.frame(), ProtocolVersion::v5, {});
            REQUIRE(connack.has_value());
            CHECK(connack->qos_max == qos_max);
            CHECK(static_cast<int>(peer.subscribe("a", wanted)) == std::min(wanted, qos_max));
        }
    }
}

TEST_CASE("[MQTT-3.2.2-12] [MQTT-3.2.2-13] a will beyond what is offered: 0x9B or 0x9A, then the end") {
    struct Row {
        std::uint8_t qos;
        bool retain;
        ReasonCode reason;
    };

    for (const Row& row :
         {Row{1, false, ReasonCode::success},
          Row{2, false, ReasonCode::qos_not_supported},
          Row{0, true, ReasonCode::retain_not_supported}}) {
        Bench bench;
        bench.host.prototype.qos_max = 1;
        bench.host.prototype.retain_available = false;
        Peer peer(bench);
        Connect packet;
        packet.client_id = "p";
        packet.will = message("w", "gone", row.qos, row.retain);
        CHECK(peer.join(packet).reason == row.reason);
        CHECK(peer.is_closed() == (row.reason != ReasonCode::success));
        CHECK(bench.broker.stats().sessions == (row.reason == ReasonCode::success ? 1u : 0u));
    }
}

TEST_CASE("[MQTT-3.1.2-24] [MQTT-3.2.2-19] no packet is larger than the client takes, CONNACK and SUBACK "
          "included") {
    std::size_t served = 0;
    for (std::uint32_t bytes_max = 1; bytes_max <= 120; ++bytes_max) {
        for (const bool is_refused : {false, true}) {
            Bench bench;
            bench.host.refusal = is_refused ? ReasonCode::server_busy : ReasonCode::success;
            bench.host.prototype.keepalive_s = 7;
            Peer peer(bench);
            Connect packet;
            packet.client_id = "p";
            packet.packet_bytes_max = bytes_max;
            peer.connect(packet);
            for (const std::size_t size : sizes(bench, peer))
                CHECK(size <= bytes_max);
            if (is_refused || peer.is_closed()) {
                CHECK(peer.is_closed());
                CHECK(bench.broker.stats().sessions == 0);
                continue;
            }
            ++served;
            Raw subscribe;
            Raw unsubscribe;
            subscribe.u16(1).u8(0);
            unsubscribe.u16(2).u8(0);
            for (int i = 0; i < 60; ++i) {
                subscribe.text("f/" + std::to_string(i)).u8(0);
                unsubscribe.text("f/" + std::to_string(i));
            }
            peer.raw(subscribe.packet(0x82));
            const bool is_fitting = bytes_max >= 2 + 2 + 1 + 60;
            CHECK(peer.is_closed() == !is_fitting);
            CHECK(bench.broker.stats().subscriptions == (is_fitting ? 60u : 0u));
            Peer other(bench);
            packet.client_id = "o";
            other.join(packet);
            other.raw(unsubscribe.packet(0xA2));
            CHECK(other.is_closed() == !is_fitting);
            if (!is_fitting)
                CHECK(other.goodbye() == ReasonCode::packet_too_large);
            for (Peer* each : {&peer, &other}) {
                for (const std::size_t size : sizes(bench, *each))
                    CHECK(size <= bytes_max);
            }
        }
    }
    CHECK(served > 50);
}

TEST_CASE("[MQTT-3.1.2-25] a message too large for the client counts as delivered and takes no place") {
    Bench bench;
    Peer peer(bench);
    Connect packet;
    packet.client_id = "p";
    packet.packet_bytes_max = 60;
    packet.receive_maximum = 1;
    packet.session_expiry_s = 100;
    peer.join(packet);
    peer.subscribe("a", 2);
    for (const std::uint8_t qos : {1, 2, 1}) {
        bench.broker.publish(message("a", std::string(100, 'x'), qos), bench.host.now);
        CHECK(peer.is_quiet());
    }
    bench.broker.publish(message("a", "small", 1), bench.host.now);
    CHECK(peer.message().payload == "small");
    peer.cut();
    Peer again(bench);
    CHECK(again.join("p", false, 100).session_present);
    CHECK(again.message().payload == "small");
    CHECK(again.is_quiet());
}

TEST_CASE("[MQTT-3.1.2-28] there is never Response Information, asked for or not") {
    for (const bool is_wanted : {false, true}) {
        Bench bench;
        Peer peer(bench);
        Connect packet;
        packet.client_id = "p";
        packet.request_response_information = is_wanted;
        CHECK(peer.join(packet).response_information.empty());
    }
}

TEST_CASE("[MQTT-3.1.2-29] no answer of ours has a reason string or user properties, wanted or not") {
    for (const bool is_wanted : {false, true}) {
        Bench bench;
        bench.host.judge = [](const ConnView&, const MessagePtr&, AckToken) { return Verdict::denied; };
        bench.host.permit = [](const ConnView&, Action, std::string_view) { return false; };
        Peer peer(bench);
        Connect packet;
        packet.client_id = "p";
        packet.request_problem_information = is_wanted;
        const Connack connack = peer.join(packet);
        CHECK(connack.reason_text.empty());
        CHECK(connack.user_properties.empty());
        peer.publish("a", "x", 1, 1).publish("a", "x", 2, 2);
        peer.ack(PacketType::pubrel, 3).ack(PacketType::pubrec, 4);
        peer.raw(Raw().u16(5).u8(0).text("a").u8(0).packet(0x82));
        peer.raw(Raw().u16(6).u8(0).text("a").packet(0xA2));
        peer.raw(ByteView("\xC1\x00", 2));
        CHECK(
            bench.host.out[peer.id()] == Raw()
                                             .bytes(ByteView("\x40\x03\0\1\x87", 5))
                                             .bytes(ByteView("\x50\x03\0\2\x87", 5))
                                             .bytes(ByteView("\x70\x03\0\3\x92", 5))
                                             .bytes(ByteView("\x62\x03\0\4\x92", 5))
                                             .bytes(ByteView("\x90\x04\0\5\0\x87", 6))
                                             .bytes(ByteView("\xB0\x04\0\6\0\x11", 6))
                                             .bytes(ByteView("\xE0\x01\x81", 3))
                                             .body()
        );
    }
}
