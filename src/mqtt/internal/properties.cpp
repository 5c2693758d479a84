#include "mqtt/internal/properties.h"

namespace brim::mqtt::wire {

namespace {

enum class Kind : std::uint8_t {
    none,
    flag,
    u16,
    u16_not_zero,
    u32,
    u32_not_zero,
    varint,
    text,
    binary,
    pair
};

constexpr unsigned ids_max = 43;

constexpr Kind kind_of(unsigned id) {
    if (id >= ids_max)
        return Kind::none;
    switch (static_cast<PropertyId>(id)) {
    case PropertyId::payload_format:
    case PropertyId::request_problem_information:
    case PropertyId::request_response_information:
    case PropertyId::qos_max:
    case PropertyId::retain_available:
    case PropertyId::wildcard_available:
    case PropertyId::subscription_ids_available:
    case PropertyId::shared_available:
        return Kind::flag;
    case PropertyId::server_keepalive:
    case PropertyId::topic_alias_max:
    case PropertyId::topic_alias:
        return Kind::u16;
    case PropertyId::receive_maximum:
        return Kind::u16_not_zero;
    case PropertyId::message_expiry:
    case PropertyId::session_expiry:
    case PropertyId::will_delay:
        return Kind::u32;
    case PropertyId::packet_bytes_max:
        return Kind::u32_not_zero;
    case PropertyId::subscription_id:
        return Kind::varint;
    case PropertyId::content_type:
    case PropertyId::response_topic:
    case PropertyId::assigned_client_id:
    case PropertyId::auth_method:
    case PropertyId::response_information:
    case PropertyId::server_reference:
    case PropertyId::reason_text:
        return Kind::text;
    case PropertyId::correlation:
    case PropertyId::auth_data:
        return Kind::binary;
    case PropertyId::user_property:
        return Kind::pair;
    }
    return Kind::none;
}

void read_value(PacketReader& in, PropertySet& set, unsigned id, const CodecLimits& limits) {
    switch (kind_of(id)) {
    case Kind::flag:
        set.number[id] = in.u8();
        if (set.number[id] > 1)
            in.protocol_error("a property that is 0 or 1 has another value");
        return;
    case Kind::u16:
        set.number[id] = in.u16();
        return;
    case Kind::u16_not_zero:
        set.number[id] = in.u16();
        if (in.ok() && set.number[id] == 0)
            in.protocol_error("Receive Maximum is 0");
        return;
    case Kind::u32:
        set.number[id] = in.u32();
        return;
    case Kind::u32_not_zero:
        set.number[id] = in.u32();
        if (in.ok() && set.number[id] == 0)
            in.protocol_error("Maximum Packet Size is 0");
        return;
    case Kind::varint:
        set.number[id] = in.varint();
        if (in.ok() && set.number[id] == 0)
            in.protocol_error("a subscription identifier is 0");
        if (in.ok())
            set.subscription_ids.push_back(set.number[id]);
        return;
    case Kind::text:
        set.text[id] = in.text();
        return;
    case Kind::binary:
        set.text[id] = in.prefixed();
        return;
    case Kind::pair: {
        const std::string_view name = in.text();
        const std::string_view value = in.text();
        if (set.user_properties.size() >= limits.user_properties_max) {
            in.fail("more user properties than the limit", ReasonCode::quota_exceeded);
        }
        if (in.ok())
            set.user_properties.emplace_back(name, value);
        return;
    }
    case Kind::none:
        in.fail("an unknown property");
        return;
    }
}

/// User properties may repeat anywhere; subscription identifiers only where a PUBLISH meets several
/// subscriptions.
bool may_repeat(PropertyId id, PropertyMask allowed) {
    return id == PropertyId::user_property ||
           (id == PropertyId::subscription_id && (allowed & mask_of({PropertyId::topic_alias})) != 0);
}

} // namespace

PropertySet read_properties(PacketReader& in, PropertyMask allowed, const CodecLimits& limits) {
    PropertySet set;
    const std::uint32_t size = in.varint();
    if (in.ok() && size > in.remaining())
        in.fail("the properties are longer than the packet");
    const ByteView block = in.view(size);
    PacketReader properties(block);
    while (properties.more()) {
        const std::uint32_t id = properties.varint();
        if (!properties.ok())
            break;
        if (kind_of(id) == Kind::none) {
            properties.fail("an unknown property");
            break;
        }
        const PropertyMask bit = PropertyMask{1} << id;
        if ((allowed & bit) == 0) {
            properties.protocol_error("a property that this packet may not have");
            break;
        }
        if ((set.present & bit) != 0 && !may_repeat(static_cast<PropertyId>(id), allowed)) {
            properties.protocol_error("a property is there twice");
            break;
        }
        set.present |= bit;
        read_value(properties, set, id, limits);
    }
    if (!properties.ok())
        in.fail(properties.error().cause, properties.error().reason);
    return set;
}

void PropertyWriter::number(PropertyId id, std::uint32_t value) {
    put_u8(block_, static_cast<std::uint8_t>(id));
    switch (kind_of(static_cast<unsigned>(id))) {
    case Kind::flag:
        put_u8(block_, static_cast<std::uint8_t>(value));
        return;
    case Kind::u16:
    case Kind::u16_not_zero:
        put_u16(block_, static_cast<std::uint16_t>(value));
        return;
    case Kind::varint:
        put_varint(block_, value);
        return;
    default:
        put_u32(block_, value);
        return;
    }
}

void PropertyWriter::text(PropertyId id, std::string_view value) {
    put_u8(block_, static_cast<std::uint8_t>(id));
    put_prefixed(block_, value);
}

void PropertyWriter::user(const UserProperties& properties) {
    for (const auto& [name, value] : properties) {
        put_u8(block_, static_cast<std::uint8_t>(PropertyId::user_property));
        put_prefixed(block_, name);
        put_prefixed(block_, value);
    }
}

void PropertyWriter::finish(Bytes& out) const {
    put_varint(out, static_cast<std::uint32_t>(block_.size()));
    out += block_;
}

} // namespace brim::mqtt::wire
