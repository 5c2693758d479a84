#include "mqtt/server.h"

#include "base/assert.h"
#include "mqtt/internal/connection_gate.h"

#include <algorithm>
#include <utility>

namespace brim::mqtt {

namespace {

// A closing stream is kept until its last bytes had time to leave (io::Stream::close() waits at most 5 s).
constexpr Duration linger = std::chrono::seconds{6};
// A client that is not read from is looked at again this soon: it may only be above its rate.
constexpr Duration pause_look = std::chrono::milliseconds{100};
// A flood is told in one line of the log, and counted.
constexpr Duration quiet_after_word = std::chrono::seconds{60};

Counter& shed_counter(Metrics& metrics, std::string_view labels) {
    return metrics.counter("brim_mqtt_shed", "What was given up while memory was short", labels);
}

/// A stream that was let in and is not ours: its place at the gate is free again when it ends.
class PlacedStream final : public io::Stream, private io::StreamHandler {
public:
    PlacedStream(std::unique_ptr<io::Stream> inner, ConnectionGate& gate, std::uint32_t place)
        : inner_(std::move(inner)), gate_(&gate), place_(place) {}

    ~PlacedStream() override { leave(); }

    void start(io::StreamHandler& handler) override {
        handler_ = &handler;
        inner_->start(*this);
    }

    bool write(ByteView bytes) override { return inner_->write(bytes); }

    std::size_t queued() const override { return inner_->queued(); }

    void pause_reading(bool paused) override { inner_->pause_reading(paused); }

    void close() override {
        leave();
        inner_->close();
    }

    io::Peer peer() const override { return inner_->peer(); }

private:
    void on_data(ByteView bytes) override { handler_->on_data(bytes); } // may destroy this stream

    void on_drained() override { handler_->on_drained(); }

    void on_closed(const Error& why) override {
        leave();
        handler_->on_closed(why);
    }

    void leave() {
        if (gate_ != nullptr)
            std::exchange(gate_, nullptr)->leave(place_);
    }

    std::unique_ptr<io::Stream> inner_;
    ConnectionGate* gate_; ///< null once the place is given back
    std::uint32_t place_;
    io::StreamHandler* handler_ = nullptr;
};

} // namespace

struct Server::Connection final : io::StreamHandler {
    void on_data(ByteView bytes) override {
        owner->count_read(id, bytes.size());
        owner->memory_.moved(bytes.size());
        owner->broker_.data(id, bytes, owner->now());
    }

    /// Why a client is slow: bits of `slow`.
    enum Slow : std::uint8_t {
        congested = 1,
        paused = 2, ///< by the broker
        slowed = 4  ///< by us, because memory is short
    };

    void apply_pause() { stream->pause_reading(is(paused) || is(slowed)); }

    void mark(Slow why, bool on) {
        const bool was_slow = slow != 0;
        slow = static_cast<std::uint8_t>(on ? slow | why : slow & ~why);
        owner->slow_ += static_cast<std::uint64_t>(slow != 0) - static_cast<std::uint64_t>(was_slow);
    }

    bool is(Slow why) const { return (slow & why) != 0; }

    void on_drained() override {
        mark(congested, false);
        owner->broker_.congested(id, false, owner->now());
    }

    void on_closed(const Error& why) override {
        const ConnId gone = id;
        if (why.code == Errc::denied)
            owner->on_refused(gone);
        owner->broker_.closed(gone, owner->now());
        owner->retire(gone);
    }

    Server* owner = nullptr;
    std::unique_ptr<io::Stream> stream; ///< null: the place is free
    ConnId id = 0;
    std::uint32_t place = ConnectionGate::no_place; ///< of its address at the gate
    EntranceId entrance{};
    std::uint8_t slow = 0;
};

struct Server::Entrance {
    Entrance(ListenerOptions given, std::uint64_t secret)
        : options(std::move(given)), gate(options.limits, secret) {}

    ListenerOptions options;
    ConnectionGate gate;
    std::string name = "adopted"; ///< for people
    Mono next_word{};
};

Server::Server(io::Env& env, BrokerLimits limits, std::unique_ptr<SessionLog> sessions)
    : env_(env), sessions_(std::move(sessions)), broker_(*this, limits, sessions_.get()), tick_(env.loop()),
      sweep_(env.loop()), shed_door_{shed_counter(env.metrics(), R"(what="door")")},
      shed_connects_{shed_counter(env.metrics(), R"(what="connect")")},
      shed_qos0_{shed_counter(env.metrics(), R"(what="qos0")")},
      shed_publishes_{shed_counter(env.metrics(), R"(what="publish")")},
      memory_(env, [this](Pressure pressure) { on_pressure(pressure); }) {
    if (!sessions_)
        return;
    sessions_->attach(broker_);
    schedule_tick(now()); // what is overdue runs once the derived class is there
}

Server::~Server() = default;

EntranceId Server::add_entrance(ListenerOptions options) {
    BRIM_ASSERT(entrances_.size() < 65'536, "an entrance has a number of 16 bits");
    const bool counts = options.limits.connections_per_address_max != 0 ||
                        options.limits.connects_per_address_per_second != 0;
    entrances_.push_back(std::make_unique<Entrance>(std::move(options), counts ? env_.random().u64() : 0));
    return static_cast<EntranceId>(entrances_.size() - 1);
}

Result<io::Endpoint> Server::listen(const io::Endpoint& at, ListenerOptions options) {
    const EntranceId by = add_entrance(std::move(options));
    auto listener = env_.net().listen(at, [this, by](std::unique_ptr<io::Stream> stream) {
        accepted(std::move(stream), by);
    });
    if (!listener)
        return fail(std::move(listener).error());
    io::Endpoint bound = (*listener)->local();
    Entrance& opened = entrance(by);
    opened.name = bound.text();
    if (opened.options.proxy)
        opened.options.proxy->refused = [this, &opened](const Error& why) {
            rejected(opened, why.code == Errc::denied ? "proxy_untrusted" : "proxy_header", why.text());
        };
    listeners_.push_back(std::move(*listener));
    return bound;
}

void Server::accepted(std::unique_ptr<io::Stream> stream, EntranceId by) {
    Entrance& at = entrance(by);
    // Before a TLS handshake, which takes more than a session. HTTP is let in: people look at the shortage by
    // it.
    if (!at.options.serve && !has_room())
        return;
    if (const auto refusal = at.gate.enter())
        return rejected(at, ConnectionGate::name_of(*refusal), "connection closed");
    if (at.options.proxy)
        read_header(std::move(stream), by);
    else
        admit(std::move(stream), by, at.options.wrap);
}

void Server::read_header(std::unique_ptr<io::Stream> stream, EntranceId by) {
    Entrance& at = entrance(by);
    std::unique_ptr<io::ProxiedStream> proxied;
    if (arriving_.size() < arriving_max)
        proxied = io::wrap_proxied(env_.loop(), std::move(stream), *at.options.proxy);
    else
        rejected(at, ConnectionGate::name_of(ConnectionGate::Refusal::listener_full), "connection closed");
    if (!proxied)
        return at.gate.leave(ConnectionGate::no_place);
    io::ProxiedStream* const reading = proxied.get();
    arriving_.emplace(reading, std::move(proxied));
    reading->read_header([this, by, reading](const Result<void>& read) {
        std::unique_ptr<io::Stream> arrived = std::move(arriving_.extract(reading).mapped());
        if (!read)
            return entrance(by).gate.leave(ConnectionGate::no_place);
        admit(std::move(arrived), by, entrance(by).options.wrap);
    });
}

void Server::adopt(std::unique_ptr<io::Stream> stream, EntranceId by) {
    if (stopped_ || !has_room())
        return;
    Entrance& at = entrance(by);
    if (const auto refusal = at.gate.enter())
        return rejected(at, ConnectionGate::name_of(*refusal), "connection closed");
    admit(std::move(stream), by, {});
}

void Server::admit(std::unique_ptr<io::Stream> stream, EntranceId by, const Wrap& wrap) {
    Entrance& at = entrance(by);
    std::optional<std::uint64_t> network;
    if (at.gate.counts_addresses()) {
        if (const auto address = io::IpAddress::of_peer(stream->peer().address))
            network = address->network();
    }
    std::uint32_t place = ConnectionGate::no_place;
    if (const auto refusal = at.gate.admit(network, now(), place))
        return rejected(at, ConnectionGate::name_of(*refusal), "connection closed");
    if (wrap)
        stream = wrap(std::move(stream));
    if (!stream)
        at.gate.leave(place);
    else if (at.options.serve)
        at.options.serve(std::make_unique<PlacedStream>(std::move(stream), at.gate, place));
    else
        begin(std::move(stream), by, place);
}

void Server::rejected(Entrance& at, std::string_view reason, std::string_view what) {
    env_.metrics()
        .counter(
            "brim_mqtt_rejected",
            "Connections closed at the door, by the limit they were above",
            metric_label("reason", reason)
        )
        .add();
    ++rejected_.try_emplace(std::string(reason)).first->second;
    if (now() < at.next_word)
        return;
    at.next_word = now() + quiet_after_word;
    env_.log().warn(
        "mqtt",
        "connections are rejected; more are counted and not told for a minute",
        {{"listener", at.name}, {"reason", reason}, {"detail", what}}
    );
}

void Server::begin(std::unique_ptr<io::Stream> stream, EntranceId by, std::uint32_t place_at_gate) {
    const ConnId id = broker_.open(now());
    BRIM_ASSERT(id != 0, "a server that was not stopped takes connections");
    const std::size_t place = place_of(id);
    if (place / chunk_size == connections_.size())
        connections_.push_back(std::make_unique<Connection[]>(chunk_size));
    Connection& added = connections_[place / chunk_size][place % chunk_size];
    BRIM_ASSERT(!added.stream, "the broker gives a place to one connection at a time");
    added.owner = this;
    added.stream = std::move(stream);
    added.id = id;
    added.place = place_at_gate;
    added.entrance = by;
    added.slow = 0;
    if (place < read_bytes_.size())
        read_bytes_[place] = 0;
    if (!tick_.running())
        schedule_tick(broker_.tick(now()));
    added.stream->start(added);
}

Server::Connection* Server::find(ConnId conn) const {
    const std::size_t place = place_of(conn);
    if (place / chunk_size >= connections_.size())
        return nullptr;
    Connection& found = connections_[place / chunk_size][place % chunk_size];
    return found.stream && found.id == conn ? &found : nullptr;
}

std::optional<io::Peer> Server::peer(ConnId conn) const {
    const Connection* found = find(conn);
    if (found == nullptr)
        return std::nullopt;
    return found->stream->peer();
}

unsigned Server::listener_tag(ConnId conn) const {
    const Connection* found = find(conn);
    return found == nullptr ? 0 : entrance(found->entrance).options.tag;
}

void Server::limit_rates(ConnId conn, Admission& admission) const {
    const Connection* found = find(conn);
    if (found == nullptr)
        return;
    const ListenerOptions& options = entrance(found->entrance).options;
    admission.publish_rate_max = options.publish_rate_max;
    admission.publish_bytes_rate_max = options.publish_bytes_rate_max;
}

void Server::stop() {
    if (stopped_)
        return;
    stopped_ = true;
    listeners_.clear();
    arriving_.clear();
    broker_.shutdown(now());
    tick_.stop();
    memory_.stop();
}

void Server::close_sessions(std::move_only_function<void()> done) {
    if (sessions_)
        sessions_->close(std::move(done));
    else
        env_.loop().post(std::move(done));
}

void Server::send(ConnId conn, ByteView bytes) {
    Connection* connection = find(conn);
    memory_.moved(bytes.size());
    if (connection == nullptr || connection->stream->write(bytes) || connection->is(Connection::congested))
        return;
    connection->mark(Connection::congested, true);
    // Told at the end of the turn: the broker may be in the middle of this connection's own packet.
    env_.loop().at_turn_end([this, conn] {
        const Connection* still = find(conn);
        if (still != nullptr && still->is(Connection::congested))
            broker_.congested(conn, true, now());
    });
}

void Server::close(ConnId conn) {
    Connection* connection = find(conn);
    if (connection == nullptr)
        return;
    connection->stream->close();
    retire(conn);
}

void Server::pause(ConnId conn, bool paused) {
    Connection* connection = find(conn);
    if (connection == nullptr)
        return;
    connection->mark(Connection::paused, paused);
    connection->apply_pause();
    if (paused)
        tick_by(now() + pause_look);
}

void Server::tick_by(Mono due) {
    if (tick_due_ > due)
        schedule_tick(due);
}

std::size_t Server::queued(ConnId conn) {
    const Connection* connection = find(conn);
    return connection == nullptr ? 0 : connection->stream->queued();
}

/// While memory is short few may be on their way in at a time: those who never say CONNECT, or are in the
/// middle of a TLS handshake, must not be what ends the program.
bool Server::has_room() {
    const bool is_free =
        memory_.pressure() == Pressure::none || broker_.stats().opening < ServerLimits::pressed_opening_max;
    turned_away_ += is_free ? 0 : 1;
    return is_free;
}

void Server::on_pressure(Pressure pressure) {
    broker_.set_pressure(pressure);
    slow_down(pressure);
    count_shed();
}

/// The publishers that sent most since the last look have a pause until the next one, so that what is on its
/// way out can leave.
void Server::slow_down(Pressure pressure) {
    const bool is_critical = pressure == Pressure::critical;
    const std::vector<std::uint32_t> read = std::exchange(read_bytes_, {});
    if (pressure != Pressure::none) // it may be critical at the next look
        read_bytes_.resize(connections_.size() * chunk_size);
    for (std::size_t place = 0; place < connections_.size() * chunk_size; ++place) {
        Connection& each = connections_[place / chunk_size][place % chunk_size];
        if (!each.stream)
            continue;
        const bool is_fast = place < read.size() && read[place] > ServerLimits::pressed_read_bytes_max;
        if (each.is(Connection::slowed) == (is_critical && is_fast))
            continue;
        each.mark(Connection::slowed, is_critical && is_fast);
        each.apply_pause();
    }
}

void Server::count_read(ConnId conn, std::size_t count) {
    if (read_bytes_.empty())
        return;
    const std::size_t place = place_of(conn);
    if (place >= read_bytes_.size())
        read_bytes_.resize(connections_.size() * chunk_size);
    read_bytes_[place] += static_cast<std::uint32_t>(count);
}

void Server::count_shed() {
    const BrokerStats stats = broker_.stats();
    const auto add = [](Shed& shed, std::uint64_t total) {
        shed.shown.add(total - shed.counted);
        shed.counted = total;
    };
    add(shed_door_, turned_away_);
    add(shed_connects_, stats.shed_connects);
    add(shed_qos0_, stats.shed_qos0);
    add(shed_publishes_, stats.shed_publishes);
}

void Server::retire(ConnId conn) {
    Connection* connection = find(conn);
    if (connection == nullptr)
        return;
    slow_ -= connection->slow != 0 ? 1 : 0;
    // The stream is never freed here: we may be inside one of its own calls.
    entrance(connection->entrance).gate.leave(connection->place);
    retired_.push_back({now(), std::move(connection->stream)});
    if (!sweep_.running())
        sweep_.start(linger, [this] { sweep_retired(); });
}

void Server::sweep_retired() {
    std::erase_if(retired_, [this](const Retired& old) { return now() - old.since >= linger; });
    if (!retired_.empty())
        sweep_.start(linger, [this] { sweep_retired(); });
}

void Server::schedule_tick(Mono due) {
    const Duration wait =
        std::clamp<Duration>(due - now(), std::chrono::milliseconds{1}, std::chrono::seconds{1});
    tick_due_ = now() + wait;
    tick_.start(wait, [this] { schedule_tick(broker_.tick(now())); });
}

} // namespace brim::mqtt
