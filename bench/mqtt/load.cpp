// fanin, fanout and pairs: publishers and subscribers, open or closed loop. Each payload carries its intended
// time (8 bytes), publisher (4) and sequence (4); each subscriber checks that the sequence of each publisher
// has no gap and ascends.

#include "mqtt/client.h"
#include "mqtt/meters.h"

#include <cstdio>
#include <cstring>
#include <unistd.h>
#include <unordered_set>
#include <utility>

namespace brim::bench {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::size_t stamp_bytes = 16;

struct Counts {
    std::uint64_t sent = 0;
    std::uint64_t delivered = 0;
    std::uint64_t acknowledged = 0;
};

/// What the broker and the generator used, and when.
struct Reading {
    explicit Reading(int broker) : broker_ns(cpu_ns(broker)), own_ns(cpu_ns(getpid())), at(now_ns()) {}

    std::uint64_t broker_ns;
    std::uint64_t own_ns;
    std::uint64_t at;
};

class Load final : public ClientEvents {
public:
    explicit Load(const Options& options);
    int run();

    void on_up(Conn& conn) override;
    void on_delivery(Conn& conn, const Delivery& delivery) override;
    void on_acknowledged(Conn& conn, bool good) override;

private:
    void prepare(Conn& publisher) const;
    void emit(Conn& publisher, std::uint64_t intended);
    bool may_send(const Conn& publisher) const;
    void may_continue(Conn& publisher);
    void check_order(std::size_t subscriber, std::uint32_t publisher, std::uint32_t sequence);
    bool connect_all();
    int open_loop(std::uint64_t now);
    void closed_loop(std::uint64_t now);
    void drain();
    void report(const Reading& begin, const Reading& end, long rss_before_kb, long rss_after_kb);

    const Options& options_;
    Clients clients_;
    std::vector<std::unique_ptr<Conn>> publishers_;
    std::vector<std::unique_ptr<Conn>> subscribers_;
    std::uint64_t fan_ = 1; ///< deliveries for each message
    std::string filler_;
    bool measuring_ = false;
    Counts measured_;
    Counts total_;
    Histogram latency_;
    std::vector<std::vector<std::uint32_t>> expected_; ///< [subscriber][publisher]
    std::unordered_set<std::uint64_t> missing_;        ///< skipped so far: empty when all is in order
    std::vector<std::vector<bool>> seen_;              ///< shared: [publisher][sequence]
    std::uint64_t gaps_ = 0;
    std::uint64_t reordered_ = 0;
    std::uint64_t duplicates_ = 0;
    std::uint64_t foreign_ = 0;
    std::uint64_t bad_acks_ = 0;
    std::uint64_t stalls_ = 0;
    std::uint64_t lag_ns_max_ = 0;
    std::uint64_t began_ = 0;
    std::uint64_t next_message_ = 0;
    std::uint64_t progress_at_ = 0;
    std::uint64_t progress_count_ = 0;
    std::vector<Conn*> ready_;
};

Load::Load(const Options& options) : options_(options), clients_(options, *this) {
    const bool pairs = options.mode == "pairs";
    const int publishers = options.mode == "fanout" ? 1 : options.publishers;
    const int subscribers = pairs ? publishers : options.subscribers;
    fan_ = pairs || options.shared ? 1 : static_cast<std::uint64_t>(subscribers);
    filler_.assign(std::max<std::size_t>(static_cast<std::size_t>(options.payload_bytes), stamp_bytes), 'x');
    for (int i = 0; i < subscribers; ++i) {
        subscribers_.push_back(std::make_unique<Conn>());
        subscribers_.back()->role = Role::subscriber;
        subscribers_.back()->index = i;
        expected_.emplace_back(pairs ? 1 : static_cast<std::size_t>(publishers), 0);
    }
    for (int i = 0; i < publishers; ++i) {
        publishers_.push_back(std::make_unique<Conn>());
        publishers_.back()->role = Role::publisher;
        publishers_.back()->index = i;
        prepare(*publishers_.back());
    }
    seen_.resize(static_cast<std::size_t>(publishers));
}

void Load::prepare(Conn& publisher) const {
    const std::string topic = "b/" + std::to_string(publisher.index) + "/t";
    const std::size_t fields = (options_.qos != 0 ? 2U : 0U) + (options_.version == 5 ? 1U : 0U);
    std::string& head = publisher.head;
    head.push_back(static_cast<char>(0x30 | options_.qos << 1));
    put_length(head, 2 + topic.size() + fields + filler_.size());
    put_text(head, topic);
    publisher.packet_id_at = head.size();
    head.append(fields, '\0');
}

void Load::on_up(Conn& conn) {
    if (conn.role != Role::subscriber)
        return;
    std::string filter = options_.shared ? "$share/g/b/+/t" : "b/+/t";
    if (options_.mode == "pairs")
        filter = "b/" + std::to_string(conn.index) + "/t";
    else if (options_.mode == "fanout")
        filter = "b/0/t";
    clients_.subscribe(conn, filter, options_.qos);
}

void Load::on_delivery(Conn& conn, const Delivery& delivery) {
    std::uint64_t intended = 0;
    std::uint32_t publisher = 0;
    std::uint32_t sequence = 0;
    if (delivery.payload.size() < stamp_bytes) {
        ++foreign_;
        return;
    }
    std::memcpy(&intended, delivery.payload.data(), 8);
    std::memcpy(&publisher, delivery.payload.data() + 8, 4);
    std::memcpy(&sequence, delivery.payload.data() + 12, 4);
    if (publisher >= publishers_.size()) {
        ++foreign_;
        return;
    }
    ++total_.delivered;
    if (measuring_) {
        ++measured_.delivered;
        const std::uint64_t now = now_ns();
        latency_.add(now > intended ? now - intended : 0);
    }
    if (options_.shared) {
        auto& seen = seen_[publisher];
        if (seen.size() <= sequence)
            seen.resize(sequence + 1 + seen.size() / 2);
        if (seen[sequence])
            ++duplicates_;
        seen[sequence] = true;
    } else {
        check_order(static_cast<std::size_t>(conn.index), publisher, sequence);
    }
    ++publishers_[publisher]->delivered;
    may_continue(*publishers_[publisher]);
}

void Load::check_order(std::size_t subscriber, std::uint32_t publisher, std::uint32_t sequence) {
    const auto key = [&](std::uint64_t number) {
        return subscriber << 50 | static_cast<std::uint64_t>(publisher) << 32 | number;
    };
    std::uint32_t& next = expected_[subscriber][options_.mode == "pairs" ? 0 : publisher];
    if (sequence == next) {
        ++next;
    } else if (sequence > next) {
        ++gaps_;
        for (; next < sequence; ++next)
            missing_.insert(key(next));
        next = sequence + 1;
    } else if (missing_.erase(key(sequence)) != 0) {
        ++reordered_; // arrived, but after a later one of the same publisher
    } else {
        ++duplicates_;
    }
}

void Load::on_acknowledged(Conn& conn, bool good) {
    ++total_.acknowledged;
    if (measuring_)
        ++measured_.acknowledged;
    ++conn.acknowledged;
    if (!good)
        ++bad_acks_;
    may_continue(conn);
}

void Load::may_continue(Conn& publisher) {
    if (options_.rate == 0 && !std::exchange(publisher.queued, true))
        ready_.push_back(&publisher);
}

void Load::emit(Conn& publisher, std::uint64_t intended) {
    const std::size_t at = publisher.out.size();
    publisher.out += publisher.head;
    publisher.out += filler_;
    char* const bytes = publisher.out.data() + at;
    if (options_.qos != 0) {
        if (++publisher.packet_id == 0)
            publisher.packet_id = 1;
        bytes[publisher.packet_id_at] = static_cast<char>(publisher.packet_id >> 8);
        bytes[publisher.packet_id_at + 1] = static_cast<char>(publisher.packet_id);
    }
    const auto index = static_cast<std::uint32_t>(publisher.index);
    const std::uint32_t sequence = publisher.sequence++;
    char* const stamp = bytes + publisher.head.size();
    std::memcpy(stamp, &intended, 8);
    std::memcpy(stamp + 8, &index, 4);
    std::memcpy(stamp + 12, &sequence, 4);
    ++total_.sent;
    if (measuring_)
        ++measured_.sent;
    clients_.mark(publisher);
}

bool Load::may_send(const Conn& publisher) const {
    const auto window = static_cast<std::uint64_t>(options_.window);
    if (options_.qos != 0 && publisher.sequence - publisher.acknowledged >= window)
        return false;
    return publisher.sequence * fan_ - publisher.delivered < window * fan_;
}

bool Load::connect_all() {
    std::vector<Conn*> all;
    for (auto& conn : subscribers_)
        all.push_back(conn.get());
    for (auto& conn : publishers_)
        all.push_back(conn.get());
    const std::uint64_t deadline = now_ns() + 60 * second_ns;
    std::size_t started = 0;
    while (clients_.ups < all.size() || clients_.subscribed < subscribers_.size()) {
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

int Load::run() {
    if (!connect_all())
        return 1;
    const long rss_before = status_kb(options_.broker_pid, "VmRSS");
    began_ = progress_at_ = now_ns();
    for (auto& publisher : publishers_)
        may_continue(*publisher);
    const auto run_until = [this](std::uint64_t end) {
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
    };
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
    std::uint64_t unique = total_.delivered - duplicates_;
    if (options_.shared)
        unique = total_.delivered >= duplicates_ ? total_.delivered - duplicates_ : 0;
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
    row.number("p50_us", latency_.us(.5)).number("p99_us", latency_.us(.99));
    row.number("p999_us", latency_.us(.999)).number("max_us", latency_.max_us());
    row.number("gen_lag_max_us", static_cast<double>(lag_ns_max_) / 1e3);
    row.number("sent", static_cast<double>(total_.sent));
    row.number("expected", static_cast<double>(total_.sent * fan_));
    row.number("delivered", static_cast<double>(total_.delivered));
    row.number("lost", static_cast<double>(total_.sent * fan_) - static_cast<double>(unique));
    row.number("gaps", static_cast<double>(gaps_)).number("reordered", static_cast<double>(reordered_));
    row.number("dups", static_cast<double>(duplicates_)).number("foreign", static_cast<double>(foreign_));
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

} // namespace

int run_load(const Options& options) {
    return Load(options).run();
}

} // namespace brim::bench
