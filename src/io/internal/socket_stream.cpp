#include "io/internal/socket_stream.h"

#include "base/assert.h"
#include "base/prefetch.h"
#include "io/internal/transport_mail.h"

#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace brim::io {

namespace {

/// What a closing peer may still send before we stop being polite and reset the connection.
constexpr std::size_t discard_bytes_max = 4 * 1024 * 1024;

} // namespace

Error stream_error(const PeerRecord& peer, int errno_value) {
    std::string object = "connection with " + peer.peer().address;
    switch (errno_value) {
    case ECONNRESET:
        return {Errc::closed, std::move(object), "the peer reset the connection", ""};
    case EPIPE:
        return {Errc::closed, std::move(object), "the peer closed the connection while we were sending", ""};
    case ETIMEDOUT:
        return {
            Errc::timeout,
            std::move(object),
            "the peer does not answer any more",
            "check the network to the peer"
        };
    default:
        return errno_error(std::move(object), errno_value);
    }
}

SocketStream::SocketStream(SocketNetwork& network, Descriptor fd, const PeerRecord& peer)
    : network_(network), fd_(std::move(fd)), peer_(peer) {}

SocketStream::~SocketStream() {
    if (network_.draining_ == this)
        network_.draining_ = nullptr;
    release_output();
    if (watch_ != 0)
        network_.loop_.unwatch(watch_);
}

void SocketStream::release_output() {
    if (dirty_position_ != not_dirty)
        network_.unmark_dirty(dirty_position_);
    dirty_position_ = not_dirty;
    if (out_)
        network_.give_buffer(std::move(out_));
}

LooseSocket SocketStream::take_apart() {
    BRIM_ASSERT(handler_ == nullptr && !out_, "only a stream without a past changes its loop");
    return {std::move(fd_), peer_};
}

void SocketStream::start(StreamHandler& handler) {
    BRIM_ASSERT(handler_ == nullptr, "a stream is started once");
    if (!fd_)
        return; // closed before it began
    handler_ = &handler;
    update_watch();
    if (failure_)
        mark_dirty();
}

std::uint32_t SocketStream::wanted_events() const {
    std::uint32_t events = 0;
    if (handler_ != nullptr && !paused_)
        events |= EPOLLIN;
    if (blocked_)
        events |= EPOLLOUT;
    return events;
}

void SocketStream::update_watch() {
    const std::uint32_t events = wanted_events();
    if (events == watched_events_)
        return;
    watched_events_ = static_cast<std::uint8_t>(events);
    if (events == 0) {
        // epoll reports hang-ups even when asked for nothing; leaving it keeps a paused dead stream from
        // spinning.
        network_.loop_.unwatch(std::exchange(watch_, 0));
    } else if (watch_ != 0) {
        network_.loop_.rewatch(watch_, events);
    } else if (auto watch = network_.loop_.watch(fd_.value(), events, *this)) {
        watch_ = *watch;
    } else {
        watched_events_ = 0;
        failure_ = std::make_unique<Error>(std::move(watch).error());
        mark_dirty();
    }
}

void SocketStream::mark_dirty() {
    if (dirty_position_ == not_dirty)
        dirty_position_ = network_.mark_dirty(*this);
}

bool SocketStream::write(ByteView bytes) {
    if (!fd_ || failure_)
        return true; // the end is told by on_closed, or was asked for
    if (bytes.empty())
        return queued() <= SocketLimits::high_water_bytes;
    if (!out_)
        out_ = network_.take_buffer();
    out_->append(bytes);
    if (!blocked_)
        mark_dirty();
    if (queued() <= SocketLimits::high_water_bytes)
        return true;
    over_high_water_ = true;
    return false;
}

void SocketStream::flush_turn() {
    dirty_position_ = not_dirty;
    if (failure_) {
        if (handler_ != nullptr)
            end(std::move(*failure_));
        return;
    }
    if (!blocked_)
        flush();
}

bool SocketStream::flush() {
    if (queued() != 0) {
        const ByteView waiting = out_->view();
        const ssize_t count =
            ::send(fd_.value(), waiting.data(), waiting.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno != EAGAIN && errno != EINTR) {
            return send_failed(errno);
        }
        if (count > 0)
            out_->consume(static_cast<std::size_t>(count));
    }
    blocked_ = queued() != 0;
    if (!blocked_)
        release_output();
    update_watch();
    if (!over_high_water_ || queued() > SocketLimits::low_water_bytes)
        return true;
    over_high_water_ = false;
    if (handler_ == nullptr)
        return true;
    network_.draining_ = this;
    SocketNetwork& network = network_;
    handler_->on_drained();
    if (network.draining_ == nullptr)
        return false; // the handler destroyed this stream
    network.draining_ = nullptr;
    return static_cast<bool>(fd_);
}

bool SocketStream::send_failed(int errno_value) {
    Error why = stream_error(peer_, errno_value);
    const bool peer_gone = errno_value == ECONNRESET || errno_value == EPIPE;
    if (handler_ != nullptr && (paused_ || !peer_gone)) {
        end(std::move(why));
        return false;
    }
    release_output();
    blocked_ = false;
    if (handler_ == nullptr)
        failure_ = std::make_unique<Error>(std::move(why));
    // Else the peer may have said why before it went: reading finds that first, then the end.
    else
        update_watch();
    return true;
}

void SocketStream::on_ready(std::uint32_t events) {
    if ((events & EPOLLOUT) != 0 && !flush())
        return;
    const bool ended = (events & (EPOLLHUP | EPOLLERR)) != 0;
    if (handler_ == nullptr || !fd_)
        return;
    if (paused_) {
        // Only the writing side is watched: nobody will read the end, so it is told now.
        if (ended) {
            int error = 0;
            socklen_t size = sizeof error;
            ::getsockopt(fd_.value(), SOL_SOCKET, SO_ERROR, &error, &size);
            end(stream_error(peer_, error != 0 ? error : EPIPE));
        }
        return;
    }
    if ((events & EPOLLIN) != 0 || ended)
        receive();
}

void SocketStream::receive() {
    auto& buffer = *network_.read_buffer_;
    prefetch_object(handler_);
    const ssize_t count = ::recv(fd_.value(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count > 0) {
        handler_->on_data({buffer.data(), static_cast<std::size_t>(count)});
        return; // the handler may have destroyed this stream
    }
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR)
            end(stream_error(peer_, errno));
        return;
    }
    end({Errc::closed, "connection with " + peer_.peer().address, "the peer closed the connection", ""});
}

void SocketStream::end(Error why) {
    release_output();
    if (watch_ != 0)
        network_.loop_.unwatch(std::exchange(watch_, 0));
    watched_events_ = 0;
    fd_.reset();
    StreamHandler* const handler = std::exchange(handler_, nullptr);
    if (handler != nullptr)
        handler->on_closed(why);
}

void SocketStream::pause_reading(bool paused) {
    if (paused_ == paused)
        return;
    paused_ = paused;
    if (fd_ && handler_ != nullptr)
        update_watch();
}

void SocketStream::close() {
    if (!fd_)
        return;
    handler_ = nullptr;
    if (dirty_position_ != not_dirty)
        network_.unmark_dirty(std::exchange(dirty_position_, not_dirty));
    if (watch_ != 0)
        network_.loop_.unwatch(std::exchange(watch_, 0));
    watched_events_ = 0;
    if (failure_) {
        fd_.reset();
        return;
    }
    network_.linger(std::move(fd_), std::move(out_));
}

LingeringSocket::LingeringSocket(SocketNetwork& network, Descriptor fd, std::unique_ptr<OutputBuffer> unsent)
    : network_(network), fd_(std::move(fd)), unsent_(std::move(unsent)), deadline_(network.loop_) {}

LingeringSocket::~LingeringSocket() {
    if (watch_ != 0)
        network_.loop_.unwatch(watch_);
    if (unsent_)
        network_.give_buffer(std::move(unsent_));
}

bool LingeringSocket::begin() {
    if (!advance())
        return false;
    auto watch = network_.loop_.watch(fd_.value(), wanted_events(), *this);
    if (!watch)
        return false;
    watch_ = *watch;
    deadline_.start(SocketLimits::close_wait_max, [this] { network_.linger_ended(*this); });
    return true;
}

void LingeringSocket::on_ready(std::uint32_t) {
    const std::uint32_t before = wanted_events();
    if (!advance()) {
        network_.linger_ended(*this);
        return;
    }
    if (const std::uint32_t wanted = wanted_events(); wanted != before)
        network_.loop_.rewatch(watch_, wanted);
}

std::uint32_t LingeringSocket::wanted_events() const {
    return (peer_ended_ ? 0U : std::uint32_t{EPOLLIN}) | (shut_ ? 0U : std::uint32_t{EPOLLOUT});
}

bool LingeringSocket::advance() {
    while (unsent_ && unsent_->size() != 0) {
        const ByteView waiting = unsent_->view();
        const ssize_t count =
            ::send(fd_.value(), waiting.data(), waiting.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                return false;
            break;
        }
        unsent_->consume(static_cast<std::size_t>(count));
    }
    if ((!unsent_ || unsent_->size() == 0) && !shut_) {
        shut_ = true;
        if (::shutdown(fd_.value(), SHUT_WR) != 0)
            return false;
    }
    // Closing with unread bytes would reset the connection and could destroy what we sent last: read them
    // away.
    if (peer_ended_)
        return !shut_;
    auto& buffer = *network_.read_buffer_;
    const ssize_t count = ::recv(fd_.value(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count == 0) {
        peer_ended_ = true;
        return !shut_;
    }
    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    discarded_ += static_cast<std::size_t>(count);
    return discarded_ <= discard_bytes_max;
}

} // namespace brim::io
