#pragma once
// The two implementations of CRC-32C behind base/hash.h; tests hold them against each other.

#include "base/bytes.h"

namespace brim {

/// Slicing by eight tables; runs anywhere. Takes and returns the inverted register.
std::uint32_t crc32c_table(std::uint32_t state, ByteView bytes) noexcept;

/// True when this machine has the SSE4.2 instruction.
bool crc32c_hardware_present() noexcept;
/// As crc32c_table; call only when crc32c_hardware_present().
std::uint32_t crc32c_hardware(std::uint32_t state, ByteView bytes) noexcept;

} // namespace brim
