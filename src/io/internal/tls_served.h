#pragma once
// What a server's SSL_CTX carries with it as long as any connection uses it; and how peers are judged.

#include "io/internal/hello_queue.h"
#include "io/internal/tls_tickets.h"
#include "io/tls.h"

#include <memory>
#include <openssl/ssl.h>
#include <string>

namespace brim::io {

struct ServedTls {
    TicketKeys tickets;
    std::string protocol; ///< of ALPN
    /// Shared with work under way.
    std::shared_ptr<HelloQueue> hellos = std::make_shared<HelloQueue>();
};

/// Gives `context` a ServedTls of its own; ALPN is answered when `protocol` is not empty.
void serve_with(SSL_CTX* context, std::string protocol);
ServedTls& served_of(SSL_CTX* context);

/// Authorities of `ca_file` become trusted as they are; with `announce` clients are told their names.
Result<void> trust(SSL_CTX* context, Disk& disk, const std::string& ca_file, bool announce);
/// Each certificate of a chain must be in no list, and each authority have one that has not run out.
Result<void> revoke(SSL_CTX* context, Disk& disk, const std::string& crl_file);
/// In a verify callback: the objection is that there is no good list which could hold the trusted end of the
/// chain itself. It is trusted because the operator said so; for the certificates below it each list counts.
bool is_unlisted_anchor(X509_STORE_CTX* chain);

using PeerVerify = int (*)(int, X509_STORE_CTX*);
/// Whether the certificate that the peer of `ssl` showed would be accepted by `context` at `now`; `verify`
/// hears of objections as in a handshake of `ssl`.
bool peer_is_good(SSL* ssl, SSL_CTX* context, WallTime now, PeerVerify verify);

/// The one common name of a certificate's subject as UTF-8; empty when there is none, more than one, or one
/// that holds control characters: such a name could be taken for another one.
std::string common_name(const X509* certificate);

} // namespace brim::io
