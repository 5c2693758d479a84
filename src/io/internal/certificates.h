#pragma once
// OpenSSL's certificates: owned, read from files, judged.

#include "io/certificate.h"

#include <memory>
#include <openssl/x509.h>
#include <vector>

namespace brim::io {

struct CertificateFree {
    void operator()(X509* certificate) const noexcept { X509_free(certificate); }
};

using CertificatePtr = std::unique_ptr<X509, CertificateFree>;

/// All certificates of a PEM file, at least one. A damaged one anywhere in it is an error.
Result<std::vector<CertificatePtr>> read_certificates(Disk& disk, const std::string& path);

Certificate describe(const X509* certificate);

/// 0 when it is no date.
WallTime time_of(const ASN1_TIME* time);

/// Why `leaf` would be refused by a client that trusts `store` under the rules (flags, security level) of
/// `context`. `others` may be null.
std::vector<CertificateRefusal> judge(
    X509* leaf,
    STACK_OF(X509) * others,
    ssl_ctx_st* context,
    const std::string& object,
    const CertificateQuestion& question
);

} // namespace brim::io
