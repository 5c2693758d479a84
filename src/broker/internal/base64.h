#pragma once
// Base64 as keys, hashes and tokens carry it, read strictly: one text for each value, so that nobody can
// write the same signature in two ways.

#include "base/bytes.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace brim::broker {

enum class Base64 : std::uint8_t {
    padded,   ///< RFC 4648 section 4, with = up to a multiple of four: mosquitto, SCRAM
    unpadded, ///< the same digits without =: Argon2's encoded form
    url,      ///< section 5, without =: JSON Web Tokens
};

/// Nothing for a digit of another alphabet, missing or surplus padding, an impossible length, and bits set
/// behind the last byte.
std::optional<Bytes> from_base64(std::string_view text, Base64 form = Base64::padded);
/// RFC 4648 section 4, with padding.
std::string to_base64(ByteView bytes);

} // namespace brim::broker
