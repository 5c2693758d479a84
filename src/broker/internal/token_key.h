#pragma once
// One key that signs tokens: made from text once, asked about signatures. The cryptography is OpenSSL's.

#include "base/json.h"
#include "broker/jwt.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using EVP_PKEY = struct evp_pkey_st;

namespace brim::broker {

struct FreePkey {
    void operator()(EVP_PKEY* key) const noexcept;
};

using Pkey = std::unique_ptr<EVP_PKEY, FreePkey>;

/// A key and the algorithms it may be used with: those of the settings that fit its kind. Never both a secret
/// and a public key.
class TokenKey {
public:
    /// Errc::invalid when one of `wanted` does not fit, or the key is too weak for it.
    static Result<TokenKey>
    secret(std::string_view bytes, const std::vector<TokenAlgorithm>& wanted, std::string_view object);
    static Result<TokenKey>
    pem(const std::string& text, const std::vector<TokenAlgorithm>& wanted, std::string_view object);
    /// Nothing for a key that is not for this: of another kind, for encryption, for other algorithms.
    static Result<std::optional<TokenKey>>
    jwk(const Json& jwk, const std::vector<TokenAlgorithm>& wanted, std::string_view object);

    const std::string& id() const noexcept { return id_; }

    bool fits(TokenAlgorithm algorithm) const noexcept;

    /// True when `signature` over `text` was made with this key and `algorithm`, which fits.
    bool verifies(TokenAlgorithm algorithm, std::string_view text, std::string_view signature) const;

private:
    std::string id_;
    std::vector<TokenAlgorithm> algorithms_;
    Secret secret_;
    Pkey pkey_; ///< null with a secret
};

} // namespace brim::broker
