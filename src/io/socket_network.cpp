#include "io/socket_network.h"

#include "base/prefetch.h"
#include "io/internal/socket_stream.h"
#include "io/internal/transport_mail.h"

#include <algorithm>
#include <fcntl.h>

namespace brim::io {

namespace {

/// Kept although few streams were written to.
constexpr std::size_t spare_buffers_min = 64;
constexpr std::size_t spare_bytes_max = 4 * 1024 * 1024;
constexpr Duration trim_every = 500ms;
constexpr std::size_t buffer_bytes_kept_max = 64 * 1024;

} // namespace

SocketNetwork::SocketNetwork(EpollLoop& loop, Log& log, Metrics* metrics)
    : loop_(loop), log_(log), resolver_(loop),
      read_buffer_(std::make_unique<std::array<char, SocketLimits::read_bytes_max>>()), trimming_(loop),
      reserve_(::open("/dev/null", O_RDONLY | O_CLOEXEC)) {
    if (metrics != nullptr)
        refused_ = &metrics->counter(
            "brim_accept_failed", "Connections closed at once, by what was lacking", R"(reason="descriptors")"
        );
}

SocketNetwork::~SocketNetwork() {
    *alive_ = false;
}

LooseSocket SocketNetwork::take_apart(std::unique_ptr<Stream> stream) {
    return static_cast<SocketStream&>(*stream).take_apart();
}

std::unique_ptr<Stream> SocketNetwork::adopt(LooseSocket socket) {
    return std::make_unique<SocketStream>(*this, std::move(socket.fd), socket.peer);
}

std::uint32_t SocketNetwork::mark_dirty(SocketStream& stream) {
    auto& side = dirty_[dirty_side_];
    if (side.empty()) {
        loop_.at_turn_end([this, alive = alive_] {
            if (*alive)
                flush_dirty();
        });
    }
    side.push_back(&stream);
    return static_cast<std::uint32_t>((side.size() - 1) * 2 + dirty_side_);
}

void SocketNetwork::unmark_dirty(std::uint32_t position) {
    dirty_[position % 2][position / 2] = nullptr;
}

void SocketNetwork::flush_dirty() {
    auto& side = dirty_[dirty_side_];
    dirty_side_ = 1 - dirty_side_;
    for (std::size_t i = 0; i < side.size(); ++i) {
        if (i + 1 < side.size())
            prefetch_object(side[i + 1]); // while the system call sends for this one
        if (side[i] != nullptr)
            side[i]->flush_turn();
    }
    // A turn that finds no buffer for each of its streams makes and frees them all anew.
    spares_wanted_ = std::max(spares_wanted_, side.size());
    if (spare_buffers_.size() > spare_buffers_min && !trimming_.running())
        trimming_.start(trim_every, [this] { trim_buffers(); });
    side.clear();
}

std::unique_ptr<OutputBuffer> SocketNetwork::take_buffer() {
    // Without room of its own: a crowd that connects at once needs four bytes each.
    if (spare_buffers_.empty())
        return std::make_unique<OutputBuffer>();
    auto buffer = std::move(spare_buffers_.back());
    spare_buffers_.pop_back();
    spare_bytes_ -= buffer->capacity();
    return buffer;
}

void SocketNetwork::give_buffer(std::unique_ptr<OutputBuffer> buffer) {
    if (buffer->capacity() > buffer_bytes_kept_max || spare_bytes_ + buffer->capacity() > spare_bytes_max)
        return;
    buffer->clear();
    spare_bytes_ += buffer->capacity();
    spare_buffers_.push_back(std::move(buffer));
}

void SocketNetwork::trim_buffers() {
    while (spare_buffers_.size() > std::max(spares_wanted_, spare_buffers_min))
        take_buffer();
    spares_wanted_ = 0;
    if (spare_buffers_.size() > spare_buffers_min)
        trimming_.start(trim_every, [this] { trim_buffers(); });
}

void SocketNetwork::release_buffers() {
    spare_buffers_.clear();
    spare_bytes_ = 0;
}

void SocketNetwork::linger(Descriptor fd, std::unique_ptr<OutputBuffer> unsent) {
    auto socket = std::make_unique<LingeringSocket>(*this, std::move(fd), std::move(unsent));
    if (!socket->begin())
        return;
    LingeringSocket& key = *socket;
    lingering_.emplace(&key, std::move(socket));
}

void SocketNetwork::linger_ended(LingeringSocket& socket) {
    lingering_.erase(&socket);
}

void SocketNetwork::count_refusal(const Endpoint& at, std::string_view cause) {
    if (refused_ != nullptr)
        refused_->add();
    ++refusals_;
    const bool is_first = refusal_logged_ == Mono{};
    if (!is_first && loop_.now() - refusal_logged_ < SocketLimits::refusal_log_every)
        return;
    refusal_logged_ = loop_.now();
    log_.warn(
        "net",
        "connections refused: too many are open",
        {{"address", at.text()},
         {"cause", cause},
         {"refused", std::exchange(refusals_, 0)},
         {"fix", "raise the open-file limit (LimitNOFILE=, ulimit -n)"}}
    );
}

} // namespace brim::io
