#pragma once
// How long property history is kept: by age, and by the room it takes. Works in small steps, so that whoever
// shares the history's thread waits for one step at most.

#include "store/history.h"

#include <cstdint>

namespace brim::store {

struct RetentionLimits {
    std::int64_t age_ms_max = 0; ///< by original time; 0 = no limit
    std::uint64_t bytes_max = 0; ///< History::bytes_used(); 0 = no limit
    std::size_t points_per_step_max = 2'000;
    bool operator==(const RetentionLimits&) const = default;
};

class Retention {
public:
    enum class Next : std::uint8_t {
        go_on, ///< there is more to do now
        rest,  ///< all limits hold
        stuck, ///< over bytes_max with nothing left that may be dropped
    };

    struct Step {
        Next next = Next::rest;
        std::uint64_t dropped_by_age = 0;
        std::uint64_t dropped_by_bytes = 0;
    };

    explicit Retention(RetentionLimits limits) : limits_(limits) {}

    /// From the next step on; begins anew.
    void set_limits(const RetentionLimits& limits);
    /// On the thread of `history`. After an error it begins anew.
    Result<Step> step(History& history, std::int64_t now_ms);

private:
    enum class Phase : std::uint8_t { idle, age, measure, bytes };

    Result<Step> work(History& history, std::int64_t now_ms);
    /// Over bytes_max: how far back to keep, from the oldest point and how much is too much.
    Next plan(std::uint64_t used, std::int64_t now_ms);

    RetentionLimits limits_;
    Phase phase_ = Phase::idle;
    DropSweep sweep_;
    std::int64_t before_ms_ = 0;
    std::int64_t boost_ = 1; ///< doubled by every pass that found too little
};

} // namespace brim::store
