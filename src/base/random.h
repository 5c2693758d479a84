#pragma once
// Randomness as a seam: the kernel's for real, a seed for the simulator.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace brim {

/// A source of random bytes. Not thread-safe: one per loop.
class Random {
public:
    virtual ~Random() = default;
    virtual std::uint64_t u64() = 0;

    /// Uniform in [0, bound); bound >= 1.
    std::uint64_t below(std::uint64_t bound);
    /// `count` characters of [0-9a-zA-Z]: 5.95 bits each.
    std::string alnum(std::size_t count);
    /// `count` bytes as lower-case hex, 8 bits a byte.
    std::string hex(std::size_t count);
};

/// getrandom(2), buffered. Fit for secrets.
class SystemRandom final : public Random {
public:
    std::uint64_t u64() override;

private:
    std::array<std::uint64_t, 32> pool_{};
    std::size_t left_ = 0;
};

/// xoshiro256** from a seed. For the simulator and tests only: predictable.
class SeededRandom final : public Random {
public:
    explicit SeededRandom(std::uint64_t seed);
    std::uint64_t u64() override;

private:
    std::array<std::uint64_t, 4> state_;
};

} // namespace brim
