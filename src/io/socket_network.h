#pragma once
// TCP and unix sockets on an EpollLoop. Loop thread only.
//
// Cost on the data path: one recv per readable event (a short read means empty), one send per stream and
// turn, EPOLLOUT only after a partial send. An idle stream owns no buffer.

#include "base/metrics.h"
#include "io/epoll_loop.h"
#include "io/internal/resolver.h"
#include "io/net.h"

#include <array>
#include <memory>
#include <unordered_map>
#include <vector>

namespace brim::io {

struct SocketLimits {
    static constexpr std::size_t read_bytes_max = 64 * 1024; ///< one recv; the buffer is shared by the loop
    static constexpr std::size_t high_water_bytes = 256 * 1024; ///< write() returns false above this
    static constexpr std::size_t low_water_bytes = 64 * 1024;   ///< on_drained() at or below this
    static constexpr int accepts_per_turn_max = 64; ///< of one listener; the rest waits for the next turn
    static constexpr Duration close_wait_max = 5s;  ///< flush and the peer's end after close()
    static constexpr Duration accept_pause = 100ms; ///< when the system gives no descriptor at all
    /// Descriptors that accepted connections leave to files, the log's next segment, timers, outgoing
    /// connections; of a limit below 256 it is a quarter.
    static constexpr std::uint64_t descriptors_kept = 64;
    static constexpr Duration refusal_log_every = 10s; ///< one line for all refused meanwhile
    static constexpr Duration attempt_min = 250ms;     ///< for each address of a name
};

/// Bytes on their way out: appended behind, sent from the front.
class OutputBuffer {
public:
    ByteView view() const { return ByteView(bytes_).substr(sent_); }

    std::size_t size() const { return bytes_.size() - sent_; }

    std::size_t capacity() const { return bytes_.capacity(); }

    void append(ByteView bytes) {
        if (sent_ != 0 && sent_ >= bytes_.size() / 2) {
            bytes_.erase(0, sent_); // moves less than half: amortised over the bytes that went out
            sent_ = 0;
        }
        const std::size_t wanted = bytes_.size() + bytes.size();
        // A reader that has stopped keeps this for long: doubling would leave half of it empty.
        if (wanted > bytes_.capacity() && wanted > step_bytes && wanted <= doubled_from) {
            Bytes bigger; // reserve() of what is there would double as well
            bigger.reserve((wanted + step_bytes - 1) / step_bytes * step_bytes);
            bigger.append(view());
            bytes_.swap(bigger);
            sent_ = 0;
        }
        bytes_.append(bytes);
    }

    void consume(std::size_t count) { sent_ += count; }

    void clear() {
        bytes_.clear();
        sent_ = 0;
    }

private:
    static constexpr std::size_t step_bytes = 64 * 1024;
    static constexpr std::size_t doubled_from =
        8 * step_bytes; ///< a writer who does not stop at the high-water mark

    Bytes bytes_;
    std::size_t sent_ = 0; ///< leading bytes that are gone
};

class SocketStream;
class LingeringSocket;
struct LooseSocket;

/// Outlives the streams, listeners and attempts it made. Sockets that were close()d while bytes waited are
/// owned and flushed by the network, so destroying a stream after close() loses nothing.
class SocketNetwork final : public Network {
public:
    /// `metrics`, when given, gets brim_accept_failed.
    SocketNetwork(EpollLoop& loop, Log& log, Metrics* metrics = nullptr);
    ~SocketNetwork() override;

    /// A TCP host must be an address or "localhost". [::] also takes IPv4. A unix socket gets mode 0600.
    Result<std::unique_ptr<Listener>> listen(const Endpoint& at, Accepted accepted) override;
    std::unique_ptr<Connecting> connect(const Endpoint& to, Duration timeout, Connected done) override;

    /// For another loop: what a stream of a SocketNetwork is made of that was not started, nor written to.
    static LooseSocket take_apart(std::unique_ptr<Stream> stream);
    std::unique_ptr<Stream> adopt(LooseSocket socket);

    /// Sockets that are closed by their owner and still flushing.
    std::size_t lingering() const noexcept { return lingering_.size(); }

    /// Frees the buffers that are kept for the next stream that writes.
    void release_buffers();

private:
    friend class SocketStream;
    friend class SocketListener;
    friend class SocketConnecting;
    friend class LingeringSocket;

    std::uint32_t mark_dirty(SocketStream& stream);
    void unmark_dirty(std::uint32_t position);
    void flush_dirty();
    std::unique_ptr<OutputBuffer> take_buffer();
    void give_buffer(std::unique_ptr<OutputBuffer> buffer);
    void trim_buffers();
    void linger(Descriptor fd, std::unique_ptr<OutputBuffer> unsent);
    void linger_ended(LingeringSocket& socket);
    void count_refusal(const Endpoint& at, std::string_view cause);

    EpollLoop& loop_;
    Log& log_;
    Resolver resolver_;
    std::unique_ptr<std::array<char, SocketLimits::read_bytes_max>> read_buffer_;
    std::vector<std::unique_ptr<OutputBuffer>> spare_buffers_;
    std::size_t spare_bytes_ = 0;
    std::size_t spares_wanted_ = 0; ///< streams written to in one turn since the last trim
    Timer trimming_;
    /// Streams to flush at the end of this turn, null when gone meanwhile. While one side is flushed, streams
    /// that are written to again gather in the other. A position is index * 2 + side.
    std::array<std::vector<SocketStream*>, 2> dirty_;
    std::size_t dirty_side_ = 0;
    SocketStream* draining_ =
        nullptr;                 ///< whose on_drained() is on the stack; null again once it is destroyed
    Counter* refused_ = nullptr; ///< brim_accept_failed
    std::uint64_t refusals_ = 0; ///< since the last line in the log
    Mono refusal_logged_{};      ///< epoch: never
    Descriptor reserve_;         ///< given up for a moment to refuse a connection when descriptors run out
    std::unordered_map<LingeringSocket*, std::unique_ptr<LingeringSocket>> lingering_;
    /// Tells posted work that the network is gone; shared with that work alone.
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

} // namespace brim::io
