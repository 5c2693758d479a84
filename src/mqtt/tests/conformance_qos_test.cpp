// Conformance, sections 3.4 to 3.7 and 4.3 to 4.6: acknowledgements, delivery, repetition, order.

#include "mqtt/tests/conformance.h"

#include <algorithm>
#include <array>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

/// MQTT 5 tables 3-4 and 3-5.
constexpr std::array<unsigned, 9> receipt_codes = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};

bool is_receipt_code(unsigned code) {
    return std::find(receipt_codes.begin(), receipt_codes.end(), code) != receipt_codes.end();
}

} // namespace

TEST_CASE("[MQTT-3.4.2-1] [MQTT-3.5.2-1] PUBACK and PUBREC have a code of their table, whatever the host says"
) {
    for (const std::uint8_t qos : {1, 2}) {
        const PacketType type = qos == 1 ? PacketType::puback : PacketType::pubrec;
        Bench bench;
        bench.host.judge = [](const ConnView&, const MessagePtr&, AckToken) { return Verdict::pending; };
        Peer peer(bench);
        peer.join("p");
        for (unsigned code = 0; code < 256; ++code) {
            const auto id = static_cast<std::uint16_t>(code + 1);
            peer.publish("a", "x", qos, id);
            bench.broker.complete(
                bench.host.published.back().token, static_cast<ReasonCode>(code), bench.host.now
            );
            const Received raw = peer.take(type);
            const unsigned said = raw.body.size() > 2 ? static_cast<unsigned char>(raw.body[2]) : 0;
            INFO(code, " ", said);
            CHECK(is_receipt_code(said));
            CHECK((said >= 0x80) == (code >= 0x80));
            if (is_receipt_code(code))
                CHECK(said == code);
            if (qos == 2 && code < 0x80) {
                peer.ack(PacketType::pubrel, id);
                peer.take(PacketType::pubcomp);
            }
        }
    }
}

TEST_CASE("[MQTT-3.6.2-1] [MQTT-3.7.2-1] PUBREL and PUBCOMP say success or 0x92, ours and those we take") {
    Bench bench;
    Peer peer(bench);
    peer.join("p");
    peer.subscribe("a", 2);
    bench.broker.publish(message("a", "x", 2), bench.host.now);
    const std::uint16_t id = peer.message().packet_id;
    peer.ack(PacketType::pubrec, id);
    CHECK(peer.acked(PacketType::pubrel).reason == ReasonCode::success);
    peer.ack(PacketType::pubrec, 999);
    CHECK(peer.acked(PacketType::pubrel).reason == ReasonCode::packet_identifier_not_found);
    peer.publish("b", "x", 2, 7);
    peer.take(PacketType::pubrec);
    peer.ack(PacketType::pubrel, 7).ack(PacketType::pubrel, 7);
    CHECK(peer.acked(PacketType::pubcomp).reason == ReasonCode::success);
    CHECK(peer.acked(PacketType::pubcomp).reason == ReasonCode::packet_identifier_not_found);
    for (unsigned code = 0; code < 256; ++code) {
        for (const unsigned first_byte : {0x62u, 0x70u}) {
            Peer other(bench);
            other.join("o");
            other.raw(Raw().u16(9).u8(code).packet(first_byte));
            CHECK(other.is_closed() == (code != 0 && code != 0x92));
        }
        for (const unsigned first_byte : {0x40u, 0x50u}) {
            Peer other(bench);
            other.join("o");
            other.raw(Raw().u16(9).u8(code).packet(first_byte));
            CHECK(other.is_closed() == !is_receipt_code(code));
        }
    }
}

TEST_CASE("[MQTT-4.3.2-2] [MQTT-4.3.2-3] QoS 1 goes out with DUP 0 and is held until PUBACK") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        auto peer = std::make_unique<Peer>(bench, version);
        const auto reconnect = [&] {
            peer->cut();
            peer = std::make_unique<Peer>(bench, version);
            CHECK(peer->join("p", false, 100).session_present);
        };
        peer->join("p", false, 100);
        peer->subscribe("a", 1);
        bench.broker.publish(message("a", "x", 1), bench.host.now);
        const Publish first = peer->message();
        CHECK(first.qos == 1);
        CHECK_FALSE(first.dup);
        const std::uint16_t id = first.packet_id;
        for (int i = 0; i < 3; ++i) {
            reconnect();
            CHECK(peer->message().packet_id == id);
        }
        peer->ack(PacketType::puback, id);
        reconnect();
        CHECK(peer->is_quiet());
    }
}

TEST_CASE("[MQTT-4.3.2-4] [MQTT-4.3.2-5] QoS 1 is acknowledged once it is taken; the same id is then a new "
          "message") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        bool is_kept = true;
        bench.host.judge = [&](const ConnView&, const MessagePtr&, AckToken) {
            return is_kept ? Verdict::pending : Verdict::route;
        };
        Peer peer(bench, version);
        peer.join("p");
        peer.publish("a", "1", 1, 5);
        CHECK(peer.is_quiet());
        bench.broker.complete(bench.host.published[0].token, ReasonCode::success, bench.host.now);
        CHECK(peer.acked(PacketType::puback).packet_id == 5);
        is_kept = false;
        for (const bool dup : {false, true}) {
            Publish packet;
            packet.topic = "a";
            packet.qos = 1;
            packet.packet_id = 5;
            packet.dup = dup;
            peer.publish(packet);
            CHECK(peer.acked(PacketType::puback).packet_id == 5);
        }
        CHECK(bench.host.published.size() == 3);
    }
}

TEST_CASE("[MQTT-4.3.3-2] [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] QoS 2 to a client: one "
          "step at a time, none taken back") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        auto peer = std::make_unique<Peer>(bench, version);
        const auto reconnect = [&] {
            peer->cut();
            peer = std::make_unique<Peer>(bench, version);
            CHECK(peer->join("p", false, 100).session_present);
        };
        peer->join("p", false, 100);
        peer->subscribe("a", 2);
        bench.broker.publish(message("a", "x", 2), bench.host.now);
        const Publish first = peer->message();
        CHECK(first.qos == 2);
        CHECK_FALSE(first.dup);
        const std::uint16_t id = first.packet_id;
        for (int i = 0; i < 2; ++i) {
            reconnect();
            CHECK(peer->message().packet_id == id);
            CHECK(peer->is_quiet());
        }
        peer->ack(PacketType::pubrec, id);
        CHECK(peer->acked(PacketType::pubrel).packet_id == id);
        for (int i = 0; i < 2; ++i) {
            reconnect();
            CHECK(peer->acked(PacketType::pubrel).packet_id == id); // and no PUBLISH
            CHECK(peer->is_quiet());
        }
        peer->ack(PacketType::pubcomp, id);
        reconnect();
        CHECK(peer->is_quiet());
    }
}

TEST_CASE("[MQTT-4.4.0-2] [MQTT-4.3.3-4] a PUBACK or PUBREC of 0x80 or more ends a delivery: no PUBREL, no "
          "repetition, the place is free") {
    for (const std::uint8_t qos : {1, 2}) {
        for (const ReasonCode reason : {ReasonCode::unspecified_error, ReasonCode::quota_exceeded}) {
            Bench bench;
            Peer peer(bench);
            Connect packet;
            packet.client_id = "p";
            packet.session_expiry_s = 100;
            packet.receive_maximum = 1;
            peer.join(packet);
            peer.subscribe("a", 2);
            bench.broker.publish(message("a", "refused", qos), bench.host.now);
            bench.broker.publish(message("a", "next", qos), bench.host.now);
            const std::uint16_t id = peer.message().packet_id;
            CHECK(peer.is_quiet());
            peer.ack(qos == 1 ? PacketType::puback : PacketType::pubrec, id, reason);
            CHECK(peer.message().payload == "next");
            CHECK(peer.is_quiet());
            peer.cut();
            Peer again(bench);
            again.join("p", false, 100);
            CHECK(again.message().payload == "next");
            CHECK(again.is_quiet());
        }
    }
}

TEST_CASE("[MQTT-4.3.3-7] a message that was sent does not expire, one that waits does") {
    for (const std::uint8_t qos : {1, 2}) {
        Bench bench;
        Peer sender(bench);
        sender.join("s");
        Peer peer(bench);
        Connect packet;
        packet.client_id = "p";
        packet.session_expiry_s = 1'000;
        packet.receive_maximum = 1;
        peer.join(packet);
        peer.subscribe("a", 2);
        for (const std::uint16_t id : {1, 2}) {
            Publish published;
            published.topic = "a";
            published.payload = id == 1 ? "sent" : "waiting";
            published.qos = qos;
            published.packet_id = id;
            published.expiry_s = 5;
            sender.publish(published);
        }
        CHECK(peer.message().payload == "sent");
        peer.cut();
        bench.advance(std::chrono::seconds{60});
        Peer again(bench);
        CHECK(again.join("p", false, 1'000).session_present);
        const Publish got = again.message();
        CHECK(got.payload == "sent");
        CHECK(got.dup);
        CHECK(again.is_quiet());
    }
}

TEST_CASE("[MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] QoS 2 from a client: once per "
          "identifier, until it is released") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer watcher(bench, version);
        watcher.join("w");
        watcher.subscribe("a");
        Peer peer(bench, version);
        peer.join("p");
        for (const bool is_first : {true, false}) {
            for (int i = 0; i < 3; ++i) {
                Publish packet;
                packet.topic = "a";
                packet.payload = is_first ? "1" : "2";
                packet.qos = 2;
                packet.packet_id = 9;
                packet.dup = i == 1;
                peer.publish(packet);
                CHECK(peer.acked(PacketType::pubrec).packet_id == 9);
            }
            CHECK(watcher.message().payload == (is_first ? "1" : "2"));
            CHECK(watcher.is_quiet());
            for (int i = 0; i < 2; ++i) {
                peer.ack(PacketType::pubrel, 9);
                CHECK(peer.acked(PacketType::pubcomp).packet_id == 9);
            }
        }
    }
}

TEST_CASE("[MQTT-4.3.3-9] after a PUBREC of 0x80 or more the identifier stands for a new message") {
    Bench bench;
    Verdict verdict = Verdict::denied;
    bench.host.judge = [&](const ConnView&, const MessagePtr&, AckToken) { return verdict; };
    Peer peer(bench);
    peer.join("p");
    for (int i = 1; i <= 300; ++i) { // more than may be in flight: refused ones are not
        peer.publish("a", "x", 2, 7);
        CHECK(peer.acked(PacketType::pubrec).reason == ReasonCode::not_authorized);
        CHECK(bench.host.published.size() == static_cast<std::size_t>(i));
    }
    verdict = Verdict::consumed;
    peer.publish("a", "x", 2, 7);
    CHECK(peer.acked(PacketType::pubrec).reason == ReasonCode::success);
    peer.publish("a", "x", 2, 7);
    CHECK(peer.acked(PacketType::pubrec).reason == ReasonCode::success);
    CHECK(bench.host.published.size() == 301);
}

TEST_CASE("[MQTT-4.3.3-13] the exchange with the sender goes on although its message expired") {
    Bench bench;
    Peer away(bench);
    away.join("w", false, 1'000);
    away.subscribe("a", 2);
    away.cut();
    Peer peer(bench);
    peer.join("p");
    Publish packet;
    packet.topic = "a";
    packet.qos = 2;
    packet.packet_id = 3;
    packet.expiry_s = 1;
    peer.publish(packet);
    CHECK(peer.acked(PacketType::pubrec).packet_id == 3);
    bench.advance(std::chrono::seconds{10});
    Peer back(bench);
    back.join("w", false, 1'000);
    CHECK(back.is_quiet());
    CHECK(bench.host.dropped["expired"] == 1);
    packet.dup = true;
    peer.publish(packet);
    CHECK(peer.acked(PacketType::pubrec).packet_id == 3);
    peer.ack(PacketType::pubrel, 3);
    const Ack comp = peer.acked(PacketType::pubcomp);
    CHECK(comp.packet_id == 3);
    CHECK(comp.reason == ReasonCode::success);
}

TEST_CASE(
    "[MQTT-4.4.0-1] what is unacknowledged is sent again on return, with its identifier, and at no other "
    "time"
) {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p", false, 600'000);
        peer.subscribe("a", 2);
        std::vector<std::uint16_t> ids;
        for (const std::uint8_t qos : {1, 2, 2, 1}) {
            bench.broker.publish(message("a", std::to_string(ids.size()), qos), bench.host.now);
            ids.push_back(peer.message().packet_id);
        }
        peer.ack(PacketType::pubrec, ids[2]);
        peer.take(PacketType::pubrel);
        bench.advance(std::chrono::hours{1});
        CHECK_FALSE(peer.is_closed());
        CHECK(peer.is_quiet());
        peer.cut();
        bench.advance(std::chrono::hours{1});
        Peer again(bench, version);
        CHECK(again.join("p", false, 600'000).session_present);
        for (const std::size_t i : {0, 1}) {
            const Publish got = again.message();
            CHECK(got.packet_id == ids[i]);
            CHECK(got.payload == std::to_string(i));
            CHECK(got.dup);
        }
        CHECK(again.acked(PacketType::pubrel).packet_id == ids[2]);
        CHECK(again.message().packet_id == ids[3]);
        CHECK(again.is_quiet());
        bench.advance(std::chrono::hours{1});
        CHECK(again.is_quiet());
    }
}

TEST_CASE(
    "[MQTT-4.5.0-1] [MQTT3-3.1.2-5] a message goes to every session with a matching subscription, also to "
    "those away"
) {
    for (const ProtocolVersion version : both_versions) {
        for (const std::uint8_t qos : {1, 2}) {
            Bench bench;
            std::vector<std::unique_ptr<Peer>> peers;
            for (int i = 0; i < 10; ++i) {
                peers.push_back(std::make_unique<Peer>(bench, version));
                peers.back()->join("p" + std::to_string(i), false, 100);
                peers.back()->subscribe(i % 5 == 4 ? "other" : i % 2 == 0 ? "a" : "+", 2);
                if (i >= 5)
                    peers.back()->cut();
            }
            CHECK(bench.broker.publish(message("a", "x", qos), bench.host.now) == 8);
            for (std::size_t i = 0; i < 10; ++i) {
                if (i >= 5) {
                    peers[i] = std::make_unique<Peer>(bench, version);
                    CHECK(peers[i]->join("p" + std::to_string(i), false, 100).session_present);
                }
                CHECK(peers[i]->is_quiet() == (i % 5 == 4));
                if (!peers[i]->is_quiet())
                    CHECK(peers[i]->message().qos == qos);
            }
        }
    }
}

TEST_CASE(
    "[MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-5] messages of one sender keep their order per topic and "
    "QoS, through narrow windows and cuts"
) {
    for (const ProtocolVersion version : both_versions) {
        BrokerLimits limits;
        limits.inflight_count_max = 3;
        limits.window_count_max = 3;
        Bench bench(limits);
        Peer one(bench, version);
        Peer two(bench, version);
        one.join("1");
        two.join("2");
        auto peer = std::make_unique<Peer>(bench, version);
        peer->join("p", false, 100);
        peer->subscribe("#", 2);
        std::map<std::string, int> sent;
        std::map<std::string, int> seen;
        for (int round = 0; round < 200; ++round) {
            for (Peer* sender : {&one, &two}) {
                for (const std::uint8_t qos : {1, 2}) {
                    const std::string topic = (sender == &one ? "1/" : "2/") + std::to_string(qos);
                    sender->publish(topic, std::to_string(sent[topic]++), qos, 1);
                    sender->next();
                    if (qos == 2) {
                        sender->ack(PacketType::pubrel, 1);
                        sender->take(PacketType::pubcomp);
                    }
                }
            }
            if (round % 17 == 0) {
                peer->cut();
                peer = std::make_unique<Peer>(bench, version);
                peer->join("p", false, 100);
            }
            while (!peer->is_quiet()) {
                const Received raw = peer->next();
                if (raw.type == PacketType::pubrel) {
                    const auto rel = decode_ack(raw.frame(), version, {});
                    REQUIRE(rel.has_value());
                    peer->ack(PacketType::pubcomp, rel->packet_id);
                    continue;
                }
                const auto got = decode_publish(raw.frame(), version, Sender::server, {});
                REQUIRE(got.has_value());
                const std::string topic(got->topic);
                const int number = std::stoi(std::string(got->payload));
                if (!got->dup || number == seen[topic])
                    CHECK(number == seen[topic]++);
                peer->ack(got->qos == 1 ? PacketType::puback : PacketType::pubrec, got->packet_id);
            }
        }
        for (const auto& [topic, count] : sent)
            CHECK(seen[topic] == count);
    }
}
