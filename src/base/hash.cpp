#include "base/hash.h"

#include "base/assert.h"

#include <argon2.h>
#include <charconv>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace brim {

namespace {

const EVP_MD* evp_of(Digest kind) {
    switch (kind) {
    case Digest::md5:
        return EVP_md5();
    case Digest::sha1:
        return EVP_sha1();
    case Digest::sha256:
        return EVP_sha256();
    }
    return nullptr;
}

const unsigned char* octets(ByteView bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

Bytes to_bytes(const unsigned char* from, unsigned size) {
    return Bytes(reinterpret_cast<const char*>(from), size);
}

} // namespace

Bytes digest(Digest kind, ByteView bytes) {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const int done = EVP_Digest(bytes.data(), bytes.size(), out, &size, evp_of(kind), nullptr);
    BRIM_ASSERT(done == 1, "OpenSSL refuses a digest: is MD5 disabled by a FIPS policy?");
    return to_bytes(out, size);
}

Bytes hmac(Digest kind, ByteView key, ByteView bytes) {
    BRIM_ASSERT(key.size() <= 1'048'576, "a key this long is a bug");
    if (key.data() == nullptr)
        key = ""; // OpenSSL takes a null key for "the one from last time"
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const auto* done =
        HMAC(evp_of(kind), key.data(), static_cast<int>(key.size()), octets(bytes), bytes.size(), out, &size);
    BRIM_ASSERT(done != nullptr, "OpenSSL refuses an HMAC: is MD5 disabled by a FIPS policy?");
    return to_bytes(out, size);
}

bool equal_constant_time(ByteView a, ByteView b) noexcept {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

namespace {

// OWASP's second choice for Argon2id: as strong as 46 MiB and one pass, and a small hub can afford it.
constexpr std::uint32_t argon_memory_kib = 19'456;
constexpr std::uint32_t argon_passes = 2;
constexpr std::uint32_t argon_lanes = 1;
constexpr std::size_t argon_hash_bytes = 32;
constexpr std::size_t argon_salt_bytes = 16;
constexpr std::size_t password_bytes_max = 1'024;

// A stored hash may come from an import: verifying it may not cost more than this.
constexpr std::uint32_t argon_memory_kib_max = 262'144;
constexpr std::uint32_t argon_passes_max = 16;
constexpr std::uint32_t argon_lanes_max = 16;

/// Takes "m=19456" (after `prefix`) off the front of `text`; false when it is not there or over `max`.
bool take_cost(std::string_view& text, std::string_view prefix, std::uint32_t max) {
    if (!text.starts_with(prefix))
        return false;
    text.remove_prefix(prefix.size());
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || value > max)
        return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

bool affordable(std::string_view encoded) {
    return take_cost(encoded, "$argon2id$v=19$m=", argon_memory_kib_max) &&
           take_cost(encoded, ",t=", argon_passes_max) && take_cost(encoded, ",p=", argon_lanes_max) &&
           encoded.starts_with('$');
}

} // namespace

Result<std::string> password_hash(std::string_view password, ByteView salt) {
    BRIM_ASSERT(salt.size() == argon_salt_bytes, "the salt is 16 random bytes");
    if (password.size() > password_bytes_max) {
        return fail(Errc::too_large, "password", "longer than 1,024 bytes", "choose a shorter password");
    }
    const std::size_t encoded_size = argon2_encodedlen(
        argon_passes, argon_memory_kib, argon_lanes, salt.size(), argon_hash_bytes, Argon2_id
    );
    std::string encoded(encoded_size, '\0');
    const int outcome = argon2id_hash_encoded(
        argon_passes,
        argon_memory_kib,
        argon_lanes,
        password.data(),
        password.size(),
        salt.data(),
        salt.size(),
        argon_hash_bytes,
        encoded.data(),
        encoded.size()
    );
    if (outcome != ARGON2_OK) {
        return fail(
            Errc::unavailable,
            "password hash",
            argon2_error_message(outcome),
            "give this program 19 MiB more memory"
        );
    }
    encoded.resize(encoded.find('\0'));
    return encoded;
}

bool password_matches(std::string_view password, const std::string& encoded) noexcept {
    if (password.size() > password_bytes_max || !affordable(encoded))
        return false;
    return argon2id_verify(encoded.c_str(), password.data(), password.size()) == ARGON2_OK;
}

} // namespace brim
