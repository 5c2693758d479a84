#include "base/random.h"

#include "base/assert.h"
#include "base/bytes.h"

#include <bit>
#include <cerrno>
#include <sys/random.h>
#include <utility>

namespace brim {

std::uint64_t Random::below(std::uint64_t bound) {
    BRIM_ASSERT(bound >= 1, "nothing is below zero");
    // Throw away the first 2^64 mod bound values: what is left divides evenly.
    const std::uint64_t unfair = (0 - bound) % bound;
    std::uint64_t value = u64();
    while (value < unfair)
        value = u64();
    return value % bound;
}

std::string Random::alnum(std::size_t count) {
    constexpr std::string_view letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static_assert(letters.size() == 62);
    std::string out;
    out.reserve(count);
    while (out.size() < count) {
        std::uint64_t bits = u64();
        for (int i = 0; i < 10 && out.size() < count; ++i, bits >>= 6) {
            const std::size_t index = bits & 0x3F;
            if (index < letters.size())
                out.push_back(letters[index]); // 62 and 63 would bias: drop them
        }
    }
    return out;
}

std::string Random::hex(std::size_t count) {
    Bytes bytes;
    bytes.reserve(count + sizeof(std::uint64_t));
    while (bytes.size() < count)
        put_u64(bytes, u64());
    bytes.resize(count);
    return to_hex(bytes);
}

std::uint64_t SystemRandom::u64() {
    if (left_ == 0) {
        // Up to 256 bytes getrandom(2) never returns short; only a signal before the first seeding interrupts
        // it.
        static_assert(sizeof pool_ <= 256);
        ssize_t got = -1;
        do {
            got = getrandom(pool_.data(), sizeof pool_, 0);
        } while (got < 0 && errno == EINTR);
        BRIM_ASSERT(got == static_cast<ssize_t>(sizeof pool_), "without randomness no key is safe");
        left_ = pool_.size();
    }
    // Zeroed once used, so that a later memory dump does not tell past tokens.
    return std::exchange(pool_[--left_], 0);
}

SeededRandom::SeededRandom(std::uint64_t seed) {
    // splitmix64 spreads a small seed over the whole state, which must not be all zero.
    for (std::uint64_t& word : state_) {
        seed += 0x9E37'79B9'7F4A'7C15;
        std::uint64_t mixed = seed;
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58'476D'1CE4'E5B9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D0'49BB'1331'11EB;
        word = mixed ^ (mixed >> 31);
    }
}

std::uint64_t SeededRandom::u64() {
    auto& s = state_;
    const std::uint64_t out = std::rotl(s[1] * 5, 7) * 9;
    const std::uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = std::rotl(s[3], 45);
    return out;
}

} // namespace brim
