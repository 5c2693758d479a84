#include "broker/internal/password_hash.h"

#include "broker/internal/base64.h"

#include <charconv>
#include <openssl/evp.h>

namespace brim::broker {

namespace {

constexpr std::size_t salt_bytes_max = 64;
constexpr std::uint32_t scram_iterations_min = 4'096; // RFC 7677 section 4

/// Takes a decimal number without leading zeros off the front, up to `end`, which is taken as well.
std::optional<std::uint32_t> take_number(std::string_view& text, char end) {
    const std::string_view digits = text.substr(0, text.find(end));
    if (digits.empty() || digits.front() == '0' || digits.size() == text.size())
        return std::nullopt;
    std::uint32_t value = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || stop != digits.data() + digits.size())
        return std::nullopt;
    text.remove_prefix(digits.size() + 1);
    return value;
}

bool take(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix))
        return false;
    text.remove_prefix(prefix.size());
    return true;
}

/// What stands before `between` and behind it, decoded.
std::optional<std::pair<Bytes, Bytes>> two_parts(std::string_view text, char between, Base64 form) {
    const std::size_t at = text.find(between);
    if (at == std::string_view::npos)
        return std::nullopt;
    auto first = from_base64(text.substr(0, at), form);
    auto second = from_base64(text.substr(at + 1), form);
    if (!first || !second)
        return std::nullopt;
    return std::pair{std::move(*first), std::move(*second)};
}

std::string_view refusal_of_argon(std::string_view rest, const UserFileLimits& limits) {
    constexpr std::string_view broken = "the Argon2id hash is cut off or malformed";
    if (!take(rest, "v=19$m="))
        return broken;
    const auto memory_kib = take_number(rest, ',');
    if (!memory_kib || !take(rest, "t="))
        return broken;
    const auto passes = take_number(rest, ',');
    if (!passes || !take(rest, "p="))
        return broken;
    const auto lanes = take_number(rest, '$');
    const auto parts = two_parts(rest, '$', Base64::unpadded);
    if (!lanes || !parts)
        return broken;
    if (std::uint64_t{*memory_kib} * *passes > limits.argon_kib_passes_max || *passes > 16 ||
        *lanes > limits.argon_lanes_max)
        return "the Argon2id hash costs more than a login may";
    // RFC 9106 section 3.1. Only the usual lengths: a line that was cut off is not one of them.
    const std::size_t hash_bytes = parts->second.size();
    if (*memory_kib < 8 * *lanes || parts->first.size() < 8 || parts->first.size() > salt_bytes_max ||
        (hash_bytes != 32 && hash_bytes != 64))
        return broken;
    return {};
}

Bytes pbkdf2(const EVP_MD* digest, std::string_view password, ByteView salt, std::uint32_t iterations) {
    Bytes out(static_cast<std::size_t>(EVP_MD_get_size(digest)), '\0');
    const int done = PKCS5_PBKDF2_HMAC(
        password.empty() ? "" : password.data(),
        static_cast<int>(password.size()),
        reinterpret_cast<const unsigned char*>(salt.data()),
        static_cast<int>(salt.size()),
        static_cast<int>(iterations),
        digest,
        static_cast<int>(out.size()),
        reinterpret_cast<unsigned char*>(out.data())
    );
    if (done != 1)
        out.clear();
    return out;
}

} // namespace

std::optional<Pbkdf2Hash> read_pbkdf2(std::string_view hash, std::uint32_t iterations_max) {
    if (!take(hash, "$7$"))
        return std::nullopt;
    const auto iterations = take_number(hash, '$');
    auto parts = two_parts(hash, '$', Base64::padded);
    if (!iterations || *iterations > iterations_max || !parts)
        return std::nullopt;
    if (parts->first.size() < 8 || parts->first.size() > salt_bytes_max || parts->second.size() != 64)
        return std::nullopt;
    return Pbkdf2Hash{*iterations, std::move(parts->first), std::move(parts->second)};
}

std::string_view refusal_of_hash(std::string_view hash, const UserFileLimits& limits) {
    if (hash.empty())
        return "the name has no hash";
    std::string_view rest = hash;
    if (take(rest, "$argon2id$"))
        return refusal_of_argon(rest, limits);
    if (hash.starts_with("$7$")) {
        if (read_pbkdf2(hash, limits.pbkdf2_iterations_max))
            return {};
        return read_pbkdf2(hash, UINT32_MAX) ? "the PBKDF2 hash costs more than a login may"
                                             : "the PBKDF2 hash is cut off or malformed";
    }
    if (hash.starts_with("$6$"))
        return "a hash of mosquitto before 2.0 ($6$), which is fast to guess";
    return "what follows the name is no hash that is known here";
}

std::string_view refusal_of_scram(std::string_view verifier, const UserFileLimits& limits) {
    constexpr std::string_view broken = "the SCRAM verifier is cut off or malformed";
    if (!take(verifier, "SCRAM-SHA-256$"))
        return broken;
    const auto iterations = take_number(verifier, ':');
    const std::size_t middle = verifier.find('$');
    if (!iterations || middle == std::string_view::npos)
        return broken;
    const auto salt = from_base64(verifier.substr(0, middle), Base64::padded);
    const auto keys = two_parts(verifier.substr(middle + 1), ':', Base64::padded);
    if (!salt || salt->empty() || salt->size() > salt_bytes_max || !keys || keys->first.size() != 32 ||
        keys->second.size() != 32)
        return broken;
    if (*iterations > limits.pbkdf2_iterations_max)
        return "the SCRAM verifier costs more than a login may";
    if (*iterations < scram_iterations_min)
        return "the SCRAM verifier has less than 4,096 iterations (RFC 7677 section 4)";
    return {};
}

Bytes pbkdf2_sha512(std::string_view password, ByteView salt, std::uint32_t iterations) {
    return pbkdf2(EVP_sha512(), password, salt, iterations);
}

} // namespace brim::broker
