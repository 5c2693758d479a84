#pragma once
// How the uplink's window is shared after an outage: the backlog gets its part, live reports get theirs, and
// neither waits for the other to finish. Pure arithmetic; the forwarder drives it.

#include "base/time.h"

#include <cstdint>
#include <optional>

namespace brim::edge {

enum class Lane : std::uint8_t { backlog, live };

/// Shares sends between the two lanes by weight (deficit round robin with a quantum of one record). While
/// both have something to send, of any N sends in a row the backlog gets N * percent / 100, give or take one;
/// a lane alone gets everything. State is one number, so a window of 1 is shared as exactly as one of 1,000.
class LaneShare {
public:
    /// `backlog_percent` is clamped to 1..99: a share of nothing would be a loss with another name.
    explicit LaneShare(unsigned backlog_percent);
    /// Which lane sends next; nothing when neither is ready. Each answer is taken as one record sent.
    std::optional<Lane> pick(bool backlog_ready, bool live_ready);

private:
    unsigned percent_;
    unsigned credit_ = 0; ///< 0..199
};

/// At most `rate` records a second on the monotonic clock, with a burst of a tenth of a second (at least 1).
/// A rate of 0 does not limit.
class RecordRate {
public:
    explicit RecordRate(double rate_per_s) : rate_(rate_per_s), tokens_(burst()) {}

    /// True when a record may be sent now.
    bool ready(Mono now);

    /// Takes one; call only after ready().
    void take() { tokens_ -= rate_ > 0 ? 1 : 0; }

    /// How long until the next one may be sent; zero when ready.
    Duration wait(Mono now);

private:
    double burst() const { return rate_ / 10 > 1 ? rate_ / 10 : 1; }

    double rate_;
    double tokens_;
    std::optional<Mono> filled_;
};

} // namespace brim::edge
