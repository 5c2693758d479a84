#include "mqtt/server.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

// A closing stream is kept until its last bytes had time to leave (io::Stream::close() waits at most 5 s).
constexpr Duration linger = std::chrono::seconds{6};

} // namespace

struct Server::Connection final : io::StreamHandler {
    Connection(Server& server, std::unique_ptr<io::Stream> accepted, unsigned listener)
        : owner(server), stream(std::move(accepted)), tag(listener) {}

    void on_data(ByteView bytes) override { owner.broker_.data(id, bytes, owner.now()); }

    void on_drained() override {
        congested = false;
        owner.broker_.congested(id, false, owner.now());
    }

    void on_closed(const Error&) override {
        const ConnId gone = id;
        Server& server = owner;
        server.broker_.closed(gone, server.now());
        server.retire(gone);
    }

    Server& owner;
    std::unique_ptr<io::Stream> stream;
    ConnId id = 0;
    unsigned tag = 0;
    bool congested = false;
};

Server::Server(io::Env& env, BrokerLimits limits)
    : env_(env), broker_(*this, limits), tick_(env.loop()), sweep_(env.loop()) {}

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
    auto connection = std::make_unique<Connection>(*this, std::move(stream), tag);
    Connection& added = *connection;
    added.id = broker_.open(now());
    const std::size_t place = place_of(added.id);
    if (connections_.size() <= place)
        connections_.resize(place + 1);
    connections_[place] = std::move(connection);
    if (!tick_.running())
        schedule_tick(broker_.tick(now()));
    added.stream->start(added);
}

Server::Connection* Server::find(ConnId conn) const {
    const std::size_t place = place_of(conn);
    if (place >= connections_.size())
        return nullptr;
    Connection* found = connections_[place].get();
    return found != nullptr && found->id == conn ? found : nullptr;
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
    if (find(conn) == nullptr)
        return;
    // Never freed here: we may be inside a call of its own stream.
    retired_.push_back({now(), std::move(connections_[place_of(conn)])});
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
