// storm: all clients lose their connections at once, as when a network or a broker comes back, and all of
// them want back. One process stands for all of them, so a part of them is on its way in at a time: more
// would wait for this process longer than a server waits for a handshake.

#include "mqtt/client.h"
#include "mqtt/meters.h"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

namespace brim::bench {

namespace {

constexpr std::uint64_t give_up_ns = 180 * second_ns;
constexpr std::uint64_t retry_ns = 100'000'000; // a client that was refused waits so long

class Silent final : public ClientEvents {
public:
    void on_up(Conn&) override {}
};

class Storm {
public:
    explicit Storm(const Options& options)
        : clients_(options, events_), conns_(static_cast<std::size_t>(options.total)), tried_(conns_.size()) {
        for (std::size_t i = 0; i < conns_.size(); ++i)
            conns_[i].index = static_cast<int>(i);
    }

    std::size_t up() const { return static_cast<std::size_t>(std::ranges::count_if(conns_, &Conn::up)); }

    /// Opens whoever is not there, at most `concurrent` at a time, until all are up. False: not in time.
    bool connect_all(std::size_t concurrent) {
        const std::uint64_t start = now_ns();
        for (std::uint64_t now = start; now - start < give_up_ns; now = now_ns()) {
            std::size_t pending = static_cast<std::size_t>(
                std::ranges::count_if(conns_, [](const Conn& conn) { return conn.fd >= 0 && !conn.up; })
            );
            for (std::size_t i = 0; i < conns_.size() && pending < concurrent; ++i) {
                if (conns_[i].fd >= 0 || now - tried_[i] < retry_ns)
                    continue;
                tried_[i] = now;
                ++attempts;
                if (clients_.open(conns_[i]))
                    ++pending;
            }
            clients_.pump(2'000);
            if (up() == conns_.size())
                return true;
        }
        return false;
    }

    void cut_all() {
        for (std::size_t i = 0; i < conns_.size(); ++i) {
            clients_.cut(conns_[i]);
            tried_[i] = 0;
        }
    }

    std::uint64_t attempts = 0;

private:
    Silent events_;
    Clients clients_;
    std::vector<Conn> conns_;
    std::vector<std::uint64_t> tried_; ///< when each last began to connect
};

} // namespace

int run_storm(const Options& options) {
    Storm storm(options);
    if (!storm.connect_all(static_cast<std::size_t>(options.concurrent))) {
        std::fprintf(
            stderr, "mqtt_bench: %zu of %d clients came up before the storm\n", storm.up(), options.total
        );
        return 1;
    }
    storm.attempts = 0;
    usleep(500'000); // nothing of the first connecting is counted
    const std::uint64_t broker_before = cpu_ns(options.broker_pid);
    const std::uint64_t own_before = cpu_ns(getpid());
    const std::uint64_t start = now_ns();
    storm.cut_all();
    if (!storm.connect_all(static_cast<std::size_t>(options.concurrent))) {
        std::fprintf(
            stderr, "mqtt_bench: %zu of %d clients are back after 180 s\n", storm.up(), options.total
        );
        return 1;
    }
    const auto seconds_since = [](std::uint64_t before, std::uint64_t now) {
        return static_cast<double>(now - before) / 1e9;
    };
    const double seconds = seconds_since(start, now_ns());
    JsonRow row;
    row.text("label", options.label).text("mode", options.mode).number("tls", options.tls ? 1 : 0);
    row.number("n", options.total).number("up", static_cast<double>(storm.up())).number("secs", seconds);
    row.number("attempts", static_cast<double>(storm.attempts));
    row.number("broker_cpu_s", seconds_since(broker_before, cpu_ns(options.broker_pid)));
    row.number("gen_cpu_s", seconds_since(own_before, cpu_ns(getpid())));
    row.number("hwm_kb", static_cast<double>(status_kb(options.broker_pid, "VmHWM"))).print();
    return 0;
}

} // namespace brim::bench
