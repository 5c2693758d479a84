#pragma once
// One TLS connection on top of a Stream.

#include "io/tls.h"

#include <memory>

struct ssl_st;
struct ssl_ctx_st;
struct ssl_session_st;
struct bio_st;
struct bio_method_st;
struct x509_store_ctx_st;
struct evp_cipher_ctx_st;
struct evp_mac_ctx_st;

namespace brim::io {

struct SslFree {
    void operator()(ssl_st* ssl) const noexcept;
};

class TlsStream final : public Stream, private StreamHandler {
public:
    using Handshaken = std::move_only_function<void(Result<void>)>;

    /// `host` is empty on the server's side.
    TlsStream(Loop& loop, std::unique_ptr<Stream> inner, TlsContext& context, std::string host);
    ~TlsStream() override;

    /// Shakes hands before start(), for who wants to know the outcome first; in place of start()'s own
    /// handshake. `done` may destroy this stream. After a success nothing is read until start().
    void handshake(Handshaken done);

    void start(StreamHandler& handler) override;
    bool write(ByteView bytes) override;
    std::size_t queued() const override;
    void pause_reading(bool paused) override;
    void close() override;

    Peer peer() const override;

    /// Ends the connection, with the reason, when the peer's certificate would be refused by `context` at
    /// `now`.
    void judge_again(ssl_ctx_st* context, WallTime now);
    /// The same once a certificate's time is over: who is there is no longer known (Errc::unauthenticated).
    void end_expired(ssl_ctx_st* context, WallTime now);

    /// Its first message is answered now (HelloQueue).
    void take_turn();

private:
    enum class Phase : std::uint8_t { idle, handshaking, open, ended };

    /// What the peer's certificate said, once it was verified.
    struct Proof {
        std::string name;
        std::string sha256;
        std::int64_t ends_ms = 0; ///< wall time; when the first certificate of its chain ends
    };

    static bio_method_st* bio_method();
    static int bio_read(bio_st* bio, char* out, int size);
    static int bio_write(bio_st* bio, const char* bytes, int size);
    static long bio_control(bio_st* bio, int command, long number, void* pointer);
    static int verify(int ok, x509_store_ctx_st* chain);
    static int ticket_key(
        ssl_st* ssl,
        unsigned char* name,
        unsigned char* iv,
        evp_cipher_ctx_st* cipher,
        evp_mac_ctx_st* mac,
        int seals
    );
    static int keep_session(ssl_st* ssl, ssl_session_st* session);
    friend class TlsContext;

    void on_data(ByteView bytes) override;
    void on_drained() override;
    void on_closed(const Error& why) override;

    void begin();
    void start_deadline();
    /// Whether the client's first message has to wait; it is kept then.
    bool must_wait(ByteView bytes);
    void leave_queue();
    /// Works on input_ until it needs more. False when the stream ended or is gone.
    bool process();
    bool shake_hands();
    bool read_records();
    void process_later();
    void plan_flush();
    void flush();
    void drained();
    /// Ends the connection and makes the last call to whoever listens. The stream may be gone afterwards.
    void end(Error why);
    void opened();
    void know_peer();
    /// Whether `context` would accept the peer at `now`; if not, refusal_ says why.
    bool is_good_for(ssl_ctx_st* context, WallTime now);
    /// The settings changed during the handshake, and refuse the peer by now.
    bool overtaken();
    void forget_peer();
    std::string name() const;

    Loop& loop_;
    std::unique_ptr<Stream> inner_;
    std::unique_ptr<ssl_st, SslFree> ssl_;
    std::shared_ptr<TlsContext::Sessions> sessions_;
    std::shared_ptr<TlsContext::Peers> peers_;
    std::string host_;
    std::unique_ptr<Proof> proof_; ///< null: none was shown
    StreamHandler* handler_ = nullptr;
    Handshaken handshaken_;
    Timer deadline_;
    std::uint64_t hello_ = 0;        ///< its number in the HelloQueue; 0: it is not there
    ByteView input_;                 ///< ciphertext at hand, valid while process() is on the stack
    Bytes held_;                     ///< ciphertext that came in while nobody read
    Bytes plain_;                    ///< waits for the end of the turn, or of the handshake
    std::unique_ptr<Error> refusal_; ///< why the peer's certificate was refused
    WallTime judged_at_{};           ///< the time certificates are judged at
    Phase phase_ = Phase::idle;
    bool started_inner_ = false;
    bool paused_ = false;
    bool had_turn_ = false; ///< to have the first message answered
    bool processing_ = false;
    bool flush_planned_ = false;
    bool over_high_water_ = false;
    bool inner_full_ = false;
    bool* gone_ = nullptr;
    /// Tells planned work that the stream is gone; shared with that work alone.
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

} // namespace brim::io
