#include "io/internal/tls_stream.h"

#include "base/assert.h"
#include "io/internal/address.h"
#include "io/internal/certificates.h"
#include "io/internal/tls_served.h"
#include "io/internal/tls_sessions.h"
#include "io/internal/tls_text.h"

#include <algorithm>
#include <array>
#include <limits>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace brim::io {

namespace {

constexpr std::size_t high_water_bytes = 256 * 1024; // net.h promises it for every stream
constexpr std::size_t record_bytes_max = 16 * 1024;

/// Whether a connection that begins with `held` and `more` has given all of its first record (RFC 8446
/// section 5.1), or something that is none.
bool is_whole_record(ByteView held, ByteView more) {
    constexpr std::size_t header_bytes = 5;
    constexpr unsigned char handshake = 22;
    const auto at = [held, more](std::size_t i) {
        return static_cast<unsigned char>(i < held.size() ? held[i] : more[i - held.size()]);
    };
    const std::size_t size = held.size() + more.size();
    if (size == 0)
        return false;
    if (at(0) != handshake)
        return true;
    if (size < header_bytes)
        return false;
    const std::size_t length = std::size_t{at(3)} << 8 | at(4);
    return length > record_bytes_max || size >= header_bytes + length;
}

} // namespace

void SslFree::operator()(ssl_st* ssl) const noexcept {
    SSL_free(ssl);
}

bio_method_st* TlsStream::bio_method() {
    // A table of functions, made once and never changed.
    static BIO_METHOD* const method = [] {
        BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "brim stream");
        BRIM_ASSERT(made != nullptr, "OpenSSL has memory for a BIO method");
        BIO_meth_set_read(made, &TlsStream::bio_read);
        BIO_meth_set_write(made, &TlsStream::bio_write);
        BIO_meth_set_ctrl(made, &TlsStream::bio_control);
        return made;
    }();
    return method;
}

int TlsStream::bio_read(bio_st* bio, char* out, int size) {
    auto& stream = *static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (stream.input_.empty()) {
        BIO_set_retry_read(bio);
        return -1;
    }
    const std::size_t count = std::min(static_cast<std::size_t>(size), stream.input_.size());
    stream.input_.copy(out, count);
    stream.input_.remove_prefix(count);
    return static_cast<int>(count);
}

int TlsStream::bio_write(bio_st* bio, const char* bytes, int size) {
    auto& stream = *static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (!stream.inner_->write({bytes, static_cast<std::size_t>(size)}))
        stream.inner_full_ = true;
    return size;
}

long TlsStream::bio_control(bio_st*, int command, long, void*) {
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

int TlsStream::verify(int ok, x509_store_ctx_st* chain) {
    if (ok == 1)
        return 1;
    if (is_unlisted_anchor(chain)) {
        X509_STORE_CTX_set_error(chain, X509_V_OK); // what is kept as the connection's result
        return 1;
    }
    auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto& stream = *static_cast<TlsStream*>(SSL_get_ex_data(ssl, 0));
    if (!stream.refusal_)
        stream.refusal_ =
            std::make_unique<Error>(certificate_error(chain, stream.name(), stream.host_, stream.judged_at_));
    return 0;
}

int TlsStream::keep_session(ssl_st* ssl, ssl_session_st* session) {
    const auto& stream = *static_cast<TlsStream*>(SSL_get_ex_data(ssl, 0));
    if (!stream.sessions_)
        return 0;
    stream.sessions_->keep(stream.host_, session);
    return 1; // the reference is ours now
}

TlsStream::TlsStream(Loop& loop, std::unique_ptr<Stream> inner, TlsContext& context, std::string host)
    : loop_(loop), inner_(std::move(inner)), ssl_(SSL_new(context.native())), host_(std::move(host)),
      deadline_(loop) {
    BRIM_ASSERT(ssl_ != nullptr, "OpenSSL has memory for a connection");
    BIO* bio = BIO_new(bio_method());
    BRIM_ASSERT(bio != nullptr, "OpenSSL has memory for a BIO");
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_ex_data(ssl_.get(), 0, this);
    judged_at_ = std::max(loop.clock().wall(), context.time_floor());
    X509_VERIFY_PARAM* const rules = SSL_get0_param(ssl_.get());
    X509_VERIFY_PARAM_set_time(rules, judged_at_.ms / 1'000);
    peers_ = context.peers_;
    if (context.is_server()) {
        SSL_set_accept_state(ssl_.get());
        return;
    }
    SSL_set_connect_state(ssl_.get());
    bool named = false;
    if (numeric_address(host_, 0).empty()) {
        X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        named = X509_VERIFY_PARAM_set1_host(rules, host_.data(), host_.size()) == 1 && !host_.empty();
        // SSL_set_tlsext_host_name() written out: the macro holds a cast our warnings refuse.
        SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host_.data());
    } else {
        named = X509_VERIFY_PARAM_set1_ip_asc(rules, host_.c_str()) == 1;
    }
    BRIM_ASSERT(named, "a client connection has a host to check the certificate against");
    sessions_ = context.sessions_;
    if (!sessions_)
        return;
    if (SSL_SESSION* session = sessions_->find(host_))
        SSL_set_session(ssl_.get(), session);
}

int TlsStream::ticket_key(
    ssl_st* ssl,
    unsigned char* name,
    unsigned char* iv,
    evp_cipher_ctx_st* cipher,
    evp_mac_ctx_st* mac,
    int seals
) {
    const auto& stream = *static_cast<TlsStream*>(SSL_get_ex_data(ssl, 0));
    TicketKeys& keys = served_of(SSL_get_SSL_CTX(ssl)).tickets;
    return use_ticket_key(keys, stream.loop_.now(), name, iv, cipher, mac, seals == 1);
}

TlsStream::~TlsStream() {
    leave_queue();
    forget_peer();
    *alive_ = false;
    if (gone_ != nullptr)
        *gone_ = true;
}

Peer TlsStream::peer() const {
    Peer peer = inner_->peer(); // asked each time: a proxy may say only later who the client is
    peer.encrypted = true;
    if (proof_) {
        peer.certificate_name = proof_->name;
        peer.certificate_sha256 = proof_->sha256;
    }
    return peer;
}

std::string TlsStream::name() const {
    const std::string address = inner_->peer().address;
    return host_.empty() ? "TLS connection from " + address
                         : "TLS connection to " + host_ + " (" + address + ")";
}

void TlsStream::handshake(Handshaken done) {
    handshaken_ = std::move(done);
    begin();
}

void TlsStream::start(StreamHandler& handler) {
    BRIM_ASSERT(handler_ == nullptr, "a stream is started once");
    if (phase_ == Phase::ended)
        return;
    handler_ = &handler;
    if (phase_ == Phase::idle) {
        begin();
    } else if (phase_ == Phase::open) {
        inner_->pause_reading(paused_);
        process_later();
    }
}

void TlsStream::begin() {
    phase_ = Phase::handshaking;
    start_deadline();
    inner_->start(*this);
    // The client speaks first; not from inside this call, because a failure calls back.
    if (!host_.empty())
        process_later();
}

void TlsStream::start_deadline() {
    deadline_.start(TlsLimits::handshake_wait_max, [this] {
        end(
            {Errc::timeout,
             name(),
             "the TLS handshake was not finished within 10 s",
             "check that the other side speaks TLS on this port"}
        );
    });
}

bool TlsStream::must_wait(ByteView bytes) {
    if (phase_ != Phase::handshaking || !host_.empty() || had_turn_)
        return false;
    if (hello_ == 0 && !is_whole_record(held_, bytes)) {
        held_.append(bytes);
        return true;
    }
    if (hello_ == 0) {
        HelloQueue& queue = *served_of(SSL_get_SSL_CTX(ssl_.get())).hellos;
        had_turn_ = queue.enter(loop_);
        if (had_turn_)
            return false;
        hello_ = queue.wait(*this);
        deadline_.stop(); // from here on it is us who are late
    }
    held_.append(bytes);
    if (held_.size() > TlsLimits::hello_bytes_max)
        end(
            {Errc::too_large,
             name(),
             "more than 17 KiB came before the first TLS message was answered",
             "check that the other side speaks TLS on this port"}
        );
    return true;
}

void TlsStream::take_turn() {
    hello_ = 0;
    had_turn_ = true;
    start_deadline();
    on_data({});
}

void TlsStream::leave_queue() {
    if (hello_ != 0)
        served_of(SSL_get_SSL_CTX(ssl_.get())).hellos->leave(std::exchange(hello_, 0));
}

void TlsStream::process_later() {
    loop_.at_turn_end([this, alive = alive_] {
        if (*alive)
            on_data({});
    });
}

void TlsStream::on_data(ByteView bytes) {
    if (processing_ || phase_ == Phase::ended || must_wait(bytes))
        return;
    Bytes joined;
    if (!held_.empty()) {
        joined = std::exchange(held_, Bytes());
        joined.append(bytes);
        bytes = joined;
    }
    input_ = bytes;
    processing_ = true;
    if (!process())
        return;
    processing_ = false;
    held_.assign(input_);
    input_ = {};
}

bool TlsStream::process() {
    if (phase_ == Phase::handshaking && !shake_hands())
        return false;
    if (phase_ != Phase::open)
        return true;
    return read_records();
}

bool TlsStream::shake_hands() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1 && overtaken()) {
        end(std::move(*refusal_));
        return false;
    }
    if (result == 1) {
        bool gone = false;
        gone_ = &gone;
        opened();
        if (gone)
            return false;
        gone_ = nullptr;
        return phase_ == Phase::open;
    }
    if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ)
        return true;
    Error why = refusal_ ? std::move(*refusal_) : tls_error(name(), host_.empty());
    ERR_clear_error();
    end(std::move(why));
    return false;
}

void TlsStream::know_peer() {
    const X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
    if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK)
        return;
    proof_ = std::make_unique<Proof>();
    proof_->name = common_name(certificate);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) == 1)
        proof_->sha256 = to_hex({reinterpret_cast<const char*>(digest.data()), size});
    proof_->ends_ms = time_of(X509_get0_notAfter(certificate)).ms;
    if (const STACK_OF(X509)* const chain = SSL_get0_verified_chain(ssl_.get()); chain != nullptr) {
        for (int i = 0; i < sk_X509_num(chain); ++i)
            proof_->ends_ms =
                std::min(proof_->ends_ms, time_of(X509_get0_notAfter(sk_X509_value(chain, i))).ms);
    }
    if (peers_)
        peers_->streams.emplace(proof_->ends_ms, this);
}

void TlsStream::forget_peer() {
    if (peers_ && proof_)
        peers_->streams.erase({proof_->ends_ms, this});
}

bool TlsStream::is_good_for(ssl_ctx_st* context, WallTime now) {
    judged_at_ = now;
    refusal_.reset();
    if (peer_is_good(ssl_.get(), context, now, &TlsStream::verify))
        return true;
    if (!refusal_)
        refusal_ = std::make_unique<Error>(
            Errc::denied, name(), "the peer's certificate cannot be judged any more", "connect again"
        );
    return false;
}

bool TlsStream::overtaken() {
    // A handshake that began before a reload was judged by the rules of then.
    SSL_CTX* const newest = peers_->newest.get();
    return newest != nullptr && newest != SSL_get_SSL_CTX(ssl_.get()) &&
           SSL_get0_peer_certificate(ssl_.get()) != nullptr && !is_good_for(newest, judged_at_);
}

void TlsStream::judge_again(ssl_ctx_st* context, WallTime now) {
    if (phase_ != Phase::open || is_good_for(context, now))
        return;
    if (peers_->refused)
        peers_->refused(*refusal_);
    end(std::move(*refusal_));
}

void TlsStream::end_expired(ssl_ctx_st* context, WallTime now) {
    // Once: what is judged good after its end is not asked about again.
    forget_peer();
    proof_->ends_ms = std::numeric_limits<std::int64_t>::max();
    peers_->streams.emplace(proof_->ends_ms, this);
    if (phase_ != Phase::open || is_good_for(context, now))
        return;
    refusal_->code = Errc::unauthenticated;
    if (peers_->refused)
        peers_->refused(*refusal_);
    end(std::move(*refusal_));
}

void TlsStream::opened() {
    phase_ = Phase::open;
    deadline_.stop();
    know_peer();
    if (!plain_.empty())
        plan_flush();
    if (!handshaken_)
        return;
    // Nobody reads before start(): the peer is held back by its own queue, not by ours.
    inner_->pause_reading(true);
    Handshaken done = std::move(handshaken_);
    done({});
}

bool TlsStream::read_records() {
    std::array<char, record_bytes_max> record;
    bool gone = false;
    while (handler_ != nullptr && !paused_) {
        std::size_t count = 0;
        ERR_clear_error();
        const int result = SSL_read_ex(ssl_.get(), record.data(), record.size(), &count);
        if (result == 1) {
            gone_ = &gone;
            handler_->on_data({record.data(), count});
            if (gone)
                return false;
            gone_ = nullptr;
            if (phase_ != Phase::open)
                return false;
            continue;
        }
        const int kind = SSL_get_error(ssl_.get(), result);
        if (kind == SSL_ERROR_WANT_READ)
            return true;
        if (kind == SSL_ERROR_ZERO_RETURN)
            end({Errc::closed, name(), "the peer closed the connection", ""});
        else
            end(tls_error(name(), host_.empty()));
        return false;
    }
    return true;
}

bool TlsStream::write(ByteView bytes) {
    if (phase_ == Phase::ended)
        return true;
    plain_.append(bytes);
    plan_flush();
    if (plain_.size() <= high_water_bytes && !inner_full_)
        return true;
    over_high_water_ = true;
    return false;
}

void TlsStream::plan_flush() {
    if (flush_planned_ || phase_ != Phase::open || plain_.empty())
        return;
    flush_planned_ = true;
    loop_.at_turn_end([this, alive = alive_] {
        if (!*alive)
            return;
        flush_planned_ = false;
        flush();
        if (phase_ == Phase::open && over_high_water_ && !inner_full_)
            drained();
    });
}

void TlsStream::flush() {
    if (phase_ != Phase::open || plain_.empty())
        return;
    ERR_clear_error();
    std::size_t written = 0;
    // The BIO takes everything, so this writes all or finds the connection broken; reading then tells why.
    if (SSL_write_ex(ssl_.get(), plain_.data(), plain_.size(), &written) != 1)
        ERR_clear_error();
    plain_ = Bytes();
}

void TlsStream::on_drained() {
    inner_full_ = false;
    if (over_high_water_)
        drained();
}

void TlsStream::drained() {
    over_high_water_ = false;
    if (handler_ != nullptr)
        handler_->on_drained(); // may destroy this stream
}

std::size_t TlsStream::queued() const {
    return plain_.size() + (inner_ ? inner_->queued() : 0);
}

void TlsStream::pause_reading(bool paused) {
    if (paused_ == paused)
        return;
    paused_ = paused;
    if (phase_ != Phase::open || handler_ == nullptr)
        return;
    inner_->pause_reading(paused);
    if (!paused && !processing_)
        process_later();
}

void TlsStream::close() {
    if (phase_ == Phase::ended)
        return;
    if (phase_ == Phase::open) {
        flush();
        ERR_clear_error();
        SSL_shutdown(ssl_.get()); // one way: our close_notify goes out with the rest
        ERR_clear_error();
    }
    phase_ = Phase::ended;
    leave_queue();
    forget_peer();
    deadline_.stop();
    handler_ = nullptr;
    handshaken_ = nullptr;
    inner_->close();
}

void TlsStream::on_closed(const Error& why) {
    if (phase_ == Phase::ended)
        return;
    if (phase_ == Phase::handshaking) {
        end(
            {why.code,
             name(),
             "during the TLS handshake " + why.cause,
             "check that both sides use TLS on this port"}
        );
        return;
    }
    // What is decoded but not yet delivered belongs before the end; the inner stream has nothing more to
    // give.
    end({why.code, name(), why.cause, why.fix});
}

void TlsStream::end(Error why) {
    if (phase_ == Phase::handshaking && peers_->refused)
        peers_->refused(why);
    phase_ = Phase::ended;
    leave_queue();
    forget_peer();
    deadline_.stop();
    held_ = plain_ = Bytes();
    inner_->close(); // the alert that says why goes out first
    StreamHandler* const handler = std::exchange(handler_, nullptr);
    Handshaken done = std::move(handshaken_);
    if (done)
        done(fail(std::move(why)));
    else if (handler != nullptr)
        handler->on_closed(why);
}

} // namespace brim::io
