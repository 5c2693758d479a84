#pragma once
// A rate with a burst of one second's worth, in 8 bytes: the generic cell rate algorithm.

#include "base/time.h"

#include <algorithm>
#include <cstdint>

namespace brim::mqtt {

/// The rate comes with each call, in units a second, at least 1. Full at first. In n seconds rate * (n + 1)
/// units pass at most, and no refused attempt costs one.
class TokenBucket {
public:
    /// Whether a unit is there.
    bool has(Mono now, std::uint32_t rate) const {
        return std::max(paid_, now) + time_of(1, rate) <= now + burst;
    }

    /// Takes `units` (below 2^32); more than there are leave a debt, which has() waits for.
    void take(Mono now, std::uint64_t units, std::uint32_t rate) {
        paid_ = std::max(paid_, now) + time_of(units, rate);
    }

    /// When there is a unit at the earliest; not after `now` when there is one.
    Mono next(std::uint32_t rate) const { return paid_ + time_of(1, rate) - burst; }

    /// Nothing would change if it were a new one.
    bool is_full(Mono now) const { return paid_ <= now; }

private:
    static constexpr Duration burst = std::chrono::seconds{1};

    static Duration time_of(std::uint64_t units, std::uint32_t rate) {
        return Duration{static_cast<std::int64_t>(units * 1'000'000'000 / rate)};
    }

    Mono paid_{}; ///< when all that was taken is paid for
};

} // namespace brim::mqtt
