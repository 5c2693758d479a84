#include "base/time.h"

#include "base/assert.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace brim {

std::string to_rfc3339(WallTime time) {
    // RFC 3339 has four digits of year; a time outside shows as the nearest it can say.
    constexpr std::int64_t first_ms = -62'167'219'200'000; // 0000-01-01T00:00:00.000Z
    constexpr std::int64_t last_ms = 253'402'300'799'999;  // 9999-12-31T23:59:59.999Z
    const std::chrono::milliseconds since{std::clamp(time.ms, first_ms, last_ms)};
    const auto day = std::chrono::floor<std::chrono::days>(since);
    const std::chrono::year_month_day date{std::chrono::sys_days{day}};
    const std::chrono::hh_mm_ss clock{since - day};
    char text[64];
    const int size = std::snprintf(
        text,
        sizeof text,
        "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
        static_cast<int>(date.year()),
        static_cast<unsigned>(date.month()),
        static_cast<unsigned>(date.day()),
        static_cast<int>(clock.hours().count()),
        static_cast<int>(clock.minutes().count()),
        static_cast<int>(clock.seconds().count()),
        static_cast<int>(clock.subseconds().count())
    );
    return std::string(text, static_cast<std::size_t>(size));
}

namespace {

Duration read_clock(clockid_t id) {
    timespec now{};
    BRIM_ASSERT(clock_gettime(id, &now) == 0, "Linux has had this clock since 2.6.39");
    return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

} // namespace

Mono SystemClock::mono() const {
    return Mono{read_clock(CLOCK_BOOTTIME)};
}

WallTime SystemClock::wall() const {
    return WallTime{std::chrono::floor<std::chrono::milliseconds>(read_clock(CLOCK_REALTIME)).count()};
}

} // namespace brim
