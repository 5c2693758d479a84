#pragma once
// Two times that cannot be mixed up: Mono never jumps and runs timers; Wall is for people and may jump.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace brim {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

/// Time since an arbitrary start of this machine, counting suspend (CLOCK_BOOTTIME).
struct MonoClock {
    using duration = Duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<MonoClock>;
    static constexpr bool is_steady = true;
};

using Mono = MonoClock::time_point;

/// Milliseconds since 1970-01-01 UTC, as the wire formats carry it.
struct WallTime {
    std::int64_t ms = 0;
    auto operator<=>(const WallTime&) const = default;
};

/// RFC 3339 with milliseconds in UTC: "2026-11-21T02:07:01.250Z".
std::string to_rfc3339(WallTime time);

/// Where time comes from; the simulator has its own. Thread-safe.
class Clock {
public:
    virtual ~Clock() = default;
    virtual Mono mono() const = 0;
    virtual WallTime wall() const = 0;
};

/// The machine's clocks.
class SystemClock final : public Clock {
public:
    Mono mono() const override;
    WallTime wall() const override;
};

} // namespace brim
