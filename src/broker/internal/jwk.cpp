#include "broker/internal/jwk.h"

#include "broker/internal/base64.h"

#include <algorithm>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

namespace brim::broker {

namespace {

constexpr std::size_t rsa_part_bytes_max = 1'024; // 8,192 bits

std::unexpected<Error> broken_jwk(std::string cause) {
    return fail(Errc::invalid, "key", std::move(cause), "write the JWKS document anew from its source");
}

/// A member in base64url; empty when it is missing, of another type or wrong.
Bytes part_of(const Json& jwk, std::string_view name) {
    return from_base64(jwk[name].as_string(), Base64::url).value_or(Bytes{});
}

struct FreeBuilder {
    void operator()(OSSL_PARAM_BLD* each) const { OSSL_PARAM_BLD_free(each); }
};

struct FreeParams {
    void operator()(OSSL_PARAM* each) const { OSSL_PARAM_free(each); }
};

struct FreeNumber {
    void operator()(BIGNUM* each) const { BN_free(each); }
};

struct FreeContext {
    void operator()(EVP_PKEY_CTX* each) const { EVP_PKEY_CTX_free(each); }
};

Pkey built(const char* kind, OSSL_PARAM_BLD* builder) {
    const std::unique_ptr<OSSL_PARAM, FreeParams> params(OSSL_PARAM_BLD_to_param(builder));
    const std::unique_ptr<EVP_PKEY_CTX, FreeContext> context(
        EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr)
    );
    EVP_PKEY* key = nullptr;
    if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
        return nullptr;
    return Pkey(key);
}

Pkey rsa_key(const Bytes& modulus, const Bytes& exponent) {
    if (modulus.empty() || exponent.empty() || modulus.size() > rsa_part_bytes_max || exponent.size() > 8)
        return nullptr;
    const auto number = [](const Bytes& bytes) {
        return std::unique_ptr<BIGNUM, FreeNumber>(BN_bin2bn(
            reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr
        ));
    };
    const auto n = number(modulus);
    const auto e = number(exponent);
    const std::unique_ptr<OSSL_PARAM_BLD, FreeBuilder> builder(OSSL_PARAM_BLD_new());
    if (!n || !e || !builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
        return nullptr;
    return built("RSA", builder.get());
}

Pkey ec_key(const char* group, std::size_t part_bytes, const Bytes& x, const Bytes& y) {
    if (x.size() != part_bytes || y.size() != part_bytes)
        return nullptr;
    const Bytes point = "\x04" + x + y; // SEC 1 section 2.3.3, uncompressed
    const std::unique_ptr<OSSL_PARAM_BLD, FreeBuilder> builder(OSSL_PARAM_BLD_new());
    if (!builder ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(
            builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()
        ) != 1)
        return nullptr;
    return built("EC", builder.get());
}

Pkey ed25519_key(const Bytes& x) {
    if (x.size() != 32)
        return nullptr;
    return Pkey(EVP_PKEY_new_raw_public_key(
        EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(x.data()), x.size()
    ));
}

bool is_text_or_absent(const Json& jwk, std::string_view name) {
    const Json* found = jwk.find(name);
    return found == nullptr || found->is_string();
}

bool is_for_signatures(const Json& jwk) {
    if (jwk.find("use") != nullptr && jwk["use"].as_string() != "sig")
        return false;
    const Json* operations = jwk.find("key_ops");
    return operations == nullptr || std::ranges::any_of(operations->items(), [](const Json& each) {
               return each.as_string() == "verify";
           });
}

} // namespace

Result<Jwk> read_jwk(const Json& jwk) {
    if (!jwk.is_object() || !jwk["kty"].is_string())
        return broken_jwk("a key is no object with a kty");
    for (const std::string_view name : {"kid", "alg", "use", "crv"}) {
        if (!is_text_or_absent(jwk, name))
            return broken_jwk(std::string(name) + " of a key is no text");
    }
    Jwk made;
    made.id = jwk["kid"].as_string();
    made.algorithm = jwk["alg"].as_string();
    const std::string_view kind = jwk["kty"].as_string();
    const std::string_view curve = jwk["crv"].as_string();
    const bool is_known = kind == "oct" || kind == "RSA" ||
                          (kind == "EC" && (curve == "P-256" || curve == "P-384")) ||
                          (kind == "OKP" && curve == "Ed25519");
    if (!is_known || !is_for_signatures(jwk)) {
        made.ignored = true;
        return made;
    }
    if (kind == "oct") {
        made.secret = part_of(jwk, "k");
        if (made.secret.empty())
            return broken_jwk("k of a key is missing or no base64url");
        return made;
    }
    if (jwk.find("d") != nullptr)
        return broken_jwk("a private key (d); it belongs to who makes the tokens");
    if (kind == "RSA")
        made.pkey = rsa_key(part_of(jwk, "n"), part_of(jwk, "e"));
    else if (kind == "OKP")
        made.pkey = ed25519_key(part_of(jwk, "x"));
    else if (curve == "P-256")
        made.pkey = ec_key("prime256v1", 32, part_of(jwk, "x"), part_of(jwk, "y"));
    else
        made.pkey = ec_key("secp384r1", 48, part_of(jwk, "x"), part_of(jwk, "y"));
    if (!made.pkey)
        return broken_jwk("a part of an " + std::string(kind) + " key is missing or wrong");
    return made;
}

} // namespace brim::broker
