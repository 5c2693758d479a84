#pragma once
// TCP and unix sockets on an EpollLoop. Loop thread only.
//
// Cost on the data path: one recv per readable event (a short read means empty), one send per stream and
// turn, EPOLLOUT only after a partial send. An idle stream owns no buffer.

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
    static constexpr Duration attempt_min = 250ms;  ///< for each address of a name
};

class SocketStream;
class LingeringSocket;

/// Outlives the streams, listeners and attempts it made. Sockets that were close()d while bytes waited are
/// owned and flushed by the network, so destroying a stream after close() loses nothing.
class SocketNetwork final : public Network {
public:
    SocketNetwork(EpollLoop& loop, Log& log);
    ~SocketNetwork() override;

    /// A TCP host must be an address or "localhost". [::] also takes IPv4. A unix socket gets mode 0600.
    Result<std::unique_ptr<Listener>> listen(const Endpoint& at, Accepted accepted) override;
    std::unique_ptr<Connecting> connect(const Endpoint& to, Duration timeout, Connected done) override;

    /// Sockets that are closed by their owner and still flushing.
    std::size_t lingering() const noexcept { return lingering_.size(); }

private:
    friend class SocketStream;
    friend class SocketListener;
    friend class SocketConnecting;
    friend class LingeringSocket;

    std::size_t mark_dirty(SocketStream& stream);
    void unmark_dirty(std::size_t position);
    void flush_dirty();
    Bytes take_buffer();
    void give_buffer(Bytes buffer);
    void linger(Descriptor fd, Bytes unsent, std::size_t sent);
    void linger_ended(LingeringSocket& socket);

    EpollLoop& loop_;
    Log& log_;
    Resolver resolver_;
    std::unique_ptr<std::array<char, SocketLimits::read_bytes_max>> read_buffer_;
    std::vector<Bytes> spare_buffers_;
    /// Streams to flush at the end of this turn, null when gone meanwhile. While one side is flushed, streams
    /// that are written to again gather in the other. A position is index * 2 + side.
    std::array<std::vector<SocketStream*>, 2> dirty_;
    std::size_t dirty_side_ = 0;
    Descriptor reserve_; ///< given up for a moment to refuse a connection when descriptors run out
    std::unordered_map<LingeringSocket*, std::unique_ptr<LingeringSocket>> lingering_;
    /// Tells posted work that the network is gone; shared with that work alone.
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

} // namespace brim::io
