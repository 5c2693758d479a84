// The limits: what a broker on this machine could do at best. The forwarder knows frame lengths and nothing
// else; the acceptor answers CONNACK and keeps no state.

#include "mqtt/client.h"
#include "mqtt/meters.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace brim::bench {

namespace {

int listen_on(const Options& options) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(options.port));
    inet_pton(AF_INET, options.host.c_str(), &address.sin_addr);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(fd, 4096) != 0)
        give_up("bind and listen");
    return fd;
}

struct Peer {
    int fd = -1;
    int index = -1;
    bool subscriber = false;
    bool blocked = false;
    bool dirty = false;
    std::string partial;
    std::string out;
    std::size_t sent = 0;
};

class Forwarder {
public:
    explicit Forwarder(const Options& options);
    [[noreturn]] void run();

private:
    void accept_all();
    void receive(Peer& peer);
    void forward(Peer& peer, std::string_view frame, std::size_t header);
    void answer(Peer& peer, char type, std::string_view frame, std::size_t id_at);
    void deliver(Peer& peer, std::string_view bytes);
    void flush(Peer& peer);
    void watch(Peer& peer, bool writable);
    void drop(Peer& peer);

    const Options& options_;
    int epoll_;
    int listener_;
    std::vector<std::unique_ptr<Peer>> peers_;
    std::vector<Peer*> subscribers_;
    std::vector<Peer*> by_index_ = std::vector<Peer*>(100'000);
    std::vector<Peer*> dirty_;
    std::vector<char> buffer_ = std::vector<char>(512 * 1024);
};

Forwarder::Forwarder(const Options& options)
    : options_(options), epoll_(epoll_create1(EPOLL_CLOEXEC)), listener_(listen_on(options)) {
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
}

void Forwarder::run() {
    std::vector<epoll_event> ready(1024);
    for (;;) {
        const int count = epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), -1);
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = ready[static_cast<std::size_t>(i)];
            if (event.data.ptr == nullptr) {
                accept_all();
                continue;
            }
            Peer& peer = *static_cast<Peer*>(event.data.ptr);
            if (peer.fd >= 0 && (event.events & EPOLLOUT) != 0)
                flush(peer);
            if (peer.fd >= 0 && (event.events & ~std::uint32_t{EPOLLOUT}) != 0)
                receive(peer);
        }
        for (Peer* const peer : dirty_) {
            peer->dirty = false;
            if (peer->fd >= 0 && !peer->blocked)
                flush(*peer);
        }
        dirty_.clear();
    }
}

void Forwarder::accept_all() {
    for (;;) {
        const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        const int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        peers_.push_back(std::make_unique<Peer>());
        peers_.back()->fd = fd;
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = peers_.back().get();
        epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    }
}

void Forwarder::receive(Peer& peer) {
    const std::size_t have = peer.partial.size();
    if (have >= buffer_.size() / 2) {
        drop(peer); // no frame of a measurement is that long
        return;
    }
    std::memcpy(buffer_.data(), peer.partial.data(), have);
    const ssize_t count = recv(peer.fd, buffer_.data() + have, buffer_.size() / 2, 0);
    if (count <= 0) {
        if (count == 0 || errno != EAGAIN)
            drop(peer);
        return;
    }
    std::string_view bytes(buffer_.data(), have + static_cast<std::size_t>(count));
    for (Frame frame = frame_at(bytes); frame.total != 0; frame = frame_at(bytes)) {
        forward(peer, bytes.substr(0, frame.total), frame.header);
        bytes.remove_prefix(frame.total);
    }
    peer.partial.assign(bytes);
}

void Forwarder::forward(Peer& peer, std::string_view frame, std::size_t header) {
    const auto byte = [frame](std::size_t at) { return static_cast<unsigned char>(frame[at]); };
    switch (byte(0) >> 4) {
    case 1: { // CONNECT: the client id, at offset 12 of a 3.1.1 body, says role and index
        const std::string id(frame.substr(header + 12));
        peer.subscriber = !id.empty() && id[0] == 's';
        peer.index = id.empty() ? -1 : std::atoi(id.c_str() + 1);
        deliver(peer, std::string_view("\x20\x02\x00\x00", 4));
        break;
    }
    case 3:
        if (const unsigned qos = (byte(0) >> 1) & 3U; qos != 0) // acknowledge, and forward as it is
            answer(peer, qos == 1 ? 0x40 : 0x50, frame, header + 2U + (byte(header) << 8 | byte(header + 1)));
        if (options_.pairs) {
            if (Peer* const other = by_index_[static_cast<std::size_t>(peer.index)])
                deliver(*other, frame);
        } else {
            for (Peer* const subscriber : subscribers_)
                deliver(*subscriber, frame);
        }
        break;
    case 5: // PUBREC of a subscriber
        answer(peer, 0x62, frame, header);
        break;
    case 6: // PUBREL of a publisher
        answer(peer, 0x70, frame, header);
        break;
    case 8:
        subscribers_.push_back(&peer);
        if (peer.index >= 0 && static_cast<std::size_t>(peer.index) < by_index_.size())
            by_index_[static_cast<std::size_t>(peer.index)] = &peer;
        deliver(peer, std::string_view("\x90\x03\x00\x01\x00", 5));
        break;
    default:
        break;
    }
}

void Forwarder::answer(Peer& peer, char type, std::string_view frame, std::size_t id_at) {
    const std::array<char, 4> packet{type, 2, frame[id_at], frame[id_at + 1]};
    deliver(peer, {packet.data(), packet.size()});
}

void Forwarder::deliver(Peer& peer, std::string_view bytes) {
    peer.out += bytes;
    if (!options_.batched) {
        if (!peer.blocked)
            flush(peer);
    } else if (!std::exchange(peer.dirty, true)) {
        dirty_.push_back(&peer);
    }
}

void Forwarder::flush(Peer& peer) {
    while (peer.sent < peer.out.size()) {
        const ssize_t count =
            send(peer.fd, peer.out.data() + peer.sent, peer.out.size() - peer.sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN) {
            watch(peer, true);
            return;
        }
        if (count < 0)
            break;
        peer.sent += static_cast<std::size_t>(count);
    }
    peer.out.clear();
    peer.sent = 0;
    watch(peer, false);
}

void Forwarder::watch(Peer& peer, bool writable) {
    if (peer.blocked == writable)
        return;
    peer.blocked = writable;
    epoll_event event{};
    event.events = std::uint32_t{EPOLLIN} | (writable ? std::uint32_t{EPOLLOUT} : 0U);
    event.data.ptr = &peer;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, peer.fd, &event);
}

void Forwarder::drop(Peer& peer) {
    close(std::exchange(peer.fd, -1));
    std::erase(subscribers_, &peer);
    std::ranges::replace(by_index_, &peer, nullptr);
}

} // namespace

int run_forwarder(const Options& options) {
    Forwarder(options).run();
}

int run_acceptor(const Options& options) {
    const int listener = listen_on(options);
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    std::vector<epoll_event> ready(1024);
    std::array<char, 512> bytes{};
    for (;;) {
        const int count = epoll_wait(epoll, ready.data(), static_cast<int>(ready.size()), -1);
        for (int i = 0; i < count; ++i) {
            const int fd = ready[static_cast<std::size_t>(i)].data.fd;
            if (fd == listener) {
                for (int made = 0; (made = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
                    event.data.fd = made;
                    epoll_ctl(epoll, EPOLL_CTL_ADD, made, &event);
                }
                continue;
            }
            const ssize_t got = recv(fd, bytes.data(), bytes.size(), 0);
            const bool greeting = got > 0 && bytes[0] == 0x10;
            if (got <= 0 || (greeting && send(fd, "\x20\x02\x00\x00", 4, MSG_NOSIGNAL) < 0))
                close(fd);
        }
    }
}

} // namespace brim::bench
