#include "store/retention.h"

#include <algorithm>

namespace brim::store {

namespace {

constexpr std::int64_t span_ms_min = 3'600'000;
constexpr std::int64_t boost_max = std::int64_t{1} << 40;

} // namespace

void Retention::set_limits(const RetentionLimits& limits) {
    limits_ = limits;
    phase_ = Phase::idle;
    boost_ = 1;
}

Result<Retention::Step> Retention::step(History& history, std::int64_t now_ms) {
    auto done = work(history, now_ms);
    if (!done || done->next != Next::go_on) {
        phase_ = Phase::idle;
        boost_ = 1;
    }
    return done;
}

Result<Retention::Step> Retention::work(History& history, std::int64_t now_ms) {
    if (phase_ == Phase::idle) {
        if (limits_.age_ms_max == 0 && limits_.bytes_max == 0)
            return Step{};
        // A pass by age measures as well; without a limit of age it drops nothing.
        phase_ = limits_.age_ms_max == 0 ? Phase::measure : Phase::age;
        before_ms_ = limits_.age_ms_max == 0 ? INT64_MIN : now_ms - limits_.age_ms_max;
        sweep_ = {};
    }
    Step step;
    if (limits_.bytes_max != 0 && phase_ != Phase::age) {
        const auto used = history.bytes_used();
        if (!used)
            return fail(used.error());
        if (*used <= limits_.bytes_max)
            return step;
    }
    const std::uint64_t before = sweep_.dropped;
    BRIM_TRY(history.drop_step(before_ms_, limits_.points_per_step_max, sweep_));
    (phase_ == Phase::bytes ? step.dropped_by_bytes : step.dropped_by_age) = sweep_.dropped - before;
    step.next = Next::go_on;
    if (!sweep_.done)
        return step;
    if (limits_.bytes_max == 0) {
        step.next = Next::rest;
        return step;
    }
    const auto used = history.bytes_used();
    if (!used)
        return fail(used.error());
    step.next = plan(*used, now_ms);
    return step;
}

Retention::Next Retention::plan(std::uint64_t used, std::int64_t now_ms) {
    if (used <= limits_.bytes_max)
        return Next::rest;
    if (sweep_.oldest_ms == INT64_MAX)
        return Next::stuck;
    // As if points were spread evenly over time, half of the way: what is dropped too much is gone.
    boost_ = phase_ == Phase::bytes && sweep_.dropped == 0 ? std::min(boost_ * 2, boost_max) : 1;
    const double excess = static_cast<double>(used - limits_.bytes_max) / static_cast<double>(used);
    const double span = std::max(
        static_cast<double>(now_ms) - static_cast<double>(sweep_.oldest_ms), static_cast<double>(span_ms_min)
    );
    const double way = std::min(span * excess / 2 * static_cast<double>(boost_), 4e18);
    const double before = static_cast<double>(sweep_.oldest_ms) + std::max(way, 1.0);
    before_ms_ =
        before > 9e18 ? INT64_MAX : std::max(static_cast<std::int64_t>(before), sweep_.oldest_ms + 1);
    phase_ = Phase::bytes;
    sweep_ = {};
    return Next::go_on;
}

} // namespace brim::store
