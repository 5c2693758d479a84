// CONNECT and CONNACK.

#include "mqtt/codec.h"
#include "mqtt/internal/properties.h"
#include "mqtt/topic_filter.h"

namespace brim::mqtt {

namespace {

using wire::PacketReader;
using wire::PropertyId;
using wire::PropertySet;
using wire::PropertyWriter;

constexpr wire::PropertyMask connect_properties = wire::mask_of(
    {PropertyId::session_expiry,
     PropertyId::receive_maximum,
     PropertyId::packet_bytes_max,
     PropertyId::topic_alias_max,
     PropertyId::request_response_information,
     PropertyId::request_problem_information,
     PropertyId::user_property,
     PropertyId::auth_method,
     PropertyId::auth_data}
);

constexpr wire::PropertyMask will_properties = wire::mask_of(
    {PropertyId::will_delay,
     PropertyId::payload_format,
     PropertyId::message_expiry,
     PropertyId::content_type,
     PropertyId::response_topic,
     PropertyId::correlation,
     PropertyId::user_property}
);

constexpr wire::PropertyMask connack_properties = wire::mask_of(
    {PropertyId::session_expiry,
     PropertyId::receive_maximum,
     PropertyId::qos_max,
     PropertyId::retain_available,
     PropertyId::packet_bytes_max,
     PropertyId::assigned_client_id,
     PropertyId::topic_alias_max,
     PropertyId::reason_text,
     PropertyId::user_property,
     PropertyId::wildcard_available,
     PropertyId::subscription_ids_available,
     PropertyId::shared_available,
     PropertyId::server_keepalive,
     PropertyId::response_information,
     PropertyId::server_reference,
     PropertyId::auth_method,
     PropertyId::auth_data}
);

void read_version(PacketReader& in, Connect& packet) {
    const ByteView name = in.prefixed();
    const std::uint8_t level = in.u8();
    if (!in.ok())
        return;
    const bool is_31 = name == "MQIsdp" && level == 3;
    const bool is_311_or_5 = name == "MQTT" && (level == 4 || level == 5);
    if (name != "MQIsdp" && name != "MQTT")
        in.fail("the protocol name is neither MQTT nor MQIsdp");
    if (!is_31 && !is_311_or_5)
        in.fail("a protocol version we do not speak", ReasonCode::unsupported_protocol_version);
    packet.version = static_cast<ProtocolVersion>(level);
}

void read_connect_properties(PacketReader& in, Connect& packet, const CodecLimits& limits) {
    PropertySet set = wire::read_properties(in, connect_properties, limits);
    packet.session_expiry_s = set.number_or(PropertyId::session_expiry, 0);
    packet.receive_maximum = static_cast<std::uint16_t>(set.number_or(PropertyId::receive_maximum, 65'535));
    packet.packet_bytes_max = set.number_or(PropertyId::packet_bytes_max, 0);
    packet.topic_alias_max = static_cast<std::uint16_t>(set.number_or(PropertyId::topic_alias_max, 0));
    packet.request_response_information = set.flag_or(PropertyId::request_response_information, false);
    packet.request_problem_information = set.flag_or(PropertyId::request_problem_information, true);
    packet.has_auth_method = set.has(PropertyId::auth_method);
    packet.auth_method = set.text_of(PropertyId::auth_method);
    packet.auth_data = set.text_of(PropertyId::auth_data);
    if (set.has(PropertyId::auth_data) && !packet.has_auth_method) {
        in.protocol_error("authentication data without a method");
    }
    packet.user_properties = std::move(set.user_properties);
}

void read_will(PacketReader& in, Connect& packet, std::uint8_t flags, const CodecLimits& limits) {
    auto will = std::make_shared<Message>();
    will->qos = flags >> 3 & 3;
    will->retain = (flags & 0x20) != 0;
    if (packet.version == ProtocolVersion::v5) {
        const PropertySet set = wire::read_properties(in, will_properties, limits);
        packet.will_delay_s = set.number_or(PropertyId::will_delay, 0);
        will->payload_is_utf8 = set.flag_or(PropertyId::payload_format, false);
        if (set.has(PropertyId::message_expiry))
            will->expiry_s = set.number_or(PropertyId::message_expiry, 0);
        will->content_type = set.text_of(PropertyId::content_type);
        will->response_topic = set.text_of(PropertyId::response_topic);
        will->correlation = set.text_of(PropertyId::correlation);
        for (const auto& [name, value] : set.user_properties)
            will->user_properties.emplace_back(name, value);
        if (set.has(PropertyId::response_topic) &&
            !is_topic_name(will->response_topic, limits.topic_bytes_max, limits.topic_levels_max)) {
            in.protocol_error("the will's response topic is no topic name");
        }
    }
    will->topic = in.text();
    if (in.ok() && !is_topic_name(will->topic, limits.topic_bytes_max, limits.topic_levels_max)) {
        in.fail("the will's topic is no topic name", ReasonCode::topic_name_invalid);
    }
    will->payload = in.prefixed();
    if (in.ok() && will->payload_is_utf8 && !is_utf8(will->payload)) {
        in.fail("the will's payload is not the UTF-8 it claims", ReasonCode::payload_format_invalid);
    }
    packet.will = std::move(will);
}

void check_connect_flags(PacketReader& in, std::uint8_t flags, ProtocolVersion version) {
    const bool has_will = (flags & 0x04) != 0;
    const unsigned will_qos = flags >> 3 & 3;
    if ((flags & 0x01) != 0)
        in.fail("a reserved CONNECT flag is set");
    if (will_qos == 3)
        in.fail("will QoS 3");
    if (!has_will && (flags & 0x38) != 0)
        in.fail("will QoS or will retain without a will");
    if ((flags & 0x40) != 0 && (flags & 0x80) == 0 && version != ProtocolVersion::v5) {
        in.fail("a password without a user name");
    }
}

void put_will(Bytes& body, const Connect& packet) {
    const Message& will = *packet.will;
    if (packet.version == ProtocolVersion::v5) {
        PropertyWriter properties;
        if (packet.will_delay_s != 0)
            properties.number(PropertyId::will_delay, packet.will_delay_s);
        if (will.payload_is_utf8)
            properties.number(PropertyId::payload_format, 1);
        if (will.expiry_s >= 0)
            properties.number(PropertyId::message_expiry, static_cast<std::uint32_t>(will.expiry_s));
        if (!will.content_type.empty())
            properties.text(PropertyId::content_type, will.content_type);
        if (!will.response_topic.empty())
            properties.text(PropertyId::response_topic, will.response_topic);
        if (!will.correlation.empty())
            properties.text(PropertyId::correlation, will.correlation);
        properties.user(UserProperties(will.user_properties.begin(), will.user_properties.end()));
        properties.finish(body);
    }
    put_prefixed(body, will.topic);
    put_prefixed(body, will.payload);
}

void put_connect_properties(Bytes& body, const Connect& packet) {
    PropertyWriter properties;
    if (packet.session_expiry_s != 0)
        properties.number(PropertyId::session_expiry, packet.session_expiry_s);
    if (packet.receive_maximum != 65'535)
        properties.number(PropertyId::receive_maximum, packet.receive_maximum);
    if (packet.packet_bytes_max != 0)
        properties.number(PropertyId::packet_bytes_max, packet.packet_bytes_max);
    if (packet.topic_alias_max != 0)
        properties.number(PropertyId::topic_alias_max, packet.topic_alias_max);
    if (packet.request_response_information)
        properties.number(PropertyId::request_response_information, 1);
    if (!packet.request_problem_information)
        properties.number(PropertyId::request_problem_information, 0);
    if (packet.has_auth_method)
        properties.text(PropertyId::auth_method, packet.auth_method);
    if (!packet.auth_data.empty())
        properties.text(PropertyId::auth_data, packet.auth_data);
    properties.user(packet.user_properties);
    properties.finish(body);
}

void put_connack_properties(Bytes& body, const Connack& packet) {
    PropertyWriter properties;
    if (packet.has_session_expiry)
        properties.number(PropertyId::session_expiry, packet.session_expiry_s);
    if (packet.receive_maximum != 65'535)
        properties.number(PropertyId::receive_maximum, packet.receive_maximum);
    if (packet.qos_max < 2)
        properties.number(PropertyId::qos_max, packet.qos_max);
    if (!packet.retain_available)
        properties.number(PropertyId::retain_available, 0);
    if (packet.packet_bytes_max != 0)
        properties.number(PropertyId::packet_bytes_max, packet.packet_bytes_max);
    if (!packet.assigned_client_id.empty()) {
        properties.text(PropertyId::assigned_client_id, packet.assigned_client_id);
    }
    if (packet.topic_alias_max != 0)
        properties.number(PropertyId::topic_alias_max, packet.topic_alias_max);
    if (!packet.reason_text.empty())
        properties.text(PropertyId::reason_text, packet.reason_text);
    if (!packet.wildcard_available)
        properties.number(PropertyId::wildcard_available, 0);
    if (!packet.subscription_ids_available)
        properties.number(PropertyId::subscription_ids_available, 0);
    if (!packet.shared_available)
        properties.number(PropertyId::shared_available, 0);
    if (packet.has_server_keepalive)
        properties.number(PropertyId::server_keepalive, packet.server_keepalive_s);
    if (!packet.response_information.empty()) {
        properties.text(PropertyId::response_information, packet.response_information);
    }
    if (!packet.server_reference.empty())
        properties.text(PropertyId::server_reference, packet.server_reference);
    if (packet.has_auth_method)
        properties.text(PropertyId::auth_method, packet.auth_method);
    if (!packet.auth_data.empty())
        properties.text(PropertyId::auth_data, packet.auth_data);
    properties.user(packet.user_properties);
    properties.finish(body);
}

void read_connack_properties(PacketReader& in, Connack& packet, const CodecLimits& limits) {
    PropertySet set = wire::read_properties(in, connack_properties, limits);
    packet.has_session_expiry = set.has(PropertyId::session_expiry);
    packet.session_expiry_s = set.number_or(PropertyId::session_expiry, 0);
    packet.receive_maximum = static_cast<std::uint16_t>(set.number_or(PropertyId::receive_maximum, 65'535));
    packet.qos_max = static_cast<std::uint8_t>(set.number_or(PropertyId::qos_max, 2));
    packet.retain_available = set.flag_or(PropertyId::retain_available, true);
    packet.packet_bytes_max = set.number_or(PropertyId::packet_bytes_max, 0);
    packet.assigned_client_id = set.text_of(PropertyId::assigned_client_id);
    packet.topic_alias_max = static_cast<std::uint16_t>(set.number_or(PropertyId::topic_alias_max, 0));
    packet.reason_text = set.text_of(PropertyId::reason_text);
    packet.wildcard_available = set.flag_or(PropertyId::wildcard_available, true);
    packet.subscription_ids_available = set.flag_or(PropertyId::subscription_ids_available, true);
    packet.shared_available = set.flag_or(PropertyId::shared_available, true);
    packet.has_server_keepalive = set.has(PropertyId::server_keepalive);
    packet.server_keepalive_s = static_cast<std::uint16_t>(set.number_or(PropertyId::server_keepalive, 0));
    packet.response_information = set.text_of(PropertyId::response_information);
    packet.server_reference = set.text_of(PropertyId::server_reference);
    packet.has_auth_method = set.has(PropertyId::auth_method);
    packet.auth_method = set.text_of(PropertyId::auth_method);
    packet.auth_data = set.text_of(PropertyId::auth_data);
    if (set.has(PropertyId::auth_data) && !packet.has_auth_method) {
        in.protocol_error("authentication data without a method");
    }
    packet.user_properties = std::move(set.user_properties);
}

} // namespace

Decoded<Connect> decode_connect(const Frame& frame, const CodecLimits& limits) {
    PacketReader in(frame.body);
    Connect packet;
    if (frame.flags != 0)
        in.fail("reserved bits of the fixed header are set");
    read_version(in, packet);
    const std::uint8_t flags = in.u8();
    check_connect_flags(in, flags, packet.version);
    packet.clean_start = (flags & 0x02) != 0;
    packet.has_username = (flags & 0x80) != 0;
    packet.has_password = (flags & 0x40) != 0;
    packet.keepalive_s = in.u16();
    if (in.ok() && packet.version == ProtocolVersion::v5)
        read_connect_properties(in, packet, limits);
    packet.client_id = in.text();
    if (in.ok() && (flags & 0x04) != 0)
        read_will(in, packet, flags, limits);
    if (packet.has_username)
        packet.username = in.text();
    if (packet.has_password)
        packet.password = in.prefixed();
    return in.finish(std::move(packet));
}

Decoded<Connack> decode_connack(const Frame& frame, ProtocolVersion version, const CodecLimits& limits) {
    PacketReader in(frame.body);
    Connack packet;
    if (frame.flags != 0)
        in.fail("reserved bits of the fixed header are set");
    const std::uint8_t flags = in.u8();
    const std::uint8_t code = in.u8();
    if (version == ProtocolVersion::v31) {
        packet.session_present = false; // the byte is reserved in 3.1
    } else {
        if (flags > 1)
            in.fail("reserved CONNACK flags are set");
        packet.session_present = flags == 1;
    }
    if (version == ProtocolVersion::v5) {
        packet.reason = static_cast<ReasonCode>(code);
        if (code != 0 && code < 0x80)
            in.protocol_error("a CONNACK reason code that does not exist");
        read_connack_properties(in, packet, limits);
    } else {
        if (code > 5)
            in.protocol_error("a CONNACK return code that does not exist");
        packet.reason = reason_from_return_code(code);
    }
    if (packet.session_present && packet.reason != ReasonCode::success) {
        in.protocol_error("session present in a refusal");
    }
    return in.finish(std::move(packet));
}

void encode_connect(Bytes& out, const Connect& packet) {
    Bytes body;
    put_prefixed(body, packet.version == ProtocolVersion::v31 ? "MQIsdp" : "MQTT");
    put_u8(body, static_cast<std::uint8_t>(packet.version));
    unsigned flags = packet.clean_start ? 0x02 : 0;
    if (packet.will)
        flags |= 0x04u | static_cast<unsigned>(packet.will->qos << 3) | (packet.will->retain ? 0x20u : 0u);
    if (packet.has_password)
        flags |= 0x40;
    if (packet.has_username)
        flags |= 0x80;
    put_u8(body, static_cast<std::uint8_t>(flags));
    put_u16(body, packet.keepalive_s);
    if (packet.version == ProtocolVersion::v5)
        put_connect_properties(body, packet);
    put_prefixed(body, packet.client_id);
    if (packet.will)
        put_will(body, packet);
    if (packet.has_username)
        put_prefixed(body, packet.username);
    if (packet.has_password)
        put_prefixed(body, packet.password);
    wire::put_packet(out, PacketType::connect, 0, body);
}

void encode_connack(Bytes& out, const Connack& packet, ProtocolVersion version) {
    Bytes body;
    put_u8(body, packet.session_present && version != ProtocolVersion::v31 ? 1 : 0);
    if (version == ProtocolVersion::v5) {
        put_u8(body, static_cast<std::uint8_t>(packet.reason));
        put_connack_properties(body, packet);
    } else {
        put_u8(body, connack_return_code(packet.reason));
    }
    wire::put_packet(out, PacketType::connack, 0, body);
}

} // namespace brim::mqtt
