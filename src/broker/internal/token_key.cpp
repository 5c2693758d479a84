#include "broker/internal/token_key.h"

#include "base/hash.h"
#include "broker/internal/jwk.h"

#include <algorithm>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

namespace brim::broker {

void FreePkey::operator()(EVP_PKEY* key) const noexcept {
    EVP_PKEY_free(key);
}

namespace {

constexpr int rsa_bits_min = 2'048; // RFC 7518 section 3.3
constexpr int rsa_bits_max = 8'192; // checking costs with the square of it

enum class KeyKind : std::uint8_t { secret, rsa, p256, p384, ed25519, other };

KeyKind kind_for(TokenAlgorithm algorithm) {
    switch (algorithm) {
    case TokenAlgorithm::hs256:
    case TokenAlgorithm::hs384:
    case TokenAlgorithm::hs512:
        return KeyKind::secret;
    case TokenAlgorithm::rs256:
    case TokenAlgorithm::rs384:
    case TokenAlgorithm::rs512:
    case TokenAlgorithm::ps256:
        return KeyKind::rsa;
    case TokenAlgorithm::es256:
        return KeyKind::p256;
    case TokenAlgorithm::es384:
        return KeyKind::p384;
    case TokenAlgorithm::eddsa:
        return KeyKind::ed25519;
    }
    return KeyKind::other;
}

KeyKind kind_of(const EVP_PKEY* key) {
    if (EVP_PKEY_is_a(key, "RSA") == 1)
        return KeyKind::rsa;
    if (EVP_PKEY_is_a(key, "ED25519") == 1)
        return KeyKind::ed25519;
    char group[32] = {};
    if (EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_group_name(key, group, sizeof group, nullptr) == 1) {
        if (std::string_view(group) == "prime256v1")
            return KeyKind::p256;
        if (std::string_view(group) == "secp384r1")
            return KeyKind::p384;
    }
    return KeyKind::other;
}

const EVP_MD* digest_of(TokenAlgorithm algorithm) {
    switch (algorithm) {
    case TokenAlgorithm::hs256:
    case TokenAlgorithm::rs256:
    case TokenAlgorithm::ps256:
    case TokenAlgorithm::es256:
        return EVP_sha256();
    case TokenAlgorithm::hs384:
    case TokenAlgorithm::rs384:
    case TokenAlgorithm::es384:
        return EVP_sha384();
    case TokenAlgorithm::hs512:
    case TokenAlgorithm::rs512:
        return EVP_sha512();
    case TokenAlgorithm::eddsa:
        return nullptr; // hashes by itself
    }
    return nullptr;
}

std::unexpected<Error> bad_key(std::string_view object, std::string cause, std::string fix) {
    return fail(Errc::invalid, std::string(object), std::move(cause), std::move(fix));
}

/// Empty when the key is as strong as it must be.
std::string weakness_of(const EVP_PKEY* key) {
    if (kind_of(key) == KeyKind::rsa) {
        const int bits = EVP_PKEY_get_bits(key);
        if (bits < rsa_bits_min || bits > rsa_bits_max)
            return "an RSA key of " + std::to_string(bits) + " bits; 2,048 to 8,192 are taken";
    }

    struct FreeContext {
        void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
    };

    const std::unique_ptr<EVP_PKEY_CTX, FreeContext> context(
        EVP_PKEY_CTX_new_from_pkey(nullptr, const_cast<EVP_PKEY*>(key), nullptr)
    );
    if (!context || EVP_PKEY_public_check(context.get()) != 1)
        return "the public key is no valid one of its kind";
    return {};
}

/// r and s of equal length, one after the other (RFC 7518 section 3.4), as the DER that OpenSSL reads.
std::optional<Bytes> der_of(std::string_view signature, std::size_t part_bytes) {
    if (signature.size() != 2 * part_bytes)
        return std::nullopt;

    struct FreeSignature {
        void operator()(ECDSA_SIG* each) const { ECDSA_SIG_free(each); }
    };

    const std::unique_ptr<ECDSA_SIG, FreeSignature> parts(ECDSA_SIG_new());
    const auto* octets = reinterpret_cast<const unsigned char*>(signature.data());
    const auto size = static_cast<int>(part_bytes);
    BIGNUM* r = BN_bin2bn(octets, size, nullptr);
    BIGNUM* s = BN_bin2bn(octets + size, size, nullptr);
    if (!parts || r == nullptr || s == nullptr || ECDSA_SIG_set0(parts.get(), r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return std::nullopt;
    }
    unsigned char* der = nullptr;
    const int der_bytes = i2d_ECDSA_SIG(parts.get(), &der);
    if (der_bytes <= 0)
        return std::nullopt;
    Bytes made(reinterpret_cast<const char*>(der), static_cast<std::size_t>(der_bytes));
    OPENSSL_free(der);
    return made;
}

Bytes mac_of(TokenAlgorithm algorithm, const std::string& key, std::string_view text) {
    unsigned char out[EVP_MAX_MD_SIZE];
    std::size_t size = 0;
    const auto* done = EVP_Q_mac(
        nullptr,
        "HMAC",
        nullptr,
        EVP_MD_get0_name(digest_of(algorithm)),
        nullptr,
        key.data(),
        key.size(),
        reinterpret_cast<const unsigned char*>(text.data()),
        text.size(),
        out,
        sizeof out,
        &size
    );
    return done == nullptr ? Bytes{} : Bytes(reinterpret_cast<const char*>(out), size);
}

bool is_signed(EVP_PKEY* key, TokenAlgorithm algorithm, std::string_view text, std::string_view signature) {
    struct FreeContext {
        void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    };

    const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* options = nullptr; // the context's
    if (!context || EVP_DigestVerifyInit(context.get(), &options, digest_of(algorithm), nullptr, key) != 1)
        return false;
    if (algorithm == TokenAlgorithm::ps256 &&
        (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
         EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) != 1 ||
         EVP_PKEY_CTX_set_rsa_mgf1_md(options, EVP_sha256()) != 1))
        return false;
    const auto octets = [](std::string_view bytes) {
        return reinterpret_cast<const unsigned char*>(bytes.data());
    };
    return EVP_DigestVerify(context.get(), octets(signature), signature.size(), octets(text), text.size()) ==
           1;
}

} // namespace

Result<TokenKey>
TokenKey::secret(std::string_view bytes, const std::vector<TokenAlgorithm>& wanted, std::string_view object) {
    TokenKey made;
    // A public key is no secret: whoever has it could make tokens (the RS256/HS256 confusion).
    if (bytes.find("-----BEGIN") != std::string_view::npos)
        return bad_key(object, "a PEM key where a secret is expected", "say that the key is of form pem");
    for (const TokenAlgorithm algorithm : wanted) {
        const std::string name(token_algorithm_name(algorithm));
        if (kind_for(algorithm) != KeyKind::secret)
            return bad_key(object, name + " does not fit a shared secret", "use HS256, HS384 or HS512");
        const auto bytes_min = static_cast<std::size_t>(EVP_MD_get_size(digest_of(algorithm)));
        if (bytes.size() < bytes_min)
            return bad_key(
                object,
                "the secret has " + std::to_string(bytes.size()) + " bytes; " + name + " needs " +
                    std::to_string(bytes_min) + " (RFC 7518 section 3.2)",
                "make one with: openssl rand -hex 32"
            );
    }
    made.algorithms_ = wanted;
    made.secret_ = Secret(std::string(bytes));
    return made;
}

Result<TokenKey>
TokenKey::pem(const std::string& text, const std::vector<TokenAlgorithm>& wanted, std::string_view object) {
    if (text.find("PRIVATE KEY-----") != std::string::npos)
        return bad_key(
            object, "a private key; it belongs to who makes the tokens", "openssl pkey -in KEY -pubout"
        );

    struct FreeBio {
        void operator()(BIO* bio) const { BIO_free(bio); }
    };

    const std::unique_ptr<BIO, FreeBio> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    TokenKey made;
    made.pkey_ = Pkey(bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr) : nullptr);
    if (!made.pkey_)
        return bad_key(
            object, "no PEM public key can be read from it", "it begins with -----BEGIN PUBLIC KEY-----"
        );
    if (text.find("-----BEGIN", text.find("-----BEGIN") + 1) != std::string::npos)
        return bad_key(object, "more than one key", "give several keys as a JWKS document");
    if (std::string cause = weakness_of(made.pkey_.get()); !cause.empty())
        return bad_key(object, std::move(cause), "make a new key");
    for (const TokenAlgorithm algorithm : wanted) {
        if (kind_for(algorithm) != kind_of(made.pkey_.get()))
            return bad_key(
                object,
                std::string(token_algorithm_name(algorithm)) + " does not fit this kind of public key",
                "list the algorithms of this key only"
            );
    }
    made.algorithms_ = wanted;
    return made;
}

Result<std::optional<TokenKey>>
TokenKey::jwk(const Json& jwk, const std::vector<TokenAlgorithm>& wanted, std::string_view object) {
    auto read = read_jwk(jwk);
    if (!read)
        return bad_key(object, read.error().cause, read.error().fix);
    if (read->ignored)
        return std::nullopt;
    const KeyKind kind = read->pkey ? kind_of(read->pkey.get()) : KeyKind::secret;
    std::vector<TokenAlgorithm> fitting;
    for (const TokenAlgorithm algorithm : wanted) {
        const bool is_its_own = read->algorithm.empty() || read->algorithm == token_algorithm_name(algorithm);
        if (is_its_own && kind_for(algorithm) == kind)
            fitting.push_back(algorithm);
    }
    if (fitting.empty())
        return std::nullopt;
    TokenKey made;
    if (kind == KeyKind::secret) {
        auto shared = secret(read->secret, fitting, object);
        if (!shared)
            return fail(shared.error());
        made = std::move(*shared);
    } else {
        if (std::string cause = weakness_of(read->pkey.get()); !cause.empty())
            return bad_key(object, std::move(cause), "make a new key");
        made.algorithms_ = std::move(fitting);
        made.pkey_ = std::move(read->pkey);
    }
    made.id_ = std::move(read->id);
    return made;
}

bool TokenKey::fits(TokenAlgorithm algorithm) const noexcept {
    return std::ranges::find(algorithms_, algorithm) != algorithms_.end();
}

bool TokenKey::verifies(TokenAlgorithm algorithm, std::string_view text, std::string_view signature) const {
    if (!fits(algorithm))
        return false;
    if (kind_for(algorithm) == KeyKind::secret) {
        const Bytes mac = mac_of(algorithm, secret_.reveal(), text);
        return !mac.empty() && equal_constant_time(mac, signature);
    }
    if (kind_for(algorithm) == KeyKind::p256 || kind_for(algorithm) == KeyKind::p384) {
        const auto der = der_of(signature, kind_for(algorithm) == KeyKind::p256 ? 32 : 48);
        return der && is_signed(pkey_.get(), algorithm, text, *der);
    }
    return is_signed(pkey_.get(), algorithm, text, signature);
}

} // namespace brim::broker
