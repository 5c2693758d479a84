#include "broker/trace.h"

#include "mqtt/codec.h"

#include <algorithm>
#include <array>

namespace brim::broker {

namespace {

using mqtt::PacketType;

constexpr std::size_t shown_bytes_max = 256;

/// At most shown_bytes_max of a text, whole characters.
std::string_view beginning_of(std::string_view text) {
    if (text.size() <= shown_bytes_max)
        return text;
    std::size_t end = shown_bytes_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
        --end;
    return text.substr(0, end);
}

std::string_view name_of(PacketType type) {
    static constexpr std::array<std::string_view, 16> names{
        "RESERVED",
        "CONNECT",
        "CONNACK",
        "PUBLISH",
        "PUBACK",
        "PUBREC",
        "PUBREL",
        "PUBCOMP",
        "SUBSCRIBE",
        "SUBACK",
        "UNSUBSCRIBE",
        "UNSUBACK",
        "PINGREQ",
        "PINGRESP",
        "DISCONNECT",
        "AUTH"
    };
    return names[static_cast<std::size_t>(type) & 15U];
}

void show_reason(Json& shown, mqtt::ReasonCode reason) {
    shown.set("reason", int{static_cast<std::uint8_t>(reason)});
    if (mqtt::is_failure(reason))
        shown.set("reasonText", mqtt::reason_text(reason));
}

bool show_publish(Json& shown, const mqtt::Frame& frame, mqtt::ProtocolVersion version, mqtt::Sender sender) {
    const auto packet = mqtt::decode_publish(frame, version, sender, {});
    if (!packet)
        return false;
    shown.set("topic", packet->topic);
    if (packet->topic_alias != 0)
        shown.set("topicAlias", int{packet->topic_alias});
    shown.set("qos", int{packet->qos});
    if (packet->packet_id != 0)
        shown.set("packetId", int{packet->packet_id});
    shown.set("retain", packet->retain);
    shown.set("dup", packet->dup);
    shown.set("bytes", packet->payload.size());
    if (is_utf8(packet->payload))
        shown.set("payload", beginning_of(packet->payload));
    return true;
}

bool show_subscribe(Json& shown, const mqtt::Frame& frame, mqtt::ProtocolVersion version) {
    const auto packet = mqtt::decode_subscribe(frame, version, {});
    if (!packet)
        return false;
    shown.set("packetId", int{packet->packet_id});
    Json::Array filters;
    for (const mqtt::SubscribeFilter& each : packet->filters)
        filters.push_back(Json::object({{"filter", each.filter}, {"qos", int{each.qos}}}));
    shown.set("filters", std::move(filters));
    return true;
}

template <class Answer> bool show_answer(Json& shown, const mqtt::Decoded<Answer>& packet) {
    if (!packet)
        return false;
    shown.set("packetId", int{packet->packet_id});
    Json::Array reasons;
    for (const mqtt::ReasonCode reason : packet->reasons)
        reasons.push_back(int{static_cast<std::uint8_t>(reason)});
    shown.set("reasons", std::move(reasons));
    return true;
}

bool show_ack(Json& shown, const mqtt::Frame& frame, mqtt::ProtocolVersion version) {
    const auto packet = mqtt::decode_ack(frame, version, {});
    if (!packet)
        return false;
    shown.set("packetId", int{packet->packet_id});
    show_reason(shown, packet->reason);
    return true;
}

bool show_unsubscribe(Json& shown, const mqtt::Frame& frame, mqtt::ProtocolVersion version) {
    const auto packet = mqtt::decode_unsubscribe(frame, version, {});
    if (!packet)
        return false;
    shown.set("packetId", int{packet->packet_id});
    Json::Array filters;
    for (const std::string_view filter : packet->filters)
        filters.push_back(filter);
    shown.set("filters", std::move(filters));
    return true;
}

bool show_disconnect(
    Json& shown, const mqtt::Frame& frame, mqtt::ProtocolVersion version, mqtt::Sender sender
) {
    const auto packet = mqtt::decode_disconnect(frame, version, sender, {});
    if (packet)
        show_reason(shown, packet->reason);
    return packet.has_value();
}

} // namespace

Json packet_json(
    PacketType type, std::uint8_t flags, ByteView body, mqtt::ProtocolVersion version, bool is_inbound
) {
    const mqtt::Frame frame{type, flags, body};
    const mqtt::Sender sender = is_inbound ? mqtt::Sender::client : mqtt::Sender::server;
    Json shown = Json::object({{"packet", name_of(type)}, {"direction", is_inbound ? "in" : "out"}});
    bool is_sound = true;
    switch (type) {
    case PacketType::publish:
        is_sound = show_publish(shown, frame, version, sender);
        break;
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubrel:
    case PacketType::pubcomp:
        is_sound = show_ack(shown, frame, version);
        break;
    case PacketType::subscribe:
        is_sound = show_subscribe(shown, frame, version);
        break;
    case PacketType::suback:
        is_sound = show_answer(shown, mqtt::decode_suback(frame, version, {}));
        break;
    case PacketType::unsubscribe:
        is_sound = show_unsubscribe(shown, frame, version);
        break;
    case PacketType::unsuback:
        is_sound = show_answer(shown, mqtt::decode_unsuback(frame, version, {}));
        break;
    case PacketType::disconnect:
        is_sound = show_disconnect(shown, frame, version, sender);
        break;
    default:
        break;
    }
    if (!is_sound)
        shown.set("malformed", true);
    return shown;
}

Result<void> Traces::start(const TraceOrder& order, Mono now) {
    std::erase_if(traces_, [&](const Trace& trace) {
        return trace.order.asker == order.asker && trace.order.client_id == order.client_id;
    });
    if (traces_.size() >= traces_max) {
        return fail(
            Errc::full,
            "trace of \"" + order.client_id + "\"",
            std::to_string(traces_max) + " traces are under way",
            "wait until one ends"
        );
    }
    traces_.push_back({order, now + order.length});
    return {};
}

void Traces::stop_of(std::string_view asker) {
    std::erase_if(traces_, [asker](const Trace& trace) { return trace.order.asker == asker; });
}

void Traces::expire(Mono now) {
    std::erase_if(traces_, [&](const Trace& trace) {
        if (trace.until > now)
            return false;
        send_(trace.order, Json::object({{"event", "end"}, {"clientId", trace.order.client_id}}));
        return true;
    });
}

bool Traces::wants(std::string_view client_id) const {
    return std::any_of(traces_.begin(), traces_.end(), [client_id](const Trace& trace) {
        return trace.order.client_id == client_id;
    });
}

void Traces::show(std::string_view client_id, Json event) {
    event.set("clientId", client_id);
    for (const Trace& trace : traces_) {
        if (trace.order.client_id == client_id)
            send_(trace.order, event);
    }
}

} // namespace brim::broker
