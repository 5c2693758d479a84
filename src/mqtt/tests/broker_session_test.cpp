// CONNECT, sessions, take-over, expiry, keep-alive.

#include "mqtt/tests/broker_bench.h"

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

constexpr ProtocolVersion all_versions[] = {ProtocolVersion::v31, ProtocolVersion::v311, ProtocolVersion::v5};

} // namespace

TEST_CASE("a client of each version connects, publishes to itself and leaves") {
    for (const ProtocolVersion version : all_versions) {
        Bench bench;
        Peer peer(bench, version);
        const Connack connack = peer.join("one");
        CHECK(connack.reason == ReasonCode::success);
        CHECK_FALSE(connack.session_present);
        CHECK(peer.subscribe("a/+", 1) == ReasonCode::granted_qos1);
        peer.publish("a/b", "hello", 1, 5);
        const Publish got = peer.message();
        CHECK(got.topic == "a/b");
        CHECK(got.payload == "hello");
        CHECK(got.qos == 1);
        peer.ack(PacketType::puback, got.packet_id);
        CHECK(peer.acked(PacketType::puback).packet_id == 5);
        peer.disconnect();
        CHECK(peer.is_closed());
        REQUIRE(bench.host.downs.size() == 1);
        CHECK(bench.host.downs[0].why == Ended::disconnect);
        CHECK(bench.broker.stats().connections == 0);
        CHECK(bench.broker.stats().sessions == 0);
        CHECK(bench.broker.stats().subscriptions == 0);
    }
}

TEST_CASE("CONNACK of MQTT 5 says what the broker limits") {
    Bench bench;
    bench.host.prototype.qos_max = 1;
    bench.host.prototype.retain_available = false;
    bench.host.prototype.keepalive_s = 77;
    Peer peer(bench);
    Connect packet;
    packet.session_expiry_s = 0xFFFFFFFF;
    packet.keepalive_s = 10;
    const Connack connack = peer.join(packet);
    CHECK(connack.reason == ReasonCode::success);
    CHECK(connack.receive_maximum == 128);
    CHECK(connack.qos_max == 1);
    CHECK_FALSE(connack.retain_available);
    CHECK(connack.packet_bytes_max == 268'288);
    CHECK(connack.topic_alias_max == 20);
    CHECK(connack.has_server_keepalive);
    CHECK(connack.server_keepalive_s == 77);
    CHECK(connack.has_session_expiry);
    CHECK(connack.session_expiry_s == 604'800);
    CHECK(std::string(connack.assigned_client_id).starts_with("assigned-"));
}

TEST_CASE("a host may answer CONNECT later; what came meanwhile is handled then") {
    Bench bench;
    bench.host.answer_later = true;
    Peer peer(bench);
    Connect packet;
    packet.client_id = "late";
    peer.connect(packet);
    peer.raw(ByteView("\xC0\x00", 2)).raw(ByteView("\xC0", 1));
    CHECK(peer.is_quiet());
    CHECK(bench.host.paused.contains(peer.id()));
    Admission admission;
    admission.session_key = "late";
    bench.broker.accept(peer.id(), admission, bench.host.now);
    CHECK(peer.connack().reason == ReasonCode::success);
    peer.take(PacketType::pingresp);
    CHECK(peer.is_quiet());
    CHECK_FALSE(bench.host.paused.contains(peer.id()));
    peer.raw(ByteView("\x00", 1));
    peer.take(PacketType::pingresp);
}

TEST_CASE("bytes that wait for the answer to CONNECT are bounded on both sides") {
    for (const std::size_t extra : {0, 1}) {
        BrokerLimits limits;
        limits.connect_backlog_bytes_max = 1'000;
        Bench bench(limits);
        bench.host.answer_later = true;
        Peer peer(bench);
        Connect packet;
        packet.client_id = "x";
        peer.connect(packet);
        peer.raw(Bytes(1'000 + extra, '\xC0'));
        CHECK(peer.is_closed() == (extra == 1));
    }
}

TEST_CASE("a refusal reaches each version in its own words and closes") {
    for (const ProtocolVersion version : all_versions) {
        Bench bench;
        bench.host.refusal = ReasonCode::bad_user_name_or_password;
        Peer peer(bench, version);
        CHECK(peer.join("x").reason == ReasonCode::bad_user_name_or_password);
        CHECK(peer.is_closed());
        CHECK(bench.host.downs.empty());
        CHECK(bench.broker.stats().sessions == 0);
    }
}

TEST_CASE("the connect deadline ends who says nothing, not who connected") {
    Bench bench;
    Peer silent(bench);
    Peer slow(bench);
    slow.raw(ByteView("\x10", 1));
    Peer fine(bench);
    fine.join("fine");
    bench.advance(std::chrono::milliseconds{4'999});
    CHECK_FALSE(silent.is_closed());
    bench.advance(std::chrono::milliseconds{2});
    CHECK(silent.is_closed());
    CHECK(slow.is_closed());
    CHECK_FALSE(fine.is_closed());
}

TEST_CASE("keep-alive ends a silent client after one and a half times its interval") {
    for (const ProtocolVersion version : all_versions) {
        Bench bench;
        Peer peer(bench, version);
        Connect packet;
        packet.client_id = "k";
        packet.keepalive_s = 10;
        peer.join(packet);
        bench.advance(std::chrono::seconds{14});
        peer.raw(ByteView("\xC0\x00", 2));
        peer.take(PacketType::pingresp);
        bench.advance(std::chrono::milliseconds{14'999});
        CHECK_FALSE(peer.is_closed());
        bench.advance(std::chrono::milliseconds{2});
        CHECK(peer.is_closed());
        REQUIRE(bench.host.downs.size() == 1);
        CHECK(bench.host.downs[0].why == Ended::keepalive);
        if (version == ProtocolVersion::v5)
            CHECK(peer.goodbye() == ReasonCode::keep_alive_timeout);
    }
}

TEST_CASE("bytes of a packet that never ends do not keep a connection alive") {
    Bench bench;
    Peer peer(bench);
    Connect packet;
    packet.client_id = "k";
    packet.keepalive_s = 10;
    peer.join(packet);
    peer.raw(ByteView("\x30\x7F", 2));
    for (int i = 0; i < 16; ++i) {
        peer.raw("x");
        bench.advance(std::chrono::seconds{1});
    }
    CHECK(peer.is_closed());
}

TEST_CASE("a session outlives its connection for its expiry and not longer") {
    Bench bench;
    Peer peer(bench);
    peer.join("s", true, 100);
    peer.subscribe("a", 1);
    peer.cut();
    bench.broker.publish(message("a", "1", 1), bench.host.now);
    bench.broker.publish(message("a", "zero", 0), bench.host.now);
    CHECK(bench.broker.stats().queued == 1);
    bench.advance(std::chrono::seconds{99});
    Peer again(bench);
    CHECK(again.join("s", false, 100).session_present);
    CHECK(again.message().payload == "1");
    CHECK(again.is_quiet());
    again.cut();
    bench.advance(std::chrono::seconds{101});
    CHECK(bench.broker.stats().sessions == 0);
    CHECK(bench.host.dropped["no_session"] == 1);
    Peer third(bench);
    CHECK_FALSE(third.join("s", false, 100).session_present);
}

TEST_CASE("a session whose time is over is not resumed even before a timer saw it") {
    Bench bench;
    Peer peer(bench);
    peer.join("s", true, 100);
    peer.cut();
    bench.host.now += std::chrono::seconds{101};
    Peer again(bench);
    CHECK_FALSE(again.join("s", false, 100).session_present);
}

TEST_CASE("3.1.1: clean session 0 keeps, 1 forgets") {
    Bench bench;
    Peer peer(bench, ProtocolVersion::v311);
    peer.join("s", false);
    peer.subscribe("a", 1);
    peer.cut();
    Peer again(bench, ProtocolVersion::v311);
    CHECK(again.join("s", false).session_present);
    again.cut();
    Peer clean(bench, ProtocolVersion::v311);
    CHECK_FALSE(clean.join("s", true).session_present);
    clean.cut();
    CHECK(bench.broker.stats().sessions == 0);
}

TEST_CASE("a client may change its session expiry when it leaves, but not from 0") {
    Bench bench;
    Peer peer(bench);
    peer.join("s", true, 100);
    Disconnect packet;
    packet.has_session_expiry = true;
    packet.session_expiry_s = 0;
    Bytes bytes;
    encode_disconnect(bytes, packet, ProtocolVersion::v5);
    peer.raw(bytes);
    CHECK(bench.broker.stats().sessions == 0);

    Peer other(bench);
    other.join("t", true, 0);
    packet.session_expiry_s = 5;
    bytes.clear();
    encode_disconnect(bytes, packet, ProtocolVersion::v5);
    other.raw(bytes);
    CHECK(other.goodbye() == ReasonCode::protocol_error);
}

TEST_CASE("take-over: the old connection hears 0x8E, the session goes on in the new one") {
    Bench bench;
    Peer first(bench);
    first.join("t", true, 100);
    first.subscribe("a", 1);
    Peer second(bench, ProtocolVersion::v311);
    CHECK(second.join("t", false).session_present);
    CHECK(first.goodbye() == ReasonCode::session_taken_over);
    REQUIRE(bench.host.downs.size() == 1);
    CHECK(bench.host.downs[0].why == Ended::takeover);
    bench.broker.publish(message("a", "x", 1), bench.host.now);
    CHECK(second.message().payload == "x");
    first.raw(ByteView("\xC0\x00", 2));
    CHECK(bench.broker.stats().connections == 1);
}

TEST_CASE("[B-25] at the session limit returning clients are let in and new ones are not") {
    BrokerLimits limits;
    limits.sessions_max = 3;
    Bench bench(limits);
    for (const char* id : {"a", "b", "c"}) {
        Peer peer(bench);
        CHECK(peer.join(id, true, 100).reason == ReasonCode::success);
        peer.cut();
    }
    Peer fourth(bench);
    CHECK(fourth.join("d", true, 100).reason == ReasonCode::quota_exceeded);
    CHECK(fourth.is_closed());
    for (const char* id : {"a", "b", "c"}) {
        for (const bool is_clean : {false, true}) {
            Peer peer(bench);
            CHECK(peer.join(id, is_clean, 100).reason == ReasonCode::success);
            peer.cut();
        }
    }
    bench.broker.kick("a", ReasonCode::administrative_action, true, bench.host.now);
    Peer fifth(bench);
    CHECK(fifth.join("e", true, 100).reason == ReasonCode::success);
}

TEST_CASE("[B-26] epochs grow and each up has one down, in order, for a client that flaps") {
    Bench bench;
    std::vector<std::unique_ptr<Peer>> peers;
    for (int i = 0; i < 200; ++i) {
        peers.push_back(std::make_unique<Peer>(bench));
        peers.back()->join("flap", i % 3 == 0, i % 2 == 0 ? 100 : 0);
        if (i % 5 == 0)
            peers.back()->cut();
        if (i % 7 == 0)
            peers.back()->disconnect();
    }
    peers.back()->cut();
    CHECK_FALSE(bench.broker.online("flap"));
    REQUIRE(bench.host.epochs.size() == 200);
    REQUIRE(bench.host.downs.size() == 200);
    for (std::size_t i = 0; i < 200; ++i) {
        if (i > 0)
            CHECK(bench.host.epochs[i] > bench.host.epochs[i - 1]);
        CHECK(bench.host.downs[i].epoch == bench.host.epochs[i]);
    }
}

TEST_CASE("kick ends the connection, and the session when asked to") {
    Bench bench;
    Peer peer(bench);
    peer.join("k", true, 100);
    bench.broker.kick("k", ReasonCode::administrative_action, false, bench.host.now);
    CHECK(peer.goodbye() == ReasonCode::administrative_action);
    CHECK(bench.broker.stats().sessions == 1);
    bench.broker.kick("k", ReasonCode::administrative_action, true, bench.host.now);
    CHECK(bench.broker.stats().sessions == 0);
    bench.broker.kick("k", ReasonCode::administrative_action, true, bench.host.now);
}

TEST_CASE("[F-95] shutdown says goodbye to all and takes nobody in") {
    Bench bench;
    Peer five(bench);
    five.join("5");
    Peer four(bench, ProtocolVersion::v311);
    four.join("4");
    Peer fresh(bench);
    bench.broker.shutdown(bench.host.now);
    CHECK(five.goodbye() == ReasonCode::server_shutting_down);
    CHECK(four.is_closed());
    CHECK(four.is_quiet());
    CHECK(fresh.is_closed());
    CHECK(bench.broker.open(bench.host.now) == 0);
    CHECK(bench.broker.stats().connections == 0);
}

TEST_CASE("[F-52] client ids: empty, at the limit and over it, emoji, control characters, two tenants") {
    BrokerLimits limits;
    limits.client_id_bytes_max = 64;
    Bench bench(limits);
    CHECK(Peer(bench).join(std::string(64, 'x')).reason == ReasonCode::success);
    CHECK(Peer(bench).join(std::string(65, 'x')).reason == ReasonCode::client_identifier_not_valid);
    CHECK(
        Peer(bench, ProtocolVersion::v311).join(std::string(65, 'x')).reason ==
        ReasonCode::client_identifier_not_valid
    );
    CHECK(Peer(bench).join("\xF0\x9F\x98\x80").reason == ReasonCode::success);
    CHECK(Peer(bench).join("a\n  b").reason == ReasonCode::success); // shipped clients send line breaks
    CHECK(Peer(bench).join("").reason == ReasonCode::success);
    CHECK(Peer(bench, ProtocolVersion::v311).join("", true).reason == ReasonCode::success);
    CHECK(
        Peer(bench, ProtocolVersion::v311).join("", false).reason == ReasonCode::client_identifier_not_valid
    );
    CHECK(Peer(bench, ProtocolVersion::v31).join("", true).reason == ReasonCode::client_identifier_not_valid);

    bench.host.prototype.session_key = "tenant-1/same";
    Peer first(bench);
    first.join("same");
    bench.host.prototype.session_key = "tenant-2/same";
    Peer second(bench);
    second.join("same");
    CHECK_FALSE(first.is_closed());
    CHECK(bench.broker.online("tenant-1/same"));
    CHECK(bench.broker.online("tenant-2/same"));
}

TEST_CASE("a client id of 65,535 bytes is refused before it is looked at") {
    Bench bench;
    Peer peer(bench);
    Connect packet;
    const std::string id(65'535, 'x');
    packet.client_id = id;
    peer.connect(packet);
    CHECK(peer.is_closed());
    CHECK(bench.host.connects == 0);
}

TEST_CASE("the host may end the connection from inside any of its calls") {
    Bench bench;
    bench.host.up_hook = [&](const ConnView& who) {
        bench.broker.kick(who.session_key, ReasonCode::administrative_action, true, bench.host.now);
    };
    Peer peer(bench);
    Connect packet;
    packet.client_id = "x";
    peer.connect(packet);
    CHECK(peer.is_closed());
    CHECK(bench.broker.stats().sessions == 0);
    bench.host.up_hook = nullptr;

    Peer other(bench);
    other.join("y");
    bench.host.judge = [&](const ConnView& who, const MessagePtr&, AckToken token) {
        bench.broker.kick(who.session_key, ReasonCode::administrative_action, true, bench.host.now);
        bench.broker.complete(token, ReasonCode::success, bench.host.now);
        return Verdict::route;
    };
    other.publish("a", "x", 1, 1);
    CHECK(other.is_closed());
    CHECK(bench.broker.stats().sessions == 0);
}

TEST_CASE("a transport that dies while it is written to is noticed after the work is done") {
    Bench bench;
    Peer peer(bench);
    peer.join("x", true, 100);
    peer.subscribe("a", 1);
    bench.host.after_send = [&](ConnId conn) { bench.broker.closed(conn, bench.host.now); };
    bench.broker.publish(message("a", "1", 1), bench.host.now);
    bench.host.after_send = nullptr;
    CHECK_FALSE(bench.broker.online("x"));
    CHECK(bench.broker.stats().sessions == 1);
    Peer again(bench);
    CHECK(again.join("x", false, 100).session_present);
    const Publish got = again.message();
    CHECK(got.payload == "1");
    CHECK(got.dup);
}
