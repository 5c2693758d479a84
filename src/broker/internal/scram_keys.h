#pragma once
// The keys of RFC 5802 section 3, from a password or a part of it.

#include "base/bytes.h"

#include <cstdint>
#include <string_view>

namespace brim::broker {

inline constexpr std::size_t scram_key_bytes = 32; ///< SHA-256

/// Hi(): PBKDF2 with HMAC-SHA-256. Slow: `iterations` times two hashes.
Bytes salted_password(std::string_view password, ByteView salt, std::uint32_t iterations);
Bytes client_key_of(ByteView salted);
Bytes server_key_of(ByteView salted);

/// Why a password cannot be used; success otherwise.
Result<void> check_password(std::string_view password);

} // namespace brim::broker
