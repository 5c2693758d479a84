#pragma once
// One JSON Web Key (RFC 7517, 7518 section 6, 8037), read.

#include "base/bytes.h"
#include "broker/internal/token_key.h"

namespace brim::broker {

struct Jwk {
    bool ignored = false; ///< understood enough to know that it is not for signatures we check
    std::string id;       ///< "kid", may be empty
    std::string algorithm;
    Bytes secret; ///< of an "oct" key
    Pkey pkey;    ///< of any other
};

/// Keys of an unknown kind or curve, for encryption, or without "verify" in key_ops are ignored, as RFC 7517
/// section 5 asks. A key of a known kind with a broken part, or with a private one, is an error.
Result<Jwk> read_jwk(const Json& jwk);

} // namespace brim::broker
