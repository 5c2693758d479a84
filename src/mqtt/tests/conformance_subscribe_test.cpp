// Conformance, sections 3.8 to 3.11: SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK.

#include "mqtt/tests/conformance.h"

#include <algorithm>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

Unsuback unsubscribe(Peer& peer, const std::vector<std::string>& filters, std::uint16_t id = 9) {
    Raw packet;
    packet.u16(id).properties(peer.version());
    for (const std::string& filter : filters)
        packet.text(filter);
    peer.raw(packet.packet(0xA2));
    const auto answer = decode_unsuback(peer.take(PacketType::unsuback).frame(), peer.version(), {});
    REQUIRE(answer.has_value());
    CHECK(answer->packet_id == id);
    return {answer->packet_id, answer->reasons, {}, {}};
}

} // namespace

TEST_CASE(
    "[MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT3-3.8.3-3] SUBSCRIBE and UNSUBSCRIBE without a filter are errors"
) {
    for (const ProtocolVersion version : both_versions) {
        for (const unsigned first_byte : {0x82u, 0xA2u}) {
            Bench bench;
            Peer peer(bench, version);
            peer.join("p");
            peer.raw(Raw().u16(1).properties(version).packet(first_byte));
            check_ended(peer, ReasonCode::protocol_error);
        }
    }
}

TEST_CASE("[MQTT-3.8.3-1] [MQTT-3.10.3-1] filters are text, and one that is cut off is malformed") {
    for (const ProtocolVersion version : both_versions) {
        for (const bool is_subscribe : {true, false}) {
            for (const std::string& filter :
                 {std::string("\xC3\xA9/+"), std::string("\xFF"), std::string("a\0", 2)}) {
                Raw packet;
                packet.u16(1).properties(version).text(filter);
                if (is_subscribe)
                    packet.u8(0);
                Bench bench;
                Peer peer(bench, version);
                peer.join("p");
                peer.raw(packet.packet(is_subscribe ? 0x82 : 0xA2));
                if (filter.size() == 4) {
                    CHECK_FALSE(peer.is_closed());
                } else {
                    check_ended(peer, ReasonCode::malformed_packet);
                }
            }
            Bench bench;
            Peer peer(bench, version);
            peer.join("p");
            peer.raw(Raw()
                         .u16(1)
                         .properties(version)
                         .bytes(ByteView("\0\5a", 3))
                         .packet(is_subscribe ? 0x82 : 0xA2));
            check_ended(peer, ReasonCode::malformed_packet);
        }
    }
}

TEST_CASE(
    "[MQTT-3.8.3-5] [MQTT3-3.8.3-4] of all 256 option bytes those with reserved bits, QoS 3 or handling 3 "
    "are refused"
) {
    for (const ProtocolVersion version : both_versions) {
        for (unsigned options = 0; options < 256; ++options) {
            Bench bench;
            Peer peer(bench, version);
            peer.join("p");
            peer.raw(Raw().u16(1).properties(version).text("a").u8(options).packet(0x82));
            const bool has_reserved = (options & (is_v5(version) ? 0xC0u : 0xFCu)) != 0;
            const bool is_good = !has_reserved && (options & 3) != 3 && (options >> 4 & 3) != 3;
            INFO(options);
            CHECK(peer.is_closed() == !is_good);
            CHECK(bench.broker.stats().subscriptions == (is_good ? 1u : 0u));
            if (!is_good && is_v5(version)) {
                const ReasonCode reason = peer.goodbye();
                CHECK((reason == ReasonCode::malformed_packet || reason == ReasonCode::protocol_error));
            }
        }
    }
}

TEST_CASE(
    "[MQTT-3.8.3-3] [MQTT-3.8.3-4] no local: not to the connection that published, and never with a share"
) {
    for (const bool no_local : {false, true}) {
        for (const bool is_shared : {false, true}) {
            Bench bench;
            Peer peer(bench);
            peer.join("p");
            Peer other(bench);
            other.join("o");
            SubscribeFilter wanted = wanting(is_shared ? "$share/g/a" : "a", 1);
            wanted.no_local = no_local;
            peer.subscribe({wanted});
            if (no_local && is_shared) {
                check_ended(peer, ReasonCode::protocol_error);
                CHECK(bench.broker.stats().subscriptions == 0);
                continue;
            }
            peer.publish("a", "own");
            CHECK(peer.is_quiet() == no_local);
            if (!no_local)
                CHECK(peer.message().payload == "own");
            other.publish("a", "other");
            CHECK(peer.message().payload == "other");
        }
    }
}

TEST_CASE("[MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] many "
          "filters, one SUBACK, an answer for each in their order") {
    for (const ProtocolVersion version : both_versions) {
        BrokerLimits limits;
        limits.topic_bytes_max = 20;
        Bench bench(limits);
        bench.host.prototype.qos_max = 1;
        bench.host.permit = [](const ConnView&, Action, std::string_view topic) { return topic != "no"; };
        Peer peer(bench, version);
        peer.join("p");
        const std::string too_long(21, 'x');
        const std::vector<ReasonCode> reasons = peer.subscribe(
            {wanting("a", 0), wanting("no", 1), wanting("b", 1), wanting(too_long, 0), wanting("c", 2)},
            0,
            4'711
        );
        using R = ReasonCode;
        if (is_v5(version)) {
            CHECK(
                reasons ==
                std::vector<R>{
                    R::granted_qos0,
                    R::not_authorized,
                    R::granted_qos1,
                    R::topic_filter_invalid,
                    R::granted_qos1
                }
            );
        } else {
            CHECK(
                reasons ==
                std::vector<R>{
                    R::granted_qos0,
                    R::unspecified_error,
                    R::granted_qos1,
                    R::unspecified_error,
                    R::granted_qos1
                }
            );
        }
        CHECK(peer.is_quiet());
        CHECK(bench.broker.stats().subscriptions == 3);
        for (const char* topic : {"a", "b", "c", "no"})
            bench.broker.publish(message(topic, topic), bench.host.now);
        for (const char* topic : {"a", "b", "c"})
            CHECK(peer.message().topic == topic);
        CHECK(peer.is_quiet());
        // The same filter twice is a sequence too: the last one holds.
        CHECK(
            peer.subscribe({wanting("d", 1), wanting("d", 0)}) ==
            std::vector<R>{R::granted_qos1, R::granted_qos0}
        );
        bench.broker.publish(message("d", "x", 1), bench.host.now);
        CHECK(peer.message().qos == 0);
        CHECK(peer.is_quiet());
    }
}

TEST_CASE("[MQTT-3.8.4-3] [MQTT-3.8.4-4] [MQTT3-3.8.4-3] subscribing again replaces: one copy, new options, "
          "retained messages again, none lost") {
    for (const ProtocolVersion version : both_versions) {
        BrokerLimits limits;
        limits.inflight_count_max = 1;
        limits.window_count_max = 1;
        Bench bench(limits);
        bench.broker.publish(message("a", "retained", 2, true), bench.host.now);
        Peer peer(bench, version);
        peer.join("p");
        const std::uint32_t is_counted = is_v5(version) ? 1 : 0;
        peer.subscribe("a", 1, is_counted * 3);
        const Publish kept = peer.message();
        CHECK(kept.qos == 1);
        bench.broker.publish(message("a", "waits", 1), bench.host.now);
        CHECK(peer.is_quiet());
        const std::uint16_t id = kept.packet_id;
        peer.subscribe("a", 0, is_counted * 4);
        CHECK(bench.broker.stats().subscriptions == 1);
        peer.ack(PacketType::puback, id);
        std::vector<std::string> got;
        for (int turn = 0; turn < 10; ++turn) {
            while (!peer.is_quiet()) {
                const Publish one = peer.message();
                got.emplace_back(one.payload);
                if (one.qos == 1)
                    peer.ack(PacketType::puback, one.packet_id);
            }
            bench.advance(std::chrono::milliseconds{20});
        }
        std::sort(got.begin(), got.end());
        CHECK(got == std::vector<std::string>{"retained", "waits"});
        bench.broker.publish(message("a", "new", 2), bench.host.now);
        const Publish fresh = peer.message();
        CHECK(fresh.qos == 0);
        if (is_v5(version))
            CHECK(fresh.subscription_ids == std::vector<std::uint32_t>{4});
        CHECK(peer.is_quiet());
    }
}

TEST_CASE("[MQTT-3.8.4-8] [MQTT3-3.8.4-6] a message goes out at the lower of its QoS and the granted one, "
          "retained ones too") {
    for (const ProtocolVersion version : both_versions) {
        for (const std::uint8_t published : {0, 1, 2}) {
            for (const std::uint8_t granted : {0, 1, 2}) {
                Bench bench;
                bench.broker.publish(message("a", "retained", published, true), bench.host.now);
                Peer peer(bench, version);
                peer.join("p");
                CHECK(static_cast<int>(peer.subscribe("a", granted)) == granted);
                CHECK(peer.message().qos == std::min(published, granted));
                bench.broker.publish(message("a", "live", published), bench.host.now);
                CHECK(peer.message().qos == std::min(published, granted));
            }
        }
    }
}

TEST_CASE("[MQTT-3.9.3-2] [MQTT3-3.9.3-2] every refusal of a filter has a code of SUBACK's table") {
    for (const ProtocolVersion version : both_versions) {
        BrokerLimits limits;
        limits.topic_bytes_max = 20;
        limits.topic_levels_max = 3;
        limits.subscriptions_max = 1;
        Bench bench(limits);
        bench.host.prototype.wildcard_available = false;
        bench.host.permit = [](const ConnView&, Action, std::string_view topic) { return topic != "no"; };
        Peer peer(bench, version);
        peer.join("p");
        peer.subscribe("room for one");
        const std::string refused[] = {
            "one more", "no", "a/+", "a/b/c/d", std::string(21, 'x'), "$share/g/a"
        };
        for (const std::string& filter : refused) {
            peer.raw(Raw().u16(1).properties(version).text(filter).u8(1).packet(0x82));
            const Received answer = peer.take(PacketType::suback);
            const unsigned code = static_cast<unsigned char>(answer.body.back());
            INFO(filter, " ", code);
            const std::set<unsigned> table = {0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2};
            CHECK((is_v5(version) ? table.contains(code) : code == 0x80));
        }
        CHECK(bench.broker.stats().subscriptions == 1);
    }
}

TEST_CASE("[MQTT3-3.8.3-2] where wildcards are not available, filters with one are refused, others are not") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        bench.host.prototype.wildcard_available = false;
        Peer peer(bench, version);
        peer.join("p");
        for (const char* filter : {"#", "a/+", "+/a", "a/#"})
            CHECK(is_failure(peer.subscribe(filter)));
        CHECK(peer.subscribe("a/b", 1) == ReasonCode::granted_qos1);
        CHECK(bench.broker.stats().subscriptions == 1);
    }
}

TEST_CASE("[MQTT-3.10.4-1] UNSUBSCRIBE compares filters byte by byte and deletes what is equal") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p");
        for (const char* filter : {"a/+", "a/b", "\xC3\xA9", "$share/g/a/b"})
            peer.subscribe(filter);
        for (const char* filter :
             {"a/#", "#", "A/b", "a/b/", "/a/b", "a//b", "e\xCC\x81", "$share/h/a/b", "a"}) {
            unsubscribe(peer, {filter});
            CHECK(bench.broker.stats().subscriptions == 4);
        }
        unsubscribe(peer, {"a/b"});
        CHECK(bench.broker.stats().subscriptions == 3);
        bench.broker.publish(message("a/b", "x"), bench.host.now); // by a/+ and by the share
        CHECK(peer.message().topic == "a/b");
        CHECK(peer.message().topic == "a/b");
        unsubscribe(peer, {"a/+"});
        unsubscribe(peer, {"$share/g/a/b"});
        bench.broker.publish(message("a/b", "x"), bench.host.now);
        CHECK(peer.is_quiet());
        unsubscribe(peer, {"\xC3\xA9"});
        CHECK(bench.broker.stats().subscriptions == 0);
    }
}

TEST_CASE(
    "[MQTT-3.10.4-2] [MQTT-3.10.4-3] after UNSUBSCRIBE nothing new comes, and what was begun is completed"
) {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p", false, 100);
        peer.subscribe("a", 2);
        bench.broker.publish(message("a", "one", 1), bench.host.now);
        bench.broker.publish(message("a", "two", 2), bench.host.now);
        const std::uint16_t one = peer.message().packet_id;
        const std::uint16_t two = peer.message().packet_id;
        unsubscribe(peer, {"a"});
        CHECK(bench.broker.publish(message("a", "new", 2), bench.host.now) == 0);
        CHECK(peer.is_quiet());
        peer.ack(PacketType::pubrec, two);
        CHECK(peer.acked(PacketType::pubrel).packet_id == two);
        peer.cut();
        Peer again(bench, version);
        CHECK(again.join("p", false, 100).session_present);
        const Publish got = again.message();
        CHECK(got.packet_id == one);
        CHECK(got.payload == "one");
        again.ack(PacketType::puback, one);
        CHECK(again.acked(PacketType::pubrel).packet_id == two);
        again.ack(PacketType::pubcomp, two);
        CHECK(again.is_quiet());
    }
}

TEST_CASE("[MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] many filters, one "
          "UNSUBACK, an answer for each in their order, also for none") {
    for (const ProtocolVersion version : both_versions) {
        Bench bench;
        Peer peer(bench, version);
        peer.join("p");
        using R = ReasonCode;
        const auto expect = [&](std::vector<R> reasons) {
            return is_v5(version) ? reasons : std::vector<R>{};
        };
        CHECK(
            unsubscribe(peer, {"never", "there"}, 65'535).reasons ==
            expect({R::no_subscription_existed, R::no_subscription_existed})
        );
        for (const char* filter : {"a", "b", "c"})
            peer.subscribe(filter);
        CHECK(
            unsubscribe(peer, {"a", "x", "c", "a"}).reasons ==
            expect({R::success, R::no_subscription_existed, R::success, R::no_subscription_existed})
        );
        CHECK(peer.is_quiet());
        CHECK(bench.broker.stats().subscriptions == 1);
        bench.broker.publish(message("b", "x"), bench.host.now);
        CHECK(peer.message().topic == "b");
    }
}
