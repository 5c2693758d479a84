#pragma once
// One step of UTF-8 decoding, shared by the checks, the JSON writer and the log.

#include "base/bytes.h"

namespace brim {

struct Utf8Step {
    char32_t code = 0xFFFD;
    unsigned size = 1; ///< bytes taken; 1 when invalid, so that decoding goes on at the next byte
    bool valid = false;
};

/// Decodes the code point at `offset`, which is below text.size().
Utf8Step utf8_step(ByteView text, std::size_t offset) noexcept;

} // namespace brim
