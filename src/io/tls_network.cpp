#include "io/internal/tls_stream.h"
#include "io/tls.h"

#include <unordered_map>

namespace brim::io {

struct TlsNetwork::State {
    Loop& loop;
    Network& below;
    TlsContext* client;
    TlsContext* server;
    std::function<void(const Peer&, const Error&)> refused = [](const Peer&, const Error&) {};
    std::size_t handshakes = 0;
};

namespace {

class TlsConnecting final : public Connecting {
public:
    TlsConnecting(
        Loop& loop, Network& below, TlsContext& context, const Endpoint& to, Duration timeout, Connected done
    )
        : loop_(loop), context_(&context), host_(to.host), done_(std::move(done)), timer_(loop) {
        timer_.start(timeout, [this, to] {
            finish(fail(
                Errc::timeout,
                "connection to " + to.text(),
                "no TLS connection in time",
                "check that the server speaks TLS there"
            ));
        });
        attempt_ = below.connect(to, timeout, [this](auto stream) { connected(std::move(stream)); });
    }

private:
    void connected(Result<std::unique_ptr<Stream>> stream) {
        if (!stream) {
            finish(fail(std::move(stream).error()));
            return;
        }
        stream_ = std::make_unique<TlsStream>(loop_, std::move(*stream), *context_, host_);
        stream_->handshake([this](Result<void> result) {
            if (result)
                finish(std::move(stream_));
            else
                finish(fail(std::move(result).error()));
        });
    }

    void finish(Result<std::unique_ptr<Stream>> result) {
        timer_.stop();
        // Both may be on the stack below us, in what they promise to be their last call.
        attempt_.reset();
        stream_.reset();
        Connected done = std::move(done_);
        done(std::move(result)); // may destroy this attempt
    }

    Loop& loop_;
    TlsContext* context_; ///< used between the connection and its handshake's begin only
    const std::string host_;
    Connected done_;
    Timer timer_;
    std::unique_ptr<Connecting> attempt_;
    std::unique_ptr<TlsStream> stream_;
};

template <class State> class TlsListener final : public Listener {
public:
    TlsListener(std::shared_ptr<State> state, Accepted accepted)
        : state_(std::move(state)), accepted_(std::move(accepted)) {}

    ~TlsListener() override { state_->handshakes -= pending_.size(); }

    Result<void> begin(const Endpoint& at) {
        auto listening = state_->below.listen(at, [this](auto stream) { shake_hands(std::move(stream)); });
        if (!listening)
            return fail(std::move(listening).error());
        inner_ = std::move(*listening);
        return {};
    }

    Endpoint local() const override { return inner_->local(); }

private:
    void shake_hands(std::unique_ptr<Stream> stream) {
        if (state_->server == nullptr || state_->handshakes >= TlsLimits::handshakes_max) {
            state_->refused(
                stream->peer(),
                {Errc::busy,
                 "TLS connection from " + stream->peer().address,
                 "too many TLS handshakes are under way",
                 "try again later"}
            );
            return;
        }
        auto made =
            std::make_unique<TlsStream>(state_->loop, std::move(stream), *state_->server, std::string());
        TlsStream& fresh = *made;
        pending_.emplace(&fresh, std::move(made));
        ++state_->handshakes;
        fresh.handshake([this, &fresh](Result<void> result) {
            auto entry = pending_.extract(&fresh);
            --state_->handshakes;
            std::unique_ptr<Stream> done = std::move(entry.mapped());
            // The callbacks may destroy this listener.
            if (result) {
                const Accepted accepted = accepted_;
                accepted(std::move(done));
            } else {
                const auto state = state_;
                state->refused(done->peer(), result.error());
            }
        });
    }

    std::shared_ptr<State> state_; ///< the network's, shared by its listeners
    Accepted accepted_;
    std::unordered_map<TlsStream*, std::unique_ptr<TlsStream>> pending_;
    std::unique_ptr<Listener> inner_;
};

/// A failed attempt that is told from the loop, never from inside connect().
class RefusedConnecting final : public Connecting {
public:
    RefusedConnecting(Loop& loop, Error why, Connected done) : done_(std::move(done)), timer_(loop) {
        timer_.start(Duration::zero(), [this, error = std::move(why)]() mutable {
            Connected done_now = std::move(done_);
            done_now(fail(std::move(error)));
        });
    }

private:
    Connected done_;
    Timer timer_;
};

} // namespace

TlsNetwork::TlsNetwork(Loop& loop, Network& below, TlsContext* client, TlsContext* server)
    : state_(std::make_shared<State>(State{loop, below, client, server})) {}

TlsNetwork::~TlsNetwork() = default;

void TlsNetwork::set_client(TlsContext* client) noexcept {
    state_->client = client;
}

void TlsNetwork::set_server(TlsContext* server) noexcept {
    state_->server = server;
}

void TlsNetwork::on_refused(std::function<void(const Peer&, const Error&)> refused) {
    state_->refused = std::move(refused);
}

std::size_t TlsNetwork::handshakes() const noexcept {
    return state_->handshakes;
}

Result<std::unique_ptr<Listener>> TlsNetwork::listen(const Endpoint& at, Accepted accepted) {
    if (state_->server == nullptr)
        return fail(
            Errc::invalid,
            at.text(),
            "TLS is asked for, but there is no certificate",
            "configure certificate and key"
        );
    auto listener = std::make_unique<TlsListener<State>>(state_, std::move(accepted));
    if (auto begun = listener->begin(at); !begun)
        return fail(std::move(begun).error());
    return listener;
}

std::unique_ptr<Connecting> TlsNetwork::connect(const Endpoint& to, Duration timeout, Connected done) {
    if (state_->client == nullptr || to.kind == Endpoint::Kind::unix_socket) {
        Error why{
            Errc::invalid,
            "connection to " + to.text(),
            "TLS needs a host and trusted authorities",
            "connect without TLS"
        };
        return std::make_unique<RefusedConnecting>(state_->loop, std::move(why), std::move(done));
    }
    return std::make_unique<TlsConnecting>(
        state_->loop, state_->below, *state_->client, to, timeout, std::move(done)
    );
}

} // namespace brim::io
