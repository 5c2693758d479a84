#pragma once
// A stream that came through a load balancer: its first bytes are a PROXY protocol header (proxy_protocol.h),
// which is read before anything is handed on, and says who the client is. Loop thread only.

#include "io/address_set.h"
#include "io/net.h"

#include <functional>
#include <memory>
#include <string>

namespace brim::io {

/// Of a listener that only proxies may connect to. A header is believed without a proof, so nobody else must
/// be able to send one.
struct ProxyOptions {
    /// The proxies' own addresses. A unix socket is trusted always: its file says who may connect.
    AddressSet trusted{};
    /// Takes the client's certificate name from the header (PP2_TYPE_SSL), if the proxy says it has verified
    /// the certificate. Off: a name is only what our own TLS has seen.
    bool trust_certificate_name = false;
    /// From the accept (or start()) to a whole header.
    Duration header_wait_max = 5s;
    /// Hears of connections that are closed for want of a good header: Errc::denied (a peer that is no
    /// trusted proxy), Errc::timeout, Errc::closed, or an error of ProxyHeaderReader. It must not destroy
    /// the stream.
    std::function<void(const Error&)> refused{};
};

class ProxiedStream final : public Stream, private StreamHandler {
public:
    using HeaderRead = std::move_only_function<void(Result<void>)>;

    /// `stream` is not started yet; of `options` nothing is kept by reference.
    ProxiedStream(Loop& loop, std::unique_ptr<Stream> stream, const ProxyOptions& options);
    ~ProxiedStream() override;

    /// Reads the header before start(), for who must know the client first; in place of start()'s own
    /// reading. `done` may destroy this stream, or move it on to be wrapped and started. After a success
    /// nothing more is read until start(); after a failure the connection is closed.
    void read_header(HeaderRead done);

    void start(StreamHandler& handler) override;

    /// Goes out at once: a header is only read.
    bool write(ByteView bytes) override { return inner_->write(bytes); }

    std::size_t queued() const override { return inner_->queued(); }

    void pause_reading(bool paused) override;
    void close() override;
    /// Until the header is read, and when it names nobody: the proxy itself. Else the client, with the proxy
    /// as `via`; process, user and certificates of the proxy are not shown as the client's.
    Peer peer() const override;

private:
    enum class Phase : std::uint8_t { idle, reading, open, ended };
    struct Reading;

    void on_data(ByteView bytes) override;
    void on_drained() override;
    void on_closed(const Error& why) override;

    void begin();
    /// Takes header bytes from the front. False when the stream ended or is gone.
    bool read(ByteView& bytes);
    void hand_on(ByteView bytes);
    void hand_on_later();
    /// Closes and makes the last call to whoever listens. The stream may be gone afterwards.
    void end(Error why);

    Loop& loop_;
    std::unique_ptr<Stream> inner_;
    std::unique_ptr<Reading> reading_; ///< null once the header is read
    StreamHandler* handler_ = nullptr;
    Bytes held_;         ///< the client's, while nobody reads
    std::string client_; ///< as Peer::address; empty: the proxy itself
    std::unique_ptr<std::string> certificate_name_;
    Phase phase_ = Phase::idle;
    bool paused_ = false;
    /// Tells planned work that the stream is gone; shared with that work alone.
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// `stream` behind a proxy, to be started like any other, or wrapped in TLS first. Null when its peer is no
/// trusted proxy: it is closed, and `options.refused` has heard of it.
std::unique_ptr<ProxiedStream>
wrap_proxied(Loop& loop, std::unique_ptr<Stream> stream, const ProxyOptions& options);

} // namespace brim::io
