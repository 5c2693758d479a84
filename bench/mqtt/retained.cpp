// retain: fills a broker with retained messages. replay: many clients ask for all of them at once.

#include "mqtt/client.h"
#include "mqtt/meters.h"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

namespace brim::bench {

namespace {

constexpr std::uint64_t fill_ns_max = 300 * second_ns;
constexpr int outstanding_max = 1'000;

/// One publisher of retained messages, r/0 to r/n, at QoS 1.
class Filler final : public ClientEvents {
public:
    explicit Filler(const Options& options) : options_(options), clients_(options, *this) {
        conn_.role = Role::publisher;
    }

    /// False when not all of them were acknowledged in time.
    bool fill() {
        if (!clients_.open(conn_))
            give_up("connect");
        const std::uint64_t start = now_ns();
        while (acknowledged_ < options_.total && clients_.closed + clients_.errors == 0 &&
               now_ns() - start < fill_ns_max) {
            while (conn_.up && sent_ < options_.total && sent_ - acknowledged_ < outstanding_max)
                publish();
            clients_.pump(10'000);
        }
        return acknowledged_ == options_.total && refused_ == 0;
    }

    void on_up(Conn&) override {}

    void on_acknowledged(Conn&, bool good) override {
        ++acknowledged_;
        refused_ += good ? 0 : 1;
    }

private:
    void publish() {
        const std::string topic = "r/" + std::to_string(sent_++);
        conn_.out.push_back('\x33');
        const std::size_t property_bytes = options_.version == 5 ? 1 : 0;
        put_length(
            conn_.out,
            2 + topic.size() + 2 + property_bytes + static_cast<std::size_t>(options_.payload_bytes)
        );
        put_text(conn_.out, topic);
        put_u16(conn_.out, static_cast<unsigned>(sent_ % 65'535 + 1));
        conn_.out.append(property_bytes, '\0').append(static_cast<std::size_t>(options_.payload_bytes), 'x');
        clients_.mark(conn_);
    }

    const Options& options_;
    Clients clients_;
    Conn conn_;
    int sent_ = 0;
    int acknowledged_ = 0;
    int refused_ = 0;
};

/// Counts what each client gets.
class Askers final : public ClientEvents {
public:
    explicit Askers(const Options& options)
        : clients_(options, *this), conns_(static_cast<std::size_t>(options.subscribers)),
          got_(conns_.size()) {}

    /// Until each has `total`, or the time is up.
    void ask(double seconds, std::uint64_t total) {
        for (std::size_t i = 0; i < conns_.size(); ++i) {
            conns_[i].role = Role::subscriber;
            conns_[i].index = static_cast<int>(i);
            if (!clients_.open(conns_[i]))
                give_up("connect");
        }
        const std::uint64_t end = now_ns() + static_cast<std::uint64_t>(seconds * 1e9);
        while (now_ns() < end && least() < total && clients_.closed + clients_.errors == 0)
            clients_.pump(10'000);
    }

    void on_up(Conn& conn) override {
        const std::string filter = "r/#";
        clients_.subscribe(conn, {&filter, 1}, 0);
    }

    void on_delivery(Conn& conn, const Delivery&) override { ++got_[static_cast<std::size_t>(conn.index)]; }

    std::uint64_t least() const { return *std::ranges::min_element(got_); }

    std::uint64_t most() const { return *std::ranges::max_element(got_); }

    std::uint64_t sum() const {
        std::uint64_t all = 0;
        for (const std::uint64_t each : got_)
            all += each;
        return all;
    }

    std::uint64_t gone() const { return clients_.closed + clients_.errors; }

private:
    Clients clients_;
    std::vector<Conn> conns_;
    std::vector<std::uint64_t> got_;
};

double seconds_since(std::uint64_t start) {
    return static_cast<double>(now_ns() - start) / 1e9;
}

} // namespace

int run_retain(const Options& options) {
    const std::uint64_t start = now_ns();
    if (!Filler(options).fill()) {
        std::fprintf(stderr, "mqtt_bench: not all retained messages were taken\n");
        return 1;
    }
    JsonRow row;
    row.text("label", options.label).text("mode", options.mode).number("n", options.total);
    row.number("secs", seconds_since(start));
    row.number("rss_kb", static_cast<double>(status_kb(options.broker_pid, "VmRSS"))).print();
    return 0;
}

int run_replay(const Options& options) {
    const std::uint64_t start = now_ns();
    const std::uint64_t broker_before = cpu_ns(options.broker_pid);
    Askers askers(options);
    askers.ask(options.measure_s, static_cast<std::uint64_t>(options.total));
    const double seconds = seconds_since(start);
    JsonRow row;
    row.text("label", options.label).text("mode", options.mode).number("n", options.total);
    row.number("subs", options.subscribers).number("secs", seconds);
    row.number("out_per_s", static_cast<double>(askers.sum()) / seconds);
    row.number("least", static_cast<double>(askers.least()))
        .number("most", static_cast<double>(askers.most()));
    row.number("broker_cpu", static_cast<double>(cpu_ns(options.broker_pid) - broker_before) / 1e9 / seconds);
    row.number("gone", static_cast<double>(askers.gone()));
    row.number("hwm_kb", static_cast<double>(status_kb(options.broker_pid, "VmHWM"))).print();
    return 0;
}

} // namespace brim::bench
