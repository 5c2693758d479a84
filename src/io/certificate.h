#pragma once
// What a certificate says and whether it would be accepted: of a PEM file, or of whoever answers on a TLS
// port. Unlike a connection, which ends at the first objection, an inspection tells all of them. Loop thread
// only.

#include "io/tls.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace brim::io {

/// One certificate, as far as people ask. Texts come from whoever made it: they may hold any character.
struct Certificate {
    std::string subject; ///< RFC 2253 order: "CN=hub.example,O=Works"
    std::string issuer;
    std::vector<std::string> names; ///< the host names and addresses it is for
    WallTime not_before{};
    WallTime not_after{};
    std::string key; ///< "ECDSA P-256", "RSA 2048", "Ed25519"
};

/// What the certificate is to be good for.
struct CertificateQuestion {
    std::string name{}; ///< the host name or address it must be for; empty: any
    WallTime at{};      ///< the time it is judged at
};

enum class CertificateFault : std::uint8_t {
    expired,
    not_yet_valid,
    other_name, ///< it is not for the host that was asked for
    not_trusted,
    unusable, ///< anything else: wrong purpose, weak key, bad signature
};

struct CertificateRefusal {
    CertificateFault fault = CertificateFault::unusable;
    Error why;
};

struct CertificateReport {
    std::vector<Certificate> chain;           ///< as shown: the server's own first, never empty
    std::vector<CertificateRefusal> refusals; ///< each reason a client would have; empty: accepted
    std::string protocol;                     ///< of a connection, "TLSv1.3"; empty for a file
};

/// The certificates in a PEM file, in its order; errors name the file.
Result<std::vector<Certificate>> read_certificate_file(Disk& disk, const std::string& path);

/// The file's first certificate, with the rest as its chain, judged as a server's by what `trust` trusts.
Result<CertificateReport> inspect_certificate_file(
    Disk& disk, const std::string& path, const TlsContext& trust, const CertificateQuestion& question
);

/// An inspection under way; destroying it cancels it (the callback is then not called).
class CertificateInspection {
public:
    virtual ~CertificateInspection() = default;
};

using CertificateInspected = std::move_only_function<void(Result<CertificateReport>)>;

/// Connects, shakes hands whatever the certificate says, sends nothing and leaves. `done` runs once, never
/// from inside this call. Errors are those of the connection: nobody there, no TLS there, no answer in time.
/// `trust` may go before the inspection ends; loop and network may not.
std::unique_ptr<CertificateInspection> inspect_certificate(
    Loop& loop,
    Network& net,
    const Endpoint& to,
    const TlsContext& trust,
    CertificateQuestion question,
    Duration timeout,
    CertificateInspected done
);

} // namespace brim::io
