// What peers got wrong: malformed, oversized, misplaced and malicious input, and subscriptions that are not
// what they seem.

#include "mqtt/tests/broker_bench.h"
#include "mqtt/tests/packets.h"

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

SubscribeFilter wanted_at(std::string_view filter, std::uint8_t qos = 0) {
    SubscribeFilter wanted;
    wanted.filter = filter;
    wanted.qos = qos;
    return wanted;
}

/// An empty packet of a type with well-formed flags, as good as it gets without contents.
Bytes packet_of(PacketType type) {
    Bytes bytes;
    const bool has_flag =
        type == PacketType::pubrel || type == PacketType::subscribe || type == PacketType::unsubscribe;
    put_u8(bytes, static_cast<std::uint8_t>(static_cast<unsigned>(type) << 4 | (has_flag ? 2 : 0)));
    put_u8(bytes, 0);
    return bytes;
}

} // namespace

TEST_CASE("[B-02] [B-03] a huge first packet is refused from its header, whatever its type") {
    for (int type = 1; type <= 15; ++type) {
        Bench bench;
        for (const std::uint32_t body : {8'190u, 100'000u, 268'435'455u}) {
            Peer peer(bench);
            Bytes bytes;
            put_u8(bytes, static_cast<std::uint8_t>(type << 4));
            put_varint(bytes, body);
            peer.raw(bytes);
            CHECK(peer.is_closed());
            CHECK(peer.is_quiet());
        }
    }
    Bench bench;
    Peer peer(bench);
    Bytes bytes;
    put_u8(bytes, 0x10);
    put_varint(bytes, 8'192 - 3);
    peer.raw(bytes);
    CHECK_FALSE(peer.is_closed());
}

TEST_CASE("after CONNECT the packet limit is the announced one, on both sides") {
    for (const std::size_t extra : {0, 1}) {
        BrokerLimits limits;
        limits.packet_bytes_max = 1'000;
        Bench bench(limits);
        Peer peer(bench);
        CHECK(peer.join("p").packet_bytes_max == 1'000);
        // 3 header, 2 + 1 topic, 1 properties
        peer.publish("a", std::string(993 + extra, 'x'));
        CHECK(peer.is_closed() == (extra == 1));
        if (extra == 1)
            CHECK(peer.goodbye() == ReasonCode::packet_too_large);
    }
}

TEST_CASE("[B-05] user properties are bounded in number, on both sides") {
    for (const std::size_t count : {64, 65, 400}) {
        Bench bench;
        Peer peer(bench);
        Connect packet;
        packet.client_id = "p";
        packet.user_properties.assign(count, {"k", "v"});
        CHECK(peer.join(packet).reason == (count <= 64 ? ReasonCode::success : ReasonCode::quota_exceeded));
        CHECK(peer.is_closed() == (count > 64));
        if (count <= 64)
            CHECK(bench.host.last_connect_user_properties == count);
    }
}

TEST_CASE("[B-06] SUBSCRIBE with a bad filter behind a good one keeps neither") {
    for (const ProtocolVersion version : both) {
        Bench bench;
        for (int i = 0; i < 2'000; ++i) {
            Peer peer(bench, version);
            peer.join("p", false, 100);
            peer.subscribe({wanted_at("good/" + std::to_string(i)), wanted_at("bad#")});
            CHECK(peer.is_closed());
            bench.host.out.clear();
        }
        CHECK(bench.broker.stats().subscriptions == 0);
    }
}

TEST_CASE("[B-55] each of the 16 packet types before CONNECT ends the connection without a word") {
    for (int type = 0; type < 16; ++type) {
        Bench bench;
        Peer peer(bench);
        peer.raw(packet_of(static_cast<PacketType>(type)));
        CHECK(peer.is_closed());
        CHECK(peer.is_quiet());
    }
}

TEST_CASE("[B-55] each of the 16 packet types after CONNECT: served, or closed with a reason") {
    for (const ProtocolVersion version : both) {
        for (int type = 0; type < 16; ++type) {
            Bench bench;
            Peer peer(bench, version);
            peer.join("p");
            peer.raw(packet_of(static_cast<PacketType>(type)));
            const bool is_fine = type == 12;
            const bool is_goodbye = type == 14;
            INFO(type);
            CHECK(peer.is_closed() == !is_fine);
            if (is_fine)
                peer.take(PacketType::pingresp);
            if (version == ProtocolVersion::v5 && !is_fine && !is_goodbye)
                CHECK(is_failure(peer.goodbye()));
        }
        // The same with packets that are well-formed but only servers send.
        SeededRandom random(9);
        for (int i = 0; i < 3'000; ++i) {
            const Sample sample = random_sample(random);
            const bool is_server_packet =
                sample.type == PacketType::connack || sample.type == PacketType::suback ||
                sample.type == PacketType::unsuback || sample.type == PacketType::pingresp ||
                sample.type == PacketType::auth || sample.type == PacketType::connect;
            if (!is_server_packet)
                continue;
            Bench bench;
            Peer peer(bench, version);
            peer.join("p");
            peer.raw(sample.bytes);
            CHECK(peer.is_closed());
        }
    }
}

TEST_CASE("[F-50] CONNECT: protocol names, levels, flags and order are judged clause by clause") {
    const auto connect_bytes = [](ByteView name, int level, int flags, ByteView rest) {
        Bytes body;
        put_prefixed(body, name);
        put_u8(body, static_cast<std::uint8_t>(level));
        put_u8(body, static_cast<std::uint8_t>(flags));
        put_u16(body, 60);
        body += rest;
        Bytes bytes;
        put_u8(bytes, 0x10);
        put_varint(bytes, static_cast<std::uint32_t>(body.size()));
        return bytes + body;
    };
    const Bytes id4("\0\1p", 3);
    const Bytes id5("\0\0\1p", 4);

    struct Row {
        ByteView name;
        int level;
        int flags;
        Bytes rest;
        bool is_accepted;
        int answer; ///< -1: closed in silence; else the second byte of CONNACK's body
    };

    const Row rows[] = {
        {"MQTT", 4, 2, id4, true, 0},
        {"MQIsdp", 3, 2, id4, true, 0},
        {"MQTT", 5, 2, id5, true, 0},
        {"MQTT", 3, 2, id4, false, 1},
        {"MQTT", 6, 2, id5, false, 0x84},
        {"MQTT", 0x84, 2, id4, false, 0x84},
        {"MQIsdp", 4, 2, id4, false, 1},
        {"mqtt", 4, 2, id4, false, -1},
        {"MQTTX", 4, 2, id4, false, -1},
        {"", 4, 2, id4, false, -1},
        {"MQTT", 4, 3, id4, false, -1}, // reserved flag
        {"MQTT", 5, 3, id5, false, 0x81},
        {"MQTT", 4, 0x1E, id4 + Bytes("\0\1t\0\1m", 6), false, -1}, // will QoS 3
        {"MQTT", 4, 0x0A, id4, false, -1},                          // will QoS without will
        {"MQTT", 4, 0x22, id4, false, -1},                          // will retain without will
        {"MQTT", 4, 0x42, id4 + Bytes("\0\1x", 3), false, -1},      // password without user name
        {"MQTT", 5, 0x42, id5 + Bytes("\0\1x", 3), true, 0},
        {"MQTT", 4, 0x06, id4 + Bytes("\0\1t\0\1m", 6), true, 0},
        {"MQTT", 4, 0x06, id4 + Bytes("\0\1#\0\1m", 6), false, -1}, // a wildcard in the will's topic
        {"MQTT", 4, 0x06, id4 + Bytes("\0\0\0\1m", 5), false, -1},
        {"MQTT", 4, 2, id4 + "x", false, -1},
        {"MQTT", 4, 2, Bytes("\0\2\xC0\x80", 4), false, -1}, // overlong UTF-8
    };
    for (const Row& row : rows) {
        Bench bench;
        Peer peer(bench, ProtocolVersion::v311);
        peer.raw(connect_bytes(row.name, row.level, row.flags, row.rest));
        INFO(row.name, " ", row.level, " ", row.flags);
        CHECK(peer.is_closed() == !row.is_accepted);
        const Received answer = peer.next();
        if (row.answer < 0) {
            CHECK(answer.type == PacketType::reserved);
        } else {
            REQUIRE(answer.body.size() >= 2);
            CHECK(static_cast<unsigned char>(answer.body[1]) == row.answer);
        }
    }
    Bench bench;
    Peer twice(bench);
    twice.join("p");
    Connect packet;
    packet.client_id = "p";
    twice.connect(packet);
    CHECK(twice.goodbye() == ReasonCode::protocol_error);
    Peer flagged(bench);
    flagged.raw(ByteView("\x11\x00", 2));
    CHECK(flagged.is_closed());
}

TEST_CASE("[F-48] packet id 0, Receive Maximum 0 and reserved bits have their codes") {
    struct Row {
        ByteView bytes;
        ReasonCode reason;
    };

    const Row rows[] = {
        {ByteView("\x32\x06\0\1a\0\0\0", 8), ReasonCode::protocol_error},
        {ByteView("\x36\x06\0\1a\0\1\0", 8), ReasonCode::malformed_packet}, // QoS 3
        {ByteView("\x38\x04\0\1a\0", 6), ReasonCode::malformed_packet},     // DUP with QoS 0
        {ByteView("\x82\x07\0\0\0\0\1a\0", 9), ReasonCode::protocol_error},
        {ByteView("\x80\x07\0\1\0\0\1a\0", 9), ReasonCode::malformed_packet},
        {ByteView("\x82\x07\0\1\0\0\1a\3", 9), ReasonCode::protocol_error},   // QoS 3
        {ByteView("\x82\x07\0\1\0\0\1a\x30", 9), ReasonCode::protocol_error}, // retain handling 3
        {ByteView("\x82\x07\0\1\0\0\1a\x40", 9), ReasonCode::malformed_packet},
        {ByteView("\x82\x03\0\1\0", 5), ReasonCode::protocol_error}, // no filter
        {ByteView("\xA2\x03\0\1\0", 5), ReasonCode::protocol_error},
        {ByteView("\x60\x02\0\1", 4), ReasonCode::malformed_packet}, // PUBREL with flags 0
        {ByteView("\x40\x02\0\0", 4), ReasonCode::protocol_error},
        {ByteView("\x40\x03\0\1\x01", 5), ReasonCode::protocol_error},
        {ByteView("\xC1\x00", 2), ReasonCode::malformed_packet},
        {ByteView("\xC0\x01\0", 3), ReasonCode::malformed_packet},
        {ByteView("\xE0\x01\x04\x00", 3), ReasonCode::success},
        {ByteView("\xE0\x01\x8E", 3), ReasonCode::protocol_error}, // only servers say "taken over"
        {ByteView("\xF0\x00", 2), ReasonCode::protocol_error},
        {ByteView("\x30\x04\0\1#\0", 6), ReasonCode::topic_name_invalid},
        {ByteView("\x30\x03\0\0\0", 5), ReasonCode::protocol_error}, // neither topic nor alias
        {ByteView("\x30\x06\0\3\xED\xA0\x80\0", 8), ReasonCode::malformed_packet},
        {ByteView("\x30\x06\0\1a\2\1\2", 8), ReasonCode::protocol_error},      // payload format 2
        {ByteView("\x30\x08\0\1a\4\1\1\1\1", 10), ReasonCode::protocol_error}, // a property twice
        {ByteView("\x30\x06\0\1a\2\x0B\1", 8), ReasonCode::protocol_error},   // subscription id from a client
        {ByteView("\x30\x06\0\1a\2\x7E\1", 8), ReasonCode::malformed_packet}, // an unknown property
        {ByteView("\x30\x06\0\1a\5\1\1", 8), ReasonCode::malformed_packet},   // properties beyond the packet
        {ByteView("\x30\x07\0\1a\2\1\1\xFF", 9), ReasonCode::payload_format_invalid},
        {ByteView("\x30\x08\0\1a\4\x08\0\1#", 10), ReasonCode::protocol_error
        }, // response topic with a wildcard
    };
    for (const Row& row : rows) {
        Bench bench;
        Peer peer(bench);
        peer.join("p");
        peer.raw(row.bytes);
        INFO(to_hex(row.bytes));
        CHECK(peer.goodbye() == row.reason);
    }
    Bench bench;
    Peer peer(bench);
    peer.raw(ByteView("\x10\x11\0\4MQTT\5\2\0\0\3\x21\0\0\0\1p", 19));
    CHECK(peer.connack().reason == ReasonCode::protocol_error);
}

TEST_CASE("[B-29] topics and filters of very many levels are refused in PUBLISH, SUBSCRIBE and will") {
    const std::string deep(1'000, '/');
    const std::string slashes(65'535, '/');
    const std::string fits(127, '/');
    for (const ProtocolVersion version : both) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p");
        peer.publish(fits, "x");
        CHECK_FALSE(peer.is_closed());
        CHECK(peer.subscribe(fits) == ReasonCode::granted_qos0);
        CHECK(is_failure(peer.subscribe(fits + "/")));
        CHECK(is_failure(peer.subscribe(deep)));
        CHECK(is_failure(peer.subscribe(slashes)));
        peer.publish(fits + "/", "x");
        CHECK(peer.is_closed());
        Peer other(bench, version);
        other.join("o");
        other.publish(slashes, "x");
        CHECK(other.is_closed());
        Peer will(bench, version);
        Connect packet;
        packet.client_id = "w";
        packet.will = message(deep, "x");
        will.connect(packet);
        CHECK(will.is_closed());
        CHECK(bench.broker.publish(message(deep, "x"), bench.host.now) == 0);
    }
}

TEST_CASE("[B-35] every topic of length 0 to 2 in PUBLISH, SUBSCRIBE and will is survived") {
    Bench bench;
    Peer watcher(bench);
    watcher.join("w");
    watcher.subscribe("#");
    std::size_t accepted = 0;
    for (int n = -1; n < 65'536; n += n < 256 ? 1 : 7) {
        std::string topic;
        if (n >= 0)
            topic += static_cast<char>(n & 0xFF);
        if (n >= 256)
            topic += static_cast<char>(n >> 8);
        Peer peer(bench);
        Connect packet;
        packet.client_id = "p";
        packet.will = message(topic, "will");
        peer.connect(packet);
        if (!peer.is_closed()) {
            peer.publish(topic, "x");
            CHECK_FALSE(peer.is_closed());
            ++accepted;
            peer.cut();
        } else {
            Peer plain(bench);
            plain.join("q");
            plain.publish(topic, "x");
            CHECK(plain.is_closed());
        }
        Peer subscriber(bench);
        subscriber.join("s");
        bench.host.out.erase(subscriber.id());
        Subscribe wanted;
        wanted.packet_id = 1;
        wanted.filters.push_back(wanted_at(topic));
        Bytes bytes;
        encode_subscribe(bytes, wanted, ProtocolVersion::v5);
        subscriber.raw(bytes);
        subscriber.cut();
    }
    CHECK(accepted > 100);
    while (!watcher.is_quiet())
        CHECK_FALSE(watcher.message().topic.starts_with("$"));
}

TEST_CASE("[B-56] text that is no MQTT text stops at the door, from clients and from the host") {
    const std::string bad[] = {
        "\xC0\xAF",
        "\xED\xA0\x80",
        "\xF4\x90\x80\x80",
        std::string("a\0b", 3),
        "\xEF\xBF\xBE",
        "\xF8\x88\x80\x80\x80",
        "\xE2\x82"
    };
    for (const std::string& text : bad) {
        Bench bench;
        Peer watcher(bench);
        watcher.join("w");
        watcher.subscribe("#");
        Peer topic(bench);
        topic.join("t");
        topic.publish("a/" + text, "x");
        CHECK(topic.is_closed());
        Peer property(bench);
        property.join("u");
        Publish packet;
        packet.topic = "a";
        packet.user_properties = {{"k", text}};
        property.publish(packet);
        CHECK(property.goodbye() == ReasonCode::malformed_packet);
        CHECK(bench.broker.publish(message("a/" + text, "x"), bench.host.now) == 0);
        auto made = std::make_shared<Message>();
        made->topic = "a";
        made->user_properties = {{text, "v"}};
        CHECK(bench.broker.publish(made, bench.host.now) == 0);
        CHECK_FALSE(bench.broker.deliver("w", made, bench.host.now));
        CHECK(bench.host.dropped["invalid"] == 3);
        CHECK(watcher.is_quiet());
    }
}

TEST_CASE("[B-36] overlapping subscriptions deliver once, with all identifiers; their number is bounded") {
    BrokerLimits limits;
    limits.subscriptions_max = 5;
    Bench bench(limits);
    Peer peer(bench);
    peer.join("p");
    CHECK(peer.subscribe("a/b", 0, 1) == ReasonCode::granted_qos0);
    CHECK(peer.subscribe("a/+", 1, 2) == ReasonCode::granted_qos1);
    CHECK(peer.subscribe("a/#", 2, 3) == ReasonCode::granted_qos2);
    CHECK(peer.subscribe("#", 0) == ReasonCode::granted_qos0);
    CHECK(peer.subscribe("x", 0) == ReasonCode::granted_qos0);
    CHECK(peer.subscribe("y", 0) == ReasonCode::quota_exceeded);
    CHECK(peer.subscribe("x", 1) == ReasonCode::granted_qos1);
    CHECK(bench.broker.publish(message("a/b", "m", 2), bench.host.now) == 1);
    const Publish got = peer.message();
    CHECK(got.qos == 2);
    CHECK(
        std::multiset<std::uint32_t>(got.subscription_ids.begin(), got.subscription_ids.end()) ==
        std::multiset<std::uint32_t>{1, 2, 3}
    );
    CHECK(peer.is_quiet());
    peer.unsubscribe("y");
    peer.unsubscribe("x");
    const auto missing = decode_unsuback(peer.take(PacketType::unsuback).frame(), ProtocolVersion::v5, {});
    CHECK(missing->reasons[0] == ReasonCode::no_subscription_existed);
    const auto gone = decode_unsuback(peer.take(PacketType::unsuback).frame(), ProtocolVersion::v5, {});
    CHECK(gone->reasons[0] == ReasonCode::success);
    CHECK(peer.subscribe("y", 0) == ReasonCode::granted_qos0);
}

TEST_CASE("[F-49] subscription ids 0, the largest and one too large; a thousand that overlap") {
    Bench bench;
    Peer big(bench);
    big.join("p");
    CHECK(big.subscribe("a", 0, 268'435'455) == ReasonCode::granted_qos0);
    bench.broker.publish(message("a", "x"), bench.host.now);
    CHECK(big.message().subscription_ids == std::vector<std::uint32_t>{268'435'455});
    big.raw(ByteView("\x82\x09\0\1\2\x0B\0\0\1a\0", 11));
    CHECK(big.goodbye() == ReasonCode::protocol_error);
    Peer five_bytes(bench);
    five_bytes.join("p");
    five_bytes.raw(ByteView("\x82\x0D\0\1\6\x0B\xFF\xFF\xFF\xFF\x01\0\1a\0", 15));
    CHECK(five_bytes.goodbye() == ReasonCode::malformed_packet);

    // 2^9 filters over nine levels all match one topic.
    Peer many(bench);
    many.join("m");
    for (std::uint32_t n = 0; n < 512; ++n) {
        std::string filter;
        for (int level = 0; level < 9; ++level)
            filter += (level == 0 ? "" : "/") + std::string((n >> level & 1) != 0 ? "+" : "l");
        many.subscribe(filter, 0, n + 1);
    }
    CHECK(bench.broker.publish(message("l/l/l/l/l/l/l/l/l", "x"), bench.host.now) == 1);
    CHECK(many.message().subscription_ids.size() == 512);
    CHECK(many.is_quiet());
}

TEST_CASE("[B-37] a client id is a name and never a pattern") {
    Bench bench;
    Peer victim(bench);
    victim.join("device");
    victim.subscribe("d/device", 1);
    for (const char* id : {"#", "+", "$share/g/x", "%c", "..", "a/b", "device/#"}) {
        Peer peer(bench);
        CHECK(peer.join(id).reason == ReasonCode::success);
        CHECK_FALSE(victim.is_closed());
        CHECK(bench.broker.subscribed_qos(id, "d/device") == -1);
        CHECK_FALSE(bench.broker.deliver("#x", message("d", "x"), bench.host.now));
        bench.broker.kick(id, ReasonCode::administrative_action, true, bench.host.now);
        CHECK_FALSE(victim.is_closed());
    }
    CHECK(bench.broker.online("device"));
}

TEST_CASE("[B-38] permission to subscribe is asked for the filter itself, shared or not") {
    for (const char* filter : {"a/b", "a/+", "#", "secret/#", "secret"}) {
        for (const char* prefix : {"", "$share/g/", "$share/secret/", "$queue/"}) {
            Bench bench;
            bench.host.permit = [](const ConnView&, Action action, std::string_view topic) {
                return action != Action::subscribe || (topic.starts_with("a/") && !topic.starts_with("$"));
            };
            Peer peer(bench);
            peer.join("p");
            const ReasonCode reason = peer.subscribe(std::string(prefix) + filter);
            const bool is_allowed = std::string_view(filter).starts_with("a/");
            CHECK(reason == (is_allowed ? ReasonCode::granted_qos0 : ReasonCode::not_authorized));
            REQUIRE(bench.host.asked.size() == 1);
            CHECK(bench.host.asked[0].second == filter);
            CHECK(bench.broker.stats().subscriptions == (is_allowed ? 1u : 0u));
        }
    }
    Bench bench;
    bench.host.permit = [](const ConnView&, Action, std::string_view) { return false; };
    Peer four(bench, ProtocolVersion::v311);
    four.join("4");
    CHECK(four.subscribe("a") == ReasonCode::unspecified_error);
}

TEST_CASE("wildcard subscriptions that are not available are refused with 0xA2") {
    Bench bench;
    bench.host.prototype.wildcard_available = false;
    Peer peer(bench);
    CHECK_FALSE(peer.join("p").wildcard_available);
    CHECK(peer.subscribe("a/+") == ReasonCode::wildcard_subscriptions_not_supported);
    CHECK(peer.subscribe("a/b") == ReasonCode::granted_qos0);
}

TEST_CASE("subscription identifiers that are not available end the connection with 0xA1") {
    Bench bench;
    bench.host.prototype.subscription_ids_available = false;
    Peer peer(bench);
    CHECK_FALSE(peer.join("p").subscription_ids_available);
    CHECK(peer.subscribe("a") == ReasonCode::granted_qos0);
    Subscribe packet;
    packet.packet_id = 9;
    packet.subscription_id = 3;
    packet.filters.push_back(wanted_at("b", 0));
    Bytes bytes;
    encode_subscribe(bytes, packet, ProtocolVersion::v5);
    peer.raw(bytes);
    CHECK(peer.goodbye() == ReasonCode::subscription_identifiers_not_supported);
    CHECK(bench.broker.stats().subscriptions == 0);
}

TEST_CASE("no local keeps a client's own messages from it; with a shared subscription it is an error") {
    Bench bench;
    Peer peer(bench);
    peer.join("p");
    SubscribeFilter wanted = wanted_at("a", 1);
    wanted.no_local = true;
    peer.subscribe({wanted});
    peer.publish("a", "own");
    CHECK(peer.is_quiet());
    Peer other(bench);
    other.join("o");
    other.publish("a", "other");
    CHECK(peer.message().payload == "other");
    // A second, overlapping subscription without it still gets the message.
    peer.subscribe("+");
    peer.publish("a", "both");
    CHECK(peer.message().payload == "both");
    wanted.filter = "$share/g/a";
    peer.subscribe({wanted});
    CHECK(peer.goodbye() == ReasonCode::protocol_error);
}

TEST_CASE("an AUTH exchange is not offered: CONNECT with a method is refused with 0x8C") {
    Bench bench;
    Peer peer(bench);
    Connect packet;
    packet.client_id = "p";
    packet.has_auth_method = true;
    packet.auth_method = "SCRAM-SHA-1";
    CHECK(peer.join(packet).reason == ReasonCode::bad_authentication_method);
    CHECK(bench.host.connects == 0);
}

TEST_CASE("[B-04] [B-21] random packet sequences never break the broker and leave nothing behind") {
    SeededRandom random(21);
    for (int round = 0; round < 400; ++round) {
        BrokerLimits limits;
        limits.session_expiry_s_max = 60;
        Bench bench(limits);
        std::vector<std::unique_ptr<Peer>> peers;
        for (int i = 0; i < 4; ++i) {
            const ProtocolVersion version = both[random.below(2)];
            peers.push_back(std::make_unique<Peer>(bench, version));
        }
        for (int step = 0; step < 60; ++step) {
            const std::size_t n = random.below(peers.size());
            Peer& peer = *peers[n];
            switch (random.below(8)) {
            case 0: {
                Connect packet;
                const std::string id = "c" + std::to_string(random.below(3));
                packet.client_id = id;
                packet.clean_start = random.below(2) == 0;
                packet.session_expiry_s = static_cast<std::uint32_t>(random.below(3) * 5);
                if (random.below(3) == 0)
                    packet.will = message("w", "w", static_cast<std::uint8_t>(random.below(3)));
                peer.connect(packet);
                break;
            }
            case 1:
                peer.cut();
                peers[n] = std::make_unique<Peer>(bench, both[random.below(2)]);
                break;
            case 2:
                peer.publish(
                    "a",
                    "x",
                    static_cast<std::uint8_t>(random.below(3)),
                    static_cast<std::uint16_t>(1 + random.below(3)),
                    random.below(4) == 0
                );
                break;
            case 3:
                bench.broker.congested(peer.id(), random.below(2) == 0, bench.host.now);
                break;
            case 4:
                bench.advance(std::chrono::seconds{random.below(4)});
                break;
            case 5:
                peer.raw(random_sample(random).bytes);
                break;
            case 6:
                bench.broker.kick(
                    "c" + std::to_string(random.below(3)),
                    ReasonCode::banned,
                    random.below(2) == 0,
                    bench.host.now
                );
                break;
            default: {
                Subscribe packet;
                packet.packet_id = 1;
                packet.filters = {wanted_at(random.below(2) == 0 ? "a" : "#", 2)};
                Bytes bytes;
                encode_subscribe(bytes, packet, peer.version());
                peer.raw(bytes);
            }
            }
        }
        for (const auto& peer : peers)
            peer->cut();
        bench.advance(std::chrono::seconds{100});
        CHECK(bench.broker.stats().sessions == 0);
        CHECK(bench.broker.stats().connections == 0);
        CHECK(bench.broker.stats().subscriptions == 0);
        CHECK(bench.broker.stats().queued == 0);
        CHECK(bench.host.ups.size() == bench.host.downs.size());
    }
}
