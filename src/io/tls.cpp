#include "io/tls.h"

#include "io/internal/certificates.h"
#include "io/internal/tls_served.h"
#include "io/internal/tls_sessions.h"
#include "io/internal/tls_stream.h"
#include "io/internal/tls_text.h"

#include "base/assert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <vector>

namespace brim::io {

namespace {

struct PemFree {
    void operator()(BIO* bio) const noexcept { BIO_free(bio); }

    void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};

Result<void>
use_key_pair(SSL_CTX* context, Disk& disk, const std::string& certificate_file, const std::string& key_file) {
    auto chain = read_certificates(disk, certificate_file);
    if (!chain)
        return fail(std::move(chain).error());
    auto text = read_file(disk, key_file, TlsLimits::pem_bytes_max);
    if (!text)
        return fail(std::move(text).error());
    const std::unique_ptr<BIO, PemFree> bio(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
    ERR_clear_error();
    // No terminal prompt for an encrypted key: a daemon would hang there.
    const auto no_password = [](char*, int, int, void*) { return 0; };
    const std::unique_ptr<EVP_PKEY, PemFree> key(
        PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr)
    );
    OPENSSL_cleanse(text->data(), text->size());
    if (!key)
        return fail(pem_error(key_file, "private key without password"));
    if (SSL_CTX_use_certificate(context, chain->front().get()) != 1)
        return fail(pem_error(certificate_file, "certificate"));
    for (std::size_t i = 1; i < chain->size(); ++i)
        if (SSL_CTX_add1_chain_cert(context, (*chain)[i].get()) != 1)
            return fail(pem_error(certificate_file, "chain"));
    if (SSL_CTX_use_PrivateKey(context, key.get()) == 1 && SSL_CTX_check_private_key(context) == 1)
        return {};
    ERR_clear_error();
    return fail(
        Errc::invalid,
        "file " + key_file,
        "this key does not belong to the certificate in " + certificate_file,
        "use the key that the certificate was made with"
    );
}

/// Names one protocol (ALPN).
Result<void> ask_for(SSL_CTX* context, const std::string& protocol) {
    const std::string list = static_cast<char>(protocol.size()) + protocol;
    const auto* bytes = reinterpret_cast<const unsigned char*>(list.data());
    // It answers 0 for a success.
    if (protocol.size() > 255 ||
        SSL_CTX_set_alpn_protos(context, bytes, static_cast<unsigned>(list.size())) != 0)
        return fail(
            Errc::invalid,
            "TLS client",
            "the protocol's name (ALPN) has 1 to 255 bytes",
            "use a name such as mqtt"
        );
    return {};
}

} // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const noexcept {
    SSL_CTX_free(context);
}

TlsContext::~TlsContext() = default;

TlsContext::TlsContext(bool is_server)
    : context_(SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method())), is_server_(is_server) {
    BRIM_ASSERT(context_ != nullptr, "OpenSSL is usable");
    SSL_CTX* const context = context_.get();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(
        context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE
    );
    // Idle connections keep no record buffers: 34 KiB each otherwise.
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify_depth(context, TlsLimits::chain_depth_max);
    peers_ = std::make_shared<Peers>();
    if (is_server) {
        // Sessions live in tickets at the clients; one is enough for who reconnects one at a time.
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_num_tickets(context, 1);
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &TlsStream::ticket_key);
        SSL_CTX_set_timeout(
            context, std::chrono::duration_cast<std::chrono::seconds>(2 * TicketKeys::key_life).count()
        );
        static constexpr unsigned char session_context[] = {'b', 'r', 'i', 'm'};
        SSL_CTX_set_session_id_context(context, session_context, sizeof session_context);
        return;
    }
    sessions_ = std::make_shared<Sessions>();
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, &TlsStream::verify);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, &TlsStream::keep_session);
}

Result<std::unique_ptr<TlsContext>> TlsContext::server(Disk& disk, const TlsServerOptions& options) {
    std::unique_ptr<TlsContext> made(new TlsContext(true));
    SSL_CTX* const context = made->native();
    serve_with(context, options.protocol);
    if (options.version_min == TlsVersion::v1_3)
        SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    BRIM_TRY(use_key_pair(context, disk, options.certificate_file, options.key_file));
    made->expires_ = describe(SSL_CTX_get0_certificate(context)).not_after;
    if (!options.crl_file.empty() && options.client_ca_file.empty())
        return fail(
            Errc::invalid,
            "TLS listener",
            "there is a revocation list, but no authority whose clients it could refuse",
            "set the client CA file"
        );
    if (options.client_certificate_required && options.client_ca_file.empty())
        return fail(
            Errc::invalid,
            "TLS listener",
            "client certificates are required, but no authority for them is given",
            "set the client CA file"
        );
    if (!options.client_ca_file.empty()) {
        BRIM_TRY(trust(context, disk, options.client_ca_file, true));
        if (!options.crl_file.empty())
            BRIM_TRY(revoke(context, disk, options.crl_file));
        const int demand = options.client_certificate_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | demand, &TlsStream::verify);
        // A resumed session would bring its client in unjudged, whatever was revoked or ran out since.
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context, 0);
    }
    return made;
}

Result<std::unique_ptr<TlsContext>> TlsContext::client(Disk& disk, const TlsClientOptions& options) {
    std::unique_ptr<TlsContext> made(new TlsContext(false));
    if (options.version_min == TlsVersion::v1_3)
        SSL_CTX_set_min_proto_version(made->native(), TLS1_3_VERSION);
    if (!options.protocol.empty())
        BRIM_TRY(ask_for(made->native(), options.protocol));
    if (!options.ca_file.empty()) {
        BRIM_TRY(trust(made->native(), disk, options.ca_file, false));
    } else if (SSL_CTX_set_default_verify_paths(made->native()) != 1) {
        return fail(pem_error("of the system's certificate store", "authority"));
    }
    if (options.certificate_file.empty() != options.key_file.empty())
        return fail(
            Errc::invalid, "TLS client", "a client certificate needs both files", "set certificate and key"
        );
    if (!options.certificate_file.empty())
        BRIM_TRY(use_key_pair(made->native(), disk, options.certificate_file, options.key_file));
    if (!options.certificate_file.empty())
        made->expires_ = describe(SSL_CTX_get0_certificate(made->native())).not_after;
    if (!options.crl_file.empty()) {
        BRIM_TRY(revoke(made->native(), disk, options.crl_file));
        SSL_CTX_set_session_cache_mode(made->native(), SSL_SESS_CACHE_OFF);
        made->sessions_.reset();
    }
    return made;
}

namespace {

/// Judges the connections that were open at a reload, some each turn: a signature takes a tenth of a
/// millisecond, and the others have work to do.
void judge_some(
    Loop& loop,
    std::shared_ptr<SSL_CTX> context,
    std::shared_ptr<TlsContext::Peers> peers,
    std::vector<std::pair<std::int64_t, TlsStream*>> left,
    WallTime floor
) {
    const WallTime now = std::max(loop.clock().wall(), floor);
    for (std::size_t i = 0; i < TlsLimits::judged_per_turn_max && !left.empty(); ++i) {
        const auto entry = left.back();
        left.pop_back();
        // One that came into its place since is judged twice, which costs little.
        if (peers->streams.contains(entry))
            entry.second->judge_again(context.get(), now);
    }
    if (left.empty())
        return;
    loop.after(
        Duration::zero(),
        [&loop, context = std::move(context), peers = std::move(peers), left = std::move(left), floor](
        ) mutable { judge_some(loop, std::move(context), std::move(peers), std::move(left), floor); }
    );
}

} // namespace

void TlsContext::on_refused(std::function<void(const Error&)> refused) {
    peers_->refused = std::move(refused);
}

void TlsContext::succeed(Loop& loop, TlsContext& older) {
    peers_ = older.peers_;
    time_floor_ = older.time_floor_;
    SSL_CTX_up_ref(native());
    // Shared by the slices of work, which may outlast this object.
    std::shared_ptr<SSL_CTX> context(native(), Free{});
    peers_->newest = context;
    std::vector<std::pair<std::int64_t, TlsStream*>> all(peers_->streams.begin(), peers_->streams.end());
    loop.after(
        Duration::zero(),
        [&loop, context, peers = peers_, all = std::move(all), floor = time_floor_]() mutable {
            judge_some(loop, std::move(context), std::move(peers), std::move(all), floor);
        }
    );
}

void TlsContext::end_expired(WallTime now) {
    now = std::max(now, time_floor_);
    auto& streams = peers_->streams;
    for (std::size_t i = 0; i < TlsLimits::judged_per_turn_max; ++i) {
        if (streams.empty() || streams.begin()->first > now.ms)
            return;
        streams.begin()->second->end_expired(native(), now);
    }
}

std::unique_ptr<Stream> wrap_server(Loop& loop, std::unique_ptr<Stream> stream, TlsContext& context) {
    return std::make_unique<TlsStream>(loop, std::move(stream), context, std::string());
}

std::unique_ptr<Stream>
wrap_client(Loop& loop, std::unique_ptr<Stream> stream, TlsContext& context, const std::string& host) {
    return std::make_unique<TlsStream>(loop, std::move(stream), context, host);
}

} // namespace brim::io
