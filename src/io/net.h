#pragma once
// Byte streams and where they come from. Implementations: TCP and unix sockets (socket_network.h), TLS on top
// of any stream (tls.h), the simulated network (sim/).

#include "base/bytes.h"
#include "base/time.h"
#include "io/loop.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace brim::io {

/// Where to listen or connect: "tcp:127.0.0.1:1883", "tcp:[::1]:0", "tcp:hub.example:8883",
/// "unix:/run/brim/bus.sock".
struct Endpoint {
    enum class Kind : std::uint8_t { tcp, unix_socket };
    Kind kind = Kind::tcp;
    std::string host; ///< tcp: name or address; unix: path
    std::uint16_t port = 0;

    static Result<Endpoint> parse(std::string_view text);
    std::string text() const;
    /// True for a unix socket, 127.0.0.0/8, ::1 and "localhost".
    bool is_local() const;
};

/// Who is at the other end.
struct Peer {
    std::string address; ///< "192.0.2.7:51234" or "unix:pid=12,uid=0"
    /// The proxy's own address, when `address` is what its PROXY protocol header said (proxied_stream.h).
    std::string via{};
    std::int64_t uid = -1;  ///< unix sockets: the peer's user id
    std::int64_t pid = -1;  ///< unix sockets: the peer's process id
    bool encrypted = false; ///< TLS
    /// TLS: of the certificate the peer proved to own, once it was verified; else empty.
    std::string certificate_name;   ///< its common name
    std::string certificate_sha256; ///< lower-case hex of the whole certificate's hash
};

/// Receives what happens on a stream, on the stream's loop. A handler may destroy the stream from inside any
/// call.
class StreamHandler {
public:
    virtual ~StreamHandler() = default;
    /// `bytes` are valid during the call only.
    virtual void on_data(ByteView bytes) = 0;

    /// The queue fell below the low-water mark after a write() had returned false.
    virtual void on_drained() {}

    /// The last call: the peer closed (Errc::closed), or an error. Not called after the owner's own close().
    virtual void on_closed(const Error& why) = 0;
};

/// A connected, ordered, reliable byte stream on one loop. Destroying it closes it and drops what is not sent
/// yet.
class Stream {
public:
    virtual ~Stream() = default;
    /// Begins reading; call once. `handler` outlives the stream or close().
    virtual void start(StreamHandler& handler) = 0;
    /// Queues `bytes`; they go out in one system call at the end of the turn. False once more than the
    /// high-water mark (256 KiB) is waiting: the bytes are queued all the same, but the caller should wait
    /// for on_drained().
    virtual bool write(ByteView bytes) = 0;
    virtual std::size_t queued() const = 0;
    /// Stops or resumes on_data(): back-pressure towards the peer.
    virtual void pause_reading(bool paused) = 0;
    /// Sends what is queued (waiting at most 5 s), then closes. No further handler calls.
    virtual void close() = 0;
    /// Its text is made for the call: keep it rather than ask often.
    virtual Peer peer() const = 0;
};

/// An open listening socket; destroying it stops listening (accepted streams live on).
class Listener {
public:
    virtual ~Listener() = default;
    /// The bound address, with the real port when 0 was asked for.
    virtual Endpoint local() const = 0;
};

/// A connection attempt under way; destroying it cancels it (the callback is then not called).
class Connecting {
public:
    virtual ~Connecting() = default;
};

using Accepted = std::function<void(std::unique_ptr<Stream>)>;
using Connected = std::move_only_function<void(Result<std::unique_ptr<Stream>>)>;

/// Makes streams. Loop thread only.
class Network {
public:
    virtual ~Network() = default;
    /// Errors name the address and say who holds it where that can be known. A stale unix socket file is
    /// replaced.
    virtual Result<std::unique_ptr<Listener>> listen(const Endpoint& at, Accepted accepted) = 0;
    /// Resolves (on a worker) and tries each address in turn; `done` is called exactly once, never from
    /// inside this call, unless the returned handle is destroyed first.
    virtual std::unique_ptr<Connecting> connect(const Endpoint& to, Duration timeout, Connected done) = 0;
};

} // namespace brim::io
