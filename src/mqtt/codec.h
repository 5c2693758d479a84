#pragma once
// Bytes to packets and back. Strict: what the standard forbids is refused with the reason code it names.
// Nothing here keeps state except the Framer; all functions are pure.

#include "mqtt/packet.h"

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>

namespace brim::mqtt {

/// Why bytes are no packet. `cause` is a literal, for logs.
struct PacketError {
    ReasonCode reason = ReasonCode::malformed_packet;
    const char* cause = "";
};

/// A packet, or why there is none.
template <class T> struct [[nodiscard]] Decoded : std::expected<T, PacketError> {
    using std::expected<T, PacketError>::expected;
};

inline std::unexpected<PacketError> refuse_packet(ReasonCode reason, const char* cause) {
    return std::unexpected<PacketError>(PacketError{reason, cause});
}

/// Who sent the packet: some properties, flags and reason codes are for one direction only.
enum class Sender : std::uint8_t { client, server };

struct CodecLimits {
    std::uint32_t user_properties_max = 64;  ///< per packet
    std::uint32_t filters_max = 1'000;       ///< per SUBSCRIBE or UNSUBSCRIBE
    std::uint32_t topic_bytes_max = 65'535;  ///< of a PUBLISH, a will or a response topic
    std::uint32_t topic_levels_max = 65'535; ///< of the same
};

/// The largest packet the format can say, fixed header included.
inline constexpr std::uint32_t packet_bytes_format_max = 268'435'455 + 5;

/// One packet as it lay on the wire.
struct Frame {
    PacketType type = PacketType::reserved;
    std::uint8_t flags = 0; ///< low four bits of the first byte
    ByteView body;          ///< everything behind the fixed header
};

/// Cuts a byte stream into packets. Holds memory only while a packet is incomplete, and never more than twice
/// what was received of it; the limit is judged from the fixed header alone.
class Framer {
public:
    /// `packet_bytes_max` counts the fixed header too.
    explicit Framer(std::uint32_t packet_bytes_max) : packet_bytes_max_(packet_bytes_max) {}

    void limit(std::uint32_t packet_bytes_max) { packet_bytes_max_ = packet_bytes_max; }

    /// Takes the next complete packet off `input` (advancing it). Empty: all of `input` was taken and more is
    /// needed. The frame is valid until the next call and while the bytes behind `input` are.
    /// packet_too_large over the limit, malformed_packet for type 0 or a bad length. After an error do not
    /// call again.
    Decoded<std::optional<Frame>> next(ByteView& input);

    /// The same for what comes most often, inline: true when a whole, sound packet lies at the front of
    /// `input` and nothing was held back. False says nothing: ask next().
    bool next_whole(ByteView& input, Frame& frame) {
        if (partial_ || input.size() < 2)
            return false;
        const auto byte_at = [&input](std::size_t i) { return static_cast<std::uint8_t>(input[i]); };
        std::uint32_t body_bytes = byte_at(1);
        std::uint32_t header_bytes = 2;
        if (body_bytes >= 0x80) {
            if (input.size() < 3 || byte_at(2) == 0 || byte_at(2) >= 0x80)
                return false; // two bytes of length are enough for 16 KiB
            body_bytes = (body_bytes & 0x7F) | std::uint32_t{byte_at(2)} << 7;
            header_bytes = 3;
        }
        const std::uint32_t whole = header_bytes + body_bytes;
        if (whole > input.size() || whole > packet_bytes_max_ || byte_at(0) < 0x10)
            return false;
        frame.type = static_cast<PacketType>(byte_at(0) >> 4);
        frame.flags = static_cast<std::uint8_t>(byte_at(0) & 0x0F);
        frame.body = input.substr(header_bytes, body_bytes);
        input.remove_prefix(whole);
        return true;
    }

    /// True when nothing is held back.
    bool idle() const { return !partial_; }

private:
    Decoded<std::optional<Frame>> next_partial(ByteView& input);

    std::unique_ptr<Bytes> partial_; ///< what came of an incomplete packet
    std::uint32_t packet_bytes_max_;
    bool done_ = false; ///< the packet in partial_ was handed out
};

/// CONNECT of any version: the version is read from the packet itself.
Decoded<Connect> decode_connect(const Frame& frame, const CodecLimits& limits);
Decoded<Connack> decode_connack(const Frame& frame, ProtocolVersion version, const CodecLimits& limits);
/// Topic, response topic and UTF-8 payload are validated. An empty topic passes only together with a topic
/// alias.
Decoded<Publish>
decode_publish(const Frame& frame, ProtocolVersion version, Sender from, const CodecLimits& limits);
/// The same into `packet`, which may have been used before: its vectors keep their memory. A cause of null
/// means success; otherwise `packet` is not to be used.
PacketError decode_publish_into(
    const Frame& frame, ProtocolVersion version, Sender from, const CodecLimits& limits, Publish& packet
);
/// The two halves of it, for who knows the topic to be sound: everything but the topic's text, and that. The
/// second is for a packet that passed the first.
PacketError decode_publish_fields(
    const Frame& frame, ProtocolVersion version, Sender from, const CodecLimits& limits, Publish& packet
);
PacketError check_publish_topic(const Publish& packet, ProtocolVersion version, const CodecLimits& limits);
/// PUBACK, PUBREC, PUBREL, PUBCOMP, by frame.type.
Decoded<Ack> decode_ack(const Frame& frame, ProtocolVersion version, const CodecLimits& limits);
Decoded<Subscribe> decode_subscribe(const Frame& frame, ProtocolVersion version, const CodecLimits& limits);
Decoded<Suback> decode_suback(const Frame& frame, ProtocolVersion version, const CodecLimits& limits);
Decoded<Unsubscribe>
decode_unsubscribe(const Frame& frame, ProtocolVersion version, const CodecLimits& limits);
Decoded<Unsuback> decode_unsuback(const Frame& frame, ProtocolVersion version, const CodecLimits& limits);
Decoded<Disconnect>
decode_disconnect(const Frame& frame, ProtocolVersion version, Sender from, const CodecLimits& limits);
Decoded<Auth> decode_auth(const Frame& frame, ProtocolVersion version, const CodecLimits& limits);
/// PINGREQ or PINGRESP: true when the frame is empty and its flags are 0.
bool is_valid_ping(const Frame& frame);

/// Append one packet to `out`. The caller's values must be encodable: strings of at most 65,535 bytes, a
/// packet id where one is needed, at most 268,435,455 bytes in all.
void encode_connect(Bytes& out, const Connect& packet);
void encode_connack(Bytes& out, const Connack& packet, ProtocolVersion version);
/// Returns the offset in `out` of the packet id (0 when there is none), so that a shared encoding can be
/// patched.
std::size_t encode_publish(Bytes& out, const Publish& packet, ProtocolVersion version);
/// The same for a PUBLISH without properties. `flags` are the low four bits of its first byte; `packet_id` is
/// not written for QoS 0.
std::size_t encode_plain_publish(
    Bytes& out,
    std::string_view topic,
    ByteView payload,
    unsigned flags,
    std::uint16_t packet_id,
    ProtocolVersion version
);
/// `type` is puback, pubrec, pubrel or pubcomp. 3.x carries the packet id only.
void encode_ack(Bytes& out, PacketType type, const Ack& packet, ProtocolVersion version);
void encode_subscribe(Bytes& out, const Subscribe& packet, ProtocolVersion version);
void encode_suback(Bytes& out, const Suback& packet, ProtocolVersion version);
void encode_unsubscribe(Bytes& out, const Unsubscribe& packet, ProtocolVersion version);
void encode_unsuback(Bytes& out, const Unsuback& packet, ProtocolVersion version);
void encode_pingreq(Bytes& out);
void encode_pingresp(Bytes& out);
/// 3.x has an empty DISCONNECT, sent by clients only.
void encode_disconnect(Bytes& out, const Disconnect& packet, ProtocolVersion version);
void encode_auth(Bytes& out, const Auth& packet);

/// Overwrites the packet id in a PUBLISH encoded before.
void patch_packet_id(Bytes& packet, std::size_t offset, std::uint16_t packet_id);

/// The wire view of a message; the message must outlive it. Packet id, DUP, alias and subscription ids are
/// left out.
Publish publish_view(const Message& message);
/// True when a PUBLISH of the message has no properties of its own.
bool is_plain(const Message& message);
/// Copies all that `packet` holds into a message without such; origin and times are left alone. `topic`
/// stands in for an alias.
void fill_message(Message& message, const Publish& packet, std::string_view topic);
/// A message with copies of all that `packet` holds; origin and times are not set. `topic` stands in for an
/// alias.
Message message_from(const Publish& packet, std::string_view topic);

/// True when the table of MQTT 5 for this packet has the reason
/// (sections 3.2.2.2, 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1 and 3.14.2.1); false for packets without such a
/// table there.
bool reason_fits(PacketType type, ReasonCode reason, Sender from) noexcept;

/// The reason where the table of a server's packet has it; else "unspecified error" or, below 0x80, success.
ReasonCode fitting_reason(PacketType type, ReasonCode reason) noexcept;

/// True when a PUBLISH of the message would be one that MQTT allows: its QoS, its topic and response topic
/// (within the limits), all text, and a payload that is the UTF-8 it claims to be.
bool is_sound(const Message& message, const CodecLimits& limits) noexcept;

/// True when `text` is a string MQTT may carry: well-formed UTF-8 without U+0000 and without noncharacters.
bool is_mqtt_text(ByteView text) noexcept;

} // namespace brim::mqtt
