#include "io/internal/certificates.h"

#include "io/internal/address.h"
#include "io/internal/tls_text.h"

#include "base/assert.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <ctime>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace brim::io {

namespace {

struct JudgeFree {
    void operator()(BIO* bio) const noexcept { BIO_free(bio); }

    void operator()(GENERAL_NAMES* names) const noexcept { GENERAL_NAMES_free(names); }

    void operator()(X509_STORE_CTX* check) const noexcept { X509_STORE_CTX_free(check); }
};

std::string text_of(const X509_NAME* name) {
    const std::unique_ptr<BIO, JudgeFree> out(BIO_new(BIO_s_mem()));
    // UTF-8 stays readable: who prints it decides what a terminal may see.
    constexpr unsigned long form = XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB);
    if (!out || X509_NAME_print_ex(out.get(), name, 0, form) < 0)
        return "?";
    std::string text(static_cast<std::size_t>(BIO_pending(out.get())), '\0');
    BIO_read(out.get(), text.data(), static_cast<int>(text.size()));
    return text;
}

std::vector<std::string> names_of(const X509* certificate) {
    const std::unique_ptr<GENERAL_NAMES, JudgeFree> names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))
    );
    std::vector<std::string> found;
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
        const ASN1_STRING* const value = name->type == GEN_DNS     ? name->d.dNSName
                                         : name->type == GEN_IPADD ? name->d.iPAddress
                                                                   : nullptr;
        if (value == nullptr)
            continue;
        const unsigned char* const bytes = ASN1_STRING_get0_data(value);
        const auto size = static_cast<std::size_t>(ASN1_STRING_length(value));
        if (name->type == GEN_DNS) {
            found.emplace_back(reinterpret_cast<const char*>(bytes), size);
            continue;
        }
        std::array<char, INET6_ADDRSTRLEN> text{};
        const int family = size == 4 ? AF_INET : AF_INET6;
        if ((size == 4 || size == 16) && inet_ntop(family, bytes, text.data(), text.size()) != nullptr)
            found.emplace_back(text.data());
    }
    return found;
}

std::string key_of(const X509* certificate) {
    EVP_PKEY* const key = X509_get0_pubkey(certificate);
    if (key == nullptr)
        return "unreadable";
    std::array<char, 80> group{};
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        return "RSA " + std::to_string(EVP_PKEY_get_bits(key));
    case EVP_PKEY_EC: {
        if (EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) != 1)
            return "ECDSA";
        // The names of FIPS 186 are those people know; OpenSSL says "prime256v1".
        const char* const nist = EC_curve_nid2nist(OBJ_txt2nid(group.data()));
        return std::string("ECDSA ") + (nist != nullptr ? nist : group.data());
    }
    case EVP_PKEY_ED25519:
        return "Ed25519";
    default: {
        const char* const name = EVP_PKEY_get0_type_name(key);
        return (name != nullptr ? name : "unknown") + std::string(" ") +
               std::to_string(EVP_PKEY_get_bits(key));
    }
    }
}

struct Judgement {
    const std::string& object;
    const std::string host;
    WallTime at;
    std::vector<CertificateRefusal> refusals{};
};

CertificateFault fault_of(int code) {
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return CertificateFault::expired;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return CertificateFault::not_yet_valid;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return CertificateFault::other_name;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return CertificateFault::not_trusted;
    default:
        return CertificateFault::unusable;
    }
}

int note(int ok, X509_STORE_CTX* check) {
    if (ok == 1)
        return 1;
    auto& judgement = *static_cast<Judgement*>(X509_STORE_CTX_get_ex_data(check, 0));
    Error why = certificate_error(check, judgement.object, judgement.host, judgement.at);
    // An unknown issuer is reported once for not being found and once for the signature it would explain.
    const bool known = std::ranges::any_of(judgement.refusals, [&why](const CertificateRefusal& each) {
        return each.why.cause == why.cause;
    });
    if (!known)
        judgement.refusals.push_back({fault_of(X509_STORE_CTX_get_error(check)), std::move(why)});
    return 1; // go on: the next objection counts too
}

} // namespace

WallTime time_of(const ASN1_TIME* time) {
    std::tm fields{};
    if (time == nullptr || ASN1_TIME_to_tm(time, &fields) != 1)
        return {};
    return {std::int64_t{timegm(&fields)} * 1'000};
}

Result<std::vector<CertificatePtr>> read_certificates(Disk& disk, const std::string& path) {
    auto text = read_file(disk, path, TlsLimits::pem_bytes_max);
    if (!text)
        return fail(std::move(text).error());
    const std::unique_ptr<BIO, JudgeFree> bio(BIO_new_mem_buf(text->data(), static_cast<int>(text->size())));
    ERR_clear_error();
    std::vector<CertificatePtr> certificates;
    while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
        certificates.emplace_back(certificate);
    // Reading past the last one fails with "no start line"; anything else is a damaged certificate.
    const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (certificates.empty() || !at_end)
        return fail(pem_error(path, "certificate"));
    ERR_clear_error();
    return certificates;
}

Certificate describe(const X509* certificate) {
    return {
        text_of(X509_get_subject_name(certificate)),
        text_of(X509_get_issuer_name(certificate)),
        names_of(certificate),
        time_of(X509_get0_notBefore(certificate)),
        time_of(X509_get0_notAfter(certificate)),
        key_of(certificate)
    };
}

std::vector<CertificateRefusal> judge(
    X509* leaf,
    STACK_OF(X509) * others,
    ssl_ctx_st* context,
    const std::string& object,
    const CertificateQuestion& question
) {
    Judgement judgement{object, question.name.empty() ? "any host" : question.name, question.at};
    const std::unique_ptr<X509_STORE_CTX, JudgeFree> check(X509_STORE_CTX_new());
    const bool ready =
        check && X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context), leaf, others) == 1;
    BRIM_ASSERT(ready, "OpenSSL has memory for a verification");
    X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(check.get());
    X509_VERIFY_PARAM_set_flags(rules, X509_VERIFY_PARAM_get_flags(SSL_CTX_get0_param(context)));
    X509_VERIFY_PARAM_set_auth_level(rules, SSL_CTX_get_security_level(context));
    X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_trust(rules, X509_TRUST_SSL_SERVER);
    X509_VERIFY_PARAM_set_time(rules, question.at.ms / 1'000);
    bool named = true;
    if (!question.name.empty() && numeric_address(question.name, 0).empty()) {
        X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        named = X509_VERIFY_PARAM_set1_host(rules, question.name.data(), question.name.size()) == 1;
    } else if (!question.name.empty()) {
        named = X509_VERIFY_PARAM_set1_ip_asc(rules, question.name.c_str()) == 1;
    }
    X509_STORE_CTX_set_ex_data(check.get(), 0, &judgement);
    X509_STORE_CTX_set_verify_cb(check.get(), &note);
    const bool checked = named && X509_verify_cert(check.get()) == 1;
    ERR_clear_error();
    if (!checked && judgement.refusals.empty())
        judgement.refusals.push_back(
            {CertificateFault::unusable,
             {Errc::malformed,
              object,
              named ? "the certificate could not be judged" : question.name + " is no name to check for",
              "look at the certificate with: openssl x509 -text"}}
        );
    return std::move(judgement.refusals);
}

} // namespace brim::io
