// PINGREQ, PINGRESP, DISCONNECT, AUTH, and what all packets share.

#include "mqtt/codec.h"
#include "mqtt/internal/properties.h"

#include "base/assert.h"

namespace brim::mqtt {

namespace {

using wire::PacketReader;
using wire::PropertyId;
using wire::PropertySet;
using wire::PropertyWriter;

constexpr wire::PropertyMask disconnect_properties_client =
    wire::mask_of({PropertyId::session_expiry, PropertyId::reason_text, PropertyId::user_property});
constexpr wire::PropertyMask disconnect_properties_server =
    wire::mask_of({PropertyId::reason_text, PropertyId::user_property, PropertyId::server_reference});
constexpr wire::PropertyMask auth_properties = wire::mask_of(
    {PropertyId::auth_method, PropertyId::auth_data, PropertyId::reason_text, PropertyId::user_property}
);

} // namespace

bool is_valid_ping(const Frame& frame) {
    return frame.flags == 0 && frame.body.empty();
}

Decoded<Disconnect>
decode_disconnect(const Frame& frame, ProtocolVersion version, Sender from, const CodecLimits& limits) {
    PacketReader in(frame.body);
    Disconnect packet;
    if (frame.flags != 0)
        in.fail("reserved bits of the fixed header are set");
    if (version != ProtocolVersion::v5) {
        if (from == Sender::server)
            in.protocol_error("DISCONNECT from a server before MQTT 5");
        return in.finish(std::move(packet));
    }
    if (in.more()) {
        packet.reason = static_cast<ReasonCode>(in.u8());
        if (!reason_fits(PacketType::disconnect, packet.reason, from))
            in.protocol_error("a reason code this DISCONNECT may not have");
    }
    if (in.more()) {
        PropertySet set = wire::read_properties(
            in, from == Sender::client ? disconnect_properties_client : disconnect_properties_server, limits
        );
        packet.has_session_expiry = set.has(PropertyId::session_expiry);
        packet.session_expiry_s = set.number_or(PropertyId::session_expiry, 0);
        packet.reason_text = set.text_of(PropertyId::reason_text);
        packet.server_reference = set.text_of(PropertyId::server_reference);
        packet.user_properties = std::move(set.user_properties);
    }
    return in.finish(std::move(packet));
}

Decoded<Auth> decode_auth(const Frame& frame, ProtocolVersion version, const CodecLimits& limits) {
    PacketReader in(frame.body);
    Auth packet;
    if (version != ProtocolVersion::v5)
        in.protocol_error("AUTH before MQTT 5");
    if (frame.flags != 0)
        in.fail("reserved bits of the fixed header are set");
    if (in.more()) {
        packet.reason = static_cast<ReasonCode>(in.u8());
        if (packet.reason != ReasonCode::success && packet.reason != ReasonCode::continue_authentication &&
            packet.reason != ReasonCode::re_authenticate) {
            in.protocol_error("a reason code AUTH may not have");
        }
        PropertySet set = wire::read_properties(in, auth_properties, limits);
        if (!set.has(PropertyId::auth_method))
            in.protocol_error("AUTH without a method");
        packet.auth_method = set.text_of(PropertyId::auth_method);
        packet.auth_data = set.text_of(PropertyId::auth_data);
        packet.reason_text = set.text_of(PropertyId::reason_text);
        packet.user_properties = std::move(set.user_properties);
    }
    return in.finish(std::move(packet));
}

void encode_pingreq(Bytes& out) {
    wire::put_packet(out, PacketType::pingreq, 0, {});
}

void encode_pingresp(Bytes& out) {
    wire::put_packet(out, PacketType::pingresp, 0, {});
}

void encode_disconnect(Bytes& out, const Disconnect& packet, ProtocolVersion version) {
    Bytes body;
    if (version == ProtocolVersion::v5) {
        PropertyWriter properties;
        if (packet.has_session_expiry)
            properties.number(PropertyId::session_expiry, packet.session_expiry_s);
        if (!packet.reason_text.empty())
            properties.text(PropertyId::reason_text, packet.reason_text);
        if (!packet.server_reference.empty())
            properties.text(PropertyId::server_reference, packet.server_reference);
        properties.user(packet.user_properties);
        if (packet.reason != ReasonCode::normal_disconnection || !properties.empty()) {
            put_u8(body, static_cast<std::uint8_t>(packet.reason));
        }
        if (!properties.empty())
            properties.finish(body);
    }
    wire::put_packet(out, PacketType::disconnect, 0, body);
}

void encode_auth(Bytes& out, const Auth& packet) {
    Bytes body;
    PropertyWriter properties;
    properties.text(PropertyId::auth_method, packet.auth_method);
    if (!packet.auth_data.empty())
        properties.text(PropertyId::auth_data, packet.auth_data);
    if (!packet.reason_text.empty())
        properties.text(PropertyId::reason_text, packet.reason_text);
    properties.user(packet.user_properties);
    put_u8(body, static_cast<std::uint8_t>(packet.reason));
    properties.finish(body);
    wire::put_packet(out, PacketType::auth, 0, body);
}

bool is_mqtt_text(ByteView text) noexcept {
    bool is_ascii = true;
    for (const char c : text) {
        if (c == '\0')
            return false;
        is_ascii &= static_cast<unsigned char>(c) < 0x80;
    }
    if (is_ascii)
        return true;
    if (!is_utf8(text))
        return false;
    // Noncharacters (U+FDD0..FDEF and the last two of every plane) make strict receivers hang up: keep them
    // out.
    for (std::size_t i = 0; i + 2 < text.size(); ++i) {
        const auto a = static_cast<unsigned char>(text[i]);
        const auto b = static_cast<unsigned char>(text[i + 1]);
        const auto c = static_cast<unsigned char>(text[i + 2]);
        if (a == 0xEF && b == 0xB7 && c >= 0x90 && c <= 0xAF)
            return false;
        if (a == 0xEF && b == 0xBF && c >= 0xBE)
            return false;
        if (a >= 0xF0 && i + 3 < text.size() && (b & 0x0F) == 0x0F && c == 0xBF &&
            static_cast<unsigned char>(text[i + 3]) >= 0xBE) {
            return false;
        }
    }
    return true;
}

namespace wire {

void put_packet(Bytes& out, PacketType type, std::uint8_t flags, ByteView body) {
    BRIM_ASSERT(body.size() <= 268'435'455, "a packet to encode is within the format");
    put_u8(out, static_cast<std::uint8_t>(static_cast<unsigned>(type) << 4 | flags));
    put_varint(out, static_cast<std::uint32_t>(body.size()));
    out += body;
}

} // namespace wire

} // namespace brim::mqtt
