#include "base/internal/crc32c.h"

#include "base/assert.h"
#include "base/hash.h"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace brim {

namespace {

using Crc32cTables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Crc32cTables make_crc32c_tables() {
    constexpr std::uint32_t polynomial = 0x82F6'3B78; // Castagnoli, reflected
    Crc32cTables tables{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? polynomial : 0);
        tables[0][i] = crc;
    }
    for (std::size_t k = 1; k < tables.size(); ++k) {
        for (std::size_t i = 0; i < 256; ++i) {
            const std::uint32_t before = tables[k - 1][i];
            tables[k][i] = (before >> 8) ^ tables[0][before & 0xFF];
        }
    }
    return tables;
}

constexpr Crc32cTables crc32c_tables = make_crc32c_tables();

std::uint64_t load_little(const char* from) {
    std::uint64_t word = 0;
    std::memcpy(&word, from, sizeof word);
    if constexpr (std::endian::native == std::endian::big)
        word = __builtin_bswap64(word);
    return word;
}

} // namespace

std::uint32_t crc32c_table(std::uint32_t state, ByteView bytes) noexcept {
    const auto& t = crc32c_tables;
    const char* at = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= 8; left -= 8, at += 8) {
        const std::uint64_t word = load_little(at) ^ state;
        state = t[7][word & 0xFF] ^ t[6][(word >> 8) & 0xFF] ^ t[5][(word >> 16) & 0xFF] ^
                t[4][(word >> 24) & 0xFF] ^ t[3][(word >> 32) & 0xFF] ^ t[2][(word >> 40) & 0xFF] ^
                t[1][(word >> 48) & 0xFF] ^ t[0][word >> 56];
    }
    for (; left > 0; --left, ++at) {
        state = (state >> 8) ^ t[0][(state ^ static_cast<unsigned char>(*at)) & 0xFF];
    }
    return state;
}

#if defined(__x86_64__)

bool crc32c_hardware_present() noexcept {
    return __builtin_cpu_supports("sse4.2") != 0;
}

__attribute__((target("sse4.2"))) std::uint32_t
crc32c_hardware(std::uint32_t state, ByteView bytes) noexcept {
    const char* at = bytes.data();
    std::size_t left = bytes.size();
    std::uint64_t wide = state;
    for (; left >= 8; left -= 8, at += 8)
        wide = _mm_crc32_u64(wide, load_little(at));
    state = static_cast<std::uint32_t>(wide);
    for (; left > 0; --left, ++at)
        state = _mm_crc32_u8(state, static_cast<unsigned char>(*at));
    return state;
}

#else

bool crc32c_hardware_present() noexcept {
    return false;
}

std::uint32_t crc32c_hardware(std::uint32_t, ByteView) noexcept {
    BRIM_ASSERT(false, "no CRC-32C instruction on this machine: ask crc32c_hardware_present() first");
    return 0;
}

#endif

std::uint32_t crc32c(ByteView bytes, std::uint32_t seed) noexcept {
    static const bool hardware = crc32c_hardware_present();
    return ~(hardware ? crc32c_hardware(~seed, bytes) : crc32c_table(~seed, bytes));
}

} // namespace brim
