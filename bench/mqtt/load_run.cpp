// A load as it runs: connecting, the loops, the end, the report.

#include "mqtt/load.h"

#include <algorithm>
#include <cstdio>
#include <unistd.h>
#include <utility>

namespace brim::bench {

Load::Reading::Reading(int broker) : broker_ns(cpu_ns(broker)), own_ns(cpu_ns(getpid())), at(now_ns()) {}

bool Load::connect_all() {
    std::vector<Conn*> all;
    all.reserve(subscribers_.size() + publishers_.size() + holders_.size());
    for (auto& conn : subscribers_)
        all.push_back(conn.get());
    for (auto& conn : publishers_)
        all.push_back(conn.get());
    for (auto& conn : holders_)
        all.push_back(conn.get());
    const std::uint64_t deadline = now_ns() + 60 * second_ns;
    std::size_t started = 0;
    while (clients_.ups < all.size() || clients_.subscribed < subscribers_.size() + holders_.size()) {
        for (; started < all.size() && started - clients_.ups < 64; ++started) {
            if (!clients_.open(*all[started]))
                give_up("connect");
        }
        clients_.pump(10'000);
        if (now_ns() > deadline || clients_.closed + clients_.errors != 0) {
            std::fprintf(stderr, "mqtt_bench: the broker refuses or drops clients\n");
            return false;
        }
    }
    for (auto& conn : subscribers_) {
        if (conn->stalled)
            clients_.stall(*conn);
    }
    if (options_.stalled != 0)
        fill_stalled();
    return true;
}

/// Sends what is due; microseconds until the next message is.
int Load::open_loop(std::uint64_t now) {
    constexpr int burst_max = 512;
    const double gap_ns = 1e9 / options_.rate;
    std::uint64_t due = 0;
    for (int burst = 0; burst < burst_max; ++burst) {
        due = began_ + static_cast<std::uint64_t>(static_cast<double>(next_message_) * gap_ns);
        if (due > now)
            break;
        // Latency counts from the intended time: a stalled broker or generator cannot hide its pauses.
        if (measuring_ && now - due > lag_ns_max_)
            lag_ns_max_ = now - due;
        emit(*publishers_[next_message_ % publishers_.size()], due);
        ++next_message_;
    }
    now = now_ns();
    if (options_.busy || due <= now)
        return 0;
    return static_cast<int>(std::min<std::uint64_t>((due - now) / 1000, 1000));
}

void Load::closed_loop(std::uint64_t now) {
    const std::vector<Conn*> work = std::exchange(ready_, {});
    for (Conn* const publisher : work) {
        publisher->queued = false;
        while (may_send(*publisher))
            emit(*publisher, now_ns());
    }
    if (total_.delivered != progress_count_) {
        progress_count_ = total_.delivered;
        progress_at_ = now;
    } else if (now - progress_at_ > second_ns) {
        // Deliveries were lost: start over with full windows, and say so.
        ++stalls_;
        progress_at_ = now;
        for (auto& publisher : publishers_) {
            publisher->delivered = publisher->sequence * fan_;
            may_continue(*publisher);
        }
    }
}

void Load::drain() {
    const auto wait = static_cast<std::uint64_t>(options_.drain_s * 1e9);
    const std::uint64_t deadline = now_ns() + 4 * wait;
    std::uint64_t quiet_since = now_ns();
    std::uint64_t count = 0;
    const auto incomplete = [&] {
        return total_.delivered < total_.sent * fan_ ||
               (options_.qos != 0 && total_.acknowledged < total_.sent);
    };
    while (incomplete() && now_ns() < deadline && now_ns() - quiet_since <= wait) {
        ready_.clear();
        clients_.pump(10'000);
        if (const std::uint64_t now_count = total_.delivered + total_.acknowledged; now_count != count) {
            count = now_count;
            quiet_since = now_ns();
        }
    }
}

void Load::run_until(std::uint64_t end) {
    for (std::uint64_t now = now_ns(); now < end; now = now_ns()) {
        int wait_us = 1000;
        if (options_.rate > 0)
            wait_us = open_loop(now);
        else
            closed_loop(now);
        clients_.flush_all();
        clients_.pump(wait_us);
        if (clients_.closed >= publishers_.size() + subscribers_.size())
            break;
    }
}

int Load::run() {
    if (!connect_all())
        return 1;
    const long rss_before = status_kb(options_.broker_pid, "VmRSS");
    began_ = progress_at_ = now_ns();
    for (auto& publisher : publishers_)
        may_continue(*publisher);
    run_until(began_ + static_cast<std::uint64_t>(options_.warm_s * 1e9));
    const Reading begin(options_.broker_pid);
    measuring_ = true;
    run_until(begin.at + static_cast<std::uint64_t>(options_.measure_s * 1e9));
    const Reading end(options_.broker_pid);
    measuring_ = false;
    const long rss_after = status_kb(options_.broker_pid, "VmRSS");
    if (clients_.closed != 0)
        std::fprintf(stderr, "mqtt_bench: the broker closed connections during the run\n");
    drain();
    report(begin, end, rss_before, rss_after);
    return 0;
}

void Load::report(const Reading& begin, const Reading& end, long rss_before_kb, long rss_after_kb) {
    const double seconds = static_cast<double>(end.at - begin.at) / 1e9;
    const double broker_s = static_cast<double>(end.broker_ns - begin.broker_ns) / 1e9;
    const double own_s = static_cast<double>(end.own_ns - begin.own_ns) / 1e9;
    const auto per = [](std::uint64_t count, double time) {
        return time > 0 ? static_cast<double>(count) / time : 0;
    };
    const std::uint64_t duplicates = options_.shared ? shared_duplicates_ : order_.duplicates;
    const std::uint64_t unique = total_.delivered - duplicates;
    JsonRow row;
    row.text("label", options_.label).text("mode", options_.mode);
    row.number("v", options_.version).number("qos", options_.qos).number("size", options_.payload_bytes);
    row.number("pubs", static_cast<double>(publishers_.size()));
    row.number("subs", static_cast<double>(subscribers_.size()));
    row.number("rate", options_.rate).number("window", options_.window).number("tls", options_.tls ? 1 : 0);
    row.number("in_per_s", per(measured_.sent, seconds));
    row.number("out_per_s", per(measured_.delivered, seconds));
    row.number("broker_cpu", broker_s / seconds).number("gen_cpu", own_s / seconds);
    row.number("in_per_bcpu", per(measured_.sent, broker_s));
    row.number("out_per_bcpu", per(measured_.delivered, broker_s));
    row.number("acked_per_s", per(measured_.acknowledged, seconds));
    row.number("acked_per_bcpu", per(measured_.acknowledged, broker_s));
    row.number("p50_us", latency_.us(.5)).number("p99_us", latency_.us(.99));
    row.number("p999_us", latency_.us(.999)).number("max_us", latency_.max_us());
    row.number("gen_lag_max_us", static_cast<double>(lag_ns_max_) / 1e3);
    row.number("sent", static_cast<double>(total_.sent));
    row.number("expected", static_cast<double>(total_.sent * fan_));
    row.number("delivered", static_cast<double>(total_.delivered));
    row.number("lost", static_cast<double>(total_.sent * fan_) - static_cast<double>(unique));
    row.number("gaps", static_cast<double>(order_.gaps))
        .number("reordered", static_cast<double>(order_.reordered));
    row.number("dups", static_cast<double>(duplicates)).number("foreign", static_cast<double>(foreign_));
    const auto acknowledged = static_cast<double>(total_.acknowledged);
    row.number("unacked", options_.qos != 0 ? static_cast<double>(total_.sent) - acknowledged : 0);
    row.number("badack", static_cast<double>(bad_acks_)).number("stalls", static_cast<double>(stalls_));
    row.number("closed", static_cast<double>(clients_.closed));
    row.number("err", static_cast<double>(clients_.errors));
    row.number("rss0_kb", static_cast<double>(rss_before_kb));
    row.number("rss1_kb", static_cast<double>(rss_after_kb));
    row.number("hwm_kb", static_cast<double>(status_kb(options_.broker_pid, "VmHWM")));
    row.print();
}

int run_load(const Options& options) {
    return Load(options).run();
}

} // namespace brim::bench
