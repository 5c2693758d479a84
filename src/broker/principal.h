#pragma once
// Who a client of the broker proved to be, by whatever means: what permissions are asked about.

#include "base/time.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace brim::broker {

/// How the name was proved.
enum class Proof : std::uint8_t {
    none,        ///< nothing was asked: an anonymous listener
    password,    ///< a user of the password file
    certificate, ///< the common name of a verified TLS client certificate
    token,       ///< the subject of a JSON Web Token
    scram        ///< a user of the password file, by SCRAM
};

struct Principal {
    Proof proof = Proof::none;
    std::string name;      ///< empty: anonymous
    std::string client_id; ///< as in CONNECT
    /// From then on the proof is worth nothing (RFC 7519 section 4.1.4, a certificate's end); 0 = no end.
    WallTime valid_until{};
};

/// True when `text` can stand for %u or %c in a permission without meaning more than itself: UTF-8, 1 to 256
/// bytes, none of + # / and no control character, not beginning with $ (CVE-2017-7650).
bool is_plain_name(std::string_view text) noexcept;

} // namespace brim::broker
