#include "broker/jwt.h"

#include "base/bytes.h"

#include <doctest/doctest.h>

#include <memory>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string>
#include <vector>

using namespace brim;
using namespace brim::broker;

namespace {

using Algorithm = TokenAlgorithm;

constexpr WallTime now{1'800'000'000'000};
const std::string secret64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const std::string good_claims = R"({"sub":"ann","exp":1800000060})";

struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

using Key = std::unique_ptr<EVP_PKEY, FreeKey>;

/// Made once: an RSA key takes long.
const Key& rsa() {
    static const Key key(EVP_RSA_gen(2'048));
    return key;
}

const Key& p256() {
    static const Key key(EVP_EC_gen("P-256"));
    return key;
}

const Key& p384() {
    static const Key key(EVP_EC_gen("P-384"));
    return key;
}

const Key& ed25519() {
    static const Key key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    return key;
}

std::string pem_of(const Key& key, bool is_private = false) {
    BIO* bio = BIO_new(BIO_s_mem());
    if (is_private)
        PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    else
        PEM_write_bio_PUBKEY(bio, key.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return text;
}

const EVP_MD* digest_for(Algorithm algorithm) {
    const std::string_view name = token_algorithm_name(algorithm);
    if (name == "EdDSA")
        return nullptr;
    return name.ends_with("256") ? EVP_sha256() : name.ends_with("384") ? EVP_sha384() : EVP_sha512();
}

std::string hmac_of(Algorithm algorithm, const std::string& key, const std::string& text) {
    unsigned char out[64];
    std::size_t size = 0;
    const auto* octets = reinterpret_cast<const unsigned char*>(text.data());
    EVP_Q_mac(
        nullptr,
        "HMAC",
        nullptr,
        EVP_MD_get0_name(digest_for(algorithm)),
        nullptr,
        key.data(),
        key.size(),
        octets,
        text.size(),
        out,
        sizeof out,
        &size
    );
    return {reinterpret_cast<const char*>(out), size};
}

/// As OpenSSL makes it: ECDSA in DER.
std::string raw_signature(Algorithm algorithm, const Key& key, const std::string& text) {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* options = nullptr;
    EVP_DigestSignInit(context, &options, digest_for(algorithm), nullptr, key.get());
    if (algorithm == Algorithm::ps256) {
        EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST);
    }
    std::string out(1'024, '\0');
    std::size_t size = out.size();
    const auto* octets = reinterpret_cast<const unsigned char*>(text.data());
    REQUIRE(
        EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size, octets, text.size()) == 1
    );
    EVP_MD_CTX_free(context);
    out.resize(size);
    return out;
}

std::string signature_of(Algorithm algorithm, const Key& key, const std::string& text) {
    const std::string raw = raw_signature(algorithm, key, text);
    if (algorithm != Algorithm::es256 && algorithm != Algorithm::es384)
        return raw;
    const auto* at = reinterpret_cast<const unsigned char*>(raw.data());
    ECDSA_SIG* parts = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(raw.size()));
    const int part = algorithm == Algorithm::es256 ? 32 : 48;
    std::string out(2 * static_cast<std::size_t>(part), '\0');
    auto* octets = reinterpret_cast<unsigned char*>(out.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(parts), octets, part);
    BN_bn2binpad(ECDSA_SIG_get0_s(parts), octets + part, part);
    ECDSA_SIG_free(parts);
    return out;
}

std::string header_of(Algorithm algorithm, const std::string& more = "") {
    return R"({"alg":")" + std::string(token_algorithm_name(algorithm)) + "\"" + more + "}";
}

std::string joined(const std::string& header, const std::string& claims) {
    return to_base64url(header) + "." + to_base64url(claims);
}

/// A token with an HMAC, whatever its header says.
std::string with_secret(
    const std::string& claims = good_claims,
    const std::string& header = R"({"alg":"HS256","typ":"JWT"})",
    const std::string& key = secret64
) {
    const std::string text = joined(header, claims);
    return text + "." + to_base64url(hmac_of(Algorithm::hs256, key, text));
}

std::string with_key(Algorithm algorithm, const Key& key, const std::string& more = "") {
    const std::string text = joined(header_of(algorithm, more), good_claims);
    return text + "." + to_base64url(signature_of(algorithm, key, text));
}

TokenSettings settings_of(std::vector<Algorithm> algorithms, TokenKeyForm form, std::string key) {
    TokenSettings made;
    made.algorithms = std::move(algorithms);
    made.form = form;
    made.key = Secret(std::move(key));
    return made;
}

TokenJudge judge_of(TokenSettings settings) {
    auto made = TokenJudge::make(std::move(settings), "key.txt");
    REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().text()));
    return std::move(*made);
}

TokenJudge secret_judge() {
    return judge_of(settings_of({Algorithm::hs256}, TokenKeyForm::secret, secret64));
}

std::string refusal(const TokenJudge& judge, const std::string& token, WallTime at = now) {
    const auto judged = judge.judge(token, at);
    if (judged)
        return "";
    CHECK(judged.error().code == Errc::unauthenticated);
    return judged.error().cause;
}

std::string cause_of(TokenSettings settings) {
    const auto made = TokenJudge::make(std::move(settings), "key.txt");
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().object == "key.txt");
    return made.error().cause;
}

std::string number_of(const Key& key, const char* name) {
    BIGNUM* number = nullptr;
    REQUIRE(EVP_PKEY_get_bn_param(key.get(), name, &number) == 1);
    std::string out(static_cast<std::size_t>(BN_num_bytes(number)), '\0');
    BN_bn2bin(number, reinterpret_cast<unsigned char*>(out.data()));
    BN_free(number);
    return out;
}

std::string padded(std::string bytes, std::size_t size) {
    return std::string(size - bytes.size(), '\0') + bytes;
}

std::string rsa_jwk(const std::string& more) {
    return R"({"kty":"RSA","n":")" + to_base64url(number_of(rsa(), "n")) + R"(","e":")" +
           to_base64url(number_of(rsa(), "e")) + "\"" + more + "}";
}

std::string ec_jwk(const Key& key, const char* curve, std::size_t size, const std::string& more) {
    return R"({"kty":"EC","crv":")" + std::string(curve) + R"(","x":")" +
           to_base64url(padded(number_of(key, OSSL_PKEY_PARAM_EC_PUB_X), size)) + R"(","y":")" +
           to_base64url(padded(number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y), size)) + "\"" + more + "}";
}

std::string ed_jwk(const std::string& more) {
    std::string x(32, '\0');
    std::size_t size = x.size();
    EVP_PKEY_get_raw_public_key(ed25519().get(), reinterpret_cast<unsigned char*>(x.data()), &size);
    return R"({"kty":"OKP","crv":"Ed25519","x":")" + to_base64url(x) + "\"" + more + "}";
}

struct Signer {
    Algorithm algorithm;
    const Key* key; ///< null: the secret
};

std::vector<Signer> signers() {
    return {
        {Algorithm::hs256, nullptr},
        {Algorithm::hs384, nullptr},
        {Algorithm::hs512, nullptr},
        {Algorithm::rs256, &rsa()},
        {Algorithm::rs384, &rsa()},
        {Algorithm::rs512, &rsa()},
        {Algorithm::ps256, &rsa()},
        {Algorithm::es256, &p256()},
        {Algorithm::es384, &p384()},
        {Algorithm::eddsa, &ed25519()}
    };
}

std::string token_of(const Signer& signer) {
    if (signer.key != nullptr)
        return with_key(signer.algorithm, *signer.key);
    const std::string text = joined(header_of(signer.algorithm), good_claims);
    return text + "." + to_base64url(hmac_of(signer.algorithm, secret64, text));
}

TokenJudge judge_for(const Signer& signer) {
    return judge_of(settings_of(
        {signer.algorithm},
        signer.key != nullptr ? TokenKeyForm::pem : TokenKeyForm::secret,
        signer.key != nullptr ? pem_of(*signer.key) : secret64
    ));
}

} // namespace

TEST_CASE("a token of each algorithm is good for its own key and algorithm and for no other") {
    for (const Signer& mine : signers()) {
        const std::string token = token_of(mine);
        for (const Signer& other : signers()) {
            INFO(token_algorithm_name(mine.algorithm), " judged by ", token_algorithm_name(other.algorithm));
            const auto judged = judge_for(other).judge(token, now);
            CHECK(judged.has_value() == (mine.algorithm == other.algorithm));
            if (judged) {
                CHECK(judged->proof == Proof::token);
                CHECK(judged->name == "ann");
                CHECK(judged->client_id.empty());
                CHECK(judged->valid_until == WallTime{1'800'000'060'000});
            }
        }
    }
}

TEST_CASE("a header that lies about its algorithm gains nothing") {
    for (const Signer& signer : signers()) {
        const TokenJudge judge = judge_for(signer);
        const std::string pem = signer.key != nullptr ? pem_of(*signer.key) : secret64;
        for (const char* name :
             {"none",
              "None",
              "NONE",
              "nOnE",
              "",
              "HS256",
              "hs256",
              "HS384",
              "HS512",
              "RS256",
              "PS384",
              "ES512"}) {
            if (name == token_algorithm_name(signer.algorithm))
                continue;
            const std::string text = joined(R"({"alg":")" + std::string(name) + "\"}", good_claims);
            // Not signed, and with an HMAC whose key is the public key.
            CHECK_FALSE(refusal(judge, text + ".").empty());
            CHECK_FALSE(
                refusal(judge, text + "." + to_base64url(hmac_of(Algorithm::hs256, pem, text))).empty()
            );
        }
    }
    for (const char* header :
         {"{}",
          R"({"alg":null})",
          R"({"alg":7})",
          R"({"alg":["HS256"]})",
          "[]",
          "",
          "7",
          R"({"alg":"HS256","alg":"HS256"})"})
        CHECK_FALSE(refusal(secret_judge(), with_secret(good_claims, header)).empty());
}

TEST_CASE("each flipped bit, cut and addition of a token is refused") {
    for (const Signer& signer : signers()) {
        INFO(token_algorithm_name(signer.algorithm));
        const TokenJudge judge = judge_for(signer);
        const std::string token = token_of(signer);
        REQUIRE(refusal(judge, token).empty());
        for (std::size_t i = 0; i < token.size(); ++i) {
            std::string flipped = token;
            flipped[i] = static_cast<char>(flipped[i] ^ 1);
            CHECK_FALSE(refusal(judge, flipped).empty());
            CHECK_FALSE(refusal(judge, token.substr(0, i)).empty());
        }
        for (const char* more : {"=", "==", ".", "A", "AA", "AAAA", "\n", " "})
            CHECK_FALSE(refusal(judge, token + more).empty());
        CHECK_FALSE(refusal(judge, " " + token).empty());
    }
}

TEST_CASE("an elliptic signature is r and s as they are, never DER, never zero") {
    const TokenJudge judge = judge_of(settings_of({Algorithm::es256}, TokenKeyForm::pem, pem_of(p256())));
    const std::string text = joined(header_of(Algorithm::es256), good_claims);
    const std::string raw = signature_of(Algorithm::es256, p256(), text);
    CHECK(refusal(judge, text + "." + to_base64url(raw)).empty());
    for (const std::string& wrong :
         {raw_signature(Algorithm::es256, p256(), text),
          std::string(64, '\0'),
          std::string(64, '\xFF'),
          raw.substr(0, 63),
          raw + std::string(1, '\0'),
          std::string(1, '\0') + raw.substr(0, 32) + std::string(1, '\0') + raw.substr(32)})
        CHECK(refusal(judge, text + "." + to_base64url(wrong)) == "its signature is wrong");
}

TEST_CASE("[B-45] a token is good from nbf and iat to exp, within the leeway") {
    auto settings = settings_of({Algorithm::hs256}, TokenKeyForm::secret, secret64);
    settings.leeway = std::chrono::seconds(10);
    const TokenJudge lenient = judge_of(settings);
    const TokenJudge strict = secret_judge();
    const std::string token =
        with_secret(R"({"sub":"ann","exp":1800000060,"nbf":1799999000,"iat":1799999000.5})");
    CHECK(refusal(strict, token, {1'800'000'059'999}).empty());
    CHECK(refusal(strict, token, {1'800'000'060'000}).starts_with("it expired at 2027-01-15"));
    CHECK(refusal(lenient, token, {1'800'000'069'999}).empty());
    CHECK(lenient.judge(token, {1'800'000'069'999})->valid_until == WallTime{1'800'000'070'000});
    CHECK(refusal(lenient, token, {1'800'000'070'000}).starts_with("it expired"));
    CHECK(refusal(strict, token, {1'799'999'000'501}).empty());
    CHECK(refusal(strict, token, {1'799'999'000'499}).starts_with("it is issued in the future"));
    CHECK(refusal(strict, token, {1'799'998'999'999}).starts_with("it is not valid before"));
    CHECK(refusal(lenient, token, {1'799'998'999'999}).empty());
    CHECK(refusal(lenient, token, {1'799'998'989'000}).starts_with("it is not valid before"));
    CHECK(refusal(strict, with_secret(R"({"sub":"ann"})")) == "it has no exp");
    settings.expiry_required = false;
    CHECK(judge_of(settings).judge(with_secret(R"({"sub":"ann"})"), now)->valid_until == WallTime{});
    CHECK(refusal(strict, with_secret(R"({"sub":"ann","exp":1800000060,"nbf":0,"iat":0})")).empty());
    CHECK(refusal(strict, with_secret(R"({"sub":"ann","exp":0})")).starts_with("it expired"));
    for (const char* time : {"\"1800000060\"", "null", "true", "-1", "1e300", "[]", "253402300800"}) {
        for (const char* name : {"exp", "nbf", "iat"}) {
            std::string claims = R"({"sub":"ann",")" + std::string(name) + "\":" + time;
            claims += std::string_view(name) == "exp" ? "}" : R"(,"exp":1800000060})";
            CHECK_FALSE_MESSAGE(refusal(judge_of(settings), with_secret(claims)).empty(), claims);
        }
    }
}

TEST_CASE("issuer and audience must be those of the settings") {
    auto settings = settings_of({Algorithm::hs256}, TokenKeyForm::secret, secret64);
    settings.issuer = "https://id.example";
    settings.audience = "brim";
    const TokenJudge judge = judge_of(settings);
    const auto with = [&](const std::string& more) {
        return refusal(judge, with_secret(R"({"sub":"ann","exp":1800000060)" + more + "}"));
    };
    const std::string iss = R"(,"iss":"https://id.example")";
    CHECK(with(iss + R"(,"aud":"brim")").empty());
    CHECK(with(iss + R"(,"aud":["x","brim"])").empty());
    for (const char* aud :
         {"",
          R"(,"aud":"Brim")",
          R"(,"aud":"brim2")",
          R"(,"aud":[])",
          R"(,"aud":["x"])",
          R"(,"aud":["brim",7])",
          R"(,"aud":null)",
          R"(,"aud":{"a":"brim"})"})
        CHECK_MESSAGE(with(iss + aud) == "it is for another audience", aud);
    for (const char* other :
         {"", R"(,"iss":"https://id.example/")", R"(,"iss":["https://id.example"])", R"(,"iss":null)"})
        CHECK_MESSAGE(with(std::string(other) + R"(,"aud":"brim")") == "its issuer is another", other);
}

TEST_CASE("[B-37] the name in a token is a plain one, from the claim of the settings") {
    for (const char* sub :
         {R"("#")",
          R"("+")",
          R"("a/b")",
          R"("$SYS")",
          R"("")",
          "7",
          "null",
          R"(["ann"])",
          R"("a\u0000b")",
          R"("a\n")"})
        CHECK(
            refusal(secret_judge(), with_secret(R"({"exp":1800000060,"sub":)" + std::string(sub) + "}")) ==
            "its sub is no plain name"
        );
    CHECK(refusal(secret_judge(), with_secret(R"({"exp":1800000060})")) == "its sub is no plain name");
    auto settings = settings_of({Algorithm::hs256}, TokenKeyForm::secret, secret64);
    settings.name_claim = "device";
    CHECK(
        judge_of(settings)
            .judge(with_secret(R"({"exp":1800000060,"sub":"x","device":"pump-7"})"), now)
            ->name == "pump-7"
    );
    CHECK_FALSE(refusal(judge_of(settings), with_secret()).empty());
}

TEST_CASE("a header with crit, a foreign typ or a wrong kid is refused") {
    const auto with = [](const std::string& more) {
        return refusal(secret_judge(), with_secret(good_claims, R"({"alg":"HS256")" + more + "}"));
    };
    CHECK(with("").empty());
    CHECK(with(R"(,"typ":"jwt")").empty());
    CHECK(with(R"(,"typ":"at+JWT")").empty());
    CHECK(with(R"(,"kid":"../../etc/passwd")").empty()); // one key: nothing to look up
    CHECK(with(R"(,"crit":["exp"])") == "its header has crit");
    CHECK(with(R"(,"crit":[])") == "its header has crit");
    CHECK(with(R"(,"typ":"dpop+jwt")").starts_with("its typ"));
    CHECK(with(R"(,"typ":7)").starts_with("its typ"));
    CHECK(with(R"(,"kid":7)") == "its kid is no text");
}

TEST_CASE("a token over a limit, or with repeated members, is refused") {
    const auto sized = [](std::size_t size) {
        return with_secret(R"({"exp":1800000060,"sub":"ann","x":")" + std::string(size, 'x') + "\"}");
    };
    CHECK(refusal(secret_judge(), sized(12'000)).empty());
    CHECK(refusal(secret_judge(), sized(12'300)).starts_with("it is longer than 16384"));
    const auto headed = [](std::size_t size) {
        return with_secret(good_claims, R"({"alg":"HS256","x":")" + std::string(size, 'x') + "\"}");
    };
    CHECK(refusal(secret_judge(), headed(2'048 - 22)).empty());
    CHECK(refusal(secret_judge(), headed(2'048 - 20)).starts_with("its header is longer"));
    const auto nested = [](std::size_t depth) {
        return with_secret(
            R"({"exp":1800000060,"sub":"ann","x":)" + std::string(depth, '[') + std::string(depth, ']') + "}"
        );
    };
    CHECK(refusal(secret_judge(), nested(6)).empty());
    CHECK(refusal(secret_judge(), nested(9)) == "its claims are no JSON object");
    CHECK(
        refusal(secret_judge(), with_secret(R"({"exp":1800000060,"sub":"ann","sub":"root"})")) ==
        "its claims are no JSON object"
    );
    CHECK(refusal(secret_judge(), with_secret("[]")) == "its claims are no JSON object");
    CHECK(refusal(secret_judge(), with_secret(good_claims + "x")) == "its claims are no JSON object");
    CHECK(refusal(secret_judge(), "") == "it has not three parts");
    CHECK(refusal(secret_judge(), "..") != "");
    CHECK(refusal(secret_judge(), "a.b.c.d.e") == "it has not three parts");
}

TEST_CASE("a key is found in a JWKS by kid and kind alone") {
    const std::string ignored =
        R"({"kty":"RSA","use":"enc","kid":"e"},{"kty":"new","kid":"n"},{"kty":"EC","crv":"P-521","kid":"5"},)";
    const std::string set = R"({"keys":[)" + ignored + rsa_jwk(R"(,"kid":"r","alg":"RS256","use":"sig")") +
                            "," + ec_jwk(p256(), "P-256", 32, R"(,"kid":"e2","key_ops":["verify"])") + "," +
                            ec_jwk(p384(), "P-384", 48, R"(,"kid":"e3")") + "," + ed_jwk(R"(,"kid":"ed")") +
                            "]}";
    const TokenJudge judge = judge_of(settings_of(
        {Algorithm::rs256, Algorithm::ps256, Algorithm::es256, Algorithm::es384, Algorithm::eddsa},
        TokenKeyForm::jwks,
        set
    ));
    CHECK(refusal(judge, with_key(Algorithm::rs256, rsa(), R"(,"kid":"r")")).empty());
    CHECK(refusal(judge, with_key(Algorithm::es256, p256(), R"(,"kid":"e2")")).empty());
    CHECK(refusal(judge, with_key(Algorithm::es384, p384(), R"(,"kid":"e3")")).empty());
    CHECK(refusal(judge, with_key(Algorithm::eddsa, ed25519(), R"(,"kid":"ed")")).empty());
    CHECK(refusal(judge, with_key(Algorithm::es256, p256())).empty()); // one key fits
    for (const char* kid : {"e3", "", "x", "/dev/null", "R"})
        CHECK(refusal(judge, with_key(Algorithm::es256, p256(), R"(,"kid":")" + std::string(kid) + "\""))
                  .starts_with("no key"));
    // The key's own alg binds it.
    CHECK(refusal(judge, with_key(Algorithm::ps256, rsa(), R"(,"kid":"r")")).starts_with("no key"));
}

TEST_CASE("[B-44] broken key material keeps the judge from being made") {
    const std::string pem = pem_of(rsa());
    const auto pem_cause = [](std::string text, Algorithm algorithm = Algorithm::rs256) {
        return cause_of(settings_of({algorithm}, TokenKeyForm::pem, std::move(text)));
    };
    for (const std::string& text :
         {std::string(),
          std::string("x"),
          pem.substr(0, 100),
          pem.substr(30),
          "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n" + std::string()})
        CHECK(pem_cause(text).starts_with("no PEM public key"));
    CHECK(pem_cause(pem_of(rsa(), true)).starts_with("a private key"));
    CHECK(pem_cause(pem + pem) == "more than one key");
    CHECK(pem_cause(pem, Algorithm::es256) == "ES256 does not fit this kind of public key");
    CHECK(pem_cause(pem, Algorithm::hs256) == "HS256 does not fit this kind of public key");
    CHECK(pem_cause(pem_of(p256()), Algorithm::es384).find("does not fit") != std::string::npos);
    const Key weak(EVP_RSA_gen(1'024));
    CHECK(pem_cause(pem_of(weak)).starts_with("an RSA key of 1024 bits"));
    const auto secret_cause = [](std::string text, Algorithm algorithm = Algorithm::hs256) {
        return cause_of(settings_of({algorithm}, TokenKeyForm::secret, std::move(text)));
    };
    CHECK(secret_cause(secret64.substr(0, 31)).starts_with("the secret has 31 bytes; HS256 needs 32"));
    CHECK(secret_cause(secret64.substr(0, 63), Algorithm::hs512).starts_with("the secret has 63 bytes"));
    CHECK(secret_cause(pem) == "a PEM key where a secret is expected");
    CHECK(secret_cause(secret64, Algorithm::rs256) == "RS256 does not fit a shared secret");
    CHECK(cause_of(settings_of({}, TokenKeyForm::secret, secret64)) == "no algorithm is allowed");
    auto settings = settings_of({Algorithm::hs256}, TokenKeyForm::secret, secret64);
    settings.leeway = std::chrono::seconds(601);
    CHECK(cause_of(settings).starts_with("a leeway"));
    settings.leeway = std::chrono::seconds(-1);
    CHECK(cause_of(settings).starts_with("a leeway"));
}

TEST_CASE("[B-44] a broken JWKS document keeps the judge from being made") {
    const auto cause = [](const std::string& text) {
        return cause_of(settings_of(
            {Algorithm::rs256, Algorithm::es256, Algorithm::eddsa, Algorithm::hs256}, TokenKeyForm::jwks, text
        ));
    };
    for (const char* text : {"", "{", "[]", "{}", R"({"keys":{}})", "<html>"})
        CHECK(cause(text).starts_with("it is no JWKS document"));
    CHECK(cause(R"({"keys":[]})") == "it has no key for the algorithms of the settings");
    CHECK(
        cause(R"({"keys":[{"kty":"RSA","use":"enc"}]})") == "it has no key for the algorithms of the settings"
    );
    const std::string good = rsa_jwk(R"(,"kid":"r")");
    CHECK(cause(R"({"keys":[)" + good + "," + good + "]}") == "two keys have the same kid, or none");
    for (const std::string& key :
         {std::string("7"),
          std::string("{}"),
          std::string(R"({"kty":"RSA"})"),
          std::string(R"({"kty":"RSA","n":"AQAB","e":"AQAB"})"),
          std::string(R"({"kty":"oct","k":"AQAB"})"),
          std::string(R"({"kty":"oct","k":""})"),
          std::string(R"({"kty":"EC","crv":"P-256","x":"AQAB","y":"AQAB"})"),
          R"({"kty":"EC","crv":"P-256","x":")" + to_base64url(std::string(32, 'x')) + R"(","y":")" +
              to_base64url(std::string(32, 'y')) + "\"}",
          std::string(R"({"kty":"OKP","crv":"Ed25519","x":"AQAB"})"),
          rsa_jwk(R"(,"d":"AQAB")"),
          rsa_jwk(R"(,"kid":7)")}) {
        INFO(key);
        CHECK_FALSE(cause(R"({"keys":[)" + good + "," + key + "]}").empty());
    }
}

TEST_CASE("the names of algorithms are those of RFC 7518, to the letter") {
    for (const Signer& signer : signers())
        CHECK(token_algorithm(token_algorithm_name(signer.algorithm)).value() == signer.algorithm);
    for (const char* name : {"", "none", "hs256", "HS256 ", "ES512", "EDDSA"})
        CHECK_FALSE(token_algorithm(name).has_value());
}
