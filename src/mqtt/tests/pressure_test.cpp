// What the broker gives up when memory is short, and what it does not. Figures come from outside: here they
// are just levels.

#include "mqtt/tests/broker_bench.h"

#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"
#include "mqtt/internal/session.h"
#include "mqtt/server.h"

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

/// A subscriber of `topic` whose session stays.
void keep_away(Bench& bench, std::string_view client_id, std::string_view topic) {
    Peer peer(bench);
    peer.join(client_id, true, 3'600);
    CHECK(peer.subscribe(topic, 1) == ReasonCode::granted_qos1);
    peer.disconnect();
}

ReasonCode answer_to(Peer& publisher, std::string_view topic, std::uint16_t id) {
    publisher.publish(topic, "x", 1, id);
    return publisher.acked(PacketType::puback).reason;
}

} // namespace

TEST_CASE("[F-88] when memory is short a new client gets 0x89, one whose session was kept comes in") {
    Bench bench;
    keep_away(bench, "kept", "a");
    Peer here(bench);
    here.join("here");
    for (const Pressure level : {Pressure::high, Pressure::critical}) {
        bench.broker.set_pressure(level);
        Peer stranger(bench);
        CHECK(stranger.join("stranger").reason == ReasonCode::server_busy);
        CHECK(stranger.is_closed());
        Peer old(bench, ProtocolVersion::v311);
        CHECK(static_cast<int>(old.join("old-stranger").reason) != 0);
        CHECK(old.is_closed());
        Peer back(bench);
        const Connack answer = back.join("kept", false, 3'600);
        CHECK(answer.reason == ReasonCode::success);
        CHECK(answer.session_present);
        back.disconnect();
        Peer again(bench); // takes over from one that is here
        CHECK(again.join("here").reason == ReasonCode::success);
    }
    CHECK(bench.broker.stats().shed_connects == 4);
    CHECK(bench.broker.stats().opening == 0);
    bench.broker.set_pressure(Pressure::none);
    Peer late(bench);
    CHECK(late.join("stranger").reason == ReasonCode::success);
    CHECK(bench.broker.stats().shed_connects == 4);
}

TEST_CASE("[F-88] a kept session that is over does not open the door when memory is short") {
    Bench bench;
    Peer peer(bench);
    peer.join("brief", true, 5);
    peer.disconnect();
    bench.broker.set_pressure(Pressure::high);
    bench.host.now += std::chrono::seconds{6}; // its timer has not run yet
    Peer back(bench);
    CHECK(back.join("brief", false, 5).reason == ReasonCode::server_busy);
}

TEST_CASE("[F-88] when memory is short a client that is behind gets no QoS 0, one that keeps up does") {
    Bench bench;
    Peer slow(bench);
    slow.join("slow");
    slow.subscribe("t", 0);
    Peer quick(bench);
    quick.join("quick");
    quick.subscribe("t", 0);
    Peer publisher(bench);
    publisher.join("publisher");
    bench.host.waiting_bytes[slow.id()] = BrokerLimits{}.pressed_output_bytes_max + 1;
    bench.host.waiting_bytes[quick.id()] = BrokerLimits{}.pressed_output_bytes_max;
    publisher.publish("t", "0");
    CHECK(slow.message().payload == "0");
    CHECK(quick.message().payload == "0");
    bench.broker.set_pressure(Pressure::high);
    publisher.publish("t", "1");
    CHECK(slow.is_quiet());
    CHECK(quick.message().payload == "1");
    CHECK(bench.host.dropped["pressure"] == 1);
    CHECK(bench.broker.stats().shed_qos0 == 1);
    bench.broker.set_pressure(Pressure::none);
    publisher.publish("t", "2");
    CHECK(slow.message().payload == "2");
    CHECK(bench.host.dropped["pressure"] == 1);
}

TEST_CASE("[F-88] QoS 1 goes to a client that is behind while memory is short but not critical") {
    Bench bench;
    Peer slow(bench);
    slow.join("slow");
    slow.subscribe("t", 1);
    Peer publisher(bench);
    publisher.join("publisher");
    bench.host.waiting_bytes[slow.id()] = 1'000'000;
    bench.broker.set_pressure(Pressure::high);
    CHECK(answer_to(publisher, "t", 1) == ReasonCode::success);
    CHECK(slow.message().payload == "x");
}

TEST_CASE("[F-88] retained messages for a new subscription wait until memory is there again") {
    Bench bench;
    Peer publisher(bench);
    publisher.join("publisher");
    publisher.publish("kept/a", "1", 0, 0, true).publish("kept/b", "2", 0, 0, true);
    Peer reader(bench);
    reader.join("reader");
    bench.broker.set_pressure(Pressure::high);
    CHECK(reader.subscribe("kept/#", 1) == ReasonCode::granted_qos1);
    bench.advance(std::chrono::seconds{5});
    CHECK(reader.is_quiet());
    publisher.publish("kept/c", "live", 0);
    CHECK(reader.message().payload == "live");
    // Nothing is done every few milliseconds for who waits.
    CHECK(bench.broker.tick(bench.host.now) >= bench.host.now + std::chrono::milliseconds{500});
    bench.broker.set_pressure(Pressure::none);
    bench.advance(std::chrono::seconds{2});
    CHECK(reader.message().payload == "1");
    CHECK(reader.message().payload == "2");
    CHECK(reader.is_quiet());
}

TEST_CASE("[F-88] at critical what would have to be held is refused with 0x97, and nobody gets it") {
    Bench bench;
    keep_away(bench, "away", "t/+");
    Peer reader(bench);
    reader.join("reader");
    reader.subscribe("#", 1);
    Peer publisher(bench);
    publisher.join("publisher");
    CHECK(answer_to(publisher, "t/1", 1) == ReasonCode::success);
    CHECK(reader.message().topic == "t/1");
    bench.broker.set_pressure(Pressure::high);
    CHECK(answer_to(publisher, "t/2", 2) == ReasonCode::success);
    CHECK(reader.message().topic == "t/2");
    bench.broker.set_pressure(Pressure::critical);
    CHECK(answer_to(publisher, "t/3", 3) == ReasonCode::quota_exceeded);
    publisher.publish("t/4", "x", 2, 4);
    CHECK(publisher.acked(PacketType::pubrec).reason == ReasonCode::quota_exceeded);
    CHECK(reader.is_quiet());
    // What can be sent at once is: nobody away wants it.
    CHECK(answer_to(publisher, "other", 5) == ReasonCode::success);
    CHECK(reader.message().topic == "other");
    // QoS 0 is not held.
    publisher.publish("t/5", "x");
    CHECK(reader.message().topic == "t/5");
    CHECK(bench.broker.stats().shed_publishes == 2);
    CHECK(bench.host.dropped["pressure"] == 2);
    bench.broker.set_pressure(Pressure::none);
    CHECK(answer_to(publisher, "t/6", 6) == ReasonCode::success);
    CHECK(bench.broker.stats().queued == 3);
}

TEST_CASE("[F-88] at critical a 3.1.1 publisher, who cannot be told, is closed without an acknowledgement") {
    Bench bench;
    keep_away(bench, "away", "t");
    Peer publisher(bench, ProtocolVersion::v311);
    publisher.join("publisher");
    bench.broker.set_pressure(Pressure::critical);
    publisher.publish("t", "x", 1, 1);
    CHECK(publisher.is_closed());
    CHECK(publisher.is_quiet());
    CHECK(bench.broker.stats().queued == 0);
}

TEST_CASE(
    "[F-88] at critical a client that takes nothing counts as away, one that is a little behind does not"
) {
    BrokerLimits limits;
    limits.pressed_queue_count_max = 2;
    Bench bench(limits);
    Peer reader(bench);
    Connect packet;
    packet.client_id = "reader";
    packet.receive_maximum = 1;
    reader.join(packet);
    reader.subscribe("t", 1);
    Peer publisher(bench);
    publisher.join("publisher");
    bench.broker.set_pressure(Pressure::critical);
    for (std::uint16_t id = 1; id <= 4; ++id) // one in flight, three behind it
        CHECK(answer_to(publisher, "t", id) == ReasonCode::success);
    CHECK(answer_to(publisher, "t", 5) == ReasonCode::quota_exceeded);
    const std::uint16_t first = reader.message().packet_id;
    reader.ack(PacketType::puback, first);
    CHECK(answer_to(publisher, "t", 6) == ReasonCode::success);
    bench.broker.congested(reader.id(), true, bench.host.now);
    CHECK(answer_to(publisher, "t", 7) == ReasonCode::quota_exceeded);
}

TEST_CASE("[F-88] at critical a shared subscription takes a message as long as one member can") {
    Bench bench;
    keep_away(bench, "away", "$share/g/t");
    Peer publisher(bench);
    publisher.join("publisher");
    bench.broker.set_pressure(Pressure::critical);
    CHECK(answer_to(publisher, "t", 1) == ReasonCode::quota_exceeded);
    bench.broker.set_pressure(Pressure::none);
    Peer member(bench);
    member.join("member");
    member.subscribe("$share/g/t", 1);
    bench.broker.set_pressure(Pressure::critical);
    CHECK(answer_to(publisher, "t", 2) == ReasonCode::success);
    CHECK(member.message().payload == "x");
}

TEST_CASE("[F-88] at critical a retained topic may change and go, but none is added at QoS 1") {
    Bench bench;
    Peer publisher(bench);
    publisher.join("publisher");
    const auto retain = [&](std::string_view topic, std::string_view payload, std::uint16_t id) {
        publisher.publish(topic, payload, 1, id, true);
        return publisher.acked(PacketType::puback).reason;
    };
    retain("old", "1", 1);
    bench.broker.set_pressure(Pressure::critical);
    CHECK(retain("new", "1", 2) == ReasonCode::quota_exceeded);
    CHECK_FALSE(is_failure(retain("old", "2", 3)));
    CHECK_FALSE(is_failure(retain("old", "", 4)));
    CHECK(bench.broker.stats().retained == 0);
}

TEST_CASE("[F-88] what was acknowledged before the shortage is all delivered after it, in order") {
    Bench bench;
    keep_away(bench, "away", "t");
    Peer publisher(bench);
    publisher.join("publisher");
    std::vector<std::string> taken;
    for (std::uint16_t id = 1; id <= 60; ++id) {
        bench.broker.set_pressure(static_cast<Pressure>(id / 10 % 3));
        publisher.publish("t", std::to_string(id), 1, id);
        if (publisher.acked(PacketType::puback).reason == ReasonCode::success)
            taken.push_back(std::to_string(id));
    }
    bench.broker.set_pressure(Pressure::critical);
    CHECK(taken.size() == 40);
    Peer back(bench);
    CHECK(back.join("away", false, 3'600).session_present);
    for (const std::string& payload : taken) {
        const Publish got = back.message();
        CHECK(got.payload == payload);
    }
    CHECK(back.is_quiet());
}

TEST_CASE("[F-88] the host's own messages are not shed") {
    Bench bench;
    keep_away(bench, "away", "t");
    bench.broker.set_pressure(Pressure::critical);
    CHECK(bench.broker.publish(message("t", "x", 1), bench.host.now) == 1);
    CHECK(bench.broker.deliver("away", message("u", "x", 1), bench.host.now));
    CHECK(bench.broker.stats().queued == 2);
}

namespace {

const io::Endpoint pressed_door{io::Endpoint::Kind::tcp, "hub", 1'883};

class PressedServer final : public Server {
public:
    explicit PressedServer(io::Env& env) : Server(env, {}) {}

    void on_connect(ConnId conn, const Connect& connect) override {
        Admission admission;
        admission.session_key = connect.client_id;
        broker().accept(conn, admission, env().loop().now());
    }

    bool authorise(const ConnView&, Action, std::string_view) override { return true; }

    Verdict on_publish(const ConnView&, const MessagePtr&, AckToken) override { return Verdict::route; }

    void on_up(const ConnView&) override {}

    void on_down(const ConnView&, Ended) override {}

    void on_dropped(std::string_view, std::string_view, std::uint64_t) override {}
};

/// A socket that says what it is told to.
struct RawClient final : io::StreamHandler {
    explicit RawClient(io::Env& env)
        : connecting(env.net().connect(pressed_door, std::chrono::seconds{5}, [this](auto made) {
              if (!made)
                  return;
              stream = std::move(*made);
              stream->start(*this);
          })) {}

    void on_data(ByteView data) override { bytes += data; }

    void on_closed(const Error&) override { is_closed = true; }

    std::unique_ptr<io::Stream> stream;
    std::unique_ptr<io::Connecting> connecting;
    Bytes bytes;
    bool is_closed = false;
};

io::MemoryUse percent(unsigned share) {
    return {100'000'000, share * 1'000'000ull, "here"};
}

} // namespace

TEST_CASE("[F-88] while memory is short only 64 connections may be on their way in") {
    io::SimWorld world(88);
    io::SimMachine& machine = world.machine("hub");
    machine.set_memory(percent(10));
    PressedServer server(machine.env());
    REQUIRE(server.listen({io::Endpoint::Kind::tcp, "0.0.0.0", 1'883}, {}));
    machine.set_memory(percent(85));
    world.run_for(std::chrono::seconds{3});
    std::vector<std::unique_ptr<RawClient>> silent;
    for (int i = 0; i < 100; ++i)
        silent.push_back(std::make_unique<RawClient>(world.machine("clients").env()));
    world.run_for(std::chrono::seconds{2});
    CHECK(server.broker().stats().opening == ServerLimits::pressed_opening_max);
    world.run_for(std::chrono::seconds{2}); // counted at the next look
    const std::string shown = machine.env().metrics().text();
    CHECK(shown.find("brim_mqtt_shed_total{what=\"door\"} 36\n") != std::string::npos);
    machine.set_memory(percent(10));
    world.run_for(std::chrono::seconds{10}); // those that say nothing are given up meanwhile
    CHECK(server.broker().stats().opening == 0);
    for (int i = 0; i < 100; ++i)
        silent.push_back(std::make_unique<RawClient>(world.machine("clients").env()));
    world.run_for(std::chrono::seconds{1});
    CHECK(server.broker().stats().opening == 100);
}

TEST_CASE("[F-88] at critical a publisher that sends much has pauses, and loses nothing") {
    io::SimWorld world(89);
    io::SimMachine& machine = world.machine("hub");
    machine.set_memory(percent(10));
    PressedServer server(machine.env());
    REQUIRE(server.listen({io::Endpoint::Kind::tcp, "0.0.0.0", 1'883}, {}));
    RawClient fast(world.machine("fast").env());
    REQUIRE(world.run_until([&] { return fast.stream != nullptr; }, std::chrono::seconds{5}));
    Bytes hello;
    Connect connect;
    connect.version = ProtocolVersion::v5;
    connect.client_id = "fast";
    encode_connect(hello, connect);
    fast.stream->write(hello);
    const std::string payload(100'000, 'x');
    Publish packet;
    packet.topic = "t";
    packet.payload = payload;
    Bytes bytes;
    encode_publish(bytes, packet, ProtocolVersion::v5);
    const auto taken = [&] { return server.broker().stats().received[0]; };
    // 2 MB a second for five seconds; how often nothing was read for 1/20 s.
    const auto stalls = [&] {
        int count = 0;
        for (int i = 0; i < 100; ++i) {
            const std::uint64_t before = taken();
            fast.stream->write(bytes);
            world.run_for(std::chrono::milliseconds{50});
            count += taken() == before ? 1 : 0;
        }
        world.run_for(std::chrono::seconds{60});
        return count;
    };
    const int usual = stalls();
    CHECK(taken() == 100);
    machine.set_memory(percent(95));
    world.run_for(std::chrono::seconds{3});
    CHECK(stalls() > usual + 10);
    CHECK(taken() == 200);
    CHECK_FALSE(fast.is_closed);
}
