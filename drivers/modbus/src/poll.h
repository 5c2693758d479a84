#pragma once
// What is due when, and how a device is: the decisions of polling without the polling. Pure; the caller
// brings the time.

#include "plan.h"
#include "settings.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace brim::modbus {

/// A device is online from its first good cycle and offline after three failed ones in a row.
class Health {
public:
    static constexpr unsigned failures_max = 3;

    /// True when this made it go online.
    bool answered() {
        failures_ = 0;
        const bool changed = !online_;
        online_ = true;
        return changed;
    }

    /// True when this made it go offline.
    bool failed() {
        if (failures_ < failures_max)
            ++failures_;
        const bool changed = online_ && failures_ == failures_max;
        if (changed)
            online_ = false;
        return changed;
    }

    bool online() const { return online_; }

private:
    bool online_ = false;
    unsigned failures_ = 0;
};

/// Points of one device with the same polling time: read together, reported together.
struct Group {
    std::uint32_t period_ms = 1'000;
    std::int64_t due_ms = 0;
    std::vector<Read> reads;
};

struct PointValue {
    std::size_t point = 0; ///< index into DeviceSettings::points
    Value value;
};

/// One device's schedule and memory of what it reported.
class DevicePoll {
public:
    DevicePoll(const DeviceSettings& settings, const ReadLimits& limits, std::int64_t now_ms);

    /// The group that has been due longest, and when; none for a device without points.
    std::optional<std::size_t> next_group() const;
    std::vector<Group> groups;
    Health health;

    /// Sets the next time of a group. Cycles that were missed are not caught up. While the device is offline
    /// it is asked no more often than five timeouts apart, so that it takes a sixth of the channel's time at
    /// most.
    void cycle_ended(std::size_t group, std::int64_t now_ms, std::uint32_t timeout_ms);

    /// The values of `read` out of `data`, in the model's kinds. Values that cannot be told (NaN, broken
    /// text) are left out.
    void collect(const Read& read, const std::vector<std::uint16_t>& data, std::vector<PointValue>& out);
    /// Drops the values that wait for a change and did not change; remembers the rest.
    void filter_unchanged(std::vector<PointValue>& values);

    /// True when the slave refuses this point for the first time, or for another reason than before.
    bool refused(std::size_t point, int exception);

    /// After an offline time everything is news.
    void forget() { last_.assign(last_.size(), std::nullopt); }

private:
    const DeviceSettings& settings_;
    std::vector<std::optional<Value>> last_;
    std::vector<int> exceptions_; ///< by point; 0 = served
};

/// `value` as the model's kind wants it: whole numbers rounded, real ones widened.
Value as_kind(Kind kind, Value value);

} // namespace brim::modbus
