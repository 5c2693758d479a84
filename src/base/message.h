#pragma once
// The one message. Everything that moves in Brim is this: made once where it enters, never changed, never
// copied.

#include "base/bytes.h"
#include "base/time.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace brim {

/// Immutable once shared. Topics and text are valid MQTT UTF-8.
struct Message {
    std::string topic;
    Bytes payload;
    std::uint8_t qos = 0; ///< as published: 0, 1 or 2
    bool retain = false;
    bool payload_is_utf8 = false; ///< MQTT 5 payload format indicator
    std::string content_type;
    std::string response_topic;
    Bytes correlation;
    std::vector<std::pair<std::string, std::string>> user_properties; ///< in the order received
    std::int64_t expiry_s = -1; ///< message expiry interval in seconds as received; -1 = never
    std::string origin;         ///< who it came from: session key of the publisher, or a component name
    WallTime time;              ///< when it was accepted
    Mono accepted{};            ///< the same, for expiry
};

/// Shared by the sessions and flows a message is queued in; the last one frees it.
using MessagePtr = std::shared_ptr<const Message>;

} // namespace brim
