#pragma once
// What the conformance tests share: packets written field by field, so that wrong ones can be written as
// well. An id in a test's name is that of MQTT 5.0; [MQTT3-...] is one that only 3.1.1 has under that
// meaning. The whole table is docs/spec/mqtt-conformance.md.

#include "mqtt/tests/broker_bench.h"

#include <initializer_list>

namespace brim::mqtt::bench {

inline constexpr ProtocolVersion both_versions[] = {ProtocolVersion::v311, ProtocolVersion::v5};

inline bool is_v5(ProtocolVersion version) {
    return version == ProtocolVersion::v5;
}

/// A packet's body in the making.
class Raw {
public:
    Raw& u8(unsigned value) {
        put_u8(body_, static_cast<std::uint8_t>(value));
        return *this;
    }

    Raw& u16(unsigned value) {
        put_u16(body_, static_cast<std::uint16_t>(value));
        return *this;
    }

    Raw& text(ByteView value) {
        put_prefixed(body_, value);
        return *this;
    }

    Raw& bytes(ByteView value) {
        body_ += value;
        return *this;
    }

    /// A block of properties; nothing before MQTT 5.
    Raw& properties(ProtocolVersion version, ByteView block = {}) {
        if (is_v5(version)) {
            put_varint(body_, static_cast<std::uint32_t>(block.size()));
            body_ += block;
        }
        return *this;
    }

    const Bytes& body() const { return body_; }

    Bytes packet(unsigned first_byte) const {
        Bytes whole;
        put_u8(whole, static_cast<std::uint8_t>(first_byte));
        put_varint(whole, static_cast<std::uint32_t>(body_.size()));
        return whole + body_;
    }

private:
    Bytes body_;
};

/// Strings with their lengths, one behind the other.
inline Bytes fields(std::initializer_list<ByteView> texts) {
    Raw raw;
    for (const ByteView text : texts)
        raw.text(text);
    return raw.body();
}

inline Bytes
raw_connect(ProtocolVersion version, unsigned flags, ByteView payload, unsigned first_byte = 0x10) {
    return Raw()
        .text("MQTT")
        .u8(static_cast<unsigned>(version))
        .u8(flags)
        .u16(60)
        .properties(version)
        .bytes(payload)
        .packet(first_byte);
}

inline SubscribeFilter wanting(std::string_view filter, std::uint8_t qos = 0) {
    SubscribeFilter wanted;
    wanted.filter = filter;
    wanted.qos = qos;
    return wanted;
}

/// The broker ended a connection that was up as its version says: with DISCONNECT and the reason, or
/// silently.
inline void check_ended(Peer& peer, ReasonCode reason) {
    REQUIRE(peer.is_closed());
    if (is_v5(peer.version())) {
        CHECK(peer.goodbye() == reason);
    } else {
        CHECK(peer.is_quiet());
    }
}

/// The broker refused a malformed CONNECT: MQTT 5 with CONNACK and the reason, 3.1.1 silently.
inline void check_refused(Peer& peer, ReasonCode reason) {
    REQUIRE(peer.is_closed());
    if (is_v5(peer.version()))
        CHECK(peer.connack().reason == reason);
    CHECK(peer.is_quiet());
}

} // namespace brim::mqtt::bench
