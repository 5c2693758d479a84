// Conformance, sections 3.1 and 3.2: CONNECT and CONNACK.

#include "mqtt/tests/conformance.h"

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

TEST_CASE("[MQTT-3.1.0-2] a second CONNECT is a protocol error and ends the connection") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p");
        peer.raw(raw_connect(version, 2, fields({"p"})));
        check_ended(peer, ReasonCode::protocol_error);
        CHECK(bench.host.connects == 1);
    }
}

TEST_CASE("[MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13] the will's flags and fields agree, "
          "or CONNECT is malformed") {
    struct Row {
        unsigned flags;
        bool has_topic;
        bool has_message;
        bool is_good;
    };

    const Row rows[] = {
        {0x02, false, false, true},
        {0x02, true, true, false}, // fields without the flag
        {0x06, true, true, true},
        {0x06, true, false, false},
        {0x06, false, false, false},
        {0x0A, false, false, false}, // QoS 1 without a will
        {0x12, false, false, false},
        {0x1A, false, false, false},
        {0x22, false, false, false}, // retain without a will
        {0x0E, true, true, true},
        {0x16, true, true, true},
        {0x1E, true, true, false}, // QoS 3
        {0x26, true, true, true},
        {0x36, true, true, true},
    };
    for (const ProtocolVersion version : both_versions) {
        for (const Row& row : rows) {
            Raw payload;
            payload.text("p");
            if (row.has_topic)
                payload.properties(version).text("w");
            if (row.has_message)
                payload.text("gone");
            Bench bench;
            Peer peer(bench, version);
            peer.raw(raw_connect(version, row.flags, payload.body()));
            INFO(row.flags, " ", row.has_topic, " ", row.has_message);
            if (row.is_good) {
                CHECK(peer.connack().reason == ReasonCode::success);
            } else {
                check_refused(peer, ReasonCode::malformed_packet);
            }
        }
    }
}

TEST_CASE("[MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] user name and password are there "
          "exactly when their flags say so") {
    struct Row {
        unsigned flags;
        std::size_t fields;
        bool is_good_v311;
        bool is_good_v5;
    };

    const Row rows[] = {
        {0x02, 0, true, true},
        {0x02, 1, false, false},
        {0x82, 1, true, true},
        {0x82, 0, false, false},
        {0x82, 2, false, false},
        {0xC2, 2, true, true},
        {0xC2, 1, false, false},
        {0xC2, 0, false, false},
        {0xC2, 3, false, false},
        {0x42, 1, false, true}, // [MQTT3-3.1.2-22]: MQTT 5 takes a password alone
        {0x42, 0, false, false},
    };
    for (const ProtocolVersion version : both_versions) {
        for (const Row& row : rows) {
            Raw payload;
            payload.text("p");
            for (std::size_t i = 0; i < row.fields; ++i)
                payload.text("x");
            Bench bench;
            Peer peer(bench, version);
            peer.raw(raw_connect(version, row.flags, payload.body()));
            INFO(row.flags, " ", row.fields);
            if (is_v5(version) ? row.is_good_v5 : row.is_good_v311) {
                CHECK(peer.connack().reason == ReasonCode::success);
            } else {
                check_refused(peer, ReasonCode::malformed_packet);
            }
        }
    }
}

TEST_CASE("[MQTT-3.1.3-1] [MQTT-3.1.3-3] the payload is client id, will, user name, password, in this order"
) {
    for (const ProtocolVersion version : both_versions) {
        const Bytes bytes = raw_connect(
            version,
            0xC6,
            fields({"id"}) + Raw().properties(version).body() + fields({"will/topic", "gone", "user", "pass"})
        );
        Framer framer(1'000);
        ByteView rest = bytes;
        const auto frame = framer.next(rest);
        REQUIRE(frame.has_value());
        REQUIRE(frame->has_value());
        const auto packet = decode_connect(**frame, {});
        REQUIRE(packet.has_value());
        CHECK(packet->client_id == "id");
        CHECK(packet->will->topic == "will/topic");
        CHECK(packet->will->payload == "gone");
        CHECK(packet->username == "user");
        CHECK(packet->password == "pass");
        Bench bench;
        Peer peer(bench, version);
        peer.raw(bytes);
        CHECK(peer.connack().reason == ReasonCode::success);
        CHECK(bench.broker.online("id"));
        CHECK(bench.host.last_password == "pass");
        Peer without(bench, version);
        without.raw(raw_connect(version, 2, {})); // no client id at all
        check_refused(without, ReasonCode::malformed_packet);
    }
}

TEST_CASE("[MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.2.2-2] [MQTT-3.2.2-3] a clean start forgets, "
          "another goes on, and CONNACK says which") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer first(bench, version);
        CHECK_FALSE(first.join("p", false, 100).session_present);
        first.subscribe("a", 1);
        first.cut();
        CHECK(bench.broker.publish(message("a", "kept", 1), bench.host.now) == 1);
        Peer second(bench, version);
        CHECK(second.join("p", false, 100).session_present);
        CHECK(second.message().payload == "kept");
        second.cut();
        CHECK(bench.broker.publish(message("a", "forgotten", 1), bench.host.now) == 1);
        Peer third(bench, version);
        CHECK_FALSE(third.join("p", true, 100).session_present);
        CHECK(third.is_quiet());
        CHECK(bench.broker.publish(message("a", "x", 1), bench.host.now) == 0);
        CHECK(third.is_quiet());
    }
}

TEST_CASE("[MQTT-3.1.3-2] the client id names the session: another id is another session") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p", false, 100);
        peer.subscribe("a", 1);
        peer.cut();
        Peer other(bench, version);
        CHECK_FALSE(other.join("P", false, 100).session_present);
        Peer again(bench, version);
        CHECK(again.join("p", false, 100).session_present);
        bench.broker.publish(message("a", "x", 1), bench.host.now);
        CHECK(again.message().payload == "x");
        CHECK(other.is_quiet());
    }
}

TEST_CASE("[MQTT-3.1.3-5] client ids of 1 to 23 letters and digits are taken") {
    const std::string all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        for (std::size_t size = 1; size <= 23; ++size) {
            for (std::size_t at = 0; at + size <= all.size(); at += size)
                CHECK(Peer(bench, version).join(all.substr(at, size)).reason == ReasonCode::success);
        }
    }
}

TEST_CASE("[MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] an empty client id is given a name of its own") {
    Bench bench;
    Peer first(bench);
    const std::string one(first.join("", true, 100).assigned_client_id);
    Peer second(bench);
    const std::string two(second.join("", false, 100).assigned_client_id);
    CHECK_FALSE(one.empty());
    CHECK_FALSE(two.empty());
    CHECK(one != two);
    CHECK(bench.broker.stats().sessions == 2);
    CHECK(bench.broker.online(one));
    first.subscribe("a", 1);
    first.cut();
    Peer back(bench); // the name is as good as one the client had sent
    const Connack connack = back.join(one, false, 100);
    CHECK(connack.session_present);
    CHECK(connack.assigned_client_id.empty());

    Peer old(bench, ProtocolVersion::v311);
    CHECK(old.join("", true).reason == ReasonCode::success);
    CHECK(bench.broker.stats().sessions == 3);
}

TEST_CASE("[MQTT-3.1.3-8] [MQTT3-3.1.3-8] [MQTT3-3.1.3-9] a client id that is not taken: 0x85 or 0x02, then "
          "the end") {
    BrokerLimits limits;
    limits.client_id_bytes_max = 30;
    for (const ProtocolVersion version : both_versions) {
        Bench bench(limits);
        Peer fits(bench, version);
        CHECK(fits.join(std::string(30, 'x')).reason == ReasonCode::success);
        Peer longer(bench, version);
        CHECK(longer.join(std::string(31, 'x')).reason == ReasonCode::client_identifier_not_valid);
        CHECK(longer.is_closed());
        CHECK(bench.host.connects == 1);
    }
    Bench bench;
    Peer empty(bench, ProtocolVersion::v311);
    empty.raw(raw_connect(ProtocolVersion::v311, 0, fields({""})));
    CHECK(bench.host.out[empty.id()] == ByteView("\x20\x02\x00\x02", 4));
    CHECK(empty.is_closed());
}

TEST_CASE("[MQTT-3.1.4-2] [MQTT-3.1.4-6] nothing that follows a refused CONNECT is handled") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        bench.host.refusal = ReasonCode::not_authorized;
        Peer peer(bench, version);
        Bytes bytes = raw_connect(version, 2, fields({"p"}));
        bytes += Raw().u16(1).properties(version).text("a").u8(0).packet(0x82);
        bytes += Raw().text("a").properties(version).packet(0x30);
        bytes += raw_connect(version, 2, fields({"q"}));
        peer.raw(bytes);
        peer.raw(Raw().text("a").properties(version).packet(0x30));
        CHECK(peer.connack().reason == ReasonCode::not_authorized);
        CHECK(peer.is_closed());
        CHECK(peer.is_quiet());
        CHECK(bench.host.connects == 1);
        CHECK(bench.host.published.empty());
        CHECK(bench.broker.stats().subscriptions == 0);
    }
}

TEST_CASE("[MQTT-3.1.4-3] [MQTT3-3.1.4-2] a second connection of a client id ends the first: 0x8E, or silence"
) {
    for (const ProtocolVersion version : both_versions) {
        for (const bool is_clean : {false, true}) {
            Bench bench;
            Peer first(bench, version);
            first.join("p", false, 100);
            Peer other(bench, version);
            other.join("q");
            Peer second(bench, version);
            CHECK(second.join("p", is_clean, 100).session_present == !is_clean);
            check_ended(first, ReasonCode::session_taken_over);
            CHECK_FALSE(second.is_closed());
            CHECK_FALSE(other.is_closed());
        }
    }
}

TEST_CASE("[MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.0-2] CONNACK is the first packet, and there is one") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer first(bench, version);
        first.join("p", false, 100);
        first.subscribe("a", 1);
        first.cut();
        bench.broker.publish(message("a", "queued", 1), bench.host.now);
        bench.host.up_hook = [&](const ConnView& who) {
            bench.broker.deliver(who.session_key, message("d", "direct"), bench.host.now);
        };
        Peer peer(bench, version);
        Bytes bytes = raw_connect(version, 0, fields({"p"}));
        bytes += ByteView("\xC0\x00", 2);
        peer.raw(bytes);
        CHECK(peer.connack().reason == ReasonCode::success);
        CHECK_FALSE(peer.is_quiet());
        int connacks = 0;
        while (!peer.is_quiet())
            connacks += peer.next().type == PacketType::connack ? 1 : 0;
        CHECK(connacks == 0);
    }
}

TEST_CASE("[MQTT-3.2.2-1] [MQTT-3.2.2-6] the acknowledge flags are session present alone, and 0 in a refusal"
) {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        const auto flags = [&](bool is_clean) {
            Peer peer(bench, version);
            peer.raw(raw_connect(version, is_clean ? 2 : 0, fields({"p"})));
            const unsigned seen = static_cast<unsigned char>(peer.take(PacketType::connack).body[0]);
            if (!peer.is_closed())
                peer.cut();
            return seen;
        };
        Peer first(bench, version);
        first.join("p", false, 100);
        CHECK(flags(false) == 1);
        Peer again(bench, version);
        again.join("p", false, 100);
        bench.host.refusal = ReasonCode::server_busy;
        CHECK(flags(false) == 0);
        bench.host.refusal = ReasonCode::success;
        CHECK(flags(true) == 0);
    }
}
