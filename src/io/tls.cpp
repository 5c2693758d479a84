#include "io/tls.h"

#include "io/internal/certificates.h"
#include "io/internal/tls_sessions.h"
#include "io/internal/tls_stream.h"
#include "io/internal/tls_text.h"

#include "base/assert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

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

Result<void> trust(SSL_CTX* context, Disk& disk, const std::string& ca_file, bool announce) {
    auto authorities = read_certificates(disk, ca_file);
    if (!authorities)
        return fail(std::move(authorities).error());
    X509_STORE* const store = SSL_CTX_get_cert_store(context);
    for (const CertificatePtr& authority : *authorities) {
        X509_STORE_add_cert(store, authority.get()); // a duplicate is no error worth telling
        if (announce)
            SSL_CTX_add_client_CA(context, authority.get());
    }
    // What the operator put into the file is trusted as it is: an intermediate or a self-signed server
    // certificate too.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
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
    if (is_server) {
        // Sessions live in tickets at the clients; one is enough for who reconnects one at a time.
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_num_tickets(context, 1);
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
    BRIM_TRY(use_key_pair(made->native(), disk, options.certificate_file, options.key_file));
    if (options.client_certificate_required && options.client_ca_file.empty())
        return fail(
            Errc::invalid,
            "TLS listener",
            "client certificates are required, but no authority for them is given",
            "set the client CA file"
        );
    if (!options.client_ca_file.empty()) {
        BRIM_TRY(trust(made->native(), disk, options.client_ca_file, true));
        const int demand = options.client_certificate_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
        SSL_CTX_set_verify(made->native(), SSL_VERIFY_PEER | demand, &TlsStream::verify);
    }
    return made;
}

Result<std::unique_ptr<TlsContext>> TlsContext::client(Disk& disk, const TlsClientOptions& options) {
    std::unique_ptr<TlsContext> made(new TlsContext(false));
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
    return made;
}

std::unique_ptr<Stream> wrap_server(Loop& loop, std::unique_ptr<Stream> stream, TlsContext& context) {
    return std::make_unique<TlsStream>(loop, std::move(stream), context, std::string());
}

std::unique_ptr<Stream>
wrap_client(Loop& loop, std::unique_ptr<Stream> stream, TlsContext& context, const std::string& host) {
    return std::make_unique<TlsStream>(loop, std::move(stream), context, host);
}

} // namespace brim::io
