#include "mqtt/server.h"

#include "base/assert.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

// A closing stream is kept until its last bytes had time to leave (io::Stream::close() waits at most 5 s).
constexpr Duration linger = std::chrono::seconds{6};

} // namespace

struct Server::Connection final : io::StreamHandler {
    void on_data(ByteView bytes) override { owner->broker_.data(id, bytes, owner->now()); }

    void on_drained() override {
        congested = false;
        owner->broker_.congested(id, false, owner->now());
    }

    void on_closed(const Error&) override {
        const ConnId gone = id;
        owner->broker_.closed(gone, owner->now());
        owner->retire(gone);
    }

    Server* owner = nullptr;
    std::unique_ptr<io::Stream> stream; ///< null: the place is free
    ConnId id = 0;
    unsigned tag = 0;
    bool congested = false;
};

Server::Server(io::Env& env, BrokerLimits limits, std::unique_ptr<SessionLog> sessions)
    : env_(env), sessions_(std::move(sessions)), broker_(*this, limits, sessions_.get()), tick_(env.loop()),
      sweep_(env.loop()) {
    if (!sessions_)
        return;
    sessions_->attach(broker_);
    schedule_tick(now()); // what is overdue runs once the derived class is there
}

Server::~Server() = default;

Result<io::Endpoint> Server::listen(const io::Endpoint& at, unsigned tag, Wrap wrap) {
    auto accepted = [this, tag, wrap = std::move(wrap)](std::unique_ptr<io::Stream> stream) {
        if (wrap)
            stream = wrap(std::move(stream));
        if (stream)
            adopt(std::move(stream), tag);
    };
    auto listener = env_.net().listen(at, std::move(accepted));
    if (!listener)
        return fail(std::move(listener).error());
    const io::Endpoint bound = (*listener)->local();
    listeners_.push_back(std::move(*listener));
    return bound;
}

void Server::adopt(std::unique_ptr<io::Stream> stream, unsigned tag) {
    if (stopped_)
        return;
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
    added.tag = tag;
    added.congested = false;
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
    return found == nullptr ? 0 : found->tag;
}

void Server::stop() {
    if (stopped_)
        return;
    stopped_ = true;
    listeners_.clear();
    broker_.shutdown(now());
    tick_.stop();
}

void Server::close_sessions(std::move_only_function<void()> done) {
    if (sessions_)
        sessions_->close(std::move(done));
    else
        env_.loop().post(std::move(done));
}

void Server::send(ConnId conn, ByteView bytes) {
    Connection* connection = find(conn);
    if (connection == nullptr || connection->stream->write(bytes) || connection->congested)
        return;
    connection->congested = true;
    // Told at the end of the turn: the broker may be in the middle of this connection's own packet.
    env_.loop().at_turn_end([this, conn] {
        const Connection* still = find(conn);
        if (still != nullptr && still->congested)
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
    if (Connection* connection = find(conn); connection != nullptr)
        connection->stream->pause_reading(paused);
}

void Server::retire(ConnId conn) {
    Connection* connection = find(conn);
    if (connection == nullptr)
        return;
    // The stream is never freed here: we may be inside one of its own calls.
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
    tick_.start(wait, [this] { schedule_tick(broker_.tick(now())); });
}

} // namespace brim::mqtt
