// Random clients over random restarts of a broker whose disk loses and tears what was not synced. The clients
// keep what MQTT tells them to keep, and judge.

#include "base/random.h"
#include "mqtt/tests/session_log_rig.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

/// A client with a session that it keeps over connections, as the standard wants it.
class ModelClient {
public:
    ModelClient(KeptRig& rig, std::string id) : rig_(rig), id_(std::move(id)) {}

    struct Sent {
        std::uint16_t packet_id = 0;
        std::string topic;
        std::string payload;
        std::uint8_t qos = 1;
        bool retain = false;
        bool has_pubrec = false;
    };

    bool is_up() const { return is_up_; }

    /// The broker is gone, or the line.
    void lose() {
        peer_.reset();
        is_up_ = false;
        owed_.clear();
    }

    void cut() {
        if (peer_)
            peer_->cut();
        lose();
    }

    void connect() {
        lose();
        peer_ = std::make_unique<Peer>(*rig_.bench);
        Connect packet;
        packet.client_id = id_;
        packet.clean_start = false;
        packet.session_expiry_s = 86'400;
        peer_->connect(packet);
        drain();
    }

    void publish(std::string topic, std::string payload, std::uint8_t qos, bool retain) {
        unacked.push_back({next_id(), std::move(topic), std::move(payload), qos, retain, false});
        if (is_up_)
            send(unacked.back(), false);
        drain();
    }

    void subscribe(const std::string& filter, std::uint8_t qos) {
        Subscribe packet;
        packet.packet_id = ++wish_id_;
        packet.filters.push_back({filter, qos, false, false, RetainHandling::never});
        Bytes bytes;
        encode_subscribe(bytes, packet, ProtocolVersion::v5);
        subscribed.reset();
        wish_ = true;
        raw(bytes);
    }

    void unsubscribe(const std::string& filter) {
        Unsubscribe packet;
        packet.packet_id = ++wish_id_;
        packet.filters.push_back(filter);
        Bytes bytes;
        encode_unsubscribe(bytes, packet, ProtocolVersion::v5);
        subscribed.reset();
        wish_ = false;
        raw(bytes);
    }

    /// Sends some of the acknowledgements it owes.
    void pay(SeededRandom& random, bool all) {
        while (is_up_ && !owed_.empty() && (all || random.below(3) != 0)) {
            const auto [type, packet_id] = owed_.front();
            owed_.erase(owed_.begin());
            if (type == PacketType::puback)
                open_.erase(packet_id);
            if (type == PacketType::pubcomp)
                open_.erase(packet_id);
            peer_->ack(type, packet_id);
            drain();
        }
    }

    void drain() {
        while (peer_) {
            const Received received = peer_->next();
            if (received.type == PacketType::reserved)
                break;
            handle(received);
        }
        if (peer_ && peer_->is_closed())
            lose();
    }

    std::vector<Sent> unacked;
    std::set<std::string> acked;
    std::map<std::string, int> got;
    std::vector<std::string> order; ///< first deliveries
    std::optional<bool> subscribed; ///< what was answered last; none while it is open

private:
    void raw(const Bytes& bytes) {
        if (peer_)
            peer_->raw(bytes);
        drain();
    }

    std::uint16_t next_id() {
        do {
            id_counter_ = static_cast<std::uint16_t>(id_counter_ % 40 + 1); // identifiers come again soon
        } while (std::ranges::any_of(unacked, [&](const Sent& s) { return s.packet_id == id_counter_; }));
        return id_counter_;
    }

    void send(const Sent& sent, bool dup) {
        if (sent.has_pubrec) {
            peer_->ack(PacketType::pubrel, sent.packet_id);
            return;
        }
        Publish packet;
        packet.topic = sent.topic;
        packet.payload = sent.payload;
        packet.qos = sent.qos;
        packet.packet_id = sent.packet_id;
        packet.retain = sent.retain;
        packet.dup = dup;
        peer_->publish(packet);
    }

    void on_connack(const Connack& connack) {
        if (is_failure(connack.reason)) {
            lose();
            return;
        }
        REQUIRE((connack.session_present || !has_session_)
        ); // its CONNACK may have been lost, not its session
        has_session_ = true;
        is_up_ = true;
        for (const Sent& sent : std::vector<Sent>(unacked))
            send(sent, true);
    }

    void on_publish(const Publish& packet) {
        const std::string payload(packet.payload);
        if (packet.qos == 0)
            return;
        const auto known = open_.find(packet.packet_id);
        // An identifier in use names the message it named before [MQTT-4.4.0-1].
        if (known != open_.end())
            REQUIRE(known->second == payload);
        const bool is_new = packet.qos == 1 || known == open_.end();
        open_[packet.packet_id] = payload;
        if (is_new && ++got[payload] == 1)
            order.push_back(payload);
        owed_.emplace_back(packet.qos == 1 ? PacketType::puback : PacketType::pubrec, packet.packet_id);
    }

    void on_ack(PacketType type, const Ack& ack) {
        const auto place = std::ranges::find_if(unacked, [&](const Sent& sent) {
            return sent.packet_id == ack.packet_id && (sent.qos == 1) == (type == PacketType::puback);
        });
        REQUIRE(place != unacked.end());
        if (type == PacketType::pubrec && !is_failure(ack.reason)) {
            acked.insert(place->payload);
            place->has_pubrec = true;
            peer_->ack(PacketType::pubrel, ack.packet_id);
            return;
        }
        if (!is_failure(ack.reason))
            acked.insert(place->payload);
        unacked.erase(place);
    }

    void handle(const Received& received) {
        const ProtocolVersion v5 = ProtocolVersion::v5;
        switch (received.type) {
        case PacketType::connack:
            on_connack(*decode_connack(received.frame(), v5, {}));
            return;
        case PacketType::publish:
            on_publish(*decode_publish(received.frame(), v5, Sender::server, {}));
            return;
        case PacketType::puback:
        case PacketType::pubrec:
        case PacketType::pubcomp:
            on_ack(received.type, *decode_ack(received.frame(), v5, {}));
            return;
        case PacketType::pubrel:
            owed_.emplace_back(PacketType::pubcomp, decode_ack(received.frame(), v5, {})->packet_id);
            return;
        case PacketType::suback: {
            const auto answer = decode_suback(received.frame(), v5, {});
            if (answer->packet_id == wish_id_ && !is_failure(answer->reasons[0]))
                subscribed = wish_;
            return;
        }
        case PacketType::unsuback:
            if (decode_unsuback(received.frame(), v5, {})->packet_id == wish_id_)
                subscribed = wish_;
            return;
        default:
            return;
        }
    }

    KeptRig& rig_;
    std::string id_;
    std::unique_ptr<Peer> peer_;
    bool is_up_ = false;
    bool has_session_ = false;
    bool wish_ = false;
    std::uint16_t wish_id_ = 60'000; ///< of the SUBSCRIBE or UNSUBSCRIBE sent last
    std::uint16_t id_counter_ = 0;
    std::map<std::uint16_t, std::string> open_; ///< received and not let go of
    std::vector<std::pair<PacketType, std::uint16_t>> owed_;
};

class Model {
public:
    Model(std::uint64_t seed, bool has_faults)
        : random_(seed), rig_(seed, options()), has_faults_(has_faults) {
        for (int i = 0; i < 3; ++i)
            publishers_.emplace_back(rig_, "publisher" + std::to_string(i));
        rig_.start();
        for (ModelClient* client : {&exact_, &least_, &churner_})
            client->connect();
        settle();
        exact_.subscribe("t/#", 2);
        least_.subscribe("t/#", 1);
        settle();
        REQUIRE(exact_.subscribed == true);
        REQUIRE(least_.subscribed == true);
    }

    void run(int steps) {
        for (int step = 0; step < steps; ++step) {
            if (!rig_.machine().running())
                recover();
            else
                act();
        }
        finish();
    }

    std::size_t restarts() const { return restarts_; }

    std::uint64_t snapshots() const { return snapshots_; }

private:
    static SessionLogOptions options() {
        SessionLogOptions made = small_log();
        made.compact_bytes_min = 1'500; // so that snapshots are under way at any time
        made.snapshot_step_bytes = 1;   // and take several turns
        return made;
    }

    void act() {
        switch (random_.below(14)) {
        case 0:
            die();
            break;
        case 1:
            if (has_faults_)
                rig_.disk().add_fault({.kind = io::DiskFault::Kind::power_off, .nth = 1 + random_.below(14)});
            break;
        case 2:
        case 3:
            any().cut();
            break;
        case 4:
        case 5:
            any().connect();
            break;
        case 6:
            if (churner_.is_up())
                random_.below(2) == 0 ? churner_.subscribe("u/x", 1) : churner_.unsubscribe("u/x");
            break;
        case 7:
            rig_.run(std::chrono::milliseconds(random_.below(40)));
            break;
        default:
            publish();
        }
        rig_.run(std::chrono::microseconds(random_.below(3'000)));
        for (ModelClient* client : all()) {
            client->drain();
            client->pay(random_, false);
        }
    }

    void publish() {
        ModelClient& from = publishers_[random_.below(publishers_.size())];
        for (std::uint64_t count = 1 + random_.below(4); count > 0 && from.unacked.size() < 20; --count) {
            const bool is_retained = random_.below(4) == 0;
            const std::string payload =
                "m" + std::to_string(++messages_) + "/" + std::string(random_.below(600), 'x');
            const auto qos = static_cast<std::uint8_t>(1 + random_.below(2));
            const std::string topic =
                is_retained ? "t/retained" : "t/" + std::to_string(&from - publishers_.data());
            qos_[payload] = qos;
            from_[payload] = &from;
            from.publish(topic, payload, qos, is_retained);
        }
    }

    void die() {
        if (random_.below(2) == 0)
            rig_.machine().crash();
        else
            rig_.machine().power_cut(random_.below(3) == 0 ? io::CutMode::lose_all : io::CutMode::random);
    }

    void recover() {
        ++restarts_;
        for (ModelClient* client : all())
            client->lose();
        if (rig_.log)
            snapshots_ += rig_.log->stats().snapshots;
        rig_.stop_objects();
        rig_.disk().clear_faults();
        rig_.world.run_for(std::chrono::milliseconds{1});
        if (rig_.disk().powered_off())
            rig_.machine().power_cut(io::CutMode::random);
        rig_.start();
        const SessionLogStats stats = rig_.log->stats();
        REQUIRE(stats.unreadable_records == 0);
        REQUIRE(stats.unknown_entries == 0);
        REQUIRE(stats.lost_references == 0);
        REQUIRE(stats.lost_records == 0);
    }

    void settle() {
        for (int i = 0; i < 60; ++i) {
            for (ModelClient* client : all()) {
                if (!client->is_up() && i % 10 == 0)
                    client->connect();
                client->drain();
                client->pay(random_, true);
            }
            rig_.run(std::chrono::milliseconds{20});
        }
    }

    void finish() {
        rig_.disk().clear_faults();
        if (rig_.machine().running())
            die();
        recover();
        settle();
        judge();
        if (!churner_.subscribed) {
            churner_.unsubscribe("u/x");
            settle();
        }
        publishers_[0].publish("u/x", "churn", 1, false);
        settle();
        REQUIRE(churner_.got["churn"] == (churner_.subscribed == true ? 1 : 0));
        // All was delivered and let go of: nothing is left but what is retained.
        REQUIRE(rig_.log->stats().messages <= 1);
        REQUIRE(rig_.broker().stats().queued == 0);
    }

    void judge() {
        for (const ModelClient& publisher : publishers_) {
            REQUIRE(publisher.unacked.empty());
            for (const std::string& payload : publisher.acked) {
                CAPTURE(payload.substr(0, 8));
                REQUIRE(least_.got[payload] >= 1);
                REQUIRE(exact_.got[payload] >= 1);
                if (qos_[payload] == 2)
                    REQUIRE(exact_.got[payload] == 1);
            }
        }
        std::map<std::pair<ModelClient*, std::uint8_t>, std::uint64_t> last;
        for (const std::string& payload : exact_.order) {
            const std::uint64_t number = std::stoull(payload.substr(1));
            std::uint64_t& before = last[{from_[payload], qos_[payload]}];
            REQUIRE(number > before);
            before = number;
        }
    }

    ModelClient& any() { return *all()[random_.below(6)]; }

    std::vector<ModelClient*> all() {
        return {&exact_, &least_, &churner_, &publishers_[0], &publishers_[1], &publishers_[2]};
    }

    SeededRandom random_;
    KeptRig rig_;
    bool has_faults_;
    ModelClient exact_{rig_, "exact"};
    ModelClient least_{rig_, "least"};
    ModelClient churner_{rig_, "churner"};
    std::vector<ModelClient> publishers_;
    std::map<std::string, std::uint8_t> qos_;
    std::map<std::string, ModelClient*> from_;
    std::uint64_t messages_ = 0;
    std::size_t restarts_ = 0;
    std::uint64_t snapshots_ = 0;
};

} // namespace

TEST_CASE(
    "[B-16] [B-17] [B-18] [B-28] [B-87] [L1] [L2] [L3] sessions hold over kills and power cuts at any time"
) {
    std::size_t restarts = 0;
    std::uint64_t snapshots = 0;
    for (std::uint64_t seed = 1; seed <= 120; ++seed) {
        CAPTURE(seed);
        Model model(seed, true);
        model.run(120);
        restarts += model.restarts();
        snapshots += model.snapshots();
    }
    MESSAGE("restarts: ", restarts, ", snapshots completed: ", snapshots);
    CHECK(restarts >= 500);
    CHECK(snapshots >= 60);
}
