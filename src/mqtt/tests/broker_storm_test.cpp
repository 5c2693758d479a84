// Many clients at once that will not keep still: takeovers, retained topics that come and go, a peer that is
// gone without a word.

#include "mqtt/tests/broker_bench.h"

#include "base/random.h"

#include <array>
#include <memory>
#include <optional>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

constexpr std::array<std::string_view, 4> filters{"s/+", "s/#", "$share/g/s/+", "s/1/#"};
constexpr std::array<std::string_view, 3> topics{"s/1", "s/2", "s/1/deep"};

/// Thirty-two places that fight for eight client ids.
class Storm {
public:
    explicit Storm(std::uint64_t seed) : random_(seed) {
        bench.host.up_hook = [this](const ConnView& who) {
            const std::string key(who.session_key);
            note_downs();
            CHECK_FALSE(live_.contains(key)); // the one before was told to go
            live_[key] = who.epoch;
            CHECK(who.epoch > epoch_);
            epoch_ = who.epoch;
        };
    }

    void step() {
        Place& place = places_[random_.below(places_.size())];
        if (!place.peer || place.peer->is_closed()) {
            join(place);
        } else {
            act(place);
        }
        note_downs();
        if (random_.below(50) == 0)
            bench.advance(std::chrono::milliseconds{random_.below(3'000)});
        note_downs();
    }

    /// One live connection an id, and it is the newest.
    void check() {
        std::map<std::string, std::size_t> open;
        for (const Place& place : places_) {
            if (place.peer && !place.peer->is_closed())
                ++open[place.id];
        }
        for (const auto& [id, count] : open) {
            CAPTURE(id);
            CHECK(count == 1);
            CHECK(live_.contains(id));
        }
        CHECK(bench.broker.stats().connections == open.size());
        CHECK(live_.size() == open.size());
    }

    void leave() {
        for (Place& place : places_) {
            if (place.peer && !place.peer->is_closed())
                place.peer->cut();
            place.peer.reset();
        }
        note_downs();
        bench.advance(std::chrono::seconds{60});
    }

    Bench bench{limits()};

private:
    static BrokerLimits limits() {
        BrokerLimits limits;
        limits.session_expiry_s_max = 20; // also of 3.1.1 clients, whose sessions say no end
        return limits;
    }

    struct Place {
        std::optional<Peer> peer;
        std::string id;
    };

    void join(Place& place) {
        place.id = "id-" + std::to_string(random_.below(8));
        place.peer.emplace(bench, random_.below(3) == 0 ? ProtocolVersion::v311 : ProtocolVersion::v5);
        Connect packet;
        packet.client_id = place.id;
        packet.clean_start = random_.below(2) == 0;
        packet.session_expiry_s = random_.below(2) == 0 ? 0 : 20;
        packet.receive_maximum = static_cast<std::uint16_t>(1 + random_.below(8));
        place.peer->connect(packet);
        note_downs();
    }

    void act(Place& place) {
        Peer& peer = *place.peer;
        const std::string_view filter = filters[random_.below(filters.size())];
        const std::string_view topic = topics[random_.below(topics.size())];
        switch (random_.below(8)) {
        case 0:
        case 1:
            subscribe(peer, filter);
            break;
        case 2:
            peer.unsubscribe(filter);
            break;
        case 3:
        case 4:
        case 5:
            peer.publish(
                topic,
                "x",
                static_cast<std::uint8_t>(random_.below(3)),
                static_cast<std::uint16_t>(1 + random_.below(3)),
                random_.below(10) == 0
            );
            break;
        case 6:
            answer(peer);
            break;
        default:
            if (random_.below(4) == 0) {
                bench.broker.kick(
                    place.id, ReasonCode::administrative_action, random_.below(2) == 0, bench.host.now
                );
            } else if (random_.below(2) == 0) {
                peer.cut();
                bench.host.closed.insert(peer.id());
            } else {
                peer.disconnect();
            }
        }
    }

    void subscribe(Peer& peer, std::string_view filter) {
        Subscribe packet;
        packet.packet_id = 1;
        SubscribeFilter wanted;
        wanted.filter = filter;
        wanted.qos = static_cast<std::uint8_t>(random_.below(3));
        packet.filters.push_back(wanted);
        Bytes bytes;
        encode_subscribe(bytes, packet, peer.version());
        peer.raw(bytes);
    }

    /// Some of what came is acknowledged, some is not, some wrongly.
    void answer(Peer& peer) {
        for (unsigned left = 20; left > 0 && !peer.is_closed(); --left) {
            const Received received = peer.next();
            if (received.type == PacketType::reserved)
                return;
            if (random_.below(4) == 0)
                continue;
            if (received.type == PacketType::publish) {
                const auto packet = decode_publish(received.frame(), peer.version(), Sender::server, {});
                REQUIRE(packet.has_value());
                if (packet->qos == 1)
                    peer.ack(PacketType::puback, packet->packet_id);
                else if (packet->qos == 2)
                    peer.ack(PacketType::pubrec, packet->packet_id);
            } else if (received.type == PacketType::pubrel) {
                peer.ack(PacketType::pubcomp, static_cast<std::uint16_t>(1 + random_.below(4)));
            } else if (received.type == PacketType::pubrec) {
                peer.ack(PacketType::pubrel, static_cast<std::uint16_t>(1 + random_.below(3)));
            }
        }
    }

    void note_downs() {
        for (const Down& down : bench.host.downs) {
            const auto found = live_.find(down.key);
            if (found != live_.end() && found->second == down.epoch)
                live_.erase(found);
        }
        bench.host.downs.clear();
    }

    SeededRandom random_;
    std::array<Place, 32> places_;
    std::map<std::string, std::uint64_t> live_; ///< key -> epoch of the connection that is up
    std::uint64_t epoch_ = 0;
};

} // namespace

TEST_CASE("[B-20] thirty-two places that fight for eight client ids leave one live session an id, and "
          "nothing behind") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Storm storm(seed);
        for (unsigned step = 0; step < 4'000; ++step) {
            storm.step();
            if (step % 100 == 0)
                storm.check();
        }
        storm.leave();
        const BrokerStats stats = storm.bench.broker.stats();
        CHECK(stats.connections == 0);
        CHECK(stats.sessions == 0);
        CHECK(stats.subscriptions == 0);
        CHECK(stats.queued == 0);
    }
}

TEST_CASE("[B-24] a client whose old connection hangs is let in at once, and takes over what was in flight") {
    Bench bench;
    Peer old(bench);
    old.join("c", true, 100);
    old.subscribe("t", 1);
    bench.broker.publish(message("t", "first", 1), bench.host.now);
    const std::uint16_t packet_id = old.message().packet_id;
    bench.broker.congested(old.id(), true, bench.host.now); // nothing is taken off it any more
    bench.broker.publish(message("t", "second", 1), bench.host.now);
    Peer fresh(bench);
    CHECK(fresh.join("c", false, 100).session_present); // no time passes
    CHECK(old.is_closed());
    const Publish again = fresh.message();
    CHECK(again.payload == "first");
    CHECK(again.packet_id == packet_id);
    CHECK(again.dup);
    CHECK(fresh.message().payload == "second");
}

TEST_CASE("[B-24] a client that comes again and again costs one session") {
    Bench bench;
    std::vector<std::unique_ptr<Peer>> peers;
    for (unsigned i = 0; i < 1'000; ++i) {
        peers.push_back(std::make_unique<Peer>(bench));
        peers.back()->join("c", false, 100);
        CHECK(bench.broker.stats().connections == 1);
        CHECK(bench.broker.stats().sessions == 1);
    }
    CHECK(bench.host.closed.size() == 999);
    CHECK_FALSE(peers.back()->is_closed());
}

TEST_CASE(
    "[B-33] one retained topic that sixteen clients set, clear and let expire holds the last one or nothing"
) {
    Bench bench;
    SeededRandom random(33);
    std::vector<std::unique_ptr<Peer>> writers;
    for (unsigned i = 0; i < 16; ++i) {
        writers.push_back(std::make_unique<Peer>(bench));
        Connect packet;
        const std::string id = "w" + std::to_string(i);
        packet.client_id = id;
        packet.keepalive_s = 0;
        writers.back()->join(packet);
    }
    Peer reader(bench);
    Connect packet;
    packet.client_id = "r";
    packet.keepalive_s = 0;
    reader.join(packet);
    std::optional<std::string> held;
    std::optional<Mono> until;
    for (unsigned turn = 0; turn < 100'000; ++turn) {
        Publish set;
        const std::string payload = std::to_string(turn);
        set.topic = "t";
        set.retain = true;
        const auto what = random.below(4);
        held.reset();
        until.reset();
        if (what != 0) {
            set.payload = payload;
            held = payload;
        }
        if (what == 1) {
            set.expiry_s = static_cast<std::int64_t>(1 + random.below(2));
            until = bench.host.now + std::chrono::seconds{set.expiry_s};
        }
        writers[random.below(writers.size())]->publish(set);
        if (random.below(8) == 0)
            bench.host.now += std::chrono::milliseconds{random.below(1'500)};
        if (until && bench.host.now > *until)
            held.reset();
        if (random.below(4) != 0)
            continue;
        CAPTURE(turn);
        reader.subscribe("t");
        if (held) {
            CHECK(reader.message().payload == *held);
        }
        CHECK(reader.is_quiet());
        reader.unsubscribe("t");
        reader.take(PacketType::unsuback);
    }
    CHECK(bench.broker.stats().retained <= 1);
}
