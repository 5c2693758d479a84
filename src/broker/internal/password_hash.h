#pragma once
// The forms that a hash in the password file may have.

#include "base/bytes.h"
#include "broker/user_file.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace brim::broker {

/// "$7$iterations$salt$hash", read.
struct Pbkdf2Hash {
    std::uint32_t iterations = 0;
    Bytes salt;
    Bytes hash; ///< 64 bytes
};

/// Nothing when it is not of that form, or costs more than `iterations_max`.
std::optional<Pbkdf2Hash> read_pbkdf2(std::string_view hash, std::uint32_t iterations_max);

/// Why `hash` may not stand behind "name:"; empty when it may. Says nothing of the hash itself.
std::string_view refusal_of_hash(std::string_view hash, const UserFileLimits& limits);
/// The same for "SCRAM-SHA-256$...".
std::string_view refusal_of_scram(std::string_view verifier, const UserFileLimits& limits);

/// PBKDF2 (RFC 8018) with HMAC over SHA-512 or SHA-256; empty when OpenSSL refuses.
Bytes pbkdf2_sha512(std::string_view password, ByteView salt, std::uint32_t iterations);

} // namespace brim::broker
