// Listening sockets: bind with errors that name the holder, accept without spinning when descriptors run out.

#include "base/assert.h"
#include "io/internal/port_holder.h"
#include "io/internal/socket_stream.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace brim::io {

namespace {

constexpr int backlog_max = 4'096;

void set_option(const Descriptor& fd, int level, int name, int value) {
    ::setsockopt(fd.value(), level, name, &value, sizeof value);
}

/// "pid 12 (x)" when somebody accepts connections at the path; empty for a stale file.
Result<void> remove_stale(const Endpoint& at, const SocketAddress& address) {
    struct stat status{};
    if (::lstat(at.host.c_str(), &status) != 0)
        return {};
    if (!S_ISSOCK(status.st_mode))
        return fail(
            Errc::exists,
            at.text(),
            "a file that is not a socket is in the way",
            "remove it or choose another path"
        );
    const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe)
        return fail(errno_error(at.text(), errno));
    const bool accepted = ::connect(probe.value(), address.raw(), address.size) == 0;
    if (accepted || errno == EAGAIN) {
        const std::string holder =
            accepted ? describe_process(PeerRecord::of_unix(probe.value()).peer().pid) : "another process";
        return fail(
            Errc::busy,
            at.text(),
            holder + " listens there already",
            "stop that process or choose another path"
        );
    }
    if (errno != ECONNREFUSED)
        return fail(errno_error(at.text(), errno));
    if (::unlink(at.host.c_str()) != 0 && errno != ENOENT)
        return fail(errno_error(at.text(), errno));
    return {};
}

/// The system gives the lowest free number: a high one means that all below are taken.
bool is_beyond_reserve(const Descriptor& fd) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return false;
    const rlim_t kept = std::min<rlim_t>(SocketLimits::descriptors_kept, limit.rlim_cur / 4);
    return static_cast<rlim_t>(fd.value()) >= limit.rlim_cur - kept;
}

Error bind_error(const Endpoint& at, int errno_value) {
    if (errno_value == EADDRINUSE) {
        const std::string holder = at.port == 0 ? std::string() : tcp_port_holder(at.port);
        return {
            Errc::busy,
            at.text(),
            (holder.empty() ? "another process" : holder) + " uses this address already",
            "stop that process or configure another port"
        };
    }
    if (errno_value == EADDRNOTAVAIL)
        return {
            Errc::invalid,
            at.text(),
            "this machine has no such address",
            "use one of this machine's addresses, or 0.0.0.0 for all"
        };
    if (errno_value == EACCES && at.port < 1024)
        return {
            Errc::denied,
            at.text(),
            "ports below 1024 need a privilege",
            "give the program CAP_NET_BIND_SERVICE or use a port from 1024 on"
        };
    return errno_error(at.text(), errno_value);
}

} // namespace

class SocketListener final : public Listener, private Watcher {
public:
    SocketListener(SocketNetwork& network, Descriptor fd, Endpoint local, Accepted accepted)
        : network_(network), fd_(std::move(fd)), local_(std::move(local)), accepted_(std::move(accepted)),
          pause_(network.loop_) {}

    ~SocketListener() override {
        if (gone_ != nullptr)
            *gone_ = true;
        if (watch_ != 0)
            network_.loop_.unwatch(watch_);
        if (local_.kind != Endpoint::Kind::unix_socket)
            return;
        struct stat status{};
        const bool ours = ::lstat(local_.host.c_str(), &status) == 0 && status.st_ino == inode_;
        if (ours)
            ::unlink(local_.host.c_str());
    }

    Result<void> begin() {
        if (::listen(fd_.value(), backlog_max) != 0)
            return fail(bind_error(local_, errno));
        if (local_.kind == Endpoint::Kind::unix_socket) {
            struct stat status{};
            if (::lstat(local_.host.c_str(), &status) == 0)
                inode_ = status.st_ino;
        } else {
            SocketAddress bound;
            bound.size = sizeof bound.storage;
            if (::getsockname(fd_.value(), bound.raw(), &bound.size) != 0)
                return fail(errno_error(local_.text(), errno));
            local_.port = bound.port();
        }
        auto watch = network_.loop_.watch(fd_.value(), EPOLLIN, *this);
        if (!watch)
            return fail(std::move(watch).error());
        watch_ = *watch;
        return {};
    }

    Endpoint local() const override { return local_; }

private:
    void on_ready(std::uint32_t) override {
        bool gone = false;
        gone_ = &gone;
        for (int i = 0; i < SocketLimits::accepts_per_turn_max; ++i) {
            SocketAddress from;
            from.size = sizeof from.storage;
            Descriptor fd(::accept4(fd_.value(), from.raw(), &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (!fd) {
                const int error = errno;
                if (error == EINTR || error == ECONNABORTED)
                    continue;
                if (error != EAGAIN)
                    refuse(error);
                break;
            }
            if (is_beyond_reserve(fd)) {
                network_.count_refusal(
                    local_, "the rest is kept for files and the program's own connections"
                );
                continue; // closed here
            }
            accept(std::move(fd), from);
            if (gone)
                return;
        }
        gone_ = nullptr;
    }

    void accept(Descriptor fd, const SocketAddress& from) {
        PeerRecord peer;
        if (local_.kind == Endpoint::Kind::unix_socket) {
            peer = PeerRecord::of_unix(fd.value());
        } else {
            peer = PeerRecord(from);
            set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        }
        accepted_(std::make_unique<SocketStream>(network_, std::move(fd), peer));
    }

    /// No descriptor left: the waiting connection is taken with the reserve and closed, so that its client
    /// learns of it and the listener does not stay readable for ever.
    void refuse(int errno_value) {
        network_.count_refusal(local_, errno_error("accept", errno_value).cause);
        if (errno_value == EMFILE && network_.reserve_) {
            network_.reserve_.reset();
            {
                const Descriptor unwanted(::accept4(fd_.value(), nullptr, nullptr, SOCK_CLOEXEC));
            }
            network_.reserve_ = Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
            if (network_.reserve_)
                return;
        }
        network_.loop_.unwatch(std::exchange(watch_, 0));
        pause_.start(SocketLimits::accept_pause, [this] { resume(); });
    }

    void resume() {
        if (!network_.reserve_)
            network_.reserve_ = Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (auto watch = network_.loop_.watch(fd_.value(), EPOLLIN, *this))
            watch_ = *watch;
        else
            pause_.start(SocketLimits::accept_pause, [this] { resume(); });
    }

    SocketNetwork& network_;
    Descriptor fd_;
    Endpoint local_;
    const Accepted accepted_;
    Timer pause_;
    WatchId watch_ = 0;
    ino_t inode_ = 0;
    bool* gone_ = nullptr;
};

Result<std::unique_ptr<Listener>> SocketNetwork::listen(const Endpoint& at, Accepted accepted) {
    SocketAddress address;
    const bool is_unix = at.kind == Endpoint::Kind::unix_socket;
    if (is_unix) {
        auto path = unix_address(at.host);
        if (!path)
            return fail(std::move(path).error());
        address = *path;
        if (auto cleared = remove_stale(at, address); !cleared)
            return fail(std::move(cleared).error());
    } else {
        const auto found = numeric_address(at.host == "localhost" ? "127.0.0.1" : at.host, at.port);
        if (found.empty())
            return fail(
                Errc::invalid,
                at.text(),
                "a listener needs an address, not a name",
                "use one of this machine's addresses, 127.0.0.1 for this machine only, or 0.0.0.0 for all"
            );
        address = found.front();
    }
    Descriptor fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd)
        return fail(errno_error(at.text(), errno));
    if (!is_unix)
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (address.family() == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (::bind(fd.value(), address.raw(), address.size) != 0)
        return fail(bind_error(at, errno));
    // Nobody can connect between bind and listen, so the mode is right before the first connection.
    if (is_unix && ::chmod(at.host.c_str(), 0600) != 0)
        return fail(errno_error(at.text(), errno));
    auto listener = std::make_unique<SocketListener>(*this, std::move(fd), at, std::move(accepted));
    if (auto begun = listener->begin(); !begun)
        return fail(std::move(begun).error());
    return listener;
}

} // namespace brim::io
