#pragma once
// What a driver reports, checked against the thing model and stamped with the time it came, so that it means
// the same whenever it is sent on.

#include "edge/devices.h"
#include "edge/record.h"
#include "mqtt/packet.h"

#include <string>
#include <variant>
#include <vector>

namespace brim::edge {

/// Take it. Views and `samples` are valid until the next read().
struct Taken {
    ReportKind kind = ReportKind::other;
    ByteView payload; ///< as received, or rewritten with times and without what broke the model
    const std::vector<thing::Sample>* samples = nullptr; ///< property reports of a device with a model
    std::uint64_t left_out = 0;                          ///< values that broke the model
};

/// Refuse it: the PUBACK's reason, a metric label, and words for the log.
struct Refused {
    mqtt::ReasonCode reason = mqtt::ReasonCode::payload_format_invalid;
    std::string_view label;
    std::string text;
};

/// No I/O. Reuses its buffers: one object per loop.
class Intake {
public:
    static constexpr std::size_t payload_bytes_max = 262'144; ///< hub-protocol 2.2

    std::variant<Taken, Refused>
    read(const Device& device, const thing::DeviceTopic& topic, ByteView payload, WallTime now);

private:
    std::variant<Taken, Refused> read_properties(const thing::Model& model, ByteView payload, WallTime now);
    std::variant<Taken, Refused> stamp_properties(ByteView payload, WallTime now);
    std::variant<Taken, Refused>
    read_event(const Device& device, std::string_view event, ByteView payload, WallTime now);

    thing::PostReader reader_;
    thing::PropertyPost post_;
    std::string rewritten_;
};

} // namespace brim::edge
