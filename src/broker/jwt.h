#pragma once
// JSON Web Tokens (RFC 7519, 7515; strict as RFC 8725 asks) as proof of a name: a token is sent as the
// password.

#include "base/error.h"
#include "base/log.h"
#include "base/time.h"
#include "broker/principal.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brim::broker {

struct TokenLimits {
    static constexpr std::size_t token_bytes_max = 16'384;
    static constexpr std::size_t header_bytes_max = 2'048;
    static constexpr std::size_t depth_max = 8; ///< of the claims
    static constexpr std::size_t values_max = 512;
    static constexpr std::size_t key_text_bytes_max = 262'144;
    static constexpr std::size_t keys_max = 64; ///< of a JWKS document
    static constexpr std::int64_t leeway_s_max = 600;
};

/// RFC 7518 section 3.1, RFC 8037. There is no "none".
enum class TokenAlgorithm : std::uint8_t {
    hs256,
    hs384,
    hs512, ///< a shared secret of at least 32, 48, 64 bytes
    rs256,
    rs384,
    rs512, ///< RSA PKCS #1 v1.5, 2,048 to 8,192 bits
    ps256, ///< RSA-PSS, salt as long as the digest
    es256,
    es384, ///< ECDSA on P-256, P-384
    eddsa  ///< Ed25519
};

/// "HS256" and the like, as they stand in a header. Errc::invalid lists what there is.
Result<TokenAlgorithm> token_algorithm(std::string_view name);
std::string_view token_algorithm_name(TokenAlgorithm algorithm) noexcept;

/// What the key text is. Said by the operator, never guessed from the text or from a token.
enum class TokenKeyForm : std::uint8_t {
    secret, ///< its bytes, as they are
    pem,    ///< one public key, "-----BEGIN PUBLIC KEY-----"
    jwks    ///< a JWK Set (RFC 7517); a token's `kid` finds the key in it, and nowhere else
};

struct TokenSettings {
    std::vector<TokenAlgorithm> algorithms; ///< at least one
    TokenKeyForm form = TokenKeyForm::secret;
    Secret key;
    std::string issuer;             ///< `iss` must be this; empty: not looked at
    std::string audience;           ///< `aud` must be or hold this; empty: not looked at
    std::string name_claim = "sub"; ///< top-level member with the user's name
    std::chrono::seconds leeway{0}; ///< for clocks that differ, at most 600
    bool expiry_required = true;    ///< false: a token without `exp` is good for ever
};

/// Judges tokens by one set of keys. Read-only once made. Any thread.
class TokenJudge {
public:
    /// Errors name `object` (the file or setting the key came from) and never hold key text. Errc::invalid:
    /// no algorithm, an algorithm that does not fit the key, a weak or broken key, a private key, a JWK Set
    /// with a broken or doubled key or without any that fits; Errc::too_large: over a limit.
    static Result<TokenJudge> make(TokenSettings settings, std::string_view object);

    TokenJudge(TokenJudge&&) noexcept;
    TokenJudge& operator=(TokenJudge&&) noexcept;
    ~TokenJudge();

    /// Who holds the token: proof, name (a plain one) and valid_until (`exp` and the leeway; 0 without
    /// `exp`); the client id is left empty. Takes up to 1 ms (RSA). Errc::unauthenticated with the reason,
    /// which is for the log alone: a client that fails is not told why.
    ///
    /// Refused: an algorithm that is not in the settings or not the key's, `crit`, `typ` of another kind, a
    /// wrong signature, repeated members, padding in base64url, no `exp`, one that has passed, `nbf` or `iat`
    /// to come, another issuer or audience, a name that is no is_plain_name.
    Result<Principal> judge(std::string_view token, WallTime now) const;

private:
    struct Keys;
    TokenJudge(TokenSettings settings, std::unique_ptr<const Keys> keys);

    TokenSettings settings_; ///< without the key
    std::unique_ptr<const Keys> keys_;
};

} // namespace brim::broker
