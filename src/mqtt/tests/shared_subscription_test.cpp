// Shared subscriptions: whose turn it is, and who inherits.

#include "mqtt/tests/broker_bench.h"
#include "mqtt/tests/session_log_rig.h"

#include <functional>
#include <set>
#include <string>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

/// What a client gets from here on, all acknowledged.
std::multiset<std::string> taken(Peer& peer) {
    std::multiset<std::string> payloads;
    while (!peer.is_quiet()) {
        const Publish packet = peer.message();
        payloads.insert(std::string(packet.payload));
        CHECK_FALSE(packet.dup); // for this client it is the first time
        if (packet.qos == 1)
            peer.ack(PacketType::puback, packet.packet_id);
    }
    return payloads;
}

} // namespace

TEST_CASE("[F-54] shared subscriptions: one member each in turn, online ones first, kept for one that is away"
) {
    Bench bench;
    Peer one(bench);
    Peer two(bench);
    one.join("1", true, 100);
    two.join("2", true, 100);
    one.subscribe("$share/g/a", 1);
    two.subscribe("$share/g/a", 1);
    Peer plain(bench);
    plain.join("3");
    plain.subscribe("a");
    for (int i = 0; i < 10; ++i)
        CHECK(bench.broker.publish(message("a", "x", 1), bench.host.now) == 2);
    int first = 0;
    int second = 0;
    while (!one.is_quiet()) {
        one.ack(PacketType::puback, one.message().packet_id);
        ++first;
    }
    while (!two.is_quiet()) {
        two.ack(PacketType::puback, two.message().packet_id);
        ++second;
    }
    CHECK(first == 5);
    CHECK(second == 5);
    one.cut();
    for (int i = 0; i < 4; ++i)
        bench.broker.publish(message("a", "y", 1), bench.host.now);
    for (int i = 0; i < 4; ++i)
        CHECK(two.message().payload == "y");
    two.cut();
    CHECK(bench.broker.publish(message("a", "zero", 0), bench.host.now) == 1); // the plain one
    CHECK(bench.broker.publish(message("a", "kept", 1), bench.host.now) == 2);
    CHECK(bench.broker.stats().queued == 1);
}

TEST_CASE("[F-54] what a member had not taken when its session ended goes to another member") {
    BrokerLimits limits;
    limits.inflight_count_max = 2;
    limits.window_count_max = 2;
    Bench bench(limits);
    Peer dying(bench);
    dying.join("dying", true, 60);
    dying.subscribe("$share/g/t/+", 2);
    for (const char* text : {"1", "2", "3", "4"})
        CHECK(bench.broker.publish(message("t/a", text, 1), bench.host.now) == 1);
    CHECK(dying.message().payload == "1"); // two are on their way, two wait
    CHECK(dying.message().payload == "2");
    dying.ack(PacketType::puback, 1);
    CHECK(dying.message().payload == "3");
    CHECK(dying.is_quiet());

    Peer heir(bench);
    heir.join("heir");
    heir.subscribe("$share/g/t/+", 1);
    Peer stranger(bench);
    stranger.join("stranger");
    stranger.subscribe({{"$share/other/t/+", 1, false, false, RetainHandling::send}});
    dying.cut();
    CHECK(heir.is_quiet()); // it may come back
    bench.advance(std::chrono::seconds{61});
    CHECK(taken(heir) == std::multiset<std::string>{"2", "3", "4"});
    CHECK(stranger.is_quiet());
    CHECK(bench.host.dropped.empty());
    CHECK(bench.broker.stats().queued == 0);
}

TEST_CASE("[F-54] [MQTT-4.8.2-5] QoS 2 that was begun is not handed over, QoS 2 that waited is") {
    BrokerLimits limits;
    limits.inflight_count_max = 1;
    limits.window_count_max = 1;
    Bench bench(limits);
    Peer dying(bench);
    dying.join("dying");
    dying.subscribe("$share/g/t", 2);
    bench.broker.publish(message("t", "begun", 2), bench.host.now);
    bench.broker.publish(message("t", "waiting", 2), bench.host.now);
    Peer heir(bench);
    heir.join("heir");
    heir.subscribe("$share/g/t", 2);
    dying.cut(); // its session ends with it
    CHECK(taken(heir) == std::multiset<std::string>{"waiting"});
    CHECK(bench.host.dropped["no_session"] == 1);
}

TEST_CASE("[F-54] without another member what is left is counted, also when it expired meanwhile") {
    Bench bench;
    Peer last(bench);
    last.join("last", true, 60);
    last.subscribe("$share/g/t", 1);
    last.cut();
    auto brief = std::make_shared<Message>(*message("t", "brief", 1));
    brief->expiry_s = 10;
    brief->accepted = bench.host.now;
    bench.broker.publish(brief, bench.host.now);
    bench.broker.publish(message("t", "lasting", 1), bench.host.now);
    bench.advance(std::chrono::seconds{61});
    CHECK(bench.host.dropped["expired"] == 1);
    CHECK(bench.host.dropped["no_session"] == 1);
}

TEST_CASE("[F-54] a member of two groups leaves each its own copy") {
    Bench bench;
    Peer dying(bench);
    dying.join("dying", true, 60);
    dying.subscribe("$share/g/t", 1);
    dying.subscribe("$share/h/+", 1);
    dying.cut();
    bench.broker.publish(message("t", "x", 1), bench.host.now);
    Peer g(bench);
    g.join("g");
    g.subscribe("$share/g/t", 1);
    Peer h(bench);
    h.join("h");
    h.subscribe("$share/h/+", 1);
    bench.broker.kick("dying", ReasonCode::administrative_action, true, bench.host.now);
    CHECK(taken(g) == std::multiset<std::string>{"x"});
    CHECK(taken(h) == std::multiset<std::string>{"x"});
}

TEST_CASE("[F-54] [F-05] what is handed over is kept for a member that is away, before and after a restart") {
    KeptRig rig;
    rig.start();
    {
        Peer dying(*rig.bench);
        join_kept(rig, dying, "dying", false, 60);
        subscribe_kept(rig, dying, "$share/g/t", 1);
        Peer heir(*rig.bench);
        join_kept(rig, heir, "heir");
        rig.broker().publish(message("t", "one", 1), rig.host().now);
        rig.broker().publish(message("t", "two", 1), rig.host().now);
        rig.run();
        subscribe_kept(rig, heir, "$share/g/t", 1);
    }
    rig.restart(); // the dying one's messages are shared ones after it too
    rig.pass(std::chrono::seconds{62});
    rig.restart();
    Peer heir(*rig.bench);
    CHECK(join_kept(rig, heir, "heir").session_present);
    CHECK(taken(heir) == std::multiset<std::string>{"one", "two"});
}

namespace {

/// "dying" is away and holds "promised", which is on disk; "heir" is away too and has the same share.
void leave_to_heir(KeptRig& rig, std::uint32_t expiry_s) {
    rig.start();
    Peer dying(*rig.bench);
    join_kept(rig, dying, "dying", false, expiry_s);
    subscribe_kept(rig, dying, "$share/g/t", 1);
    Peer heir(*rig.bench);
    join_kept(rig, heir, "heir");
    dying.cut();
    rig.broker().publish(message("t", "promised", 1), rig.host().now);
    rig.run();
    subscribe_kept(rig, heir, "$share/g/t", 1);
    heir.cut();
    rig.run();
}

void fail_all(KeptRig& rig, io::DiskOp op) {
    rig.disk().add_fault({.kind = io::DiskFault::Kind::io_error, .op = op, .times = 1'000'000});
}

/// The journal notices that the disk fails.
void notice_failure(KeptRig& rig) {
    Peer tries(*rig.bench);
    tries.join("tries", true, 0);
    tries.publish("r", "x", 1, 1, true); // retained
    rig.run();
    REQUIRE(rig.log->stats().is_failing);
}

std::multiset<std::string> left_to_heir(KeptRig& rig) {
    Peer heir(*rig.bench);
    CHECK(join_kept(rig, heir, "heir").session_present);
    return taken(heir);
}

void heal(KeptRig& rig) {
    rig.disk().clear_faults();
    rig.pass(std::chrono::seconds{10});
    REQUIRE_FALSE(rig.log->stats().is_failing);
}

} // namespace

TEST_CASE("[F-54] a disk that fails while a session ends does not take from others what it leaves to them") {
    using End = std::function<void(KeptRig&)>;
    const End ends[] = {
        [](KeptRig& rig) { rig.pass(std::chrono::seconds{20}); },
        [](KeptRig& rig) {
            rig.broker().kick("dying", ReasonCode::administrative_action, true, rig.host().now);
            rig.pass(std::chrono::seconds{2});
        },
        [](KeptRig& rig) {
            Peer anew(*rig.bench);
            CHECK(is_failure(join_kept(rig, anew, "dying", true).reason));
            rig.pass(std::chrono::seconds{2});
        },
    };
    for (std::size_t way = 0; way < std::size(ends); ++way) {
        for (const bool is_noticed : {false, true}) {
            CAPTURE(way);
            CAPTURE(is_noticed);
            KeptRig rig;
            leave_to_heir(rig, 5);
            fail_all(rig, io::DiskOp::sync);
            if (is_noticed)
                notice_failure(rig);
            ends[way](rig);
            CHECK(rig.log->stats().is_failing);
            heal(rig);
            rig.restart();
            CHECK(left_to_heir(rig) == std::multiset<std::string>{"promised"});
        }
    }
}

TEST_CASE("[F-54] [F-05] what is handed over and never written is with its first session after a power cut") {
    KeptRig rig;
    leave_to_heir(rig, 60);
    fail_all(rig, io::DiskOp::write);
    rig.broker().kick("dying", ReasonCode::administrative_action, true, rig.host().now);
    rig.pass(std::chrono::seconds{2});
    CHECK(rig.broker().stats().sessions == 1);
    rig.power_cut(io::CutMode::lose_all);
    rig.disk().clear_faults();
    rig.start();
    CHECK(rig.broker().stats().sessions == 2);
    rig.pass(std::chrono::seconds{62});
    CHECK(left_to_heir(rig) == std::multiset<std::string>{"promised"});
}

TEST_CASE("[F-54] what was not safe yet when it was handed over is taken back and refused") {
    KeptRig rig;
    leave_to_heir(rig, 60);
    Peer publisher(*rig.bench);
    publisher.join("publisher");
    fail_all(rig, io::DiskOp::sync);
    publisher.publish("t", "to the dying one", 1, 1).publish("t", "to the heir", 1, 2);
    rig.broker().kick("dying", ReasonCode::administrative_action, true, rig.host().now);
    CHECK(rig.broker().stats().queued == 3);
    rig.pass(std::chrono::seconds{2});
    CHECK(publisher.acked(PacketType::puback).reason == ReasonCode::implementation_specific_error);
    CHECK(publisher.acked(PacketType::puback).reason == ReasonCode::implementation_specific_error);
    CHECK(rig.broker().stats().queued == 1);
    heal(rig);
    CHECK(left_to_heir(rig) == std::multiset<std::string>{"promised"});
}
