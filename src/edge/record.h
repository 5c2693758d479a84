#pragma once
// One stored report, as it lies in the uplink log. Layout (big-endian): u8 format (1), u8 kind, u64 wall time
// in ms when it was accepted, u16 + topic, payload to the end.

#include "base/bytes.h"
#include "base/time.h"
#include "thing/envelope.h"

#include <cstdint>

namespace brim::edge {

enum class ReportKind : std::uint8_t { property = 1, event = 2, other = 3 };

/// Views into the record's bytes.
struct Report {
    ReportKind kind = ReportKind::other;
    WallTime time;
    ByteView topic;
    ByteView payload;
    ByteView product_key; ///< out of the topic
    ByteView device_name;

    thing::DeviceKey device() const { return {std::string(product_key), std::string(device_name)}; }
};

Bytes encode_report(ReportKind kind, WallTime time, std::string_view topic, ByteView payload);
/// Errc::unsupported for a newer format, Errc::malformed for bytes that are no report.
Result<Report> decode_report(ByteView record);

} // namespace brim::edge
