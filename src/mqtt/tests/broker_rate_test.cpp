// A client's publishing rate: what is above it waits in the client, nothing is lost.

#include "mqtt/tests/broker_bench.h"

#include <deque>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

/// A client that writes as fast as it is read from, a packet a read as a stream with back-pressure does.
struct Eager {
    Eager(Bench& where, Admission admission, ProtocolVersion version = ProtocolVersion::v5)
        : bench(where), peer(where, version) {
        bench.host.prototype = std::move(admission);
        bench.host.judge = [this](const ConnView&, const MessagePtr& message, AckToken) {
            payloads.push_back(message->payload);
            return Verdict::consumed;
        };
        Connect packet;
        packet.client_id = "eager";
        packet.keepalive_s = 10;
        peer.join(packet);
    }

    void add_publish(std::uint8_t qos = 0, std::size_t payload_bytes = 0) {
        Publish packet;
        packet.topic = "t";
        packet.qos = qos;
        packet.packet_id = qos == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(++last_id);
        const std::string payload = std::to_string(++sent) + std::string(payload_bytes, 'x');
        packet.payload = payload;
        Bytes bytes;
        encode_publish(bytes, packet, peer.version());
        wire.push_back(std::move(bytes));
    }

    void write() {
        while (!wire.empty() && !bench.host.paused.contains(peer.id())) {
            const Bytes bytes = std::move(wire.front());
            wire.pop_front();
            peer.raw(bytes);
        }
    }

    void run(Duration time) {
        write();
        for (Duration passed{}; passed < time; passed += std::chrono::milliseconds{10}) {
            bench.advance(std::chrono::milliseconds{10});
            write();
        }
    }

    bool is_in_order() const {
        for (std::size_t i = 0; i < payloads.size(); ++i)
            if (payloads[i].substr(0, payloads[i].find('x')) != std::to_string(i + 1))
                return false;
        return true;
    }

    Bench& bench;
    Peer peer;
    std::deque<Bytes> wire;
    std::vector<std::string> payloads;
    int sent = 0;
    int last_id = 0;
};

Admission with_rate(std::uint32_t messages, std::uint32_t bytes = 0) {
    Admission admission;
    admission.publish_rate_max = messages;
    admission.publish_bytes_rate_max = bytes;
    return admission;
}

} // namespace

TEST_CASE("a client publishes a second's worth at once and then exactly its rate") {
    for (const ProtocolVersion version : {ProtocolVersion::v311, ProtocolVersion::v5}) {
        Bench bench;
        Eager eager(bench, with_rate(10), version);
        for (int i = 0; i < 200; ++i)
            eager.add_publish();
        eager.write();
        CHECK(eager.payloads.size() == 10);
        for (std::size_t second = 1; second <= 8; ++second) {
            eager.run(std::chrono::seconds{1});
            CHECK(eager.payloads.size() == 10 + second * 10);
        }
        eager.run(std::chrono::seconds{20});
        CHECK(eager.payloads.size() == 200);
        CHECK(eager.is_in_order());
        CHECK(bench.broker.stats().throttled > 0);
        CHECK_FALSE(eager.peer.is_closed());
        CHECK_FALSE(bench.host.paused.contains(eager.peer.id()));
    }
}

TEST_CASE("a client at its rate, and one without a rate, is never stopped") {
    Bench bench;
    Eager eager(bench, with_rate(10));
    for (int i = 0; i < 200; ++i) {
        eager.add_publish();
        eager.run(std::chrono::milliseconds{100});
        CHECK(eager.payloads.size() == static_cast<std::size_t>(i + 1));
    }
    CHECK(bench.broker.stats().throttled == 0);
    Bench other;
    Eager free(other, {});
    for (int i = 0; i < 10'000; ++i)
        free.add_publish();
    free.write();
    CHECK(free.payloads.size() == 10'000);
    CHECK(other.broker.stats().throttled == 0);
}

TEST_CASE("all in one read is handled at the same rate, in order, and acknowledged") {
    Bench bench;
    Eager eager(bench, with_rate(5));
    for (int i = 0; i < 30; ++i)
        eager.add_publish(1);
    Bytes all;
    for (const Bytes& each : eager.wire)
        all += each;
    eager.wire.assign(1, all);
    eager.write();
    CHECK(eager.payloads.size() == 5);
    eager.run(std::chrono::seconds{3});
    CHECK(eager.payloads.size() == 20);
    eager.run(std::chrono::seconds{2});
    CHECK(eager.payloads.size() == 30);
    CHECK(eager.is_in_order());
    for (std::uint16_t id = 1; id <= 30; ++id)
        CHECK(eager.peer.acked(PacketType::puback).packet_id == id);
    CHECK(eager.peer.is_quiet());
}

TEST_CASE("an acknowledgement the host gives meanwhile leaves at once and does not end the wait") {
    Bench bench;
    Eager eager(bench, with_rate(1));
    std::vector<AckToken> tokens;
    bench.host.judge = [&](const ConnView&, const MessagePtr& message, AckToken token) {
        eager.payloads.push_back(message->payload);
        tokens.push_back(token);
        return Verdict::pending;
    };
    for (int i = 0; i < 3; ++i)
        eager.add_publish(1);
    eager.write();
    REQUIRE(tokens.size() == 1);
    bench.broker.complete(tokens[0], ReasonCode::success, bench.host.now);
    CHECK(eager.peer.acked(PacketType::puback).packet_id == 1);
    eager.write();
    CHECK(bench.host.paused.contains(eager.peer.id()));
    CHECK(tokens.size() == 1);
    eager.run(std::chrono::seconds{1});
    CHECK(tokens.size() == 2);
}

TEST_CASE("bytes have a rate of their own; a packet above it is taken and waited for") {
    Bench bench;
    Eager eager(bench, with_rate(0, 1'000));
    for (int i = 0; i < 100; ++i)
        eager.add_publish(
            0, 500 - (std::to_string(i + 1).size() + 4)
        ); // remaining length 500: topic 3, properties 1
    eager.write();
    CHECK(eager.payloads.size() == 2);
    eager.run(std::chrono::seconds{10});
    // A packet begins with its first byte's worth: one more than has been paid for.
    CHECK(eager.payloads.size() >= 22);
    CHECK(eager.payloads.size() <= 23);
    Bench slow;
    Eager large(slow, with_rate(0, 1'000));
    large.add_publish(0, 20'000);
    large.add_publish();
    large.write();
    CHECK(large.payloads.size() == 1);
    large.run(std::chrono::seconds{18});
    CHECK(large.payloads.size() == 1);
    CHECK_FALSE(large.peer.is_closed()); // silent for longer than its keep-alive, but the silence is ours
    large.run(std::chrono::seconds{2});
    CHECK(large.payloads.size() == 2);
}

TEST_CASE("a ping behind messages above the rate waits with them, and keep-alive goes on afterwards") {
    Bench bench;
    Eager eager(bench, with_rate(0, 1'000));
    eager.add_publish(0, 30'000);
    eager.wire.push_back(Bytes("\xC0\0", 2));
    eager.write();
    eager.run(std::chrono::seconds{20});
    CHECK(eager.peer.is_quiet());
    eager.run(std::chrono::seconds{11});
    eager.peer.take(PacketType::pingresp);
    CHECK_FALSE(eager.peer.is_closed());
    eager.run(std::chrono::seconds{16}); // now its silence is its own
    CHECK(eager.peer.is_closed());
    CHECK(bench.host.downs.back().why == Ended::keepalive);
}

TEST_CASE("keep-alive begins anew when a client above its rate is read from again") {
    Bench bench;
    Eager eager(bench, with_rate(0, 1'000));
    eager.add_publish(0, 30'000);
    eager.write();
    bench.advance(std::chrono::seconds{30});
    CHECK_FALSE(eager.peer.is_closed());
    CHECK_FALSE(bench.host.paused.contains(eager.peer.id()));
    bench.advance(std::chrono::seconds{13});
    CHECK_FALSE(eager.peer.is_closed());
    bench.advance(std::chrono::seconds{3});
    CHECK(eager.peer.is_closed());
}

TEST_CASE("a client that goes, or is taken over, while it is above its rate leaves nothing behind") {
    Bench bench;
    Eager eager(bench, with_rate(1));
    for (int i = 0; i < 3; ++i)
        eager.add_publish();
    eager.write();
    eager.peer.cut();
    CHECK(bench.broker.stats().connections == 0);
    Peer second(bench);
    second.join("eager");
    second.publish("t", "again");
    CHECK(eager.payloads.back() == "again");
    Peer third(bench);
    third.join("eager");
    CHECK(second.is_closed());
    bench.advance(std::chrono::seconds{5});
    third.publish("t", "more");
    CHECK(eager.payloads.back() == "more");
    CHECK_FALSE(third.is_closed());
}
