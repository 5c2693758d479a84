// Outgoing connections: resolve, then try each address in turn inside one deadline.

#include "io/internal/port_holder.h"
#include "io/internal/socket_stream.h"

#include <algorithm>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace brim::io {

namespace {

Error connect_error(const Endpoint& to, int errno_value, const std::string& tried) {
    const std::string object = "connection to " + to.text();
    const std::string at = tried.empty() ? std::string() : " (at " + tried + ")";
    switch (errno_value) {
    case ECONNREFUSED:
        return {
            Errc::unavailable,
            object,
            "nobody listens there" + at,
            "check the address and that the server runs"
        };
    case ENOENT:
        return {
            Errc::unavailable, object, "there is no such socket", "check the path and that the server runs"
        };
    case ETIMEDOUT:
        return {
            Errc::timeout, object, "no answer in time" + at, "check the address, the network and firewalls"
        };
    case ENETUNREACH:
    case EHOSTUNREACH:
        return {Errc::unavailable, object, "there is no route to it" + at, "check this machine's network"};
    default: {
        Error error = errno_error(object, errno_value);
        error.cause += at;
        return error;
    }
    }
}

} // namespace

class SocketConnecting final : public Connecting, private Watcher {
public:
    SocketConnecting(SocketNetwork& network, const Endpoint& to, Duration timeout, Connected done)
        : network_(network), to_(to), done_(std::move(done)),
          deadline_(network.loop_.clock().mono() + timeout), timer_(network.loop_), next_(network.loop_) {
        timer_.start(timeout, [this] { give_up(); });
        if (to_.kind == Endpoint::Kind::unix_socket) {
            next_.start(Duration::zero(), [this] { begin_unix(); });
            return;
        }
        question_ = network_.resolver_.resolve(to_.host, to_.port, [this](auto found) {
            question_ = 0;
            if (!found) {
                finish(fail(std::move(found).error()));
                return;
            }
            addresses_ = std::move(*found);
            try_next();
        });
    }

    ~SocketConnecting() override {
        if (question_ != 0)
            network_.resolver_.cancel(question_);
        stop_attempt();
    }

private:
    void begin_unix() {
        auto address = unix_address(to_.host);
        if (!address) {
            finish(fail(std::move(address).error()));
            return;
        }
        addresses_ = {*address};
        try_next();
    }

    void stop_attempt() {
        if (watch_ != 0)
            network_.loop_.unwatch(std::exchange(watch_, 0));
        fd_.reset();
    }

    /// Each address gets its share of what is left, so that a silent first one does not use up all.
    void try_next() {
        for (;;) {
            stop_attempt();
            if (tried_ == addresses_.size()) {
                finish(fail(connect_error(to_, last_error_, tried_text_)));
                return;
            }
            const SocketAddress& address = addresses_[tried_++];
            if (address.family() != AF_UNIX)
                tried_text_ += (tried_text_.empty() ? "" : ", ") + address.text();
            fd_ = Descriptor(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
            if (!fd_) {
                last_error_ = errno;
                continue;
            }
            if (::connect(fd_.value(), address.raw(), address.size) == 0) {
                connected(address);
                return;
            }
            last_error_ = errno;
            if (last_error_ != EINPROGRESS)
                continue;
            auto watch = network_.loop_.watch(fd_.value(), EPOLLOUT, *this);
            if (!watch) {
                finish(fail(std::move(watch).error()));
                return;
            }
            watch_ = *watch;
            if (tried_ < addresses_.size()) {
                const Duration left = deadline_ - network_.loop_.clock().mono();
                const auto share = left / static_cast<std::int64_t>(addresses_.size() - tried_ + 1);
                next_.start(std::max<Duration>(share, SocketLimits::attempt_min), [this] {
                    last_error_ = ETIMEDOUT;
                    try_next();
                });
            }
            return;
        }
    }

    void on_ready(std::uint32_t) override {
        int error = 0;
        socklen_t size = sizeof error;
        if (::getsockopt(fd_.value(), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
            error = errno;
        next_.stop();
        if (error != 0) {
            last_error_ = error;
            try_next();
            return;
        }
        connected(addresses_[tried_ - 1]);
    }

    void connected(const SocketAddress& address) {
        PeerRecord peer;
        if (address.family() == AF_UNIX) {
            peer = PeerRecord::of_unix(fd_.value());
        } else {
            const int on = 1;
            ::setsockopt(fd_.value(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            peer = PeerRecord(address);
        }
        if (watch_ != 0)
            network_.loop_.unwatch(std::exchange(watch_, 0));
        finish(std::make_unique<SocketStream>(network_, std::move(fd_), peer));
    }

    void give_up() { finish(fail(connect_error(to_, ETIMEDOUT, tried_text_))); }

    void finish(Result<std::unique_ptr<Stream>> result) {
        stop_attempt();
        timer_.stop();
        next_.stop();
        if (question_ != 0)
            network_.resolver_.cancel(std::exchange(question_, 0));
        Connected done = std::move(done_);
        done(std::move(result)); // may destroy this attempt
    }

    SocketNetwork& network_;
    const Endpoint to_;
    Connected done_;
    const Mono deadline_;
    Timer timer_;
    Timer next_; ///< the start for unix sockets; else the end of one address's share
    std::uint64_t question_ = 0;
    std::vector<SocketAddress> addresses_;
    std::size_t tried_ = 0;
    std::string tried_text_;
    int last_error_ = 0;
    Descriptor fd_;
    WatchId watch_ = 0;
};

std::unique_ptr<Connecting> SocketNetwork::connect(const Endpoint& to, Duration timeout, Connected done) {
    return std::make_unique<SocketConnecting>(*this, to, timeout, std::move(done));
}

} // namespace brim::io
