#pragma once
// The property block of MQTT 5 (section 2.2.2): one table of identifiers, one reader, one writer.

#include "mqtt/internal/wire.h"

#include <initializer_list>

namespace brim::mqtt::wire {

enum class PropertyId : std::uint8_t {
    payload_format = 1,
    message_expiry = 2,
    content_type = 3,
    response_topic = 8,
    correlation = 9,
    subscription_id = 11,
    session_expiry = 17,
    assigned_client_id = 18,
    server_keepalive = 19,
    auth_method = 21,
    auth_data = 22,
    request_problem_information = 23,
    will_delay = 24,
    request_response_information = 25,
    response_information = 26,
    server_reference = 28,
    reason_text = 31,
    receive_maximum = 33,
    topic_alias_max = 34,
    topic_alias = 35,
    qos_max = 36,
    retain_available = 37,
    user_property = 38,
    packet_bytes_max = 39,
    wildcard_available = 40,
    subscription_ids_available = 41,
    shared_available = 42,
};

using PropertyMask = std::uint64_t;

constexpr PropertyMask mask_of(std::initializer_list<PropertyId> ids) {
    PropertyMask mask = 0;
    for (const PropertyId id : ids)
        mask |= PropertyMask{1} << static_cast<unsigned>(id);
    return mask;
}

/// All properties of one packet. Numbers sit in `number`, text and binary in `text`, both indexed by
/// identifier.
struct PropertySet {
    PropertyMask present = 0;
    std::uint32_t number[43] = {};
    std::string_view text[43] = {};
    std::vector<std::uint32_t> subscription_ids;
    UserProperties user_properties;

    bool has(PropertyId id) const { return (present >> static_cast<unsigned>(id) & 1) != 0; }

    std::uint32_t number_or(PropertyId id, std::uint32_t fallback) const {
        return has(id) ? number[static_cast<unsigned>(id)] : fallback;
    }

    bool flag_or(PropertyId id, bool fallback) const { return number_or(id, fallback ? 1 : 0) != 0; }

    std::string_view text_of(PropertyId id) const { return text[static_cast<unsigned>(id)]; }
};

/// Reads the length and the properties behind it. Unknown, repeated, misplaced or out-of-range ones fail `in`
/// with the reason the standard names.
PropertySet read_properties(PacketReader& in, PropertyMask allowed, const CodecLimits& limits);

/// Collects properties and appends them, length first.
class PropertyWriter {
public:
    void number(PropertyId id, std::uint32_t value);
    void text(PropertyId id, std::string_view value);
    void user(const UserProperties& properties);
    void finish(Bytes& out) const;

    bool empty() const { return block_.empty(); }

private:
    Bytes block_;
};

} // namespace brim::mqtt::wire
