#pragma once
// Socket addresses as values, and as text.

#include "io/net.h"

#include <sys/socket.h>
#include <vector>

namespace brim::io {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;

    const sockaddr* raw() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }

    sockaddr* raw() noexcept { return reinterpret_cast<sockaddr*>(&storage); }

    int family() const noexcept { return storage.ss_family; }

    /// "192.0.2.7:51234", "[2001:db8::1]:443"; an IPv4 address that came in over IPv6 is shown as IPv4.
    std::string text() const;
    std::string host() const;
    std::uint16_t port() const noexcept;
};

/// The address of a host written as numbers; empty for a name.
std::vector<SocketAddress> numeric_address(const std::string& host, std::uint16_t port);
/// Asks the system's resolver. Blocks, for as long as the resolver is configured to try. Thread-safe.
Result<std::vector<SocketAddress>> resolve_blocking(const std::string& host, std::uint16_t port);
/// Errc::too_large when the path does not fit (107 bytes).
Result<SocketAddress> unix_address(const std::string& path);

} // namespace brim::io
