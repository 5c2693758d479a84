// The certificate of a first start: made here, trusted by being pinned.

#include "io/internal/address.h"
#include "io/internal/tls_text.h"
#include "io/tls.h"

#include <array>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

namespace brim::io {

namespace {

struct MadeFree {
    void operator()(BIO* bio) const noexcept { BIO_free(bio); }

    void operator()(X509* certificate) const noexcept { X509_free(certificate); }

    void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};

bool add_extension(X509* certificate, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    if (extension == nullptr)
        return false;
    const bool added = X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

/// "DNS:a,IP:127.0.0.1"; names hold only characters that cannot end the entry.
Result<std::string> alternative_names(const std::vector<std::string>& names) {
    constexpr std::string_view allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*:";
    std::string text;
    for (const std::string& name : names) {
        if (name.empty() || name.size() > 253 || name.find_first_not_of(allowed) != std::string::npos)
            return fail(
                Errc::invalid, "certificate name \"" + name + "\"", "it is no host name or address", ""
            );
        const bool address = !numeric_address(name, 0).empty();
        if (!address && name.find(':') != std::string::npos)
            return fail(
                Errc::invalid, "certificate name \"" + name + "\"", "it is no host name or address", ""
            );
        text += (text.empty() ? "" : ",") + std::string(address ? "IP:" : "DNS:") + name;
    }
    return text;
}

bool fill(
    X509* certificate,
    EVP_PKEY* key,
    WallTime now,
    const std::vector<std::string>& names,
    const std::string& alternatives,
    int days
) {
    std::array<unsigned char, 16> serial{};
    if (RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1)
        return false;
    serial[0] &= 0x7f; // positive (RFC 5280 section 4.1.2.2)
    BIGNUM* number = BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    const std::time_t seconds = now.ms / 1'000;
    ASN1_TIME_adj(X509_getm_notBefore(certificate), seconds, -1, 0);
    ASN1_TIME_adj(X509_getm_notAfter(certificate), seconds, days, 0);
    X509_NAME* const name = X509_get_subject_name(certificate);
    const std::string common = names.front().substr(0, 64); // RFC 5280's upper bound of a common name
    const auto* text = reinterpret_cast<const unsigned char*>(common.data());
    return X509_set_version(certificate, X509_VERSION_3) == 1 &&
           X509_NAME_add_entry_by_NID(
               name, NID_commonName, MBSTRING_UTF8, text, static_cast<int>(common.size()), -1, 0
           ) == 1 &&
           X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
           add_extension(certificate, NID_subject_alt_name, alternatives) &&
           // Not an authority: who pins this certificate trusts this server and nothing it might sign.
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth,clientAuth") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(size)};
}

} // namespace

Result<void> make_self_signed(
    Disk& disk,
    WallTime now,
    const std::string& certificate_path,
    const std::string& key_path,
    const std::vector<std::string>& names,
    int days
) {
    if (names.empty() || days < 1)
        return fail(
            Errc::invalid, "file " + certificate_path, "a certificate needs a name and at least one day", ""
        );
    const auto alternatives = alternative_names(names);
    if (!alternatives)
        return fail(alternatives.error());
    const std::unique_ptr<EVP_PKEY, MadeFree> key(EVP_EC_gen("P-256"));
    const std::unique_ptr<X509, MadeFree> certificate(X509_new());
    const std::unique_ptr<BIO, MadeFree> key_text(BIO_new(BIO_s_secmem())),
        certificate_text(BIO_new(BIO_s_mem()));
    if (!key || !certificate || !fill(certificate.get(), key.get(), now, names, *alternatives, days) ||
        PEM_write_bio_PKCS8PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
            1 ||
        PEM_write_bio_X509(certificate_text.get(), certificate.get()) != 1)
        return fail(tls_error("file " + certificate_path, true));
    // The key first: a certificate that is there says that its key is too.
    BRIM_TRY(write_file_atomically(disk, key_path, text_of(key_text.get())));
    return write_file_atomically(disk, certificate_path, text_of(certificate_text.get()));
}

} // namespace brim::io
