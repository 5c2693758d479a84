// brim mqtt bench: publishers and subscribers against a server, and how long messages take. Each message
// carries the time it was due; a latency counts from that, so a server that stalls cannot hide the messages
// it held up.

#include "cli/latency.h"
#include "cli/mqtt_commands.h"
#include "cli/mqtt_session.h"
#include "io/resident.h"
#include "mqtt/topic_filter.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace brim::cli {

namespace {

constexpr std::size_t stamp_bytes = 8;
constexpr std::size_t bench_queue_bytes_max = 1'048'576;
constexpr std::chrono::milliseconds bench_tick{1};
constexpr std::chrono::seconds late_wait_max{2}; ///< for what is under way at the end

class Bench;

class BenchClient final : private mqtt::LinkEvents {
public:
    BenchClient(Bench& bench, std::size_t index, bool publishes);

    void start() { link_->start(); }

    void stop() { link_->stop(); }

    mqtt::Link& link() { return *link_; }

    /// Sends what is due at `now`, as far as there is room.
    void pump(Mono now);

private:
    mqtt::ClientOptions login() override;
    void on_up(const mqtt::Connack& connack) override;
    void on_down(const Error& why, std::chrono::milliseconds retry_in) override;
    bool on_message(const MessagePtr& message, std::uint16_t packet_id) override;
    void on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) override;
    void on_subscribed(std::string_view filter, mqtt::ReasonCode reason) override;

    Bench& bench_;
    const std::size_t index_;
    const bool publishes_;
    Message message_;
    std::uint64_t sent_ = 0;
    std::unique_ptr<mqtt::Link> link_;
};

class Bench {
public:
    Bench(MqttSession& session, const BenchOptions& options)
        : session_(session), options_(options),
          prefix_(
              session.target().topics.empty() ? "brim-bench/" + session.env().random().alnum(8)
                                              : session.target().topics.front()
          ),
          timer_(session.loop()) {
        for (std::size_t i = 0; i < options.subscribers; ++i)
            clients_.push_back(std::make_unique<BenchClient>(*this, i, false));
        for (std::size_t i = 0; i < options.publishers; ++i)
            clients_.push_back(std::make_unique<BenchClient>(*this, i, true));
    }

    Exit run() {
        for (const auto& client : clients_)
            client->start();
        const Exit exit = session_.run([this] { end(Exit::failure); });
        for (const auto& client : clients_)
            client->stop();
        return exit;
    }

    void ready() {
        if (++ready_ < clients_.size() || measuring_from_ != Mono{})
            return;
        began_ = now();
        measuring_from_ = began_ + seconds(options_.warmup_s);
        measuring_to_ = measuring_from_ + seconds(options_.seconds);
        tick();
    }

    void failed(const Error& why) {
        if (!session_.finishing())
            end(complain(explained(why, session_.target())));
    }

    void delivered(const Message& message) {
        std::int64_t due = 0;
        if (message.payload.size() < stamp_bytes)
            return;
        std::memcpy(&due, message.payload.data(), stamp_bytes);
        const std::int64_t at = now().time_since_epoch().count();
        if (Mono(Duration(due)) < measuring_from_ || Mono(Duration(due)) >= measuring_to_)
            return;
        ++delivered_;
        if (now() < measuring_to_)
            ++delivered_in_time_;
        latency_.add(static_cast<std::uint64_t>(std::max<std::int64_t>(at - due, 0)) / 1'000);
    }

    void sent(Mono due) {
        if (due >= measuring_from_ && due < measuring_to_)
            ++sent_;
    }

    /// When the `number`-th message of a publisher is due; publishers take turns within the interval.
    Mono due(std::size_t publisher, std::uint64_t number) const {
        const double interval_s = options_.publishers / options_.rate;
        const double phase = static_cast<double>(publisher) / options_.publishers;
        return began_ + seconds((static_cast<double>(number) + phase) * interval_s);
    }

    Mono now() const { return session_.env().loop().clock().mono(); }

    Mono publishing_until() const { return measuring_to_; }

    MqttSession& session() { return session_; }

    const BenchOptions& options() const { return options_; }

    const std::string& prefix() const { return prefix_; }

    void print(Format format) const;

private:
    static Duration seconds(double count) {
        return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(count));
    }

    void tick() {
        const Mono at = now();
        for (std::size_t i = options_.subscribers; i < clients_.size() && !session_.finishing(); ++i)
            clients_[i]->pump(at);
        const bool is_all_here = delivered_ >= sent_ * options_.subscribers;
        if (at >= measuring_to_ + late_wait_max || (at >= measuring_to_ && is_all_here))
            return end(Exit::ok);
        timer_.start(bench_tick, [this] { tick(); });
    }

    void end(Exit exit) {
        timer_.stop();
        session_.finish(clients_.front()->link(), exit);
    }

    MqttSession& session_;
    const BenchOptions& options_;
    const std::string prefix_;
    std::vector<std::unique_ptr<BenchClient>> clients_; ///< subscribers first
    io::Timer timer_;
    std::size_t ready_ = 0;
    Mono began_{};
    Mono measuring_from_{};
    Mono measuring_to_{};
    std::uint64_t sent_ = 0;
    std::uint64_t delivered_ = 0;
    std::uint64_t delivered_in_time_ = 0;
    LatencyCount latency_;
};

BenchClient::BenchClient(Bench& bench, std::size_t index, bool publishes)
    : bench_(bench), index_(index), publishes_(publishes), message_(bench.session().target().publish),
      link_(bench.session().link(*this)) {
    message_.topic = bench.prefix() + "/" + std::to_string(index);
    message_.payload.assign(std::max(bench.options().payload_bytes, stamp_bytes), 'x');
}

mqtt::ClientOptions BenchClient::login() {
    mqtt::ClientOptions made = bench_.session().target().login;
    made.client_id += (publishes_ ? "-p" : "-s") + std::to_string(index_);
    made.inflight_max = static_cast<std::uint16_t>(bench_.options().window);
    made.receive_maximum = 65'535; // a subscriber is not what is measured
    return made;
}

void BenchClient::on_up(const mqtt::Connack&) {
    if (publishes_)
        return bench_.ready();
    const std::uint8_t qos = message_.qos;
    if (const auto asked = link_->client().subscribe({{bench_.prefix() + "/+", qos}}, link_->now()); !asked)
        bench_.failed(asked.error());
}

void BenchClient::on_down(const Error& why, std::chrono::milliseconds) {
    bench_.failed(why);
}

bool BenchClient::on_message(const MessagePtr& message, std::uint16_t) {
    bench_.delivered(*message);
    return true;
}

void BenchClient::on_settled(mqtt::PublishTag, mqtt::ReasonCode reason) {
    if (mqtt::is_failure(reason))
        return bench_.failed(
            {Errc::denied,
             "message to " + message_.topic,
             "the server refused it: " + std::string(mqtt::reason_text(reason)),
             "choose a topic with -t that this user may publish to"}
        );
    pump(bench_.now());
}

void BenchClient::on_subscribed(std::string_view filter, mqtt::ReasonCode reason) {
    if (!mqtt::is_failure(reason))
        return bench_.ready();
    bench_.failed(
        {Errc::denied,
         "subscription to " + std::string(filter),
         "the server refused it: " + std::string(mqtt::reason_text(reason)),
         "choose a topic with -t that this user may subscribe to"}
    );
}

void BenchClient::pump(Mono now) {
    while (now < bench_.publishing_until() && link_->up()) {
        const bool has_room =
            message_.qos != 0 ? link_->client().quota() > 0 : link_->queued() < bench_queue_bytes_max;
        const Mono due = bench_.options().rate > 0 ? bench_.due(index_, sent_) : bench_.now();
        if (!has_room || due > now + bench_tick || due >= bench_.publishing_until())
            return;
        const std::int64_t stamp = due.time_since_epoch().count();
        std::memcpy(message_.payload.data(), &stamp, stamp_bytes);
        if (const auto sent = link_->client().publish(message_, ++sent_, link_->now()); !sent)
            return bench_.failed(sent.error());
        bench_.sent(due);
    }
}

double rounded(double value) {
    return std::round(value * 10) / 10;
}

void Bench::print(Format format) const {
    const auto ms = [](std::uint64_t microseconds) { return static_cast<double>(microseconds) / 1'000; };
    const std::uint64_t wanted = sent_ * options_.subscribers;
    const double per_second = static_cast<double>(sent_) / options_.seconds;
    const double deliveries = static_cast<double>(delivered_in_time_) / options_.seconds;
    if (format == Format::json)
        return print_json(Json::object(
            {{"publishers", options_.publishers},
             {"subscribers", options_.subscribers},
             {"qos", unsigned{session_.target().publish.qos}},
             {"payloadBytes", std::max(options_.payload_bytes, stamp_bytes)},
             {"seconds", options_.seconds},
             {"published", sent_},
             {"publishedPerSecond", rounded(per_second)},
             {"delivered", delivered_},
             {"missing", wanted - std::min(wanted, delivered_)},
             {"deliveredPerSecond", rounded(deliveries)},
             {"latencyMs",
              Json::object(
                  {{"p50", ms(latency_.at(0.5))},
                   {"p99", ms(latency_.at(0.99))},
                   {"p999", ms(latency_.at(0.999))},
                   {"max", ms(latency_.max())}}
              )}}
        ));
    std::printf(
        "published   %12.1f /s   %llu in %.1f s\n"
        "delivered   %12.1f /s   %llu of %llu\n"
        "latency     p50 %.3f ms   p99 %.3f ms   p99.9 %.3f ms   max %.3f ms\n",
        per_second,
        static_cast<unsigned long long>(sent_),
        options_.seconds,
        deliveries,
        static_cast<unsigned long long>(delivered_),
        static_cast<unsigned long long>(wanted),
        ms(latency_.at(0.5)),
        ms(latency_.at(0.99)),
        ms(latency_.at(0.999)),
        ms(latency_.max())
    );
}

Result<void> check(const BenchOptions& options, const MqttTarget& target) {
    const auto wrong = [](const char* option, const char* cause, const char* fix) {
        return fail(Errc::invalid, option, cause, fix);
    };
    const unsigned most = MqttLimits::bench_clients_max;
    if (options.publishers == 0 || options.publishers > most || options.subscribers > most)
        return wrong(
            "--publishers", "there is no load like that", "use 1 to 10,000, and at most 10,000 subscribers"
        );
    if (options.payload_bytes > MqttLimits::payload_bytes_max)
        return wrong("--size", "a message has at most 64 MiB", "use a smaller one");
    if (options.window == 0 || options.window > 65'535)
        return wrong("--window", "a publisher has no such window", "use 1 to 65535");
    if (!(options.seconds > 0) || options.seconds > 86'400 || !(options.warmup_s >= 0) ||
        options.warmup_s > 86'400)
        return wrong("--duration", "that is no time to measure", "use more than 0 and at most 86400 seconds");
    if (target.publish.qos == 0 && !(options.rate > 0))
        return wrong(
            "--rate",
            "nothing holds QoS 0 back: without a rate it measures how fast a server throws messages away",
            "give --rate, or use -q 1"
        );
    if (target.topics.size() > 1 || (!target.topics.empty() && !mqtt::is_topic_name(target.topics.front())))
        return wrong(
            "-t", "one topic is needed, that the clients' own are made below", "give one, without + and #"
        );
    return {};
}

} // namespace

Exit mqtt_bench(const BenchOptions& options, Format format) {
    Exit exit = Exit::ok;
    io::raise_descriptor_limit();
    const auto session = MqttSession::make(options.words, exit);
    if (!session)
        return exit;
    if (const auto checked = check(options, session->target()); !checked)
        return static_cast<Exit>(complain_of_words(checked.error()));
    Bench bench(*session, options);
    const Exit ended = bench.run();
    if (ended == Exit::ok)
        bench.print(format);
    return ended;
}

} // namespace brim::cli
