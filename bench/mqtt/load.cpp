#include "mqtt/load.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

namespace brim::bench {

namespace {

constexpr std::size_t stamp_bytes = 16;
constexpr int held_each_max = 500; // subscriptions of a holder: brokers have limits for one client
constexpr std::size_t fresh_digits = 10;
constexpr std::string_view fill_topic = "fill";
constexpr std::size_t fill_bytes = 4096;
constexpr int fill_count = 100;

std::size_t publishers_of(const Options& options) {
    return options.mode == "fanout" ? 1 : static_cast<std::size_t>(options.publishers);
}

std::size_t subscribers_of(const Options& options) {
    return static_cast<std::size_t>(options.mode == "pairs" ? options.publishers : options.subscribers);
}

void write_digits(char* out, std::uint32_t number) {
    for (std::size_t i = fresh_digits; i-- > 0; number /= 10)
        out[i] = static_cast<char>('0' + number % 10);
}

std::unique_ptr<Conn> make_conn(Role role, std::size_t index) {
    auto made = std::make_unique<Conn>();
    made->role = role;
    made->index = static_cast<int>(index);
    return made;
}

} // namespace

Load::Load(const Options& options)
    : options_(options), clients_(options, *this),
      order_(subscribers_of(options), options.mode == "pairs" ? 1 : publishers_of(options)) {
    const std::size_t subscribers = subscribers_of(options);
    const std::size_t stalled = static_cast<std::size_t>(options.stalled);
    fan_ = options.mode == "pairs" || options.shared ? 1 : subscribers - stalled;
    filler_.assign(std::max<std::size_t>(static_cast<std::size_t>(options.payload_bytes), stamp_bytes), 'x');
    for (std::size_t i = 0; i < subscribers; ++i) {
        subscribers_.push_back(make_conn(Role::subscriber, i));
        // Spread over all of them: who is served after a stalled one may feel it.
        if (stalled != 0 && i * stalled / subscribers != (i + 1) * stalled / subscribers)
            subscribers_.back()->stalled = true;
    }
    for (std::size_t i = 0; i < publishers_of(options); ++i) {
        publishers_.push_back(make_conn(Role::publisher, i));
        prepare(*publishers_.back());
    }
    for (int i = 0; i * held_each_max < options.extra; ++i)
        holders_.push_back(make_conn(Role::idle, static_cast<std::size_t>(i)));
    seen_.resize(publishers_.size());
}

void Load::prepare(Conn& publisher) const {
    std::string topic = "b/" + std::to_string(publisher.index);
    if (options_.fresh)
        topic += '.' + std::string(fresh_digits, '0');
    topic += "/t";
    const std::size_t fields = (options_.qos != 0 ? 2U : 0U) + (options_.version == 5 ? 1U : 0U);
    std::string& head = publisher.head;
    head.push_back(static_cast<char>(0x30 | options_.qos << 1));
    put_length(head, 2 + topic.size() + fields + filler_.size());
    put_text(head, topic);
    publisher.packet_id_at = head.size();
    publisher.fresh_at = head.size() - 2 - fresh_digits; // used with fresh topics only
    head.append(fields, '\0');
}

void Load::on_up(Conn& conn) {
    if (conn.role == Role::idle)
        subscribe_to_nothing(conn);
    if (conn.role != Role::subscriber)
        return;
    std::string filter = options_.shared ? "$share/g/b/+/t" : "b/+/t";
    if (options_.mode == "pairs")
        filter = "b/" + std::to_string(conn.index) + "/t";
    else if (options_.mode == "fanout")
        filter = "b/0/t";
    std::vector<std::string> filters{std::move(filter)};
    if (conn.stalled)
        filters.emplace_back(fill_topic);
    clients_.subscribe(conn, filters, options_.qos);
}

/// Kernels buffer a lot for who does not read: fills that, so that it is the broker that has to wait.
void Load::fill_stalled() {
    std::string packet(1, '\x30');
    const std::size_t property_bytes = options_.version == 5 ? 1 : 0;
    put_length(packet, 2 + fill_topic.size() + property_bytes + fill_bytes);
    put_text(packet, fill_topic);
    packet.append(property_bytes, '\0').append(fill_bytes, 'x');
    for (int i = 0; i < fill_count; ++i) {
        publishers_.front()->out += packet;
        clients_.mark(*publishers_.front());
        clients_.pump(1'000);
    }
}

/// Filters that share their first levels with the topics of the load, and match none of them.
void Load::subscribe_to_nothing(Conn& holder) {
    std::vector<std::string> filters;
    const int first = holder.index * held_each_max;
    for (int i = first; i < std::min(first + held_each_max, options_.extra); ++i) {
        const std::string number = std::to_string(i);
        if (!options_.wild)
            filters.push_back("b/" + std::to_string(i % 10) + "/n" + number);
        else
            filters.push_back(i % 2 == 0 ? "b/+/n" + number : "n" + number + "/+/#");
    }
    clients_.subscribe(holder, filters, 0);
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
    const bool is_pairs = options_.mode == "pairs";
    if (publisher >= publishers_.size() || (is_pairs && static_cast<int>(publisher) != conn.index)) {
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
            ++shared_duplicates_;
        seen[sequence] = true;
    } else {
        order_.add(static_cast<std::size_t>(conn.index), is_pairs ? 0 : publisher, sequence);
    }
    ++publishers_[publisher]->delivered;
    may_continue(*publishers_[publisher]);
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
    if (options_.fresh)
        write_digits(bytes + publisher.fresh_at, sequence);
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

} // namespace brim::bench
