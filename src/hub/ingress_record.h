#pragma once
// One record of the hub's ingress log: a device's report as typed values, with where it came from. Format in
// README.md.

#include "base/bytes.h"
#include "hub/registry.h"
#include "thing/value.h"

#include <optional>
#include <string>
#include <vector>

namespace brim::hub {

enum class RecordKind : std::uint8_t {
    values = 1, ///< property values
    event = 2,  ///< one event: a composite value in the product's "event:" history column
    settle = 3, ///< only an uplink mark: nothing was kept of the message
    run = 4,    ///< an edge started: what it delivered with numbers from `seq` on were other messages
};

struct IngressSample {
    PropertyId property = 0;
    std::int64_t time_ms = 0;
    thing::Value value;
    bool operator==(const IngressSample&) const = default;
};

struct IngressRecord {
    RecordKind kind = RecordKind::values;
    DeviceId device = 0;
    std::int64_t received_ms = 0;
    bool replay = false;
    bool history = false; ///< reported as history: does not change current values
    // The uplink mark; absent when gateway is 0.
    DeviceId gateway = 0;
    std::string store; ///< 32 hex digits
    std::uint64_t seq = 0;
    std::uint64_t low = 0;
    std::string run; ///< kind run only: 16 hex digits; `seq` is the first number of the run
    std::vector<IngressSample> samples; ///< at most 1,000
    bool operator==(const IngressRecord&) const = default;
};

/// Appends the binary form to `out`. A record of kind run has a mark, a run and neither history nor replay.
void encode_record(const IngressRecord& record, Bytes& out);
/// Errc::corrupt for anything encode_record() would not write; Errc::unsupported for a newer form.
Result<IngressRecord> decode_record(ByteView bytes);

} // namespace brim::hub
