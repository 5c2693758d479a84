#include "edge/lanes.h"

#include <algorithm>

namespace brim::edge {

LaneShare::LaneShare(unsigned backlog_percent) : percent_(std::clamp(backlog_percent, 1U, 99U)) {}

std::optional<Lane> LaneShare::pick(bool backlog_ready, bool live_ready) {
    if (!backlog_ready && !live_ready)
        return std::nullopt;
    if (!live_ready)
        return Lane::backlog;
    if (!backlog_ready)
        return Lane::live;
    credit_ += percent_;
    if (credit_ < 100)
        return Lane::live;
    credit_ -= 100;
    return Lane::backlog;
}

bool RecordRate::ready(Mono now) {
    return wait(now) == Duration::zero();
}

Duration RecordRate::wait(Mono now) {
    if (rate_ <= 0)
        return Duration::zero();
    if (filled_ && now > *filled_) {
        const double seconds = std::chrono::duration<double>(now - *filled_).count();
        tokens_ = std::min(burst(), tokens_ + seconds * rate_);
    }
    filled_ = now;
    if (tokens_ >= 1)
        return Duration::zero();
    const auto wait = std::chrono::duration<double>((1 - tokens_) / rate_);
    return std::max<Duration>(std::chrono::duration_cast<Duration>(wait), std::chrono::milliseconds{1});
}

} // namespace brim::edge
