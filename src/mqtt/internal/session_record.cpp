#include "mqtt/internal/session_record.h"

#include "mqtt/codec.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

constexpr std::size_t text_bytes_max = 65'535;
constexpr std::chrono::seconds age_max{std::int64_t{100} * 365 * 86'400};

constexpr unsigned message_retain = 4;
constexpr unsigned message_utf8 = 8;
constexpr unsigned message_accepted = 16;

constexpr unsigned delivery_retain = 4;
constexpr unsigned delivery_direct = 8;
constexpr unsigned delivery_shared = 16;

constexpr unsigned facts_retain = 4;
constexpr unsigned facts_wildcard = 8;
constexpr unsigned facts_ids = 16;
constexpr unsigned facts_online = 32;
constexpr unsigned facts_will = 64;

/// What is stored was valid when it was taken; the limits of today do not make it invalid.
constexpr CodecLimits stored_limits{65'535, 65'535, 65'535, 65'535};

unsigned bit(bool is_set, unsigned mask) {
    return is_set ? mask : 0u;
}

void put_text(Bytes& out, std::string_view text) {
    put_prefixed(out, text.substr(0, text_bytes_max));
}

void put_i64(Bytes& out, std::int64_t value) {
    put_u64(out, static_cast<std::uint64_t>(value));
}

std::int64_t read_i64(Reader& in) {
    return static_cast<std::int64_t>(in.u64());
}

} // namespace

Mono LogClock::time_of(std::int64_t ms, std::chrono::seconds span) const {
    // Both ends first: a difference of hostile numbers must not overflow.
    const std::int64_t low = base_ms - std::chrono::milliseconds{age_max}.count();
    const std::int64_t high = base_ms + std::chrono::milliseconds{std::min(span, age_max)}.count();
    return base + std::chrono::milliseconds{std::clamp(ms, low, high) - base_ms};
}

void put_head(Bytes& out, const RecordHead& head) {
    put_u8(out, head.version);
    put_i64(out, head.wall_ms);
    put_u64(out, head.last);
}

RecordHead read_head(Reader& in) {
    RecordHead head;
    head.version = in.u8();
    head.wall_ms = read_i64(in);
    head.last = in.u64();
    return head;
}

void put_facts(Bytes& out, const KeptFacts& facts, const LogClock& clock) {
    put_text(out, facts.key);
    put_text(out, facts.client_id);
    put_text(out, facts.principal);
    put_u8(out, static_cast<std::uint8_t>(facts.version));
    const unsigned flags = (facts.qos_max & 3u) | bit(facts.retain_available, facts_retain) |
                           bit(facts.wildcard_available, facts_wildcard) |
                           bit(facts.subscription_ids_available, facts_ids) |
                           bit(facts.is_online, facts_online) | bit(facts.will != nullptr, facts_will);
    put_u8(out, static_cast<std::uint8_t>(flags));
    put_u32(out, facts.expiry_s);
    put_i64(out, clock.ms_at(facts.expires));
    put_u64(out, facts.sent_below);
    put_u32(out, facts.will_delay_s);
    put_i64(out, clock.ms_at(facts.will_due));
    if (facts.will != nullptr)
        put_message(out, *facts.will, clock);
}

StoredFacts read_facts(Reader& in) {
    StoredFacts stored;
    stored.key = in.prefixed();
    stored.client_id = in.prefixed();
    stored.principal = in.prefixed();
    KeptFacts& facts = stored.facts;
    const std::uint8_t version = in.u8();
    const unsigned flags = in.u8();
    if (stored.key.empty() || version < 3 || version > 5 || (flags & 3u) == 3u)
        in.fail(Errc::corrupt, "a session that cannot be");
    facts.version = static_cast<ProtocolVersion>(version);
    facts.qos_max = static_cast<std::uint8_t>(flags & 3u);
    facts.retain_available = (flags & facts_retain) != 0;
    facts.wildcard_available = (flags & facts_wildcard) != 0;
    facts.subscription_ids_available = (flags & facts_ids) != 0;
    facts.is_online = (flags & facts_online) != 0;
    facts.expiry_s = in.u32();
    stored.expires_ms = read_i64(in);
    facts.sent_below = in.u64();
    facts.will_delay_s = in.u32();
    stored.will_due_ms = read_i64(in);
    if ((flags & facts_will) != 0)
        stored.will = read_message(in);
    return stored;
}

void put_message(Bytes& out, const Message& message, const LogClock& clock) {
    const bool has_accepted = message.accepted != Mono{};
    const unsigned flags = (message.qos & 3u) | bit(message.retain, message_retain) |
                           bit(message.payload_is_utf8, message_utf8) | bit(has_accepted, message_accepted);
    put_text(out, message.topic);
    put_u8(out, static_cast<std::uint8_t>(flags));
    put_i64(out, message.expiry_s);
    put_i64(out, message.time.ms);
    put_i64(out, has_accepted ? clock.ms_at(message.accepted) : 0);
    put_text(out, message.origin);
    put_text(out, message.content_type);
    put_text(out, message.response_topic);
    put_text(out, message.correlation);
    const std::size_t properties = std::min(message.user_properties.size(), text_bytes_max);
    put_u16(out, static_cast<std::uint16_t>(properties));
    for (std::size_t i = 0; i < properties; ++i) {
        put_text(out, message.user_properties[i].first);
        put_text(out, message.user_properties[i].second);
    }
    put_u32(out, static_cast<std::uint32_t>(message.payload.size()));
    out.append(message.payload);
}

StoredMessage read_message(Reader& in) {
    StoredMessage stored{std::make_shared<Message>()};
    Message& message = *stored.message;
    message.topic = in.prefixed();
    const unsigned flags = in.u8();
    message.qos = static_cast<std::uint8_t>(flags & 3u);
    message.retain = (flags & message_retain) != 0;
    message.payload_is_utf8 = (flags & message_utf8) != 0;
    stored.has_accepted = (flags & message_accepted) != 0;
    message.expiry_s = std::clamp<std::int64_t>(read_i64(in), -1, 0xFFFFFFFF);
    message.time.ms = read_i64(in);
    stored.accepted_ms = read_i64(in);
    message.origin = in.prefixed();
    message.content_type = in.prefixed();
    message.response_topic = in.prefixed();
    message.correlation = in.prefixed();
    for (std::uint16_t left = in.u16(); left > 0 && in.ok(); --left) {
        const ByteView name = in.prefixed();
        message.user_properties.emplace_back(name, in.prefixed());
    }
    const std::uint32_t payload_bytes = in.u32();
    message.payload = in.view(payload_bytes);
    if (in.ok() && !is_sound(message, stored_limits))
        in.fail(Errc::corrupt, "a message that MQTT does not allow");
    return stored;
}

void StoredMessage::settle(const LogClock& clock) {
    if (message && has_accepted)
        message->accepted = clock.time_of(accepted_ms, std::chrono::seconds{0});
}

void put_delivery(Bytes& out, const DeliveryFlags& flags, const std::vector<std::uint32_t>* ids) {
    const unsigned bits = (flags.qos & 3u) | bit(flags.retain, delivery_retain) |
                          bit(flags.is_direct, delivery_direct) | bit(flags.is_shared, delivery_shared);
    put_u8(out, static_cast<std::uint8_t>(bits));
    const std::size_t count = ids == nullptr ? 0 : std::min(ids->size(), text_bytes_max);
    put_u16(out, static_cast<std::uint16_t>(count));
    for (std::size_t i = 0; i < count; ++i)
        put_u32(out, (*ids)[i]);
}

StoredDelivery read_delivery(Reader& in) {
    StoredDelivery stored;
    const unsigned flags = in.u8();
    stored.qos = static_cast<std::uint8_t>(flags & 3u);
    stored.retain = (flags & delivery_retain) != 0;
    stored.is_direct = (flags & delivery_direct) != 0;
    stored.is_shared = (flags & delivery_shared) != 0;
    for (std::uint16_t left = in.u16(); left > 0 && in.ok(); --left)
        stored.subscription_ids.push_back(in.u32());
    if (stored.qos == 0 || stored.qos == 3)
        in.fail(Errc::corrupt, "a kept delivery has QoS 1 or 2");
    return stored;
}

void put_receiver(Bytes& out, const KeptReceiver& receiver) {
    put_u32(out, receiver.session);
    put_u64(out, receiver.sequence);
    put_delivery(out, receiver, receiver.subscription_ids);
}

} // namespace brim::mqtt
