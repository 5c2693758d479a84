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
    unsafe,      ///< nothing was asked, and nothing is forbidden: for measuring only
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

/// "user ann", "certificate pump-7", "token ann", "anonymous", "unsafe-anonymous": what the broker keeps with
/// a session, also on disk. A password and SCRAM prove the same user.
std::string principal_text(const Principal& who);
/// The other way round; an unknown text is anonymous. `valid_until` is not kept.
Principal principal_of(std::string_view text, std::string_view client_id);

/// What a session is kept under: each user has client ids of its own, so that nobody throws another out, or
/// takes over its queue, by choosing its client id. Neither has a U+001F of its own.
std::string session_key(const Principal& who);

/// True when `text` can stand for %u or %c in a permission without meaning more than itself: UTF-8, 1 to 256
/// bytes, none of + # / and no control character, not beginning with $ (CVE-2017-7650).
bool is_plain_name(std::string_view text) noexcept;

} // namespace brim::broker
