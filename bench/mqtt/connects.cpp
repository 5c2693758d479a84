// connect: clients that come and go. idle: clients that stay and do nothing.

#include "mqtt/client.h"
#include "mqtt/meters.h"

#include <array>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace brim::bench {

namespace {

/// Subscribes each client that is up, when asked to.
class Greeter final : public ClientEvents {
public:
    explicit Greeter(const Options& options) : options_(options), clients(options, *this) {}

    void on_up(Conn& conn) override {
        if (!options_.subscribe)
            return;
        const std::string filter = "dev/" + std::to_string(conn.index) + "/cmd/#";
        clients.subscribe(conn, {&filter, 1}, 1);
    }

private:
    const Options& options_;

public:
    Clients clients;
};

struct Opened {
    std::uint64_t up = 0;
    std::uint64_t errors = 0;
    std::uint64_t closed = 0;
};

/// Opens this process's part of the idle clients; gives up when nothing moves for 10 s.
Opened open_idle(Greeter& greeter, std::vector<Conn>& conns, int first_index, int concurrent) {
    Clients& clients = greeter.clients;
    std::size_t started = 0;
    std::uint64_t progress_at = now_ns();
    std::uint64_t progress = 0;
    while (clients.ups < conns.size() && now_ns() - progress_at < 10 * second_ns &&
           clients.closed + clients.errors <= 200) {
        while (started < conns.size() && started - clients.ups < static_cast<std::uint64_t>(concurrent)) {
            conns[started].index = first_index + static_cast<int>(started);
            if (!clients.open(conns[started]))
                break;
            ++started;
        }
        clients.pump(5'000);
        if (clients.ups != progress) {
            progress = clients.ups;
            progress_at = now_ns();
        }
    }
    return {clients.ups, clients.errors, clients.closed};
}

/// Runs in a child: opens, reports through `result`, holds until `gate` says a byte.
[[noreturn]] void idle_child(const Options& options, int number, int result, int gate) {
    const int part = options.total / options.processes;
    Greeter greeter(options);
    greeter.clients.skip_addresses(static_cast<std::uint64_t>(number) * static_cast<std::uint64_t>(part));
    std::vector<Conn> conns(static_cast<std::size_t>(part));
    const Opened opened = open_idle(greeter, conns, number * part, options.concurrent);
    const std::uint64_t deadline = now_ns() + 20 * second_ns;
    while (options.subscribe && greeter.clients.subscribed < greeter.clients.ups && now_ns() < deadline)
        greeter.clients.pump(5'000);
    char byte = 0;
    if (::write(result, &opened, sizeof opened) < 0 || ::read(gate, &byte, 1) < 0)
        _exit(3);
    const linger reset{1, 0};
    for (const Conn& conn : conns) {
        if (conn.fd >= 0)
            setsockopt(conn.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    _exit(0);
}

struct Child {
    pid_t pid = -1;
    int result = -1;
    int gate = -1;
};

Child start_idle_child(const Options& options, int number) {
    std::array<int, 2> result{};
    std::array<int, 2> gate{};
    if (pipe(result.data()) != 0 || pipe(gate.data()) != 0)
        give_up("pipe");
    const pid_t pid = fork();
    if (pid == 0) {
        ::close(result[0]);
        ::close(gate[1]);
        idle_child(options, number, result[1], gate[0]);
    }
    ::close(result[1]);
    ::close(gate[0]);
    return {pid, result[0], gate[1]};
}

} // namespace

int run_connects(const Options& options) {
    Greeter greeter(options);
    Clients& clients = greeter.clients;
    std::vector<Conn> conns(static_cast<std::size_t>(options.concurrent));
    std::vector<std::uint64_t> began(conns.size());
    const auto total = static_cast<std::uint64_t>(options.total);
    const std::uint64_t broker_before = cpu_ns(options.broker_pid);
    const std::uint64_t own_before = cpu_ns(getpid());
    const std::uint64_t start = now_ns();
    std::uint64_t launched = 0;
    std::uint64_t done = 0;
    std::uint64_t resumed = 0;
    Histogram latency;
    while (done + clients.errors + clients.closed < total && now_ns() < start + 120 * second_ns &&
           clients.errors + clients.closed <= 100) {
        for (std::size_t i = 0; i < conns.size(); ++i) {
            Conn& conn = conns[i];
            if (conn.up) {
                latency.add(now_ns() - began[i]);
                if (clients.resumed(conn))
                    ++resumed;
                clients.leave(conn);
                ++done;
            }
            if (conn.fd < 0 && launched < total) {
                began[i] = now_ns();
                conn.index = static_cast<int>(launched);
                if (clients.open(conn))
                    ++launched;
            }
        }
        clients.pump(1'000);
    }
    const double seconds = static_cast<double>(now_ns() - start) / 1e9;
    usleep(200'000); // the broker's share of the last goodbyes counts too
    const double broker_s = static_cast<double>(cpu_ns(options.broker_pid) - broker_before) / 1e9;
    const double own_s = static_cast<double>(cpu_ns(getpid()) - own_before) / 1e9;
    const auto ups = static_cast<double>(clients.ups);
    JsonRow row;
    row.text("label", options.label).text("mode", options.mode).number("tls", options.tls ? 1 : 0);
    row.number("resumed", static_cast<double>(resumed)).number("n", ups).number("secs", seconds);
    row.number("per_s", ups / seconds).number("broker_cpu_s", broker_s).number("gen_cpu_s", own_s);
    row.number("per_bcpu", broker_s > 0 ? ups / broker_s : 0);
    row.number("p50_us", latency.us(.5)).number("p99_us", latency.us(.99));
    row.number("err", static_cast<double>(clients.errors));
    row.number("closed", static_cast<double>(clients.closed));
    row.number("rss_kb", static_cast<double>(status_kb(options.broker_pid, "VmRSS"))).print();
    return 0;
}

int run_idle(const Options& options) {
    // Of code that was given back after the start, pages come again with the first connections: they are
    // none's.
    constexpr const char* own_memory = "RssAnon";
    const long rss_before = status_kb(options.broker_pid, own_memory);
    const long available_before = meminfo_kb("MemAvailable");
    const std::uint64_t cpu_before = cpu_ns(options.broker_pid);
    const std::uint64_t start = now_ns();
    std::vector<Child> children;
    children.reserve(static_cast<std::size_t>(options.processes));
    for (int i = 0; i < options.processes; ++i)
        children.push_back(start_idle_child(options, i));
    Opened all;
    for (const Child& child : children) {
        Opened part;
        if (::read(child.result, &part, sizeof part) != sizeof part)
            continue;
        all.up += part.up;
        all.errors += part.errors;
        all.closed += part.closed;
    }
    const double seconds = static_cast<double>(now_ns() - start) / 1e9;
    usleep(static_cast<useconds_t>(options.hold_s * 1e6) + 300'000);
    const long rss_after = status_kb(options.broker_pid, own_memory);
    const long available_after = meminfo_kb("MemAvailable");
    const auto up = static_cast<double>(all.up);
    const auto each = [up](long kb) { return up > 0 ? static_cast<double>(kb) * 1024 / up : 0; };
    JsonRow row;
    row.text("label", options.label).text("mode", options.mode).number("tls", options.tls ? 1 : 0);
    row.number("sub", options.subscribe ? 1 : 0).number("n", options.total).number("up", up);
    row.number("err", static_cast<double>(all.errors)).number("closed", static_cast<double>(all.closed));
    row.number("secs", seconds).number("rss0_kb", static_cast<double>(rss_before));
    row.number("rss1_kb", static_cast<double>(rss_after));
    row.number("rss_B_per_conn", each(rss_after - rss_before));
    row.number("avail_delta_B_per_conn", each(available_before - available_after));
    row.number("broker_cpu_s", static_cast<double>(cpu_ns(options.broker_pid) - cpu_before) / 1e9).print();
    for (const Child& child : children) {
        if (::write(child.gate, "x", 1) < 0)
            give_up("the children's gate");
    }
    for (const Child& child : children)
        waitpid(child.pid, nullptr, 0);
    return 0;
}

} // namespace brim::bench
