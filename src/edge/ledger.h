#pragma once
// What became of every report, counted so that the sums must agree. Shown in /metrics and /status.

#include "base/metrics.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace brim::edge {

/// Since this start of the program. Two sums hold whenever nothing is between two steps:
///   accepted = stored + unsaved + (waiting for the disk)
///   held_at_start + stored = acknowledged + rejected + dropped + (still held)
/// `sent` counts transmissions: sent - acknowledged - rejected are those in flight or cut off.
class Ledger {
public:
    explicit Ledger(Metrics& metrics) : metrics_(metrics) {}

    std::uint64_t held_at_start = 0;
    std::uint64_t accepted = 0; ///< taken from a driver into the log
    std::uint64_t stored = 0;   ///< on disk, the driver has its acknowledgement
    std::uint64_t unsaved = 0;  ///< the disk refused: the driver was told and keeps the report
    std::uint64_t sent = 0;
    std::uint64_t acknowledged = 0; ///< by the hub

    /// Refused at the door, never accepted: reason denied, malformed, full, busy, too_large, io.
    void refuse(std::string_view reason) {
        add(refused_, "refused", "reports refused at the local bus", reason, 1);
    }

    /// Single values left out of an accepted report because they break the model.
    void leave_out(std::uint64_t count) {
        add(left_out_, "left_out", "values that break the model", "model", count);
    }

    /// The hub refused it for good.
    void reject(std::string_view reason) {
        add(rejected_, "rejected", "reports the hub refused for good", reason, 1);
    }

    /// Given up by policy: reason full, quarantined, no_session, unreadable.
    void drop(std::string_view reason, std::uint64_t count) {
        add(dropped_, "dropped", "stored reports given up", reason, count);
    }

    using Reasons = std::map<std::string, std::uint64_t, std::less<>>;

    const Reasons& refused() const { return refused_; }

    const Reasons& left_out() const { return left_out_; }

    const Reasons& rejected() const { return rejected_; }

    const Reasons& dropped() const { return dropped_; }

    static std::uint64_t sum(const Reasons& reasons);
    /// Both sums, for `held` reports not settled yet and `waiting` ones not on disk yet.
    bool balanced(std::uint64_t held, std::uint64_t waiting) const;

private:
    void
    add(Reasons& to,
        std::string_view what,
        std::string_view help,
        std::string_view reason,
        std::uint64_t count);

    Metrics& metrics_;
    Reasons refused_, left_out_, rejected_, dropped_;
};

} // namespace brim::edge
