// QoS 2 in both directions: once, whatever is cut.

#include "mqtt/tests/broker_bench.h"

#include <memory>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

TEST_CASE("[B-01] QoS 2 with one id again and again is one message; ids never released are bounded") {
    for (const ProtocolVersion version : both) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p");
        for (int i = 0; i < 20'000; ++i) {
            peer.publish("a", "x", 2, 7);
            bench.host.out.clear();
        }
        CHECK(bench.host.published.size() == 1);
        CHECK_FALSE(peer.is_closed());
        // MQTT 5 is bounded by Receive Maximum, 3.x, which has none, by what a session keeps.
        const bool is_v5 = version == ProtocolVersion::v5;
        const std::uint16_t last = is_v5 ? 226 : 4'194;
        for (std::uint16_t id = 100; id <= last; ++id)
            peer.publish("a", "x", 2, id);
        CHECK_FALSE(peer.is_closed());
        peer.publish("a", "x", 2, 9'999);
        CHECK(peer.is_closed());
        if (is_v5)
            CHECK(peer.goodbye() == ReasonCode::receive_maximum_exceeded);
    }
}

TEST_CASE("[B-01] each connection has its whole Receive Maximum, a session a bound of its own") {
    BrokerLimits limits;
    limits.inflight_count_max = 4;
    limits.window_count_max = 4;
    limits.unreleased_count_max = 10;
    Bench bench(limits);
    std::uint16_t id = 0;
    const auto next = [&](Peer& peer, int count) {
        for (int i = 0; i < count; ++i)
            peer.publish("a", "x", 2, ++id);
    };
    for (int connection = 0; connection < 2; ++connection) {
        Peer peer(bench);
        peer.join("p", false, 100);
        next(peer, 4);
        CHECK_FALSE(peer.is_closed());
        peer.cut();
    }
    CHECK(bench.host.published.size() == 8);
    {
        // What is sent again counts, for it has no final answer on this connection either.
        Peer peer(bench);
        peer.join("p", false, 100);
        Publish again;
        again.topic = "a";
        again.qos = 2;
        again.dup = true;
        for (std::uint16_t known = 1; known <= 4; ++known) {
            again.packet_id = known;
            peer.publish(again).publish(again);
        }
        CHECK_FALSE(peer.is_closed());
        next(peer, 1);
        CHECK(peer.goodbye() == ReasonCode::receive_maximum_exceeded);
        --id;
    }
    Peer peer(bench);
    peer.join("p", false, 100);
    next(peer, 2);
    CHECK_FALSE(peer.is_closed());
    next(peer, 1);
    CHECK(peer.goodbye() == ReasonCode::receive_maximum_exceeded); // the eleventh of the session
    CHECK(bench.host.published.size() == 10);
}

TEST_CASE("[B-16] inbound QoS 2 is delivered once whatever half of it is cut") {
    // Cut after PUBLISH, after PUBREC, after PUBREL, after PUBCOMP; the client goes on as it must.
    for (const ProtocolVersion version : both) {
        for (int cut_after = 0; cut_after < 4; ++cut_after) {
            Bench bench;
            auto peer = std::make_unique<Peer>(bench, version);
            peer->join("p", false, 100);
            const auto reconnect = [&] {
                peer->cut();
                peer = std::make_unique<Peer>(bench, version);
                CHECK(peer->join("p", false, 100).session_present);
            };
            Publish packet;
            packet.topic = "a";
            packet.qos = 2;
            packet.packet_id = 5;
            peer->publish(packet);
            if (cut_after <= 1) {
                reconnect();
                packet.dup = true;
                peer->publish(packet);
            }
            CHECK(peer->acked(PacketType::pubrec).packet_id == 5);
            peer->ack(PacketType::pubrel, 5);
            if (cut_after >= 2) {
                reconnect();
                peer->ack(PacketType::pubrel, 5);
                const Ack comp = peer->acked(PacketType::pubcomp);
                CHECK(comp.packet_id == 5);
                if (version == ProtocolVersion::v5)
                    CHECK(comp.reason == ReasonCode::packet_identifier_not_found);
            } else {
                CHECK(peer->acked(PacketType::pubcomp).reason == ReasonCode::success);
            }
            CHECK(bench.host.published.size() == 1);
            packet.dup = false;
            peer->publish(packet);
            CHECK(bench.host.published.size() == 2);
        }
    }
}

TEST_CASE("[B-17] a QoS 2 message sent again whose first copy never arrived is delivered") {
    Bench bench;
    Peer first(bench);
    first.join("p", true, 100);
    first.cut();
    Peer second(bench);
    second.join("p", false, 100);
    Publish packet;
    packet.topic = "a";
    packet.qos = 2;
    packet.packet_id = 5;
    packet.dup = true;
    second.publish(packet);
    CHECK(bench.host.published.size() == 1);
}

TEST_CASE("a QoS 2 message the host still holds when its client comes back is asked for once") {
    Bench bench;
    bench.host.judge = [](const ConnView&, const MessagePtr&, AckToken) { return Verdict::pending; };
    Peer first(bench);
    first.join("p", true, 100);
    first.publish("a", "x", 2, 5);
    first.cut();
    Peer second(bench);
    second.join("p", false, 100);
    second.publish("a", "x", 2, 5);
    second.publish("a", "x", 2, 5);
    CHECK(second.is_quiet());
    CHECK(bench.host.published.size() == 1);
    bench.broker.complete(bench.host.published[0].token, ReasonCode::success, bench.host.now);
    CHECK(second.acked(PacketType::pubrec).packet_id == 5);
    CHECK(second.is_quiet());
    second.ack(PacketType::pubrel, 5);
    CHECK(second.acked(PacketType::pubcomp).reason == ReasonCode::success);
}

TEST_CASE("[B-16] outbound QoS 2 keeps its id and state across a cut in each half") {
    for (const ProtocolVersion version : both) {
        for (int cut_after = 0; cut_after < 3; ++cut_after) {
            Bench bench;
            auto peer = std::make_unique<Peer>(bench, version);
            peer->join("p", false, 100);
            peer->subscribe("a", 2);
            const auto reconnect = [&] {
                peer->cut();
                peer = std::make_unique<Peer>(bench, version);
                CHECK(peer->join("p", false, 100).session_present);
            };
            bench.broker.publish(message("a", "x", 2), bench.host.now);
            const std::uint16_t id = peer->message().packet_id;
            if (cut_after == 0) {
                reconnect();
                const Publish again = peer->message();
                CHECK(again.packet_id == id);
                CHECK(again.dup);
            }
            peer->ack(PacketType::pubrec, id);
            CHECK(peer->acked(PacketType::pubrel).packet_id == id);
            if (cut_after == 1) {
                reconnect();
                CHECK(peer->acked(PacketType::pubrel).packet_id == id);
            }
            if (cut_after == 2) {
                peer->ack(PacketType::pubrec, id);
                CHECK(peer->acked(PacketType::pubrel).packet_id == id);
            }
            peer->ack(PacketType::pubcomp, id);
            CHECK(peer->is_quiet());
            reconnect();
            CHECK(peer->is_quiet());
        }
    }
}

TEST_CASE("a QoS 2 message that may not be sent again is let go of by PUBREL") {
    Bench bench;
    bool allowed = true;
    bench.host.permit = [&](const ConnView&, Action action, std::string_view) {
        return action != Action::receive || allowed;
    };
    Peer peer(bench);
    peer.join("p", true, 100);
    peer.subscribe("a", 2);
    bench.broker.publish(message("a", "seen", 2), bench.host.now);
    const std::uint16_t id = peer.message().packet_id;
    peer.cut(); // and with it, perhaps, PUBREC: the client then waits for PUBREL
    allowed = false;
    Peer again(bench);
    again.join("p", false, 100);
    const Received pubrel = again.take(PacketType::pubrel);
    CHECK(decode_ack(pubrel.frame(), again.version(), {})->packet_id == id);
    CHECK(again.is_quiet());
    CHECK(bench.host.dropped["denied"] == 1);
    again.ack(PacketType::pubcomp, id);
    allowed = true;
    bench.broker.publish(message("a", "next", 2), bench.host.now);
    CHECK(again.message().payload == "next");
}
