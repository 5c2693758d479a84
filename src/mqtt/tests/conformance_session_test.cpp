// Conformance, sections 3.1.2 (wills), 3.12, 3.14, 3.15, 4.1, 4.12, 4.13: sessions, wills, the end of
// connections.

#include "mqtt/tests/conformance.h"

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

Connect will_of(std::string_view id, std::uint8_t qos = 1, bool retain = false) {
    Connect packet;
    packet.client_id = id;
    packet.will = message("will", "gone", qos, retain);
    return packet;
}

Bytes auth(unsigned flags, unsigned code) {
    return Raw()
        .u8(code)
        .properties(ProtocolVersion::v5, Raw().u8(0x15).text("SCRAM").body())
        .packet(0xF0 | flags);
}

} // namespace

TEST_CASE("[MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT3-3.1.2-12] a will goes out once when its "
          "connection is lost, never after DISCONNECT, and none without the flag") {
    for (const ProtocolVersion version : both_versions) {
        for (const bool is_polite : {false, true}) {
            Bench bench;
            Peer watcher(bench, version);
            watcher.join("w");
            watcher.subscribe("will", 2);
            auto peer = std::make_unique<Peer>(bench, version);
            peer->join(will_of("p", 2));
            CHECK(watcher.is_quiet());
            if (is_polite) {
                peer->disconnect();
            } else {
                peer->cut();
            }
            CHECK(watcher.is_quiet() == is_polite);
            if (!is_polite) {
                const Publish got = watcher.message();
                CHECK(got.payload == "gone");
                CHECK(got.qos == 2);
            }
            peer = std::make_unique<Peer>(bench, version);
            peer->join("p");
            peer->cut(); // this connection had none
            bench.advance(std::chrono::seconds{10});
            CHECK(watcher.is_quiet());
        }
    }
}

TEST_CASE(
    "[MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT3-3.1.2-16] [MQTT3-3.1.2-17] a will is retained exactly when it "
    "says so"
) {
    for (const ProtocolVersion version : both_versions) {
        for (const bool is_retained : {false, true}) {
            Bench bench;
            Peer watcher(bench, version);
            watcher.join("w");
            watcher.subscribe("will");
            Peer peer(bench, version);
            peer.join(will_of("p", 0, is_retained));
            peer.cut();
            CHECK_FALSE(watcher.message().retain);
            Peer late(bench, version);
            late.join("l");
            late.subscribe("will");
            CHECK(late.is_quiet() == !is_retained);
            if (is_retained)
                CHECK(late.message().retain);
        }
    }
}

TEST_CASE("[MQTT-3.1.3-9] no will when its client is back before the delay is over, one when it is not") {
    for (const int back_after_s : {9, 11}) {
        Bench bench;
        Peer watcher(bench);
        watcher.join("w");
        watcher.subscribe("will");
        Peer peer(bench);
        Connect packet = will_of("p");
        packet.will_delay_s = 10;
        packet.session_expiry_s = 100;
        peer.join(packet);
        peer.cut();
        bench.advance(std::chrono::seconds{back_after_s});
        Peer again(bench);
        CHECK(again.join("p", false, 100).session_present);
        bench.advance(std::chrono::seconds{30});
        CHECK(watcher.is_quiet() == (back_after_s < 10));
        while (!watcher.is_quiet())
            watcher.next();
        again.cut(); // the connection that came back had no will
        bench.advance(std::chrono::seconds{200});
        CHECK(watcher.is_quiet());
    }
}

TEST_CASE("[MQTT-3.1.3-10] the user properties of a will keep their order") {
    Bench bench;
    Peer watcher(bench);
    watcher.join("w");
    watcher.subscribe("will");
    auto made = std::make_shared<Message>();
    made->topic = "will";
    made->payload = "gone";
    made->user_properties = {{"k", "2"}, {"z", ""}, {"k", "1"}, {"a", "x"}};
    Connect packet;
    packet.client_id = "p";
    packet.will = made;
    Peer peer(bench);
    peer.join(packet);
    peer.cut();
    CHECK(watcher.message().user_properties == UserProperties{{"k", "2"}, {"z", ""}, {"k", "1"}, {"a", "x"}});
}

TEST_CASE(
    "[MQTT-3.1.2-22] [MQTT-3.2.2-22] [MQTT-3.1.2-8] one and a half times the keep-alive the client sent: "
    "then the end, with its will"
) {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer watcher(bench, version);
        watcher.join("w");
        watcher.subscribe("will");
        Peer peer(bench, version);
        Connect packet = will_of("p");
        packet.keepalive_s = 20;
        CHECK_FALSE(peer.join(packet).has_server_keepalive);
        bench.advance(std::chrono::milliseconds{29'900});
        CHECK_FALSE(peer.is_closed());
        CHECK(watcher.is_quiet());
        bench.advance(std::chrono::milliseconds{200});
        check_ended(peer, ReasonCode::keep_alive_timeout);
        CHECK(watcher.message().payload == "gone");
    }
}

TEST_CASE(
    "[MQTT-3.1.2-23] [MQTT-4.1.0-2] a session is kept for its expiry after the connection, and not longer"
) {
    for (const std::uint32_t expiry_s : {0u, 1u, 100u}) {
        for (const int after_ms : {500, 1'500, 99'500, 100'500}) {
            Bench bench;
            Peer peer(bench);
            peer.join("p", true, expiry_s);
            peer.subscribe("a", 1);
            peer.cut();
            bench.advance(std::chrono::milliseconds{after_ms});
            const bool is_kept = static_cast<std::uint32_t>(after_ms) < expiry_s * 1'000;
            INFO(expiry_s, " ", after_ms);
            CHECK(bench.broker.publish(message("a", "x", 1), bench.host.now) == (is_kept ? 1u : 0u));
            Peer again(bench);
            CHECK(again.join("p", false, expiry_s).session_present == is_kept);
            CHECK(again.is_quiet() == !is_kept);
        }
    }
}

TEST_CASE(
    "[MQTT-4.1.0-1] [MQTT3-4.1.0-1] [MQTT3-4.1.0-2] a session lasts as long as its connection, whatever its "
    "expiry"
) {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p", true, is_v5(version) ? 1 : 0);
        peer.subscribe("a", 1);
        for (int hour = 0; hour < 6; ++hour) {
            bench.advance(std::chrono::hours{1});
            bench.broker.publish(message("a", std::to_string(hour), 1), bench.host.now);
            CHECK(peer.message().payload == std::to_string(hour));
        }
        CHECK(bench.broker.stats().sessions == 1);
    }
}

TEST_CASE("[MQTT3-3.1.2-7] retained messages are no part of a session and stay when it ends") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p", true);
        peer.publish("a", "stays", 1, 1, true);
        peer.disconnect();
        CHECK(bench.broker.stats().sessions == 0);
        Peer other(bench, version);
        other.join("o");
        other.subscribe("a");
        CHECK(other.message().payload == "stays");
    }
}

TEST_CASE("[MQTT-3.12.4-1] every PINGREQ is answered with PINGRESP") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p");
        for (int i = 0; i < 3; ++i)
            peer.raw(ByteView("\xC0\x00\xC0\x00", 4));
        for (int i = 0; i < 6; ++i)
            CHECK(peer.take(PacketType::pingresp).body.empty());
        CHECK(peer.is_quiet());
    }
}

TEST_CASE("[MQTT-3.14.0-1] before CONNACK there is no DISCONNECT: a connection without it ends in silence") {
    for (int how = 0; how < 4; ++how) {
        for (const bool is_waiting : {false, true}) {
            Bench bench;
            bench.host.answer_later = true;
            Peer peer(bench);
            if (is_waiting)
                peer.raw(raw_connect(ProtocolVersion::v5, 2, fields({"p"})));
            if (how == 0)
                bench.broker.shutdown(bench.host.now);
            if (how == 1 && !is_waiting)
                bench.advance(std::chrono::seconds{6});
            if (how == 2)
                peer.raw(is_waiting ? Bytes(100'000, '\xC0') : Bytes("\xC0\x00", 2));
            if (how == 3 && !is_waiting)
                peer.raw(ByteView("\x00\x00", 2));
            CHECK(peer.is_quiet());
            if (how % 2 == 0 || !is_waiting)
                CHECK(peer.is_closed());
        }
    }
}

TEST_CASE(
    "[MQTT-3.14.2-1] [MQTT-3.14.2-2] DISCONNECT of ours has a code of its table, whatever the host says, "
    "and nothing else"
) {
    const std::set<unsigned> table = {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E,
                                      0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A,
                                      0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2};
    for (unsigned code = 0; code < 256; ++code) {
        Bench bench;
        Peer peer(bench);
        peer.join("p", true, 100);
        bench.broker.kick("p", static_cast<ReasonCode>(code), false, bench.host.now);
        CHECK(peer.is_closed());
        const Received raw = peer.take(PacketType::disconnect);
        CHECK(raw.body.size() <= 1);
        const unsigned said = raw.body.empty() ? 0 : static_cast<unsigned char>(raw.body[0]);
        INFO(code, " ", said);
        CHECK(table.contains(said));
        if (table.contains(code))
            CHECK(said == code);
    }
}

TEST_CASE(
    "[MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT-4.13.2-1] after DISCONNECT nothing more is sent or heard, and "
    "the connection is closed"
) {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p", false, 100);
        peer.subscribe("a", 1);
        bench.broker.kick("p", ReasonCode::administrative_action, false, bench.host.now);
        check_ended(peer, ReasonCode::administrative_action);
        bench.broker.publish(message("a", "x", 1), bench.host.now);
        bench.broker.deliver("p", message("a", "y", 1), bench.host.now);
        peer.raw(ByteView("\xC0\x00", 2));
        bench.advance(std::chrono::seconds{5});
        CHECK(peer.is_quiet());

        Peer leaving(bench, version);
        leaving.join("l");
        Bytes bytes("\xE0\x00", 2);
        bytes += Raw().text("a").properties(version).packet(0x30);
        leaving.raw(bytes);
        CHECK(leaving.is_closed());
        CHECK(leaving.is_quiet()); // [MQTT3-3.14.4-1]: it says nothing to who left
        CHECK(bench.host.published.empty());
    }
}

TEST_CASE("[MQTT-3.14.4-3] DISCONNECT 0x00 drops the will, every other code a client may send keeps it") {
    for (unsigned code = 0; code < 256; ++code) {
        Bench bench;
        Peer watcher(bench);
        watcher.join("w");
        watcher.subscribe("will");
        Peer peer(bench);
        peer.join(will_of("p"));
        peer.raw(Raw().u8(code).packet(0xE0));
        CHECK(peer.is_closed());
        CHECK(watcher.is_quiet() == (code == 0));
    }
}

TEST_CASE(
    "[MQTT-3.15.1-1] [MQTT-4.12.0-7] [MQTT-4.12.1-1] [MQTT-4.12.1-2] AUTH where no method was agreed on "
    "ends the connection"
) {
    for (unsigned flags = 0; flags < 16; ++flags) {
        for (const unsigned code : {0x00u, 0x18u, 0x19u}) {
            Bench bench;
            Peer peer(bench);
            peer.join("p");
            peer.raw(auth(flags, code));
            check_ended(peer, flags == 0 ? ReasonCode::protocol_error : ReasonCode::malformed_packet);
        }
    }
    Bench bench;
    Peer old(bench, ProtocolVersion::v311);
    old.join("o");
    old.raw(auth(0, 0x19));
    check_ended(old, {});
}

TEST_CASE("[MQTT-3.15.2-1] AUTH takes the codes 0x00, 0x18 and 0x19 and no others") {
    for (unsigned code = 0; code < 256; ++code) {
        const Bytes body =
            Raw().u8(code).properties(ProtocolVersion::v5, Raw().u8(0x15).text("m").body()).body();
        const Frame frame{PacketType::auth, 0, body};
        CHECK(
            decode_auth(frame, ProtocolVersion::v5, {}).has_value() ==
            (code == 0 || code == 0x18 || code == 0x19)
        );
    }
}

TEST_CASE("[MQTT-4.12.0-1] [MQTT-4.12.0-2] [MQTT-4.12.0-4] [MQTT-4.12.0-5] [MQTT-3.1.2-30] an authentication "
          "method is refused with 0x8C at once, without an AUTH") {
    Bench bench;
    Peer peer(bench);
    Connect packet;
    packet.client_id = "p";
    packet.has_auth_method = true;
    packet.auth_method = "SCRAM-SHA-1";
    packet.auth_data = "n,,n=user";
    CHECK(peer.join(packet).reason == ReasonCode::bad_authentication_method);
    CHECK(peer.is_closed());
    peer.raw(auth(0, 0x18)).raw(ByteView("\xC0\x00", 2));
    CHECK(peer.is_quiet());
    CHECK(bench.host.connects == 0);
}

TEST_CASE("[MQTT-4.12.0-6] without a method there is none in CONNACK, and no AUTH") {
    Bench bench;
    Peer peer(bench);
    const Connack connack = peer.join("p");
    CHECK_FALSE(connack.has_auth_method);
    CHECK(connack.auth_data.empty());
    peer.subscribe("a", 1);
    peer.publish("a", "x", 1, 1);
    bench.advance(std::chrono::minutes{10});
    while (!peer.is_quiet())
        CHECK(peer.next().type != PacketType::auth);
}

TEST_CASE(
    "[MQTT-4.13.1-1] [MQTT3-4.8.0-1] after a malformed packet or a protocol error nothing more is handled"
) {
    for (const ProtocolVersion version : both_versions) {
        const Bytes wrong[] = {
            Bytes("\x00\x00", 2),
            Raw().text("a").packet(0x36),
            Raw().u16(1).properties(version).packet(0x82),
            Bytes("\x20\x02\0\0", 4),
            Raw().u16(1).u8(0).u8(0).u8(0).packet(0x40),
        };
        for (const Bytes& packet : wrong) {
            Bench bench;
            Peer peer(bench, version);
            peer.join("p");
            peer.raw(packet + Raw().text("a").properties(version).packet(0x30));
            INFO(to_hex(packet));
            REQUIRE(peer.is_closed());
            CHECK(bench.host.published.empty());
            if (is_v5(version)) {
                CHECK(is_failure(peer.goodbye()));
            }
            CHECK(peer.is_quiet());
        }
    }
}
