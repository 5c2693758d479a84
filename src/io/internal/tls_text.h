#pragma once
// OpenSSL's failures in words a person can act on.

#include "base/error.h"
#include "base/time.h"

struct x509_store_ctx_st;

namespace brim::io {

/// Why the chain under verification was refused. `host` is what we wanted to reach; empty on the server's
/// side.
Error certificate_error(
    x509_store_ctx_st* chain, std::string object, const std::string& host, WallTime judged_at
);
/// The first entry of this thread's OpenSSL error queue, which is emptied.
Error tls_error(std::string object, bool is_server);
/// The same for reading a PEM file.
Error pem_error(const std::string& path, std::string_view wanted);

} // namespace brim::io
