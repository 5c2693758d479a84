// Messages in and out: QoS 0, 1 and 2, order, windows, queues, congestion.

#include "mqtt/tests/broker_bench.h"

#include "base/random.h"

#include <algorithm>
#include <memory>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

TEST_CASE("acknowledgements that wait for the host leave in the order the messages came") {
    for (const ProtocolVersion version : both) {
        Bench bench;
        bench.host.judge = [](const ConnView&, const MessagePtr& m, AckToken) {
            return m->topic == "wait" ? Verdict::pending : Verdict::consumed;
        };
        Peer peer(bench, version);
        peer.join("p");
        peer.publish("wait", "1", 1, 11)
            .publish("wait", "2", 1, 12)
            .publish("now", "3", 1, 13)
            .publish("now", "4", 0);
        CHECK(peer.is_quiet());
        bench.broker.complete(bench.host.published[1].token, ReasonCode::success, bench.host.now);
        CHECK(peer.is_quiet());
        bench.broker.complete(bench.host.published[0].token, ReasonCode::success, bench.host.now);
        for (const std::uint16_t id : {11, 12, 13})
            CHECK(peer.acked(PacketType::puback).packet_id == id);
        bench.broker.complete(bench.host.published[0].token, ReasonCode::success, bench.host.now);
        bench.broker.complete(0, ReasonCode::success, bench.host.now);
        bench.broker.complete(~AckToken{0}, ReasonCode::success, bench.host.now);
        CHECK(peer.is_quiet());
        CHECK(bench.host.published[3].token == 0);
    }
}

TEST_CASE("a host may complete from inside on_publish") {
    Bench bench;
    bench.host.judge = [&](const ConnView&, const MessagePtr&, AckToken token) {
        bench.broker.complete(token, ReasonCode::quota_exceeded, bench.host.now);
        return Verdict::pending;
    };
    Peer peer(bench);
    peer.join("p");
    peer.publish("a", "1", 1, 1);
    CHECK(peer.acked(PacketType::puback).reason == ReasonCode::quota_exceeded);
}

TEST_CASE("a late completion of an earlier connection acknowledges nothing") {
    Bench bench;
    bench.host.judge = [](const ConnView&, const MessagePtr&, AckToken) { return Verdict::pending; };
    Peer first(bench);
    first.join("p", true, 100);
    first.publish("a", "1", 1, 1);
    first.cut();
    Peer second(bench);
    second.join("p", false, 100);
    bench.broker.complete(bench.host.published[0].token, ReasonCode::success, bench.host.now);
    CHECK(second.is_quiet());
    second.publish("a", "1", 1, 1);
    CHECK(second.is_quiet());
    bench.broker.complete(bench.host.published[1].token, ReasonCode::success, bench.host.now);
    CHECK(second.acked(PacketType::puback).packet_id == 1);
}

TEST_CASE("verdicts: each has its acknowledgement in each version") {
    Verdict verdict = Verdict::route;
    for (const ProtocolVersion version : both) {
        const bool is_v5 = version == ProtocolVersion::v5;
        Bench bench;
        bench.host.judge = [&](const ConnView&, const MessagePtr&, AckToken) { return verdict; };
        Peer watcher(bench);
        watcher.join("w");
        watcher.subscribe("a");
        Peer peer(bench, version);
        peer.join("p");
        const auto answer = [&](Verdict v, const char* topic = "a") {
            verdict = v;
            return peer.publish(topic, "x", 1, 1).acked(PacketType::puback).reason;
        };
        CHECK(answer(Verdict::consumed) == ReasonCode::success);
        CHECK(answer(Verdict::drop) == ReasonCode::success);
        CHECK(answer(Verdict::denied) == (is_v5 ? ReasonCode::not_authorized : ReasonCode::success));
        CHECK(watcher.is_quiet());
        CHECK(answer(Verdict::route) == ReasonCode::success);
        CHECK(watcher.message().payload == "x");
        CHECK(
            answer(Verdict::route, "nobody") ==
            (is_v5 ? ReasonCode::no_matching_subscribers : ReasonCode::success)
        );
        verdict = Verdict::close;
        peer.publish("a", "x", 1, 1);
        CHECK(peer.is_closed());
        if (is_v5)
            CHECK(peer.goodbye() == ReasonCode::not_authorized);
        CHECK(bench.host.downs[0].why == Ended::kicked);
    }
}

TEST_CASE("a failed completion is told to MQTT 5 and ends 3.1.1") {
    for (const ProtocolVersion version : both) {
        for (const std::uint8_t qos : {1, 2}) {
            Bench bench;
            bench.host.judge = [](const ConnView&, const MessagePtr&, AckToken) { return Verdict::pending; };
            Peer peer(bench, version);
            peer.join("p");
            peer.publish("a", "1", qos, 1);
            bench.broker.complete(bench.host.published[0].token, ReasonCode::quota_exceeded, bench.host.now);
            if (version == ProtocolVersion::v5) {
                const auto type = qos == 1 ? PacketType::puback : PacketType::pubrec;
                CHECK(peer.acked(type).reason == ReasonCode::quota_exceeded);
                CHECK_FALSE(peer.is_closed());
            } else {
                CHECK(peer.is_closed());
            }
        }
    }
}

TEST_CASE("[F-48] Receive Maximum: MQTT 5 over it is closed with 0x93, 3.1.1 is made to wait") {
    BrokerLimits limits;
    limits.inflight_count_max = 4;
    limits.window_count_max = 4;
    Bench bench(limits);
    bench.host.judge = [](const ConnView&, const MessagePtr&, AckToken) { return Verdict::pending; };
    Peer five(bench);
    five.join("5");
    for (std::uint16_t id = 1; id <= 4; ++id)
        five.publish("a", "x", 1, id);
    CHECK_FALSE(five.is_closed());
    five.publish("a", "x", 1, 5);
    CHECK(five.goodbye() == ReasonCode::receive_maximum_exceeded);
    bench.host.published.clear();

    Peer four(bench, ProtocolVersion::v311);
    four.join("4");
    Bytes burst;
    for (std::uint16_t id = 1; id <= 20; ++id) {
        Publish packet;
        packet.topic = "a";
        packet.qos = 1;
        packet.packet_id = id;
        encode_publish(burst, packet, ProtocolVersion::v311);
    }
    four.raw(burst);
    CHECK(bench.host.paused.contains(four.id()));
    CHECK(bench.host.published.size() == 4);
    for (std::size_t i = 0; i < 20; ++i) {
        REQUIRE(i < bench.host.published.size());
        CHECK(bench.host.published.size() <= i + 4);
        bench.broker.complete(bench.host.published[i].token, ReasonCode::success, bench.host.now);
    }
    CHECK_FALSE(bench.host.paused.contains(four.id()));
    for (std::uint16_t id = 1; id <= 20; ++id)
        CHECK(four.acked(PacketType::puback).packet_id == id);
}

TEST_CASE("[B-28] a QoS 1 id used again before its acknowledgement loses neither message") {
    Bench bench;
    bench.host.judge = [](const ConnView&, const MessagePtr&, AckToken) { return Verdict::pending; };
    Peer peer(bench);
    peer.join("p");
    peer.publish("a", "1", 1, 7).publish("a", "2", 1, 7);
    REQUIRE(bench.host.published.size() == 2);
    CHECK(bench.host.published[0].token != bench.host.published[1].token);
    for (const auto& p : bench.host.published)
        bench.broker.complete(p.token, ReasonCode::success, bench.host.now);
    CHECK(peer.acked(PacketType::puback).packet_id == 7);
    CHECK(peer.acked(PacketType::puback).packet_id == 7);
}

TEST_CASE("[B-27] stray acknowledgements neither open the window nor end the session") {
    for (const ProtocolVersion version : both) {
        BrokerLimits limits;
        limits.inflight_count_max = 3;
        limits.window_count_max = 3;
        Bench bench(limits);
        Peer peer(bench, version);
        peer.join("p");
        peer.subscribe("a", 2);
        for (int i = 0; i < 5; ++i)
            bench.broker.publish(message("a", std::to_string(i), 1), bench.host.now);
        for (int i = 0; i < 3; ++i)
            CHECK(peer.message().payload == std::to_string(i));
        CHECK(peer.is_quiet());
        for (std::uint32_t id = 4; id <= 65'535; ++id)
            peer.ack(PacketType::puback, static_cast<std::uint16_t>(id));
        for (std::uint16_t id = 4; id <= 1'000; ++id)
            peer.ack(PacketType::pubcomp, id);
        CHECK(peer.is_quiet());
        peer.ack(PacketType::pubrec, 999);
        const Ack rel = peer.acked(PacketType::pubrel);
        CHECK(rel.packet_id == 999);
        peer.ack(PacketType::puback, 2).ack(PacketType::puback, 2);
        CHECK(peer.message().payload == "3");
        CHECK(peer.is_quiet());
        peer.ack(PacketType::pubcomp, 1);
        CHECK(peer.is_closed());
    }
}

TEST_CASE("packet ids go round past 65,535 and never are 0") {
    Bench bench;
    Peer peer(bench);
    peer.join("p");
    peer.subscribe("a", 1);
    const MessagePtr one = message("a", "x", 1);
    std::uint32_t last = 0;
    for (std::uint32_t i = 0; i < 140'000; ++i) {
        bench.broker.publish(one, bench.host.now);
        const std::uint16_t id = peer.message().packet_id;
        if (id == 0 || (id != last + 1 && !(last == 65'535 && id == 1)))
            FAIL("id ", id, " after ", last);
        last = id;
        peer.ack(PacketType::puback, id);
    }
    CHECK_FALSE(peer.is_closed());
}

TEST_CASE("the client's Receive Maximum holds, acknowledgements in any order open it, order is kept") {
    BrokerLimits limits;
    limits.queue_count_max = 10'000; // more comes in than is acknowledged
    Bench bench(limits);
    Peer peer(bench);
    Connect packet;
    packet.client_id = "p";
    packet.receive_maximum = 5;
    peer.join(packet);
    peer.subscribe("a", 1);
    SeededRandom random(5);
    std::vector<std::uint16_t> open;
    int sent = 0;
    int received = 0;
    while (received < 3'000) {
        for (std::uint64_t i = random.below(4); i > 0; --i, ++sent) {
            bench.broker.publish(message("a", std::to_string(sent), 1), bench.host.now);
        }
        while (!peer.is_quiet()) {
            const Publish got = peer.message();
            if (got.payload != std::to_string(received))
                FAIL("expected ", received, " got ", got.payload);
            ++received;
            open.push_back(got.packet_id);
        }
        CHECK(open.size() <= 5);
        if (open.empty())
            continue;
        const std::size_t pick = random.below(open.size());
        peer.ack(PacketType::puback, open[pick]);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(pick));
    }
    CHECK(bench.host.dropped.empty());
}

TEST_CASE("the window to a client is wider for small messages, as far as its Receive Maximum allows") {
    BrokerLimits limits;
    limits.inflight_count_max = 4;
    limits.window_count_max = 10;
    limits.window_bytes_each_max = 100;
    const auto received = [](Peer& peer) {
        int count = 0;
        for (; !peer.is_quiet(); ++count)
            peer.message();
        return count;
    };
    for (const std::uint16_t receive_maximum : {std::uint16_t{65'535}, std::uint16_t{7}}) {
        for (const std::size_t size : {std::size_t{100}, std::size_t{101}}) {
            CAPTURE(size);
            Bench bench(limits);
            Peer five(bench);
            Connect packet;
            packet.client_id = "5";
            packet.receive_maximum = receive_maximum;
            five.join(packet);
            five.subscribe("a", 1);
            Peer four(bench, ProtocolVersion::v311);
            four.join("4");
            four.subscribe("a", 1);
            for (int i = 0; i < 30; ++i)
                bench.broker.publish(message("a", std::string(size, 'x'), 1), bench.host.now);
            CHECK(received(five) == (size > 100 ? 4 : std::min<int>(10, receive_maximum)));
            CHECK(received(four) == (size > 100 ? 4 : 10));
            // All of one piece: what they make room for follows at its end, in order.
            Bytes acks;
            for (std::uint16_t id = 1; id <= 3; ++id) {
                Ack ack;
                ack.packet_id = id;
                encode_ack(acks, PacketType::puback, ack, ProtocolVersion::v311); // success has one form
            }
            five.raw(acks);
            four.raw(acks);
            CHECK(received(five) == 3);
            CHECK(received(four) == 3);
        }
    }
}

TEST_CASE("a client that never acknowledges its oldest message cannot widen the window without bound") {
    BrokerLimits limits;
    limits.inflight_count_max = 4;
    limits.window_count_max = 4;
    Bench bench(limits);
    Peer peer(bench);
    peer.join("p");
    peer.subscribe("a", 1);
    for (int i = 0; i < 50; ++i)
        bench.broker.publish(message("a", "x", 1), bench.host.now);
    const std::uint16_t first = peer.message().packet_id;
    int received = 1;
    while (!peer.is_quiet()) {
        const std::uint16_t id = peer.message().packet_id;
        ++received;
        peer.ack(PacketType::puback, id);
    }
    CHECK(received == 8);
    peer.ack(PacketType::puback, first);
    CHECK_FALSE(peer.is_quiet());
}

TEST_CASE("a session's queue is bounded in messages and in bytes; what does not fit is counted") {
    BrokerLimits limits;
    limits.queue_count_max = 10;
    limits.queue_bytes_max = 100;
    Bench bench(limits);
    Peer peer(bench);
    peer.join("p", true, 100);
    peer.subscribe("a", 1);
    peer.cut();
    for (int i = 0; i < 10; ++i)
        CHECK(bench.broker.publish(message("a", "x", 1), bench.host.now) == 1);
    CHECK(bench.host.dropped.empty());
    CHECK(bench.broker.publish(message("a", "x", 1), bench.host.now) == 0);
    CHECK(bench.host.dropped["queue_full"] == 1);
    Peer again(bench);
    again.join("p", false, 100);
    for (int i = 0; i < 10; ++i)
        again.ack(PacketType::puback, again.message().packet_id);
    again.cut();
    bench.broker.publish(message("a", std::string(98, 'x'), 1), bench.host.now);
    CHECK(bench.host.dropped["queue_full"] == 1);
    bench.broker.publish(message("a", "x", 1), bench.host.now);
    CHECK(bench.host.dropped["queue_full"] == 2);
    CHECK(bench.broker.stats().queued == 1);
}

TEST_CASE("congestion: QoS 0 is dropped and counted, QoS 1 waits and comes in order") {
    Bench bench;
    Peer peer(bench);
    peer.join("p");
    peer.subscribe("a", 1);
    bench.broker.congested(peer.id(), true, bench.host.now);
    for (int i = 0; i < 3; ++i) {
        bench.broker.publish(message("a", "q0"), bench.host.now);
        bench.broker.publish(message("a", std::to_string(i), 1), bench.host.now);
    }
    CHECK(peer.is_quiet());
    CHECK(bench.host.dropped["qos0_slow"] == 3);
    bench.broker.congested(peer.id(), false, bench.host.now);
    for (int i = 0; i < 3; ++i)
        CHECK(peer.message().payload == std::to_string(i));
    bench.broker.congested(999, true, bench.host.now);
}

TEST_CASE("deliver reaches a session that did not subscribe, once, or says that it does not") {
    Bench bench;
    Peer peer(bench);
    peer.join("p", true, 100);
    peer.subscribe("d", 1);
    bench.host.permit = [](const ConnView&, Action, std::string_view) { return false; };
    CHECK(bench.broker.deliver("p", message("d", "x", 1), bench.host.now));
    CHECK(peer.message().payload == "x");
    CHECK(peer.is_quiet());
    CHECK_FALSE(bench.broker.deliver("nobody", message("d", "x", 1), bench.host.now));
    peer.cut();
    CHECK_FALSE(bench.broker.deliver("p", message("d", "x", 0), bench.host.now));
    CHECK(bench.broker.deliver("p", message("d", "y", 1), bench.host.now));
    Peer again(bench);
    again.join("p", false, 100);
    CHECK(again.message().payload == "x");
    CHECK(again.message().payload == "y");
    CHECK(bench.broker.subscribed_qos("p", "d") == 1);
    CHECK(bench.broker.subscribed_qos("p", "e") == -1);
    CHECK(bench.broker.subscribed_qos("q", "d") == -1);
}

TEST_CASE("permission is asked at delivery too, also for what waited and for what is sent again") {
    Bench bench;
    bool allowed = true;
    bench.host.permit = [&](const ConnView&, Action action, std::string_view) {
        return action != Action::receive || allowed;
    };
    Peer peer(bench);
    peer.join("p", true, 100);
    peer.subscribe("a", 1);
    bench.broker.publish(message("a", "seen", 1), bench.host.now);
    CHECK(peer.message().payload == "seen");
    peer.cut();
    bench.broker.publish(message("a", "queued", 1), bench.host.now);
    allowed = false;
    Peer again(bench);
    again.join("p", false, 100);
    CHECK(again.is_quiet());
    CHECK(bench.host.dropped["denied"] == 2);
    CHECK(bench.broker.publish(message("a", "live", 0), bench.host.now) == 0);
    CHECK(bench.host.dropped["denied"] == 3);
    allowed = true;
    bench.broker.publish(message("a", "again", 1), bench.host.now);
    CHECK(again.message().payload == "again");
}

TEST_CASE("message expiry: what waited too long is dropped and counted, the rest carries what is left") {
    Bench bench;
    Peer sender(bench);
    sender.join("s");
    Peer peer(bench);
    peer.join("p", true, 1'000);
    peer.subscribe("a", 1);
    peer.cut();
    Publish packet;
    packet.topic = "a";
    packet.qos = 1;
    packet.packet_id = 1;
    packet.expiry_s = 10;
    packet.payload = "short";
    sender.publish(packet);
    packet.packet_id = 2;
    packet.expiry_s = 60;
    packet.payload = "long";
    sender.publish(packet);
    bench.advance(std::chrono::milliseconds{20'500});
    Peer again(bench);
    again.join("p", false, 1'000);
    const Publish got = again.message();
    CHECK(got.payload == "long");
    CHECK(got.expiry_s == 40);
    CHECK(bench.host.dropped["expired"] == 1);
}

TEST_CASE("the client's maximum packet size is kept: larger ones are counted, not sent") {
    Bench bench;
    Peer peer(bench);
    Connect packet;
    packet.client_id = "p";
    packet.packet_bytes_max = 40;
    peer.join(packet);
    peer.subscribe("a", 1);
    // 2 header, 2 + 1 topic, 2 id, 1 properties, payload
    bench.broker.publish(message("a", std::string(32, 'x'), 1), bench.host.now);
    CHECK(peer.message().payload.size() == 32);
    bench.broker.publish(message("a", std::string(33, 'x'), 1), bench.host.now);
    CHECK(peer.is_quiet());
    CHECK(bench.host.dropped["too_large"] == 1);
}

TEST_CASE("properties of MQTT 5 reach MQTT 5 subscribers unchanged and nobody else") {
    Bench bench;
    Peer five(bench);
    five.join("5");
    five.subscribe("a");
    Peer four(bench, ProtocolVersion::v311);
    four.join("4");
    four.subscribe("a");
    Publish packet;
    packet.topic = "a";
    packet.payload = "text";
    packet.payload_is_utf8 = true;
    packet.content_type = "text/plain";
    packet.response_topic = "r/t";
    packet.correlation = ByteView("\0\xFF", 2);
    packet.user_properties = {{"k", "1"}, {"k", "2"}, {"", ""}};
    Peer sender(bench);
    sender.join("s");
    sender.publish(packet);
    const Publish got = five.message();
    CHECK(got.payload_is_utf8);
    CHECK(got.content_type == "text/plain");
    CHECK(got.response_topic == "r/t");
    CHECK(got.correlation == ByteView("\0\xFF", 2));
    CHECK(got.user_properties == packet.user_properties);
    CHECK(four.message().payload == "text");
    const Message& seen = *bench.host.published[0].message;
    CHECK(seen.origin == "s");
    CHECK(seen.accepted == bench.host.now);
}

TEST_CASE("messages are stamped with the wall clock that was set") {
    Bench bench;
    bench.broker.set_wall({1'795'217'047'870}, bench.host.now);
    Peer peer(bench);
    peer.join("p");
    bench.advance(std::chrono::seconds{3});
    peer.publish("a", "x");
    CHECK(bench.host.published[0].message->time.ms == 1'795'217'050'870);
}

TEST_CASE("a fan-out to every version and QoS sends each what it asked for") {
    Bench bench;
    std::vector<std::unique_ptr<Peer>> peers;
    for (int i = 0; i < 60; ++i) {
        peers.push_back(
            std::make_unique<Peer>(bench, i % 2 == 0 ? ProtocolVersion::v5 : ProtocolVersion::v311)
        );
        peers.back()->join("p" + std::to_string(i));
        for (int skip = 0; skip < i % 4; ++skip)
            bench.broker.deliver("p" + std::to_string(i), message("x", "x", 1), bench.host.now);
        while (!peers.back()->is_quiet())
            peers.back()->ack(PacketType::puback, peers.back()->message().packet_id);
        peers.back()->subscribe("f", static_cast<std::uint8_t>(i % 3));
    }
    CHECK(bench.broker.publish(message("f", "all", 2), bench.host.now) == 60);
    for (int i = 0; i < 60; ++i) {
        const Publish got = peers[static_cast<std::size_t>(i)]->message();
        CHECK(got.payload == "all");
        CHECK(got.qos == i % 3);
        if (got.qos != 0)
            CHECK(got.packet_id == i % 4 + 1);
    }
    CHECK(bench.broker.stats().sent[0] >= 20);
}

TEST_CASE("[F-47] topic aliases: mapped, mapped again, unknown, 0, over the maximum, gone after reconnect") {
    Bench bench;
    Publish packet;
    packet.topic = "long/topic";
    packet.topic_alias = 20;
    auto peer = std::make_unique<Peer>(bench);
    peer->join("p", true, 100);
    peer->publish(packet);
    packet.topic = {};
    for (int i = 0; i < 3; ++i)
        peer->publish(packet);
    REQUIRE(bench.host.published.size() == 4);
    for (const auto& p : bench.host.published)
        CHECK(p.message->topic == "long/topic");
    for (int i = 0; i < 10'000; ++i) {
        const std::string topic = "t/" + std::to_string(i);
        packet.topic = topic;
        peer->publish(packet);
    }
    packet.topic = {};
    peer->publish(packet);
    CHECK(bench.host.published.back().message->topic == "t/9999");
    peer->cut();

    struct Row {
        std::string_view topic;
        std::uint16_t alias;
        ReasonCode reason;
    };

    for (const Row& row :
         {Row{"", 20, ReasonCode::protocol_error},
          Row{"", 3, ReasonCode::protocol_error},
          Row{"a", 21, ReasonCode::topic_alias_invalid},
          Row{"", 65'535, ReasonCode::topic_alias_invalid}}) {
        peer = std::make_unique<Peer>(bench);
        peer->join("p", false, 100);
        packet.topic = row.topic;
        packet.topic_alias = row.alias;
        peer->publish(packet);
        CHECK(peer->goodbye() == row.reason);
    }
    peer = std::make_unique<Peer>(bench);
    peer->join("p", false, 100);
    peer->raw(ByteView(
        "\x30\x07\x00\x01"
        "a\x03\x23\x00\x00",
        9
    ));
    CHECK(peer->goodbye() == ReasonCode::topic_alias_invalid);
}

TEST_CASE("outbound topic aliases are used as far as the client allows them") {
    Bench bench;
    Peer peer(bench);
    Connect packet;
    packet.client_id = "p";
    packet.topic_alias_max = 2;
    peer.join(packet);
    peer.subscribe("#");
    for (const char* topic : {"one", "two", "three", "one", "three"})
        bench.broker.publish(message(topic, topic), bench.host.now);
    CHECK(peer.message().topic_alias == 1);
    CHECK(peer.message().topic_alias == 2);
    const Publish third = peer.message();
    CHECK(third.topic == "three");
    CHECK(third.topic_alias == 0);
    const Publish known = peer.message();
    CHECK(known.topic.empty());
    CHECK(known.topic_alias == 1);
    CHECK(peer.message().topic == "three");
}

TEST_CASE("Maximum QoS 1: QoS 2 ends the connection, a QoS 2 subscription is granted 1") {
    for (const ProtocolVersion version : both) {
        Bench bench;
        bench.host.prototype.qos_max = 1;
        Peer peer(bench, version);
        peer.join("p");
        CHECK(peer.subscribe("a", 2) == ReasonCode::granted_qos1);
        CHECK(bench.broker.subscribed_qos("p", "a") == 2);
        bench.broker.publish(message("a", "x", 2), bench.host.now);
        CHECK(peer.message().qos == 1);
        peer.publish("a", "x", 2, 1);
        CHECK(peer.is_closed());
        if (version == ProtocolVersion::v5)
            CHECK(peer.goodbye() == ReasonCode::qos_not_supported);
    }
}

TEST_CASE("a smaller Receive Maximum after a reconnect holds for what is sent again") {
    Bench bench;
    Peer peer(bench);
    peer.join("p", true, 100);
    peer.subscribe("a", 1);
    for (int i = 0; i < 10; ++i)
        bench.broker.publish(message("a", std::to_string(i), 1), bench.host.now);
    peer.cut();
    Peer again(bench);
    Connect packet;
    packet.client_id = "p";
    packet.clean_start = false;
    packet.session_expiry_s = 100;
    packet.receive_maximum = 2;
    CHECK(again.join(packet).session_present);
    bench.broker.publish(message("a", "10", 1), bench.host.now);
    std::size_t open = 0;
    std::deque<std::uint16_t> ids;
    int next = 0;
    while (next <= 10) {
        while (!again.is_quiet()) {
            const Publish got = again.message();
            CHECK(got.payload == std::to_string(next));
            CHECK(got.dup == (next < 10));
            ++next;
            ids.push_back(got.packet_id);
        }
        open = ids.size();
        CHECK(open <= 2);
        REQUIRE(open > 0);
        again.ack(PacketType::puback, ids.front());
        ids.pop_front();
    }
}
