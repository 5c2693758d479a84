#include "io/internal/tls_served.h"

#include "io/internal/certificates.h"
#include "io/internal/tls_text.h"

#include "base/assert.h"

#include <algorithm>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace brim::io {

namespace {

struct ServedFree {
    void operator()(BIO* bio) const noexcept { BIO_free(bio); }

    void operator()(X509_CRL* list) const noexcept { X509_CRL_free(list); }

    void operator()(X509_STORE_CTX* check) const noexcept { X509_STORE_CTX_free(check); }
};

void free_served(void*, void* served, CRYPTO_EX_DATA*, int, long, void*) {
    delete static_cast<ServedTls*>(served);
}

int served_index() {
    // A slot of every SSL_CTX, asked for once.
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, &free_served);
    return index;
}

int choose_protocol(
    SSL*,
    const unsigned char** out,
    unsigned char* out_size,
    const unsigned char* in,
    unsigned size,
    void* own
) {
    const std::string& protocol = static_cast<const ServedTls*>(own)->protocol;
    for (unsigned at = 0; at + 1 < size && at + 1 + in[at] <= size; at += 1 + in[at]) {
        const ByteView offered(reinterpret_cast<const char*>(in + at + 1), in[at]);
        if (offered != protocol)
            continue;
        *out = in + at + 1;
        *out_size = in[at];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

} // namespace

void serve_with(SSL_CTX* context, std::string protocol) {
    auto* served = new ServedTls;
    served->protocol = std::move(protocol);
    BRIM_ASSERT(SSL_CTX_set_ex_data(context, served_index(), served) == 1, "OpenSSL has memory for a slot");
    if (!served->protocol.empty())
        SSL_CTX_set_alpn_select_cb(context, &choose_protocol, served);
}

ServedTls& served_of(SSL_CTX* context) {
    return *static_cast<ServedTls*>(SSL_CTX_get_ex_data(context, served_index()));
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
    ERR_clear_error();
    // What the operator put into the file is trusted as it is: an intermediate or a self-signed server
    // certificate too.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    return {};
}

Result<void> revoke(SSL_CTX* context, Disk& disk, const std::string& crl_file) {
    auto text = read_file(disk, crl_file, TlsLimits::crl_bytes_max);
    if (!text)
        return fail(std::move(text).error());
    const std::unique_ptr<BIO, ServedFree> bio(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
    X509_STORE* const store = SSL_CTX_get_cert_store(context);
    std::size_t found = 0;
    for (;;) {
        ERR_clear_error();
        const std::unique_ptr<X509_CRL, ServedFree> list(
            PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)
        );
        if (!list)
            break;
        X509_STORE_add_crl(store, list.get());
        ++found;
    }
    // The end of the text is what ends a good file.
    const bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (found == 0 || !is_end)
        return fail(pem_error(crl_file, "revocation list"));
    ERR_clear_error();
    X509_VERIFY_PARAM_set_flags(
        SSL_CTX_get0_param(context), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL
    );
    return {};
}

bool is_unlisted_anchor(X509_STORE_CTX* chain) {
    const int depth = X509_STORE_CTX_get_error_depth(chain);
    if (depth == 0 || depth != sk_X509_num(X509_STORE_CTX_get0_chain(chain)) - 1)
        return false;
    switch (X509_STORE_CTX_get_error(chain)) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE: // of a list by the authority above, which the chain does not reach
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
        return true;
    default:
        return false;
    }
}

bool peer_is_good(SSL* ssl, SSL_CTX* context, WallTime now, PeerVerify verify) {
    X509* const leaf = SSL_get0_peer_certificate(ssl);
    const std::unique_ptr<X509_STORE_CTX, ServedFree> check(X509_STORE_CTX_new());
    if (leaf == nullptr || !check ||
        X509_STORE_CTX_init(
            check.get(), SSL_CTX_get_cert_store(context), leaf, SSL_get_peer_cert_chain(ssl)
        ) != 1)
        return false;
    X509_STORE_CTX_set_default(check.get(), SSL_is_server(ssl) ? "ssl_client" : "ssl_server");
    X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(check.get());
    // The name that was checked belongs to the connection and stands.
    X509_VERIFY_PARAM_set_flags(rules, X509_VERIFY_PARAM_get_flags(SSL_CTX_get0_param(context)));
    X509_VERIFY_PARAM_set_depth(rules, TlsLimits::chain_depth_max);
    X509_VERIFY_PARAM_set_time(rules, now.ms / 1'000);
    X509_STORE_CTX_set_ex_data(check.get(), SSL_get_ex_data_X509_STORE_CTX_idx(), ssl);
    X509_STORE_CTX_set_verify_cb(check.get(), verify);
    const bool good = X509_verify_cert(check.get()) == 1;
    ERR_clear_error();
    return good;
}

std::string common_name(const X509* certificate) {
    const X509_NAME* const subject = X509_get_subject_name(certificate);
    const int place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (place < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, place) >= 0)
        return {};
    unsigned char* text = nullptr;
    const int size =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place)));
    if (size < 0)
        return {};
    std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
    OPENSSL_free(text);
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    return std::ranges::any_of(name, is_control) ? std::string() : name;
}

} // namespace brim::io
