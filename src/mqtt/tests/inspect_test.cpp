// What administration sees of sessions, and what it may take away.

#include "mqtt/tests/session_log_rig.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

std::vector<std::string> keys_of(Broker& broker, std::size_t at_a_time) {
    std::vector<std::string> keys;
    std::uint32_t place = 0;
    do {
        place = broker.visit_sessions(place, at_a_time, [&](const SessionView& session) {
            keys.emplace_back(session.who.session_key);
        });
    } while (place != 0);
    return keys;
}

MessagePtr retained(std::string topic, std::string payload, std::string origin) {
    auto message = std::make_shared<Message>();
    message->topic = std::move(topic);
    message->payload = std::move(payload);
    message->origin = std::move(origin);
    message->retain = true;
    return message;
}

} // namespace

TEST_CASE("sessions are shown piece by piece, each once, online or not") {
    Bench rig;
    std::vector<std::unique_ptr<Peer>> peers;
    for (int i = 0; i < 5; ++i) {
        peers.push_back(std::make_unique<Peer>(rig));
        Connect packet;
        const std::string id = "c" + std::to_string(i);
        packet.client_id = id;
        packet.session_expiry_s = 60;
        peers.back()->connect(packet);
        (void)peers.back()->connack();
    }
    peers[1]->cut();
    for (const std::size_t at_a_time : {1, 2, 5, 100})
        CHECK(keys_of(rig.broker, at_a_time) == std::vector<std::string>{"c0", "c1", "c2", "c3", "c4"});
    bool is_online = true;
    CHECK(rig.broker.visit_session("c1", [&](const SessionView& shown) { is_online = shown.is_online; }));
    CHECK_FALSE(is_online);
    CHECK_FALSE(rig.broker.visit_session("nobody", [](const SessionView&) {}));
}

TEST_CASE("a session's figures are those of its queue, window and subscriptions") {
    Bench rig;
    Peer slow(rig);
    Connect packet;
    packet.client_id = "slow";
    packet.receive_maximum = 2;
    slow.connect(packet);
    (void)slow.connack();
    (void)slow.subscribe("a/#", 1);
    (void)slow.subscribe("$share/g/b", 0);
    for (int i = 0; i < 5; ++i)
        rig.broker.publish(bench::message("a/1", "12345", 1), rig.host.now);
    SessionView shown;
    REQUIRE(rig.broker.visit_session("slow", [&](const SessionView& session) { shown = session; }));
    CHECK(shown.is_online);
    CHECK(shown.subscriptions == 2);
    CHECK(shown.inflight_out == 2);
    CHECK(shown.queued == 3);
    CHECK(shown.queued_bytes == 3 * 8);
    std::string filters;
    rig.broker.visit_subscriptions("slow", [&](std::string_view filter, int qos) {
        filters += std::string(filter) + "=" + std::to_string(qos) + ";";
    });
    CHECK(filters == "$share/g/b=0;a/#=1;");
}

TEST_CASE("a traced connection's packets are seen both ways, no other's, and none after the trace") {
    Bench rig;
    std::vector<std::string> seen;
    rig.host.packet_hook = [&](bool is_inbound, PacketType type) {
        seen.push_back((is_inbound ? "in " : "out ") + std::to_string(static_cast<int>(type)));
    };
    Peer traced(rig);
    traced.join("traced");
    Peer other(rig);
    other.join("other");
    rig.broker.trace(traced.id(), true);
    rig.broker.trace(traced.id(), true);
    (void)traced.subscribe("a", 1);
    (void)other.subscribe("b", 1);
    other.publish("a", "x", 0);
    CHECK(seen == std::vector<std::string>{"in 8", "out 9", "out 3"});
    seen.clear();
    rig.broker.trace(traced.id(), false);
    other.publish("a", "x", 0);
    CHECK(seen.empty());
    rig.broker.trace(traced.id(), true);
    traced.cut();
    Peer again(rig);
    again.join("traced");
    (void)again.subscribe("a", 1);
    CHECK(seen.empty());
}

TEST_CASE("[B-41] retained messages of one origin are taken away, also from the disk") {
    KeptRig rig;
    rig.start();
    rig.broker().publish(retained("a", "1", "bad"), rig.host().now);
    rig.broker().publish(retained("b", "2", "good"), rig.host().now);
    rig.broker().publish(retained("c", "3", "bad"), rig.host().now);
    rig.run();
    CHECK(
        rig.broker().drop_retained(
            [](const Message& each) { return each.origin == "bad"; }, rig.host().now
        ) == 2
    );
    rig.run();
    for (const bool is_restarted : {false, true}) {
        CAPTURE(is_restarted);
        if (is_restarted)
            rig.restart();
        CHECK(rig.broker().stats().retained == 1);
        Peer reader(*rig.bench);
        reader.join("reader");
        CHECK(reader.subscribe("#", 0) == ReasonCode::granted_qos0);
        rig.run();
        CHECK(reader.message().topic == "b");
        CHECK(reader.is_quiet());
    }
}

TEST_CASE("the broker's own figures below $SYS are retained in memory and never written") {
    KeptRig rig;
    rig.start();
    const JournalNumber before = rig.log->last();
    rig.broker().publish(retained("$SYS/broker/uptime", "1", "$SYS"), rig.host().now);
    rig.broker().publish(retained("$SYS/broker/uptime", "2", "$SYS"), rig.host().now);
    CHECK(rig.log->last() == before);
    Peer reader(*rig.bench);
    reader.join("reader");
    CHECK(reader.subscribe("$SYS/#", 0) == ReasonCode::granted_qos0);
    rig.run();
    CHECK(reader.message().payload == "2");
    rig.broker().publish(retained("kept", "k", "x"), rig.host().now);
    rig.run();
    rig.restart();
    CHECK(rig.broker().stats().retained == 1);
    rig.broker().publish(retained("$SYS/broker/uptime", "3", "$SYS"), rig.host().now);
    rig.broker().publish(retained("$SYS/broker/uptime", "", "$SYS"), rig.host().now);
    CHECK(rig.broker().stats().retained == 1);
}
