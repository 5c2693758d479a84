// PUBACK, PUBREC, PUBREL, PUBCOMP.

#include "mqtt/codec.h"
#include "mqtt/internal/properties.h"

namespace brim::mqtt {

namespace {

using wire::PropertyId;

constexpr wire::PropertyMask ack_properties =
    wire::mask_of({PropertyId::reason_text, PropertyId::user_property});

} // namespace

Decoded<Ack> decode_ack(const Frame& frame, ProtocolVersion version, const CodecLimits& limits) {
    wire::PacketReader in(frame.body);
    Ack packet;
    // 3.1 sets DUP on a PUBREL sent again; 3.1.1 and 5 demand 0010.
    const bool is_pubrel = frame.type == PacketType::pubrel;
    const unsigned ignored = version == ProtocolVersion::v31 ? 0x08u : 0u;
    if ((frame.flags & ~ignored) != (is_pubrel ? 2u : 0u))
        in.fail("reserved bits of the fixed header are wrong");
    packet.packet_id = in.u16();
    if (in.ok() && packet.packet_id == 0)
        in.protocol_error("packet identifier 0");
    if (version == ProtocolVersion::v5 && in.more()) {
        packet.reason = static_cast<ReasonCode>(in.u8());
        if (!reason_fits(frame.type, packet.reason, Sender::client))
            in.protocol_error("a reason code this packet may not have");
        if (in.more()) {
            wire::PropertySet set = wire::read_properties(in, ack_properties, limits);
            packet.reason_text = set.text_of(PropertyId::reason_text);
            packet.user_properties = std::move(set.user_properties);
        }
    }
    return in.finish(std::move(packet));
}

void encode_ack(Bytes& out, PacketType type, const Ack& packet, ProtocolVersion version) {
    const std::uint8_t flags = type == PacketType::pubrel ? 2 : 0;
    const bool has_properties = !packet.reason_text.empty() || !packet.user_properties.empty();
    const bool is_long =
        version == ProtocolVersion::v5 && (packet.reason != ReasonCode::success || has_properties);
    if (!is_long) {
        const char bytes[4] = {
            static_cast<char>(static_cast<unsigned>(type) << 4 | flags),
            2,
            static_cast<char>(packet.packet_id >> 8),
            static_cast<char>(packet.packet_id & 0xFF)
        };
        out.append(bytes, sizeof bytes);
        return;
    }
    Bytes body;
    put_u16(body, packet.packet_id);
    put_u8(body, static_cast<std::uint8_t>(packet.reason));
    if (has_properties) {
        wire::PropertyWriter properties;
        if (!packet.reason_text.empty())
            properties.text(PropertyId::reason_text, packet.reason_text);
        properties.user(packet.user_properties);
        properties.finish(body);
    }
    wire::put_packet(out, type, flags, body);
}

} // namespace brim::mqtt
