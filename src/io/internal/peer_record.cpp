#include "io/internal/peer_record.h"

#include <cstring>
#include <netinet/in.h>

namespace brim::io {

PeerRecord::PeerRecord(const SocketAddress& address) {
    if (address.family() == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, &address.storage, sizeof in);
        std::memcpy(bytes_.data(), &in.sin_addr, sizeof in.sin_addr);
        port_ = in.sin_port;
        kind_ = Kind::ipv4;
    } else if (address.family() == AF_INET6) {
        sockaddr_in6 in{};
        std::memcpy(&in, &address.storage, sizeof in);
        std::memcpy(bytes_.data(), &in.sin6_addr, sizeof in.sin6_addr);
        port_ = in.sin6_port;
        kind_ = Kind::ipv6;
    }
}

PeerRecord PeerRecord::of_unix(int fd) {
    PeerRecord made;
    made.kind_ = Kind::unix_socket;
    ucred credentials{};
    socklen_t size = sizeof credentials;
    const bool known = ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0;
    const std::int64_t uid = known ? std::int64_t{credentials.uid} : -1;
    const std::int64_t pid = known ? std::int64_t{credentials.pid} : -1;
    std::memcpy(made.bytes_.data(), &uid, sizeof uid);
    std::memcpy(made.bytes_.data() + sizeof uid, &pid, sizeof pid);
    return made;
}

Peer PeerRecord::peer() const {
    Peer made;
    switch (kind_) {
    case Kind::none:
        made.address = "an unknown address";
        break;
    case Kind::unix_socket:
        std::memcpy(&made.uid, bytes_.data(), sizeof made.uid);
        std::memcpy(&made.pid, bytes_.data() + sizeof made.uid, sizeof made.pid);
        made.address = "unix:pid=" + std::to_string(made.pid) + ",uid=" + std::to_string(made.uid);
        break;
    case Kind::ipv4: {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = port_;
        std::memcpy(&in.sin_addr, bytes_.data(), sizeof in.sin_addr);
        SocketAddress address;
        std::memcpy(&address.storage, &in, sizeof in);
        address.size = sizeof in;
        made.address = address.text();
        break;
    }
    case Kind::ipv6: {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        in.sin6_port = port_;
        std::memcpy(&in.sin6_addr, bytes_.data(), sizeof in.sin6_addr);
        SocketAddress address;
        std::memcpy(&address.storage, &in, sizeof in);
        address.size = sizeof in;
        made.address = address.text();
        break;
    }
    }
    return made;
}

} // namespace brim::io
