#include "mqtt/client.h"

#include "mqtt/meters.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace brim::bench {

namespace {

// Of who will stall: with segments of loopback size the broker's kernel alone would buffer 2.6 MB for it.
constexpr int stalled_segment_bytes = 1448;
constexpr int stalled_receive_bytes = 4096;
constexpr std::size_t read_bytes = 256 * 1024;
constexpr std::size_t move_bytes_min = 1024 * 1024; // moving the rest of a long output is worth it from here

SSL_SESSION* last_session = nullptr; // the callback has no argument of ours; one client, one thread

int keep_session(SSL*, SSL_SESSION* session) {
    SSL_SESSION_free(last_session);
    last_session = session;
    return 1;
}

ssl_ctx_st* make_tls(const Options& options) {
    SSL_CTX* const made = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(made, TLS1_3_VERSION);
    SSL_CTX_set_verify(made, SSL_VERIFY_NONE, nullptr); // a load generator on loopback
    SSL_CTX_set_mode(
        made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS
    );
    if (options.resume) {
        SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(made, keep_session);
    }
    return made;
}

std::ptrdiff_t tls_result(SSL* ssl, int result) {
    if (result > 0)
        return result;
    const int error = SSL_get_error(ssl, result);
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
    return -1;
}

} // namespace

Clients::Clients(const Options& options, ClientEvents& events)
    : options_(options), events_(events), epoll_(epoll_create1(EPOLL_CLOEXEC)), buffer_(read_bytes) {
    if (options.tls)
        tls_ = make_tls(options);
}

Clients::~Clients() {
    SSL_CTX_free(tls_);
    ::close(epoll_);
}

bool Clients::open(Conn& conn) {
    conn.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn.fd < 0)
        return false;
    const int one = 1;
    setsockopt(conn.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (conn.stalled) {
        setsockopt(conn.fd, IPPROTO_TCP, TCP_MAXSEG, &stalled_segment_bytes, sizeof stalled_segment_bytes);
        setsockopt(conn.fd, SOL_SOCKET, SO_RCVBUF, &stalled_receive_bytes, sizeof stalled_receive_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    const std::uint64_t turn = addresses_++;
    const auto sources = static_cast<std::uint64_t>(options_.sources);
    const auto generic = reinterpret_cast<sockaddr*>(&address);
    if (sources > 1) {
        setsockopt(conn.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        const auto source = static_cast<std::uint32_t>(turn % sources);
        address.sin_addr.s_addr = htonl(0x7f010001U + source / 250 * 256 + source % 250);
        if (bind(conn.fd, generic, sizeof address) < 0)
            give_up("bind");
    }
    inet_pton(AF_INET, options_.host.c_str(), &address.sin_addr);
    if (options_.destinations > 1) {
        const std::uint64_t step = turn / sources % static_cast<std::uint64_t>(options_.destinations);
        address.sin_addr.s_addr = htonl(ntohl(address.sin_addr.s_addr) + static_cast<std::uint32_t>(step));
    }
    address.sin_port = htons(static_cast<std::uint16_t>(options_.port));
    if (connect(conn.fd, generic, sizeof address) < 0 && errno != EINPROGRESS) {
        ::close(std::exchange(conn.fd, -1));
        return false;
    }
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT;
    event.data.ptr = &conn;
    conn.want_out = true;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, conn.fd, &event);
    if (tls_ != nullptr) {
        conn.ssl = SSL_new(tls_);
        SSL_set_fd(conn.ssl, conn.fd);
        SSL_set_connect_state(conn.ssl);
        if (options_.resume && last_session != nullptr)
            SSL_set_session(conn.ssl, last_session);
    }
    return true;
}

void Clients::leave(Conn& conn) {
    conn.out.assign("\xe0\x00", 2);
    conn.sent = 0;
    flush(conn);
    cut(conn);
}

void Clients::cut(Conn& conn) {
    const linger reset{1, 0};
    setsockopt(conn.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(conn);
}

void Clients::stall(Conn& conn) {
    epoll_ctl(epoll_, EPOLL_CTL_DEL, conn.fd, nullptr);
}

void Clients::close(Conn& conn) {
    if (conn.ssl != nullptr) {
        // A connection cut without close_notify would make its session unusable for resumption.
        SSL_set_shutdown(conn.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(std::exchange(conn.ssl, nullptr));
    }
    if (conn.fd >= 0)
        ::close(std::exchange(conn.fd, -1));
    conn.up = conn.tcp_ready = conn.tls_ready = conn.greeted = conn.want_out = false;
    conn.out.clear();
    conn.partial.clear();
    conn.sent = 0;
}

bool Clients::resumed(const Conn& conn) const {
    return conn.ssl != nullptr && SSL_session_reused(conn.ssl) == 1;
}

std::ptrdiff_t Clients::write(Conn& conn, std::string_view bytes) {
    if (conn.ssl == nullptr)
        return send(conn.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    const auto size = static_cast<int>(std::min<std::size_t>(bytes.size(), 1U << 30));
    return tls_result(conn.ssl, SSL_write(conn.ssl, bytes.data(), size));
}

std::ptrdiff_t Clients::read(Conn& conn, char* into, std::size_t size) {
    if (conn.ssl == nullptr)
        return recv(conn.fd, into, size, 0);
    return tls_result(conn.ssl, SSL_read(conn.ssl, into, static_cast<int>(size)));
}

void Clients::watch(Conn& conn, bool writable) {
    if (conn.want_out == writable)
        return;
    conn.want_out = writable;
    epoll_event event{};
    event.events = std::uint32_t{EPOLLIN} | (writable ? std::uint32_t{EPOLLOUT} : 0U);
    event.data.ptr = &conn;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, conn.fd, &event);
}

void Clients::flush(Conn& conn) {
    while (conn.sent < conn.out.size()) {
        const std::ptrdiff_t count = write(conn, std::string_view(conn.out).substr(conn.sent));
        if (count < 0 && errno == EAGAIN) {
            if (conn.sent > move_bytes_min)
                conn.out.erase(0, std::exchange(conn.sent, 0));
            watch(conn, true);
            return;
        }
        if (count < 0) {
            ++errors;
            break;
        }
        conn.sent += static_cast<std::size_t>(count);
    }
    conn.out.clear();
    conn.sent = 0;
    watch(conn, false);
}

void Clients::mark(Conn& conn) {
    if (!std::exchange(conn.dirty, true))
        dirty_.push_back(&conn);
}

void Clients::flush_all() {
    for (std::size_t i = 0; i < dirty_.size(); ++i) {
        Conn& conn = *dirty_[i];
        conn.dirty = false;
        if (conn.fd >= 0 && !conn.want_out)
            flush(conn);
    }
    dirty_.clear();
}

bool Clients::handshake(Conn& conn) {
    const int result = SSL_do_handshake(conn.ssl);
    if (result == 1) {
        conn.tls_ready = true;
        return true;
    }
    const int error = SSL_get_error(conn.ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        watch(conn, error == SSL_ERROR_WANT_WRITE);
    } else {
        ++errors;
        close(conn);
    }
    return false;
}

bool Clients::establish(Conn& conn, std::uint32_t events) {
    if (!conn.tcp_ready) {
        if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0)
            return false;
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(conn.fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) {
            ++errors;
            close(conn);
            return false;
        }
        conn.tcp_ready = true;
    }
    if (conn.ssl != nullptr && !conn.tls_ready && !handshake(conn))
        return false;
    if (!std::exchange(conn.greeted, true)) {
        conn.out += connect_packet(conn);
        flush(conn);
    }
    return true;
}

void Clients::pump(int timeout_us) {
    epoll_event ready[256];
    const timespec wait{timeout_us / 1'000'000, timeout_us % 1'000'000 * 1000L};
    const int count = epoll_pwait2(epoll_, ready, 256, timeout_us < 0 ? nullptr : &wait, nullptr);
    for (int i = 0; i < count; ++i) {
        Conn& conn = *static_cast<Conn*>(ready[i].data.ptr);
        const std::uint32_t events = ready[i].events;
        if (conn.fd < 0 || (!conn.up && !establish(conn, events)))
            continue;
        if ((events & EPOLLOUT) != 0)
            flush(conn);
        if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !receive(conn)) {
            ++closed;
            close(conn);
        }
    }
    flush_all();
}

bool Clients::receive(Conn& conn) {
    for (;;) {
        const std::ptrdiff_t count = read(conn, buffer_.data(), buffer_.size());
        if (count <= 0)
            return count < 0 && errno == EAGAIN;
        std::string_view bytes(buffer_.data(), static_cast<std::size_t>(count));
        std::string joined;
        if (!conn.partial.empty()) {
            joined = std::exchange(conn.partial, {}).append(bytes);
            bytes = joined;
        }
        const std::size_t used = parse(conn, bytes);
        if (conn.fd < 0)
            return true;
        conn.partial.assign(bytes.substr(used));
        // A short read of a plain socket means that it is empty.
        if (conn.ssl == nullptr)
            return true;
    }
}

} // namespace brim::bench
