// SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK.

#include "mqtt/codec.h"
#include "mqtt/internal/properties.h"

namespace brim::mqtt {

namespace {

using wire::PacketReader;
using wire::PropertyId;
using wire::PropertySet;
using wire::PropertyWriter;

constexpr wire::PropertyMask subscribe_properties =
    wire::mask_of({PropertyId::subscription_id, PropertyId::user_property});
constexpr wire::PropertyMask unsubscribe_properties = wire::mask_of({PropertyId::user_property});
constexpr wire::PropertyMask answer_properties =
    wire::mask_of({PropertyId::reason_text, PropertyId::user_property});

/// SUBSCRIBE and UNSUBSCRIBE carry flags 0010; 3.1 also lets DUP be set on a repeated one.
std::uint16_t read_request_head(PacketReader& in, const Frame& frame, ProtocolVersion version) {
    const unsigned ignored = version == ProtocolVersion::v31 ? 0x08u : 0u;
    if ((frame.flags & ~ignored) != 2u)
        in.fail("reserved bits of the fixed header are wrong");
    const std::uint16_t id = in.u16();
    if (in.ok() && id == 0)
        in.protocol_error("packet identifier 0");
    return id;
}

std::uint16_t read_answer_head(PacketReader& in, const Frame& frame) {
    if (frame.flags != 0)
        in.fail("reserved bits of the fixed header are set");
    const std::uint16_t id = in.u16();
    if (in.ok() && id == 0)
        in.protocol_error("packet identifier 0");
    return id;
}

void read_options(PacketReader& in, SubscribeFilter& filter, ProtocolVersion version) {
    const unsigned options = in.u8();
    filter.qos = options & 3;
    if (filter.qos == 3)
        in.protocol_error("a subscription with QoS 3");
    if (version != ProtocolVersion::v5) {
        if ((options & 0xFC) != 0)
            in.fail("reserved subscription bits are set");
        return;
    }
    filter.no_local = (options & 4) != 0;
    filter.retain_as_published = (options & 8) != 0;
    if ((options >> 4 & 3) == 3)
        in.protocol_error("retain handling 3");
    filter.retain_handling = static_cast<RetainHandling>(options >> 4 & 3);
    if ((options & 0xC0) != 0)
        in.fail("reserved subscription bits are set");
}

bool suback_reason_fits(std::uint8_t code, ProtocolVersion version) {
    if (code <= 2 || code == 0x80)
        return true;
    if (version != ProtocolVersion::v5)
        return false;
    switch (static_cast<ReasonCode>(code)) {
    case ReasonCode::implementation_specific_error:
    case ReasonCode::not_authorized:
    case ReasonCode::topic_filter_invalid:
    case ReasonCode::packet_identifier_in_use:
    case ReasonCode::quota_exceeded:
    case ReasonCode::shared_subscriptions_not_supported:
    case ReasonCode::subscription_identifiers_not_supported:
    case ReasonCode::wildcard_subscriptions_not_supported:
        return true;
    default:
        return false;
    }
}

bool unsuback_reason_fits(std::uint8_t code) {
    switch (static_cast<ReasonCode>(code)) {
    case ReasonCode::success:
    case ReasonCode::no_subscription_existed:
    case ReasonCode::unspecified_error:
    case ReasonCode::implementation_specific_error:
    case ReasonCode::not_authorized:
    case ReasonCode::topic_filter_invalid:
    case ReasonCode::packet_identifier_in_use:
        return true;
    default:
        return false;
    }
}

template <class Answer>
void read_answer_properties(PacketReader& in, Answer& packet, const CodecLimits& limits) {
    PropertySet set = wire::read_properties(in, answer_properties, limits);
    packet.reason_text = set.text_of(PropertyId::reason_text);
    packet.user_properties = std::move(set.user_properties);
}

template <class Answer>
void put_answer(Bytes& out, PacketType type, const Answer& packet, ProtocolVersion version) {
    Bytes body;
    put_u16(body, packet.packet_id);
    if (version == ProtocolVersion::v5) {
        PropertyWriter properties;
        if (!packet.reason_text.empty())
            properties.text(PropertyId::reason_text, packet.reason_text);
        properties.user(packet.user_properties);
        properties.finish(body);
    }
    for (const ReasonCode reason : packet.reasons) {
        const bool is_plain_failure = is_failure(reason) && version != ProtocolVersion::v5;
        put_u8(body, is_plain_failure ? std::uint8_t{0x80} : static_cast<std::uint8_t>(reason));
    }
    wire::put_packet(out, type, 0, body);
}

} // namespace

Decoded<Subscribe> decode_subscribe(const Frame& frame, ProtocolVersion version, const CodecLimits& limits) {
    PacketReader in(frame.body);
    Subscribe packet;
    packet.packet_id = read_request_head(in, frame, version);
    if (version == ProtocolVersion::v5) {
        PropertySet set = wire::read_properties(in, subscribe_properties, limits);
        packet.subscription_id = set.number_or(PropertyId::subscription_id, 0);
        packet.user_properties = std::move(set.user_properties);
    }
    if (in.ok() && !in.more())
        in.protocol_error("SUBSCRIBE without a filter");
    while (in.more()) {
        if (packet.filters.size() >= limits.filters_max) {
            in.fail("more filters than the limit", ReasonCode::quota_exceeded);
            break;
        }
        SubscribeFilter& filter = packet.filters.emplace_back();
        filter.filter = in.text();
        read_options(in, filter, version);
    }
    return in.finish(std::move(packet));
}

Decoded<Suback> decode_suback(const Frame& frame, ProtocolVersion version, const CodecLimits& limits) {
    PacketReader in(frame.body);
    Suback packet;
    packet.packet_id = read_answer_head(in, frame);
    if (version == ProtocolVersion::v5)
        read_answer_properties(in, packet, limits);
    if (in.ok() && !in.more())
        in.fail("SUBACK without a reason code");
    if (in.remaining() > limits.filters_max)
        in.fail("more reason codes than the limit");
    while (in.more()) {
        const std::uint8_t code = in.u8();
        if (!suback_reason_fits(code, version))
            in.protocol_error("a reason code SUBACK may not have");
        packet.reasons.push_back(static_cast<ReasonCode>(code));
    }
    return in.finish(std::move(packet));
}

Decoded<Unsubscribe>
decode_unsubscribe(const Frame& frame, ProtocolVersion version, const CodecLimits& limits) {
    PacketReader in(frame.body);
    Unsubscribe packet;
    packet.packet_id = read_request_head(in, frame, version);
    if (version == ProtocolVersion::v5) {
        PropertySet set = wire::read_properties(in, unsubscribe_properties, limits);
        packet.user_properties = std::move(set.user_properties);
    }
    if (in.ok() && !in.more())
        in.protocol_error("UNSUBSCRIBE without a filter");
    while (in.more()) {
        if (packet.filters.size() >= limits.filters_max) {
            in.fail("more filters than the limit", ReasonCode::quota_exceeded);
            break;
        }
        packet.filters.push_back(in.text());
    }
    return in.finish(std::move(packet));
}

Decoded<Unsuback> decode_unsuback(const Frame& frame, ProtocolVersion version, const CodecLimits& limits) {
    PacketReader in(frame.body);
    Unsuback packet;
    packet.packet_id = read_answer_head(in, frame);
    if (version != ProtocolVersion::v5)
        return in.finish(std::move(packet));
    read_answer_properties(in, packet, limits);
    if (in.ok() && !in.more())
        in.fail("UNSUBACK without a reason code");
    if (in.remaining() > limits.filters_max)
        in.fail("more reason codes than the limit");
    while (in.more()) {
        const std::uint8_t code = in.u8();
        if (!unsuback_reason_fits(code))
            in.protocol_error("a reason code UNSUBACK may not have");
        packet.reasons.push_back(static_cast<ReasonCode>(code));
    }
    return in.finish(std::move(packet));
}

void encode_subscribe(Bytes& out, const Subscribe& packet, ProtocolVersion version) {
    Bytes body;
    put_u16(body, packet.packet_id);
    if (version == ProtocolVersion::v5) {
        PropertyWriter properties;
        if (packet.subscription_id != 0)
            properties.number(PropertyId::subscription_id, packet.subscription_id);
        properties.user(packet.user_properties);
        properties.finish(body);
    }
    for (const SubscribeFilter& filter : packet.filters) {
        put_prefixed(body, filter.filter);
        unsigned options = filter.qos;
        if (version == ProtocolVersion::v5) {
            options |= (filter.no_local ? 4u : 0u) | (filter.retain_as_published ? 8u : 0u) |
                       static_cast<unsigned>(filter.retain_handling) << 4;
        }
        put_u8(body, static_cast<std::uint8_t>(options));
    }
    wire::put_packet(out, PacketType::subscribe, 2, body);
}

void encode_suback(Bytes& out, const Suback& packet, ProtocolVersion version) {
    put_answer(out, PacketType::suback, packet, version);
}

void encode_unsubscribe(Bytes& out, const Unsubscribe& packet, ProtocolVersion version) {
    Bytes body;
    put_u16(body, packet.packet_id);
    if (version == ProtocolVersion::v5) {
        PropertyWriter properties;
        properties.user(packet.user_properties);
        properties.finish(body);
    }
    for (const std::string_view filter : packet.filters)
        put_prefixed(body, filter);
    wire::put_packet(out, PacketType::unsubscribe, 2, body);
}

void encode_unsuback(Bytes& out, const Unsuback& packet, ProtocolVersion version) {
    if (version == ProtocolVersion::v5) {
        put_answer(out, PacketType::unsuback, packet, version);
        return;
    }
    Bytes body;
    put_u16(body, packet.packet_id);
    wire::put_packet(out, PacketType::unsuback, 0, body);
}

} // namespace brim::mqtt
