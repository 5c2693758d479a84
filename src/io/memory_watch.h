#pragma once
// Looks at the memory that is left, tells how short it is, and shows it: metrics brim_memory_limit_bytes,
// brim_memory_used_bytes, brim_memory_pressure (0 none, 1 high, 2 critical), one log line a change.

#include "base/pressure.h"
#include "io/env.h"

#include <cstddef>
#include <cstdint>
#include <functional>

namespace brim::io {

/// Shares are of the limit, in percent.
struct PressureLimits {
    unsigned near_percent = 60;     ///< from here on it is looked at more often
    unsigned high_percent = 80;     ///< Pressure::high from here
    unsigned critical_percent = 92; ///< Pressure::critical from here
    unsigned back_percent = 5;      ///< a level ends this much below where it begins
    Duration look_every{std::chrono::seconds{2}};
    Duration look_every_near{std::chrono::milliseconds{250}};
    /// A look is also due when 1/32 of the limit was moved since the last: at 92 % there is room for two of
    /// them.
    unsigned moved_share = 32;
    Duration release_every{std::chrono::seconds{5}}; ///< of Env::release_memory() while short
};

/// What `use` means for who was at `before`: levels rise at once and fall 5 % below where they began, so that
/// what is given up at one does not bring it back a moment later.
Pressure pressure_of(const MemoryUse& use, Pressure before, const PressureLimits& limits = {});

/// Loop thread only. Does nothing at all where the limit is unknown.
class MemoryWatch {
public:
    /// `told` hears every look while the pressure is above none, and each change, on the loop and never from
    /// inside moved().
    using Told = std::function<void(Pressure)>;

    MemoryWatch(Env& env, Told told, PressureLimits limits = {});

    /// Bytes came in or went out: many of them make a look due before its time, in the next turn.
    void moved(std::size_t bytes) {
        moved_bytes_ += bytes;
        if (moved_bytes_ >= look_after_bytes_)
            look_soon();
    }

    void stop();

    Pressure pressure() const { return pressure_; }

private:
    void look();
    void look_soon();
    void show(const MemoryUse& use);
    void log_change(const MemoryUse& use) const;

    Env& env_;
    const Told told_;
    const PressureLimits limits_;
    Pressure pressure_ = Pressure::none;
    std::uint64_t moved_bytes_ = 0;
    std::uint64_t look_after_bytes_ = UINT64_MAX; ///< never, while the limit is unknown
    Gauge* limit_shown_ = nullptr;
    Gauge* used_shown_ = nullptr;
    Gauge* pressure_shown_ = nullptr;
    Mono released_{};
    Timer timer_;
};

} // namespace brim::io
