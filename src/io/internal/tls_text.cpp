#include "io/internal/tls_text.h"

#include <ctime>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace brim::io {

namespace {

std::string date_text(const ASN1_TIME* time) {
    std::tm fields{};
    if (time == nullptr || ASN1_TIME_to_tm(time, &fields) != 1)
        return "an unreadable date";
    char text[16] = {};
    std::strftime(text, sizeof text, "%Y-%m-%d", &fields);
    return text;
}

std::string name_text(const X509_NAME* name) {
    char text[256] = {};
    X509_NAME_oneline(name, text, sizeof text);
    return text;
}

std::string dns_names(const X509* certificate) {
    std::string text;
    auto* names =
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names) && text.size() < 200; ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS)
            continue;
        text += text.empty() ? "" : ", ";
        text.append(
            reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
            static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))
        );
    }
    GENERAL_NAMES_free(names);
    return text.empty() ? name_text(X509_get_subject_name(certificate)) : text;
}

std::string judged_text(WallTime judged_at) {
    return to_rfc3339(judged_at).substr(0, 10);
}

} // namespace

Error certificate_error(
    x509_store_ctx_st* chain, std::string object, const std::string& host, WallTime judged_at
) {
    const int code = X509_STORE_CTX_get_error(chain);
    const X509* const certificate = X509_STORE_CTX_get_current_cert(chain);
    const bool ours_is_client = !host.empty();
    const std::string end = ours_is_client ? "the server's certificate" : "the client's certificate";
    // The end's own certificate may be fine and one that signed it not: who renews must know which.
    const bool is_authority = certificate != nullptr && X509_STORE_CTX_get_error_depth(chain) > 0;
    const std::string whose =
        is_authority ? "the authority's certificate " + name_text(X509_get_subject_name(certificate)) : end;
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return {
            Errc::denied,
            std::move(object),
            whose + " expired on " + date_text(X509_get0_notAfter(certificate)) + " (judged on " +
                judged_text(judged_at) + ")",
            "renew the certificate, or set this machine's clock if that date is wrong"
        };
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return {
            Errc::denied,
            std::move(object),
            whose + " is valid only from " + date_text(X509_get0_notBefore(certificate)) +
                ", and this machine's clock says " + judged_text(judged_at),
            "set this machine's clock, or wait until the certificate is valid"
        };
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return {
            Errc::denied,
            std::move(object),
            whose + " is for " + dns_names(certificate) + ", not for " + host,
            "connect by a name in the certificate, or give the server a certificate for " + host
        };
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return {
            Errc::denied,
            std::move(object),
            end + " was issued by an authority that is not trusted here: " +
                (certificate == nullptr ? "?" : name_text(X509_get_issuer_name(certificate))),
            ours_is_client ? "set the CA file to the server's authority (or its self-signed certificate)"
                           : "give the client a certificate of the configured client authority"
        };
    default:
        return {
            Errc::denied,
            std::move(object),
            whose + " was refused: " + X509_verify_cert_error_string(code),
            "look at the certificate with: openssl x509 -text"
        };
    }
}

Error tls_error(std::string object, bool is_server) {
    const unsigned long first = ERR_get_error();
    ERR_clear_error();
    if (first == 0)
        return {Errc::closed, std::move(object), "the TLS connection ended without a reason", ""};
    switch (ERR_GET_REASON(first)) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_BAD_PROTOCOL_VERSION_NUMBER:
        return {
            Errc::malformed,
            std::move(object),
            "the other side does not speak TLS",
            is_server ? "use the port without TLS, or let the client use TLS"
                      : "check the port: TLS has one of its own"
        };
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return {
            Errc::unsupported,
            std::move(object),
            "the other side speaks only TLS versions older than 1.2",
            "update the other side's TLS library"
        };
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return {
            Errc::denied,
            std::move(object),
            "the other side does not trust the authority of our certificate",
            "give the other side our CA file"
        };
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return {
            Errc::denied,
            std::move(object),
            "the other side says that our certificate has expired",
            "renew our certificate, or set the clock of the other side"
        };
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        return {
            Errc::denied,
            std::move(object),
            "the other side refused our certificate",
            "check that the other side trusts it, that its name fits and that both clocks are right"
        };
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return {
            Errc::unauthenticated,
            std::move(object),
            "a client certificate is required and none was shown",
            "configure the client's certificate and key"
        };
    default: {
        const char* reason = ERR_reason_error_string(first);
        return {
            Errc::malformed,
            std::move(object),
            std::string("TLS failed: ") + (reason ? reason : "unknown reason"),
            ""
        };
    }
    }
}

Error pem_error(const std::string& path, std::string_view wanted) {
    const unsigned long first = ERR_get_error();
    ERR_clear_error();
    const char* reason = first == 0 ? nullptr : ERR_reason_error_string(first);
    return {
        Errc::malformed,
        "file " + path,
        "it holds no usable " + std::string(wanted) + " in PEM form" +
            (reason ? std::string(": ") + reason : ""),
        "the file begins with a line like -----BEGIN CERTIFICATE----- or -----BEGIN PRIVATE KEY-----"
    };
}

} // namespace brim::io
