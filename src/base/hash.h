#pragma once
// Checksums for what is stored, digests and MACs for what is trusted. The cryptography is OpenSSL's.

#include "base/bytes.h"

#include <cstdint>

namespace brim {

/// CRC-32C (Castagnoli), reflected, as in RFC 3720 B.4; `seed` continues an earlier sum. SSE4.2 where
/// present.
std::uint32_t crc32c(ByteView bytes, std::uint32_t seed = 0) noexcept;

enum class Digest : std::uint8_t { md5, sha1, sha256 };

/// Raw digest bytes (16, 20 or 32).
Bytes digest(Digest kind, ByteView bytes);
/// Raw HMAC bytes (RFC 2104).
Bytes hmac(Digest kind, ByteView key, ByteView bytes);
/// Compares in time that depends on the lengths only.
bool equal_constant_time(ByteView a, ByteView b) noexcept;

/// Argon2id (RFC 9106) in its encoded form "$argon2id$v=19$...", 64 MiB would not fit a small hub: 19 MiB, 2
/// passes. Takes about 30 ms: call it on a worker. `salt` is 16 random bytes.
Result<std::string> password_hash(std::string_view password, ByteView salt);
/// True when `password` made `encoded`. False on any malformed hash. As slow as password_hash.
bool password_matches(std::string_view password, const std::string& encoded) noexcept;

} // namespace brim
