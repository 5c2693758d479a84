#pragma once
// A network whose accepted sockets live on further loops, each with a thread of its own. What the kernel
// costs (epoll, recv, send) is paid there; the streams that are handed out belong to the home loop like any
// other, so nothing above knows the difference. The loops talk by mail: what one turn has gathered goes over
// in one piece.

#include "io/socket_network.h"

#include <cstddef>
#include <memory>
#include <vector>

namespace brim::io {

class TransportLoop;

struct SpreadLimits {
    static constexpr unsigned loops_max = 64;
    /// Of one transport loop: read from sockets, not yet taken by the home loop. Above it sockets are not
    /// read.
    static constexpr std::size_t arriving_bytes_max = 4 * 1024 * 1024;
    /// Of one stream: written and not known to be with the kernel. Above it write() says false, as it does
    /// when the socket's stream did at its high-water mark; on_drained() says that half of it is left.
    static constexpr std::size_t waiting_bytes_max = 2 * SocketLimits::high_water_bytes;
    /// How late queued() may learn that bytes are with the kernel: so many bytes of one loop, or so long.
    static constexpr std::size_t untold_bytes_max = 64 * 1024;
    static constexpr Duration untold_max = 20ms;
};

/// Of the home loop's thread alone, streams included. Listening and connecting are `below`'s; a stream that
/// connects stays on the home loop. Outlives its streams, and is outlived by `below`.
class SpreadNetwork final : public Network {
public:
    /// 1 to SpreadLimits::loops_max transport loops; their threads start with the first connection.
    SpreadNetwork(EpollLoop& home, SocketNetwork& below, Log& log, unsigned loops);
    /// What was written to streams that are closed by then is handed to the kernel first.
    ~SpreadNetwork() override;

    Result<std::unique_ptr<Listener>> listen(const Endpoint& at, Accepted accepted) override;
    std::unique_ptr<Connecting> connect(const Endpoint& to, Duration timeout, Connected done) override;

    /// Frees the buffers that are kept for later, on all loops.
    void release_buffers();

private:
    TransportLoop& emptiest();

    EpollLoop& home_;
    SocketNetwork& below_;
    Log& log_;
    const unsigned loops_max_;
    std::vector<std::unique_ptr<TransportLoop>> loops_;
};

} // namespace brim::io
