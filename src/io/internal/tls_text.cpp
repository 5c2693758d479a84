#include "io/internal/tls_text.h"

#include "io/tls.h"

#include <ctime>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <optional>

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

std::string issuer_text(const X509* certificate) {
    return certificate == nullptr ? "?" : name_text(X509_get_issuer_name(certificate));
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

namespace {

/// What revocation lists have against `whose` certificate; nothing when it is something else.
std::optional<Error> revocation_error(
    int code, const X509* certificate, const std::string& object, const std::string& whose, WallTime judged_at
) {
    switch (code) {
    case X509_V_ERR_CERT_REVOKED:
        return Error{
            Errc::denied,
            object,
            whose + " was revoked by " + issuer_text(certificate),
            "give it a new certificate, or take it off the revocation list"
        };
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return Error{
            Errc::denied,
            object,
            "the revocation list of " + issuer_text(certificate) +
                (code == X509_V_ERR_CRL_HAS_EXPIRED ? " has run out" : " is not valid yet") + " (judged on " +
                judged_text(judged_at) + "), so nobody knows whether " + whose + " was revoked",
            "put that authority's present list into the CRL file; check this machine's clock"
        };
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return Error{
            Errc::denied,
            object,
            "there is no revocation list of " + issuer_text(certificate) + ", which issued " + whose,
            "add that authority's list to the CRL file"
        };
    default:
        return std::nullopt;
    }
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
    if (auto error = revocation_error(code, certificate, object, whose, judged_at))
        return std::move(*error);
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
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
        return {
            Errc::denied,
            std::move(object),
            end + " has more than " + std::to_string(TlsLimits::chain_depth_max) + " authorities above it",
            "use a shorter chain, or trust an authority further down"
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
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
        return {
            Errc::unsupported,
            std::move(object),
            "the two sides name no common protocol (ALPN)",
            "check the port, or let the client offer mqtt or http/1.1, or nothing"
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
