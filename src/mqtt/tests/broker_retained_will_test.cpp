// Retained messages and wills.

#include "mqtt/tests/broker_bench.h"
#include "mqtt/topic_filter.h"

#include <algorithm>
#include <memory>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

std::vector<ReasonCode>
subscribe(Peer& peer, std::string_view filter, RetainHandling handling, bool as_published = false) {
    SubscribeFilter wanted;
    wanted.filter = filter;
    wanted.qos = 1;
    wanted.retain_handling = handling;
    wanted.retain_as_published = as_published;
    return peer.subscribe({wanted});
}

Connect
with_will(std::string_view id, std::uint32_t delay_s, std::uint32_t expiry_s, bool clean_start = false) {
    Connect packet;
    packet.client_id = id;
    packet.clean_start = clean_start;
    packet.session_expiry_s = expiry_s;
    packet.will = message("will/" + std::string(id), "gone", 1);
    packet.will_delay_s = delay_s;
    return packet;
}

std::size_t wills(const Bench& bench) {
    std::size_t count = 0;
    for (const auto& p : bench.host.published)
        count += p.message->topic.starts_with("will/") ? 1 : 0;
    return count;
}

} // namespace

TEST_CASE("a retained message greets new subscribers until it is cleared") {
    Bench bench;
    Peer peer(bench);
    peer.join("p");
    peer.publish("a/b", "1", 0, 0, true).publish("a/b", "2", 0, 0, true).publish("a/c", "3", 0, 0, true);
    CHECK(bench.broker.stats().retained == 2);
    Peer five(bench);
    five.join("5");
    five.subscribe("a/b", 1);
    const Publish got = five.message();
    CHECK(got.payload == "2");
    CHECK(got.retain);
    CHECK(five.is_quiet());
    five.subscribe("a/#", 1);
    CHECK(five.message().payload == "2");
    CHECK(five.message().payload == "3");
    peer.publish("a/b", "live", 0, 0, true);
    CHECK_FALSE(five.message().retain);
    peer.publish("a/b", "", 0, 0, true);
    CHECK(five.message().payload.empty());
    CHECK(bench.broker.stats().retained == 1);
}

TEST_CASE("retain handling and retain as published do what they say") {
    Bench bench;
    bench.broker.publish(message("r", "x", 1, true), bench.host.now);
    Peer peer(bench);
    peer.join("p");
    subscribe(peer, "r", RetainHandling::never);
    CHECK(peer.is_quiet());
    subscribe(peer, "r", RetainHandling::send_if_new);
    CHECK(peer.is_quiet());
    subscribe(peer, "r", RetainHandling::send);
    CHECK(peer.message().retain);
    Peer fresh(bench);
    fresh.join("f");
    subscribe(fresh, "r", RetainHandling::send_if_new, true);
    CHECK(fresh.message().retain);
    bench.broker.publish(message("r", "y", 1, true), bench.host.now);
    CHECK(fresh.message().retain);
    CHECK_FALSE(peer.message().retain);
    Peer shared(bench);
    shared.join("s");
    subscribe(shared, "$share/g/r", RetainHandling::send);
    CHECK(shared.is_quiet());
}

TEST_CASE("[B-31] wildcards get no retained dollar topics, exact filters do") {
    Bench bench;
    bench.broker.publish(message("$SYS/x", "s", 0, true), bench.host.now);
    bench.broker.publish(message("a", "a", 0, true), bench.host.now);
    Peer peer(bench);
    peer.join("p");
    peer.subscribe("#");
    CHECK(peer.message().topic == "a");
    CHECK(peer.is_quiet());
    peer.subscribe("+/x");
    CHECK(peer.is_quiet());
    peer.subscribe("$SYS/#");
    CHECK(peer.message().topic == "$SYS/x");
}

TEST_CASE("[B-30] the retained answer to a filter is what the naive matcher says") {
    Bench bench;
    const std::vector<std::string> topics = {
        "a", "a/", "a/b", "a/b/c", "a//c", "ab", "ab/c", "/", "/a", "b", "a/$x", "a0", "a-b", "a/b!"
    };
    for (const std::string& topic : topics)
        bench.broker.publish(message(topic, "x", 0, true), bench.host.now);
    Peer peer(bench);
    peer.join("p");
    for (const char* filter :
         {"#", "a/#", "a/+", "+/+", "a", "a/b/#", "+", "/+", "a//+", "a/b", "+/b/#", "ab/#", "a/+/c"}) {
        peer.subscribe(filter);
        std::set<std::string> got;
        while (!peer.is_quiet())
            got.insert(std::string(peer.message().topic));
        std::set<std::string> expected;
        for (const std::string& topic : topics) {
            if (filter_matches(filter, topic))
                expected.insert(topic);
        }
        CHECK_MESSAGE(got == expected, filter);
    }
}

TEST_CASE("a retained message expires") {
    Bench bench;
    Peer peer(bench);
    peer.join("p");
    Publish packet;
    packet.topic = "e";
    packet.payload = "x";
    packet.retain = true;
    packet.expiry_s = 10;
    peer.publish(packet);
    bench.advance(std::chrono::seconds{4});
    peer.subscribe("e");
    CHECK(peer.message().expiry_s == 6);
    CHECK(bench.broker.stats().retained == 1);
    bench.advance(std::chrono::seconds{8});
    CHECK(bench.broker.stats().retained == 0);
}

TEST_CASE("retained messages are bounded in number and bytes, on both sides") {
    BrokerLimits limits;
    limits.retained_count_max = 2;
    limits.retained_bytes_max = 20;
    Bench bench(limits);
    bench.broker.publish(message("a", "1", 0, true), bench.host.now);
    bench.broker.publish(message("b", "1", 0, true), bench.host.now);
    CHECK(bench.host.dropped.empty());
    bench.broker.publish(message("c", "1", 0, true), bench.host.now);
    CHECK(bench.host.dropped["retained_full"] == 1);
    bench.broker.publish(message("a", std::string(17, 'x'), 0, true), bench.host.now);
    CHECK(bench.host.dropped["retained_full"] == 1);
    bench.broker.publish(message("a", std::string(18, 'x'), 0, true), bench.host.now);
    CHECK(bench.host.dropped["retained_full"] == 2);
    CHECK(bench.broker.stats().retained == 1);
}

TEST_CASE("[B-34] a wildcard over many retained messages comes piece by piece and loses none") {
    BrokerLimits limits;
    limits.queue_count_max = 50;
    Bench bench(limits);
    for (int i = 0; i < 5'000; ++i)
        bench.broker.publish(message("r/" + std::to_string(i), "x", 1, true), bench.host.now);
    Peer peer(bench);
    peer.join("p");
    peer.subscribe("r/#", 1);
    std::set<std::string> got;
    for (int turn = 0; turn < 5'000 && got.size() < 5'000; ++turn) {
        while (!peer.is_quiet()) {
            const Publish one = peer.message();
            got.insert(std::string(one.topic));
            peer.ack(PacketType::puback, one.packet_id);
        }
        bench.advance(std::chrono::milliseconds{11});
    }
    CHECK(got.size() == 5'000);
    CHECK(bench.host.dropped.empty());
}

TEST_CASE("[B-34] many who ask for all retained messages at once have them in turn, and others go on") {
    constexpr std::size_t topics = 2'000;
    constexpr std::size_t askers = 50;
    Bench bench;
    for (std::size_t i = 0; i < topics; ++i)
        bench.broker.publish(message("r/" + std::to_string(i), "x", 0, true), bench.host.now);
    std::vector<std::unique_ptr<Peer>> peers;
    std::vector<std::size_t> got(askers);
    for (std::size_t i = 0; i < askers; ++i) {
        peers.push_back(std::make_unique<Peer>(bench));
        peers.back()->join("p" + std::to_string(i));
        peers.back()->subscribe("r/#", 0);
    }
    const auto read_all = [&] {
        std::size_t sum = 0;
        for (std::size_t i = 0; i < askers; ++i) {
            while (!peers[i]->is_quiet()) {
                CHECK(peers[i]->message().retain);
                ++got[i];
                ++sum;
            }
        }
        return sum;
    };
    // What comes between two turns of the loop does not grow with the number of those who ask.
    CHECK(read_all() <= 1'024);
    CHECK(bench.host.tick_due <= bench.host.now + std::chrono::milliseconds{1});
    for (int step = 0; step < 200; ++step) {
        bench.advance(std::chrono::milliseconds{1});
        CHECK(read_all() <= 1'024);
        const auto [least, most] = std::ranges::minmax(got);
        if (step > 3)
            CHECK(most - least <= 1'024 + 64); // the first one had a turn of its own
    }
    for (const std::size_t count : got)
        CHECK(count == topics);
}

TEST_CASE("[B-12] who leaves in the middle of retained messages leaves nothing behind") {
    BrokerLimits limits;
    limits.queue_count_max = 10;
    Bench bench(limits);
    for (int i = 0; i < 500; ++i)
        bench.broker.publish(message("r/" + std::to_string(i), "x", 1, true), bench.host.now);
    for (int i = 0; i < 100; ++i) {
        Peer peer(bench);
        peer.join("p" + std::to_string(i));
        peer.subscribe("#", 1);
        peer.cut();
    }
    bench.advance(std::chrono::seconds{1});
    CHECK(bench.broker.stats().sessions == 0);
    CHECK(bench.broker.stats().queued == 0);
    CHECK(bench.broker.tick(bench.host.now) >= bench.host.now + std::chrono::milliseconds{500});
}

TEST_CASE(
    "a will is sent after a cut, a protocol error, a kick and DISCONNECT 0x04, not after a plain DISCONNECT"
) {
    for (int how = 0; how < 5; ++how) {
        Bench bench;
        Peer watcher(bench);
        watcher.join("w");
        watcher.subscribe("will/#", 1);
        Peer peer(bench);
        peer.join(with_will("p", 0, 0));
        if (how == 0)
            peer.cut();
        if (how == 1)
            peer.raw(ByteView("\x00\x00", 2));
        if (how == 2)
            bench.broker.kick("p", ReasonCode::administrative_action, false, bench.host.now);
        if (how == 3)
            peer.disconnect(ReasonCode::disconnect_with_will);
        if (how == 4)
            peer.disconnect();
        CHECK(watcher.is_quiet() == (how == 4));
        CHECK(wills(bench) == (how == 4 ? 0u : 1u));
        if (how < 4) {
            CHECK(watcher.message().payload == "gone");
            CHECK(bench.host.published.back().message->origin == "p");
            CHECK(bench.host.published.back().token == 0);
        }
    }
}

TEST_CASE("[B-22] take-over: the will goes out or not as the standard's table says") {
    struct Row {
        std::uint32_t delay_s;
        std::uint32_t expiry_s;
        bool clean_start;
        std::size_t wills_at_once;
    };

    for (const Row& row :
         {Row{0, 0, false, 1},
          Row{0, 0, true, 1},
          Row{0, 100, false, 1},
          Row{0, 100, true, 1},
          Row{10, 0, false, 1},
          Row{10, 0, true, 1},
          Row{10, 100, false, 0},
          Row{10, 100, true, 1}}) {
        Bench bench;
        Peer first(bench);
        first.join(with_will("p", row.delay_s, row.expiry_s, true));
        Peer second(bench);
        Connect packet;
        packet.client_id = "p";
        packet.clean_start = row.clean_start;
        packet.session_expiry_s = 100;
        second.join(packet);
        INFO(row.delay_s, " ", row.expiry_s, " ", row.clean_start);
        CHECK(wills(bench) == row.wills_at_once);
        bench.advance(std::chrono::seconds{200});
        CHECK(wills(bench) == row.wills_at_once);
    }
}

TEST_CASE("[B-23] will delay, session expiry and return in every order") {
    for (const std::uint32_t delay_s : {0u, 5u, 10u, 15u, 0xFFFFFFFFu}) {
        for (const std::uint32_t expiry_s : {0u, 5u, 10u, 15u, 0xFFFFFFFFu}) {
            for (const int back_s : {3, 7, 12, 20, 0}) {
                Bench bench;
                Peer peer(bench);
                peer.join(with_will("p", delay_s, expiry_s, true));
                peer.cut();
                const std::uint32_t due_s = std::min(delay_s, expiry_s);
                if (back_s != 0) {
                    bench.advance(std::chrono::seconds{back_s});
                    CHECK(wills(bench) == (due_s <= static_cast<std::uint32_t>(back_s) ? 1u : 0u));
                    Peer again(bench);
                    Connect packet;
                    packet.client_id = "p";
                    packet.clean_start = false;
                    packet.session_expiry_s = 1'000;
                    CHECK(
                        again.join(packet).session_present == (expiry_s > static_cast<std::uint32_t>(back_s))
                    );
                }
                bench.advance(std::chrono::seconds{30});
                const bool is_due = back_s == 0 ? due_s <= 30 : due_s <= static_cast<std::uint32_t>(back_s);
                INFO(delay_s, " ", expiry_s, " ", back_s);
                CHECK(wills(bench) == (is_due ? 1u : 0u));
            }
        }
    }
}

TEST_CASE("a delayed will goes out at once when its session is ended by force") {
    Bench bench;
    Peer peer(bench);
    peer.join(with_will("p", 50, 100, true));
    peer.cut();
    CHECK(wills(bench) == 0);
    bench.broker.kick("p", ReasonCode::administrative_action, true, bench.host.now);
    CHECK(wills(bench) == 1);
}

TEST_CASE("[B-43] a will asks the host like any PUBLISH: denied goes nowhere") {
    Bench bench;
    bench.host.judge = [](const ConnView&, const MessagePtr&, AckToken) { return Verdict::denied; };
    Peer watcher(bench);
    watcher.join("w");
    watcher.subscribe("#");
    Peer peer(bench);
    peer.join(with_will("p", 0, 0));
    peer.cut();
    CHECK(wills(bench) == 1);
    CHECK(watcher.is_quiet());
}

TEST_CASE("wills the host does not allow are ignored; QoS and retain it does not offer are refused or cut") {
    Bench bench;
    bench.host.prototype.will_allowed = false;
    Peer ignored(bench);
    CHECK(ignored.join(with_will("p", 0, 0)).reason == ReasonCode::success);
    ignored.cut();
    CHECK(wills(bench) == 0);
    bench.host.prototype.will_allowed = true;
    bench.host.prototype.qos_max = 0;
    CHECK(Peer(bench).join(with_will("p", 0, 0)).reason == ReasonCode::qos_not_supported);
    Peer cut(bench, ProtocolVersion::v311);
    CHECK(cut.join(with_will("p", 0, 0)).reason == ReasonCode::success);
    cut.cut();
    CHECK(bench.host.published.back().message->qos == 0);
    bench.host.prototype.qos_max = 2;
    bench.host.prototype.retain_available = false;
    Connect packet = with_will("p", 0, 0);
    packet.will = message("will/p", "x", 0, true);
    CHECK(Peer(bench).join(packet).reason == ReasonCode::retain_not_supported);
}

TEST_CASE("retain without its being available: MQTT 5 is closed with 0x9A, 3.1.1 is served without it") {
    Bench bench;
    bench.host.prototype.retain_available = false;
    Peer five(bench);
    five.join("5");
    five.publish("a", "x", 0, 0, true);
    CHECK(five.goodbye() == ReasonCode::retain_not_supported);
    Peer four(bench, ProtocolVersion::v311);
    four.join("4");
    four.publish("a", "x", 0, 0, true);
    CHECK_FALSE(four.is_closed());
    CHECK(bench.broker.stats().retained == 0);
}

TEST_CASE("a retained message that finds every queue full is taken: sent again it replaces no later one") {
    BrokerLimits limits;
    limits.queue_count_max = 1;
    Bench bench(limits);
    Peer away(bench);
    away.join("away", true, 100);
    away.subscribe("a", 2);
    away.cut();
    Peer publisher(bench);
    publisher.join("publisher", true, 100);
    publisher.publish("a", "fills the queue", 2, 1);
    CHECK(publisher.acked(PacketType::pubrec).reason == ReasonCode::success);
    publisher.publish("a", "refused", 2, 2);
    CHECK(publisher.acked(PacketType::pubrec).reason == ReasonCode::quota_exceeded);
    publisher.publish("a", "older", 2, 3, true).publish("a", "newer", 2, 4, true);
    publisher.cut(); // before it reads an answer
    Peer again(bench);
    CHECK(again.join("publisher", false, 100).session_present);
    again.publish("a", "older", 2, 3, true).publish("a", "newer", 2, 4, true);
    CHECK_FALSE(is_failure(again.acked(PacketType::pubrec).reason));
    CHECK_FALSE(is_failure(again.acked(PacketType::pubrec).reason));
    Peer late(bench);
    late.join("late");
    late.subscribe("a", 0);
    CHECK(late.message().payload == "newer");
    CHECK(bench.host.published.size() == 4); // what came again was known
    CHECK(bench.host.dropped["queue_full"] == 3);
}
