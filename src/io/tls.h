#pragma once
// TLS over any Stream: real sockets and simulated ones alike. OpenSSL is fed from the bytes at hand and
// writes into the inner stream; it owns no socket and, while a connection is idle, no record buffers. TLS 1.2
// and 1.3 only, no renegotiation, the peer's name and chain are always checked by a client. Loop thread only.

#include "io/disk.h"
#include "io/net.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

struct ssl_ctx_st;

namespace brim::io {

struct TlsLimits {
    static constexpr Duration handshake_wait_max = 10s;
    static constexpr std::size_t hello_bytes_max = 17 * 1024;      ///< of a client that waits for its turn
    static constexpr std::size_t pem_bytes_max = 1024 * 1024;      ///< of one certificate, key or CA file
    static constexpr std::size_t handshakes_max = 10'000;          ///< unfinished at a time on one TlsNetwork
    static constexpr std::size_t sessions_kept_max = 64;           ///< of a client context, for resumption
    static constexpr std::size_t crl_bytes_max = 16 * 1024 * 1024; ///< of one file of revocation lists
    static constexpr int chain_depth_max = 8; ///< authorities between a certificate and a trusted one
    static constexpr std::size_t judged_per_turn_max = 32; ///< connections, after a reload
};

enum class TlsVersion : std::uint8_t { v1_2, v1_3 };

/// What a listener shows. Files are PEM; the certificate file may hold the chain after the certificate.
struct TlsServerOptions {
    std::string certificate_file{};
    std::string key_file{};
    /// Ask clients for a certificate of these authorities; empty: never ask.
    std::string client_ca_file{};
    /// Refuse a client without one; needs client_ca_file.
    bool client_certificate_required = false;
    /// PEM revocation lists, one of each authority in a client's chain; empty: none is looked at. A list that
    /// is missing or has run out refuses the clients of its authority.
    std::string crl_file{};
    TlsVersion version_min = TlsVersion::v1_2;
    /// The protocol spoken on it ("mqtt", "http/1.1"), for clients that ask (ALPN, RFC 7301): one that names
    /// others only is refused. Empty: not looked at.
    std::string protocol{};
};

/// What a client trusts.
struct TlsClientOptions {
    /// These authorities (or this very self-signed certificate) and no others; empty: the system's.
    std::string ca_file{};
    /// Shown to a server that asks; both or none.
    std::string certificate_file{};
    std::string key_file{};
    /// As of a server, about the server's chain. Sessions are not resumed then: each connection is judged.
    std::string crl_file{};
    TlsVersion version_min = TlsVersion::v1_2;
    /// The protocol that is asked for ("mqtt"; ALPN, RFC 7301), 1 to 255 bytes; empty: none is named. A
    /// server that knows nothing of it goes on without, one that has other protocols only refuses.
    std::string protocol{};
};

class TlsStream;

/// Settings shared by many connections. Connections made from it live on when it is destroyed, so a reload
/// makes a new one and drops the old.
class TlsContext {
public:
    /// Errors name the file and what is wrong with it (absent, not PEM, key of another certificate).
    /// Blocking; any thread, the context then belongs to the loop's.
    static Result<std::unique_ptr<TlsContext>> server(Disk& disk, const TlsServerOptions& options);
    static Result<std::unique_ptr<TlsContext>> client(Disk& disk, const TlsClientOptions& options);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    /// Certificates are judged at the loop's wall time, but never at a time before `floor`: a machine that
    /// starts with its clock in 1970 still refuses what has expired, and accepts what was issued since.
    void set_time_floor(WallTime floor) noexcept { time_floor_ = floor; }

    WallTime time_floor() const noexcept { return time_floor_; }

    bool is_server() const noexcept { return is_server_; }

    /// When the own certificate ends; 0 when there is none.
    WallTime expires() const noexcept { return expires_; }

    /// Takes over `older`'s connections whose peers showed a certificate, and judges these by the trust and
    /// the revocation lists of this context, some each turn; those refused end with the reason. The rest
    /// notices nothing. Both outlive no more than this call.
    void succeed(Loop& loop, TlsContext& older);

    /// Ends connections whose peer showed a certificate, or a chain, whose time is over at `now`: at most
    /// TlsLimits::judged_per_turn_max, the longest overdue first. Cheap when there are none.
    void end_expired(WallTime now);

    ssl_ctx_st* native() const noexcept { return context_.get(); }

    /// Hears why a connection's handshake failed, or why a peer is refused by now; of this context and those
    /// that follow it. It must not destroy connections.
    void on_refused(std::function<void(const Error&)> refused);

    struct Sessions; ///< of a client: the last ticket of each host
    struct Peers;    ///< connections whose peer showed a certificate

    Sessions* sessions() const noexcept { return sessions_.get(); }

private:
    struct Free {
        void operator()(ssl_ctx_st* context) const noexcept;
    };

    explicit TlsContext(bool is_server);

    std::unique_ptr<ssl_ctx_st, Free> context_;
    bool is_server_;
    WallTime time_floor_{};
    /// Shared with the connections, whose tickets may arrive after the context is gone.
    std::shared_ptr<Sessions> sessions_;
    /// Shared with the connections, and with the context that follows.
    std::shared_ptr<Peers> peers_;
    WallTime expires_{};

    friend class TlsStream;
};

/// TLS on `stream`, which must not be started yet. The handshake begins with start(); what is written before
/// it is done is sent after it. A handshake that fails, or takes longer than 10 s, ends in on_closed with the
/// reason in words. peer().encrypted is true from the start; the certificate fields are set once the
/// handshake is done.
std::unique_ptr<Stream> wrap_server(Loop& loop, std::unique_ptr<Stream> stream, TlsContext& context);
/// `host` is the name or address the server's certificate must be for.
std::unique_ptr<Stream>
wrap_client(Loop& loop, std::unique_ptr<Stream> stream, TlsContext& context, const std::string& host);

/// A Network whose streams are TLS: connect() and listen() hand out streams only after their handshake. The
/// contexts are borrowed and may be exchanged at any time; connections under way keep theirs.
class TlsNetwork final : public Network {
public:
    /// `client` or `server` may be null when it is not used. `refused` hears of incoming handshakes that
    /// failed.
    TlsNetwork(Loop& loop, Network& below, TlsContext* client, TlsContext* server);
    ~TlsNetwork() override;

    void set_client(TlsContext* client) noexcept;
    void set_server(TlsContext* server) noexcept;
    void on_refused(std::function<void(const Peer&, const Error&)> refused);

    Result<std::unique_ptr<Listener>> listen(const Endpoint& at, Accepted accepted) override;
    std::unique_ptr<Connecting> connect(const Endpoint& to, Duration timeout, Connected done) override;
    /// Incoming handshakes under way.
    std::size_t handshakes() const noexcept;

private:
    struct State;
    /// Shared with its listeners and attempts, which may be told to stop after this object is gone.
    std::shared_ptr<State> state_;
};

/// Makes an ECDSA P-256 key and a certificate signed by itself for `names` (host names or addresses; the
/// first is its common name), valid from one day before `now` for `days`. The key file appears first; both
/// are written atomically.
Result<void> make_self_signed(
    Disk& disk,
    WallTime now,
    const std::string& certificate_path,
    const std::string& key_path,
    const std::vector<std::string>& names,
    int days
);

} // namespace brim::io
