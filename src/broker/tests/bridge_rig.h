#pragma once
// Brokers with bridges on simulated machines, and publishers that know what was acknowledged.

#include "broker/bridge_set.h"
#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"
#include "mqtt/server.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace brim::broker::rig {

/// What reached a broker, written down by somebody whom no crash concerns.
struct Arrivals {
    std::map<std::string, unsigned> times;                       ///< payload -> how often
    std::map<std::string, std::vector<std::string>> first_order; ///< topic -> payloads, as they first came

    void note(const Message& message) {
        if (times[message.payload]++ == 0)
            first_order[message.topic].push_back(message.payload);
    }
};

/// A broker that lets everyone do everything, with bridges.
class Site final : public mqtt::Server, public LocalBroker {
public:
    Site(io::Env& env, std::string id, Arrivals& to)
        : Server(env, {}), arrivals(to), bridges(env, *this, std::move(id)) {
        REQUIRE(listen({io::Endpoint::Kind::tcp, "0.0.0.0", 1'883}, {}).has_value());
    }

    void publish(const MessagePtr& message, Done done) override {
        if (refuse_left > 0) {
            --refuse_left;
            done(fail(Errc::full, "local broker", "no room"));
            return;
        }
        // "Kept for good" is a while later: a crash in between loses it, and the remote broker has it still.
        env().loop().after(std::chrono::milliseconds{3}, [this, message, done] {
            arrivals.note(*message);
            broker().publish(message, now());
            done({});
        });
    }

    Arrivals& arrivals;
    BridgeSet bridges;
    unsigned refuse_left = 0;

private:
    void on_connect(mqtt::ConnId conn, const mqtt::Connect& connect) override {
        mqtt::Admission admission;
        admission.session_key = connect.client_id;
        admission.principal = connect.client_id;
        broker().accept(conn, admission, now());
    }

    bool authorise(const mqtt::ConnView&, mqtt::Action, std::string_view) override { return true; }

    mqtt::Verdict
    on_publish(const mqtt::ConnView&, const MessagePtr& message, mqtt::AckToken token) override {
        LocalBroker::Done done;
        if (token != 0) {
            done = [this, token](Result<void> kept) {
                using enum mqtt::ReasonCode;
                broker().complete(token, kept ? success : quota_exceeded, now());
            };
        }
        const auto taken = bridges.take(message, std::move(done));
        if (taken.route)
            arrivals.note(*taken.route);
        if (taken.route == message && !taken.pending)
            return mqtt::Verdict::route;
        if (taken.route)
            broker().publish(taken.route, now());
        return taken.pending && token != 0 ? mqtt::Verdict::pending : mqtt::Verdict::consumed;
    }

    void on_up(const mqtt::ConnView&) override {}

    void on_down(const mqtt::ConnView&, mqtt::Ended) override {}

    void on_dropped(std::string_view, std::string_view, std::uint64_t) override {}
};

/// Publishes numbered payloads, each once; the client sends again what a cut left without an answer.
class Publisher final : private mqtt::LinkEvents {
public:
    Publisher(io::SimWorld& world, std::string name, const std::string& broker)
        : name_(std::move(name)), link_(world.machine(name_).env(), *this, options(broker)) {
        link_.start();
    }

    bool up() const { return link_.up(); }

    bool publish(const std::string& topic, std::uint8_t qos = 1, bool retain = false) {
        Message message;
        message.topic = topic;
        message.payload = topic + ":" + std::to_string(count_ + 1);
        message.qos = qos;
        message.retain = retain;
        if (!link_.client().publish(message, count_ + 1, link_.now()))
            return false;
        payloads_[++count_] = message.payload;
        return true;
    }

    std::vector<std::string> acked;
    unsigned refused = 0;

private:
    static mqtt::LinkOptions options(const std::string& broker) {
        mqtt::LinkOptions options;
        options.to = {io::Endpoint::Kind::tcp, broker, 1'883};
        options.backoff_min = std::chrono::milliseconds{50};
        options.backoff_max = std::chrono::milliseconds{200};
        return options;
    }

    mqtt::ClientOptions login() override {
        mqtt::ClientOptions options;
        options.client_id = name_;
        options.keepalive_s = 5;
        options.session_expiry_s = 3'600;
        options.clean_start = false;
        return options;
    }

    void on_up(const mqtt::Connack&) override {}

    void on_down(const Error&, std::chrono::milliseconds) override {}

    bool on_message(const MessagePtr&, std::uint16_t) override { return true; }

    void on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) override {
        if (mqtt::is_failure(reason))
            ++refused;
        else
            acked.push_back(payloads_[tag]);
    }

    void on_subscribed(std::string_view, mqtt::ReasonCode) override {}

    std::string name_;
    mqtt::Link link_;
    std::uint64_t count_ = 0;
    std::map<std::uint64_t, std::string> payloads_;
};

inline BridgeSettings settings(std::string name, const std::string& to, std::vector<BridgeRule> rules) {
    BridgeSettings settings;
    settings.name = std::move(name);
    settings.to = {io::Endpoint::Kind::tcp, to, 1'883};
    settings.folder = "/data/bridge-" + settings.name;
    settings.keepalive_s = 5;
    settings.backoff_min = std::chrono::milliseconds{100};
    settings.backoff_max = std::chrono::milliseconds{400};
    settings.rules = std::move(rules);
    settings.queue_bytes_max = 8'388'608;
    return settings;
}

/// Payloads of one topic end in a growing number: each first arrival after the ones before it.
inline void check_order(const Arrivals& arrivals) {
    for (const auto& [topic, payloads] : arrivals.first_order) {
        std::uint64_t last = 0;
        for (const std::string& payload : payloads) {
            const std::uint64_t number = std::stoull(payload.substr(payload.find(':') + 1));
            CHECK_MESSAGE(number > last, topic << ": " << number << " after " << last);
            last = number;
        }
    }
}

} // namespace brim::broker::rig
