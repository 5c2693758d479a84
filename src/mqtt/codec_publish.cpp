// PUBLISH: the hot path.

#include "mqtt/codec.h"
#include "mqtt/internal/properties.h"
#include "mqtt/topic_filter.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

using wire::PacketReader;
using wire::PropertyId;

constexpr wire::PropertyMask publish_properties_client = wire::mask_of(
    {PropertyId::payload_format,
     PropertyId::message_expiry,
     PropertyId::topic_alias,
     PropertyId::response_topic,
     PropertyId::correlation,
     PropertyId::user_property,
     PropertyId::content_type}
);
constexpr wire::PropertyMask publish_properties_server =
    publish_properties_client | wire::mask_of({PropertyId::subscription_id});

void read_publish_properties(PacketReader& in, Publish& packet, Sender from, const CodecLimits& limits) {
    if (in.take_zero())
        return; // an empty block, as most are: spares the whole set
    wire::PropertySet set = wire::read_properties(
        in, from == Sender::client ? publish_properties_client : publish_properties_server, limits
    );
    packet.payload_is_utf8 = set.flag_or(PropertyId::payload_format, false);
    if (set.has(PropertyId::message_expiry))
        packet.expiry_s = set.number_or(PropertyId::message_expiry, 0);
    packet.topic_alias = static_cast<std::uint16_t>(set.number_or(PropertyId::topic_alias, 0));
    if (set.has(PropertyId::topic_alias) && packet.topic_alias == 0) {
        in.fail("topic alias 0", ReasonCode::topic_alias_invalid);
    }
    packet.response_topic = set.text_of(PropertyId::response_topic);
    if (set.has(PropertyId::response_topic) &&
        !is_topic_name(packet.response_topic, limits.topic_bytes_max, limits.topic_levels_max)) {
        in.protocol_error("the response topic is no topic name");
    }
    packet.correlation = set.text_of(PropertyId::correlation);
    packet.content_type = set.text_of(PropertyId::content_type);
    packet.subscription_ids = std::move(set.subscription_ids);
    packet.user_properties = std::move(set.user_properties);
}

/// Most messages have none; the property block of such a one is a single zero byte.
bool has_properties(const Publish& packet) {
    return packet.payload_is_utf8 || packet.expiry_s >= 0 || packet.topic_alias != 0 ||
           !packet.response_topic.empty() || !packet.correlation.empty() || !packet.content_type.empty() ||
           !packet.subscription_ids.empty() || !packet.user_properties.empty();
}

void put_publish_properties(Bytes& out, const Publish& packet) {
    wire::PropertyWriter properties;
    if (packet.payload_is_utf8)
        properties.number(PropertyId::payload_format, 1);
    if (packet.expiry_s >= 0)
        properties.number(PropertyId::message_expiry, static_cast<std::uint32_t>(packet.expiry_s));
    if (packet.topic_alias != 0)
        properties.number(PropertyId::topic_alias, packet.topic_alias);
    if (!packet.response_topic.empty())
        properties.text(PropertyId::response_topic, packet.response_topic);
    if (!packet.correlation.empty())
        properties.text(PropertyId::correlation, packet.correlation);
    for (const std::uint32_t id : packet.subscription_ids)
        properties.number(PropertyId::subscription_id, id);
    if (!packet.content_type.empty())
        properties.text(PropertyId::content_type, packet.content_type);
    properties.user(packet.user_properties);
    properties.finish(out);
}

} // namespace

PacketError decode_publish_fields(
    const Frame& frame, ProtocolVersion version, Sender from, const CodecLimits& limits, Publish& packet
) {
    PacketReader in(frame.body);
    packet.qos = frame.flags >> 1 & 3;
    packet.retain = (frame.flags & 1) != 0;
    packet.dup = (frame.flags & 8) != 0;
    packet.packet_id = 0;
    packet.payload_is_utf8 = false;
    packet.expiry_s = -1;
    packet.topic_alias = 0;
    packet.response_topic = {};
    packet.correlation = {};
    packet.content_type = {};
    packet.subscription_ids.clear();
    packet.user_properties.clear();
    if (packet.qos == 3)
        in.fail("QoS 3");
    if (packet.dup && packet.qos == 0)
        in.fail("DUP with QoS 0");
    packet.topic = in.prefixed();
    if (packet.qos != 0) {
        packet.packet_id = in.u16();
        if (in.ok() && packet.packet_id == 0)
            in.protocol_error("packet identifier 0");
    }
    if (in.ok() && version == ProtocolVersion::v5)
        read_publish_properties(in, packet, from, limits);
    packet.payload = in.rest();
    if (in.ok() && packet.payload_is_utf8 && !is_utf8(packet.payload)) {
        in.fail("the payload is not the UTF-8 it claims", ReasonCode::payload_format_invalid);
    }
    return in.error();
}

PacketError check_publish_topic(const Publish& packet, ProtocolVersion version, const CodecLimits& limits) {
    if (packet.topic.empty() && packet.topic_alias != 0)
        return {ReasonCode::success, nullptr};
    if (!is_mqtt_text(packet.topic))
        return {ReasonCode::malformed_packet, "the topic is not UTF-8 text that MQTT allows"};
    if (packet.topic.empty() && version == ProtocolVersion::v5)
        return {ReasonCode::protocol_error, "an empty topic without a topic alias"};
    if (!is_topic_name(packet.topic, limits.topic_bytes_max, limits.topic_levels_max))
        return {ReasonCode::topic_name_invalid, "the topic is empty, too long or holds a wildcard"};
    return {ReasonCode::success, nullptr};
}

PacketError decode_publish_into(
    const Frame& frame, ProtocolVersion version, Sender from, const CodecLimits& limits, Publish& packet
) {
    const PacketError error = decode_publish_fields(frame, version, from, limits, packet);
    return error.cause != nullptr ? error : check_publish_topic(packet, version, limits);
}

Decoded<Publish>
decode_publish(const Frame& frame, ProtocolVersion version, Sender from, const CodecLimits& limits) {
    Publish packet;
    const PacketError error = decode_publish_into(frame, version, from, limits, packet);
    if (error.cause != nullptr)
        return std::unexpected<PacketError>(error);
    return packet;
}

std::size_t encode_plain_publish(
    Bytes& out,
    std::string_view topic,
    ByteView payload,
    unsigned flags,
    std::uint16_t packet_id,
    ProtocolVersion version
) {
    const bool has_id = (flags & 6u) != 0;
    const bool is_v5 = version == ProtocolVersion::v5;
    const std::size_t body_bytes = 2 + topic.size() + (has_id ? 2u : 0u) + (is_v5 ? 1u : 0u) + payload.size();
    constexpr std::size_t head_bytes_max = 1 + 4;
    const std::size_t before = out.size();
    std::size_t id_offset = 0;
    // Written in place: bytes that are put together one by one elsewhere and copied at once wait for each
    // other in the processor.
    out.resize_and_overwrite(before + head_bytes_max + body_bytes, [&](char* start, std::size_t) {
        char* at = start + before;
        *at++ = static_cast<char>(static_cast<unsigned>(PacketType::publish) << 4 | flags);
        std::size_t rest = body_bytes;
        do {
            *at++ = static_cast<char>((rest & 0x7F) | (rest > 0x7F ? 0x80 : 0));
            rest >>= 7;
        } while (rest != 0);
        *at++ = static_cast<char>(topic.size() >> 8);
        *at++ = static_cast<char>(topic.size() & 0xFF);
        at += topic.copy(at, topic.size());
        if (has_id) {
            id_offset = static_cast<std::size_t>(at - start);
            *at++ = static_cast<char>(packet_id >> 8);
            *at++ = static_cast<char>(packet_id & 0xFF);
        }
        if (is_v5)
            *at++ = '\0';
        at += payload.copy(at, payload.size());
        return static_cast<std::size_t>(at - start);
    });
    return id_offset;
}

std::size_t encode_publish(Bytes& out, const Publish& packet, ProtocolVersion version) {
    const unsigned flags =
        (packet.dup ? 8u : 0u) | static_cast<unsigned>(packet.qos << 1) | (packet.retain ? 1u : 0u);
    if (version != ProtocolVersion::v5 || !has_properties(packet))
        return encode_plain_publish(out, packet.topic, packet.payload, flags, packet.packet_id, version);
    Bytes properties;
    put_publish_properties(properties, packet);
    const std::size_t body_bytes =
        2 + packet.topic.size() + (packet.qos == 0 ? 0 : 2) + properties.size() + packet.payload.size();
    put_u8(out, static_cast<std::uint8_t>(static_cast<unsigned>(PacketType::publish) << 4 | flags));
    put_varint(out, static_cast<std::uint32_t>(body_bytes));
    put_prefixed(out, packet.topic);
    std::size_t id_offset = 0;
    if (packet.qos != 0) {
        id_offset = out.size();
        put_u16(out, packet.packet_id);
    }
    out += properties;
    out += packet.payload;
    return id_offset;
}

void patch_packet_id(Bytes& packet, std::size_t offset, std::uint16_t packet_id) {
    packet[offset] = static_cast<char>(packet_id >> 8);
    packet[offset + 1] = static_cast<char>(packet_id & 0xFF);
}

Publish publish_view(const Message& message) {
    Publish packet;
    packet.topic = message.topic;
    packet.payload = message.payload;
    packet.qos = message.qos;
    packet.retain = message.retain;
    packet.payload_is_utf8 = message.payload_is_utf8;
    packet.expiry_s = message.expiry_s;
    packet.response_topic = message.response_topic;
    packet.correlation = message.correlation;
    packet.content_type = message.content_type;
    packet.user_properties.assign(message.user_properties.begin(), message.user_properties.end());
    return packet;
}

bool is_plain(const Message& message) {
    return !message.payload_is_utf8 && message.expiry_s < 0 && message.response_topic.empty() &&
           message.correlation.empty() && message.content_type.empty() && message.user_properties.empty();
}

bool is_sound(const Message& message, const CodecLimits& limits) noexcept {
    const auto is_text = [](std::string_view text) { return text.size() <= 65'535 && is_mqtt_text(text); };
    const auto is_topic = [&](std::string_view text) {
        return is_text(text) && is_topic_name(text, limits.topic_bytes_max, limits.topic_levels_max);
    };
    return message.qos <= 2 && is_topic(message.topic) &&
           (message.response_topic.empty() || is_topic(message.response_topic)) &&
           is_text(message.content_type) && message.correlation.size() <= 65'535 &&
           std::all_of(
               message.user_properties.begin(),
               message.user_properties.end(),
               [&](const auto& property) { return is_text(property.first) && is_text(property.second); }
           ) &&
           (!message.payload_is_utf8 || is_utf8(message.payload));
}

void fill_message(Message& message, const Publish& packet, std::string_view topic) {
    message.topic = topic;
    message.payload = packet.payload;
    message.qos = packet.qos;
    message.retain = packet.retain;
    message.payload_is_utf8 = packet.payload_is_utf8;
    message.content_type = packet.content_type;
    message.response_topic = packet.response_topic;
    message.correlation = packet.correlation;
    message.user_properties.assign(packet.user_properties.begin(), packet.user_properties.end());
    message.expiry_s = packet.expiry_s;
}

Message message_from(const Publish& packet, std::string_view topic) {
    Message message;
    fill_message(message, packet, topic);
    return message;
}

} // namespace brim::mqtt
