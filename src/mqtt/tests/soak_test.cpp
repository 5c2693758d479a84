// A client core and the broker core joined by a line that breaks at random bytes. Laws L1 and L3: what was
// acknowledged arrives, at least once (QoS 2: exactly once), in the order of its topic.

#include "mqtt/tests/broker_bench.h"
#include "mqtt/tests/client_bench.h"

#include "base/random.h"

#include <memory>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

/// One client, its line to the bench's broker, and what is on the way.
struct Wire {
    Wire(Bench& bench, ClientOptions options) : bench_(bench), client(host, std::move(options)) {}

    void up() {
        conn = bench_.broker.open(bench_.host.now);
        client.connect(bench_.host.now);
    }

    void cut() {
        if (conn == 0)
            return;
        bench_.broker.closed(conn, bench_.host.now);
        bench_.host.out.erase(conn);
        host.out.clear();
        client.closed(bench_.host.now);
        conn = 0;
    }

    /// Moves up to `count` bytes each way.
    void move(std::size_t count) {
        if (conn == 0)
            return;
        const Bytes there = host.out.substr(0, count);
        host.out.erase(0, there.size());
        if (!there.empty())
            bench_.broker.data(conn, there, bench_.host.now);
        Bytes& out = bench_.host.out[conn];
        const Bytes back = out.substr(0, count);
        out.erase(0, back.size());
        if (!back.empty())
            client.data(back, bench_.host.now);
        if (bench_.host.closed.contains(conn))
            cut();
    }

    Bench& bench_;
    ClientRecorder host;
    Client client;
    ConnId conn = 0;
};

struct Totals {
    std::size_t cuts = 0;
    std::size_t messages = 0;
};

void run(std::uint64_t seed, ProtocolVersion version, std::uint8_t qos, Totals& totals) {
    SeededRandom random(seed);
    BrokerLimits limits;
    limits.inflight_count_max = 8;
    limits.window_count_max = 8;
    limits.queue_count_max = 100'000;
    Bench bench(limits);
    std::vector<AckToken> held;
    bench.host.judge = [&](const ConnView&, const MessagePtr& m, AckToken) {
        // Half of the messages are acknowledged later, as by a host that waits for its disk.
        return m->payload.back() % 2 == 0 ? Verdict::route : Verdict::pending;
    };
    const auto options = [&](std::string id) {
        ClientOptions made;
        made.version = version;
        made.client_id = std::move(id);
        made.clean_start = false;
        made.session_expiry_s = 10'000;
        made.inflight_max = 8;
        made.receive_maximum = 8;
        return made;
    };
    Wire sender(bench, options("sender"));
    Wire receiver(bench, options("receiver"));
    receiver.up();
    for (int i = 0; i < 50; ++i)
        receiver.move(1'000);
    REQUIRE(receiver.client.subscribe({{"t/+", qos}}, bench.host.now).has_value());
    for (int i = 0; i < 50; ++i)
        receiver.move(1'000);
    REQUIRE(receiver.host.subscribed.size() == 1);

    constexpr int count = 150;
    int next = 0;
    std::size_t decided = 0;
    for (int step = 0; step < 40'000; ++step) {
        const bool is_calm = step > 20'000; // liveness: when the faults stop, all of it arrives
        for (Wire* wire : {&sender, &receiver}) {
            if (wire->conn == 0)
                wire->up();
            wire->move(1 + random.below(60));
            if (!is_calm && random.below(40) == 0) {
                wire->cut();
                ++totals.cuts;
            }
        }
        if (next < count && sender.client.quota() > 0 && random.below(3) == 0) {
            Message message;
            message.topic = "t/" + std::to_string(next % 3);
            message.payload = std::to_string(next);
            message.qos = qos;
            REQUIRE(sender.client.publish(message, static_cast<PublishTag>(next), bench.host.now).has_value()
            );
            ++next;
        }
        // The host settles what it held: routed when it is safe, then acknowledged.
        while (decided < bench.host.published.size() && random.below(4) == 0) {
            const Published& one = bench.host.published[decided++];
            if (one.message->payload.back() % 2 == 0)
                continue;
            bench.broker.publish(one.message, bench.host.now);
            bench.broker.complete(one.token, ReasonCode::success, bench.host.now);
        }
        bench.host.now += std::chrono::milliseconds{1};
        if (next == count && sender.client.inflight() == 0 && is_calm && random.below(100) == 0 &&
            bench.broker.stats().queued == 0 && sender.host.out.empty() && step > 25'000) {
            break;
        }
    }
    INFO("seed ", seed, " version ", static_cast<int>(version), " qos ", int{qos});
    CHECK(next == count);
    CHECK(sender.client.inflight() == 0);
    for (int tag = 0; tag < count; ++tag)
        CHECK(sender.host.settled[static_cast<PublishTag>(tag)] == 1);

    // L1: everything acknowledged arrived. L3: first arrivals are in the order of their topic, among messages
    // that took the same way through the host.
    std::map<std::string, int> arrivals;
    std::map<std::pair<std::string, int>, int> last_of;
    for (const MessagePtr& message : receiver.host.messages) {
        if (++arrivals[message->payload] > 1)
            continue;
        const int number = std::stoi(message->payload);
        const auto key = std::make_pair(message->topic, number % 2);
        if (last_of.contains(key))
            CHECK(last_of[key] < number);
        last_of[key] = number;
    }
    CHECK(arrivals.size() == count);
    if (qos == 2) {
        for (const auto& [payload, times] : arrivals)
            CHECK_MESSAGE(times == 1, payload);
    }
    CHECK(bench.host.dropped.empty());
    totals.messages += receiver.host.messages.size();
}

} // namespace

TEST_CASE("[L1] [L3] what was acknowledged arrives in order over a line that breaks at random") {
    Totals totals;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        for (const ProtocolVersion version : {ProtocolVersion::v311, ProtocolVersion::v5}) {
            for (const std::uint8_t qos : {1, 2})
                run(seed, version, qos, totals);
        }
    }
    MESSAGE("cuts: ", totals.cuts, ", messages received: ", totals.messages);
    CHECK(totals.cuts > 5'000);
}
