#include "io/internal/address.h"

#include <arpa/inet.h>
#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace brim::io {

namespace {

template <class Address> Address as(const sockaddr_storage& storage) {
    Address address;
    std::memcpy(&address, &storage, sizeof address);
    return address;
}

SocketAddress from_raw(const void* raw, std::size_t size) {
    SocketAddress address;
    std::memcpy(&address.storage, raw, size);
    address.size = static_cast<socklen_t>(size);
    return address;
}

} // namespace

std::string SocketAddress::host() const {
    char text[INET6_ADDRSTRLEN] = {};
    if (family() == AF_INET) {
        const auto v4 = as<sockaddr_in>(storage);
        ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    } else if (family() == AF_INET6) {
        const auto v6 = as<sockaddr_in6>(storage);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
            ::inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
        else
            ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    }
    return text;
}

std::uint16_t SocketAddress::port() const noexcept {
    if (family() == AF_INET)
        return ntohs(as<sockaddr_in>(storage).sin_port);
    if (family() == AF_INET6)
        return ntohs(as<sockaddr_in6>(storage).sin6_port);
    return 0;
}

std::string SocketAddress::text() const {
    const std::string name = host();
    return (name.find(':') == std::string::npos ? name : "[" + name + "]") + ":" + std::to_string(port());
}

std::vector<SocketAddress> numeric_address(const std::string& host, std::uint16_t port) {
    sockaddr_in v4{};
    if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        return {from_raw(&v4, sizeof v4)};
    }
    sockaddr_in6 v6{};
    if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        return {from_raw(&v6, sizeof v6)};
    }
    return {};
}

Result<std::vector<SocketAddress>> resolve_blocking(const std::string& host, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV; // not ADDRCONFIG: ::1 must work on a machine without IPv6 routes
    addrinfo* found = nullptr;
    const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
    if (error != 0) {
        return fail(
            Errc::unavailable,
            "host \"" + host + "\"",
            std::string("the name could not be resolved: ") + ::gai_strerror(error),
            "check the spelling and this machine's DNS settings (/etc/resolv.conf), or use the address"
        );
    }
    std::vector<SocketAddress> addresses;
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next)
        addresses.push_back(from_raw(entry->ai_addr, entry->ai_addrlen));
    ::freeaddrinfo(found);
    return addresses;
}

Result<SocketAddress> unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(
            Errc::too_large,
            "unix:" + path,
            "the path of a unix socket has at most " + std::to_string(sizeof address.sun_path - 1) + " bytes",
            "choose a shorter folder"
        );
    std::memcpy(address.sun_path, path.data(), path.size());
    return from_raw(&address, sizeof address);
}

} // namespace brim::io
