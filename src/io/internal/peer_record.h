#pragma once
// Who is at the other end of a socket, in as few bytes as possible: text is made when somebody asks.

#include "io/internal/address.h"

#include <array>

namespace brim::io {

class PeerRecord {
public:
    /// Nobody known.
    PeerRecord() = default;
    /// TCP over IPv4 or IPv6.
    explicit PeerRecord(const SocketAddress& address);
    /// A unix socket: process and user as the kernel noted them at connect().
    static PeerRecord of_unix(int fd);

    Peer peer() const;

private:
    enum class Kind : std::uint8_t { none, ipv4, ipv6, unix_socket };

    /// An address in network order, or uid and pid.
    std::array<unsigned char, 16> bytes_{};
    std::uint16_t port_ = 0; ///< network order
    Kind kind_ = Kind::none;
};

} // namespace brim::io
