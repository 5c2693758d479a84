#pragma once
// Random packets of every kind, and a decoder that encodes again what it understood.

#include "base/random.h"
#include "mqtt/codec.h"

#include <doctest/doctest.h>

#include <deque>
#include <string>
#include <tuple>
#include <vector>

namespace brim::mqtt::bench {

struct Sample {
    PacketType type = PacketType::reserved;
    ProtocolVersion version = ProtocolVersion::v5;
    Sender from = Sender::client;
    Bytes bytes;
};

/// Decodes by type and encodes again.
inline Decoded<Bytes> reencode(const Frame& frame, ProtocolVersion version, Sender from) {
    const CodecLimits limits;
    Bytes out;
    const auto done = [&](const auto& packet, auto&& encode) -> Decoded<Bytes> {
        if (!packet)
            return std::unexpected<PacketError>(packet.error());
        encode(*packet);
        return out;
    };
    switch (frame.type) {
    case PacketType::connect:
        return done(decode_connect(frame, limits), [&](const Connect& p) { encode_connect(out, p); });
    case PacketType::connack:
        return done(decode_connack(frame, version, limits), [&](const Connack& p) {
            encode_connack(out, p, version);
        });
    case PacketType::publish:
        return done(decode_publish(frame, version, from, limits), [&](const Publish& p) {
            encode_publish(out, p, version);
        });
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubrel:
    case PacketType::pubcomp:
        return done(decode_ack(frame, version, limits), [&](const Ack& p) {
            encode_ack(out, frame.type, p, version);
        });
    case PacketType::subscribe:
        return done(decode_subscribe(frame, version, limits), [&](const Subscribe& p) {
            encode_subscribe(out, p, version);
        });
    case PacketType::suback:
        return done(decode_suback(frame, version, limits), [&](const Suback& p) {
            encode_suback(out, p, version);
        });
    case PacketType::unsubscribe:
        return done(decode_unsubscribe(frame, version, limits), [&](const Unsubscribe& p) {
            encode_unsubscribe(out, p, version);
        });
    case PacketType::unsuback:
        return done(decode_unsuback(frame, version, limits), [&](const Unsuback& p) {
            encode_unsuback(out, p, version);
        });
    case PacketType::pingreq:
    case PacketType::pingresp:
        if (!is_valid_ping(frame))
            return refuse_packet(ReasonCode::malformed_packet, "a ping with contents");
        frame.type == PacketType::pingreq ? encode_pingreq(out) : encode_pingresp(out);
        return out;
    case PacketType::disconnect:
        return done(decode_disconnect(frame, version, from, limits), [&](const Disconnect& p) {
            encode_disconnect(out, p, version);
        });
    case PacketType::auth:
        return done(decode_auth(frame, version, limits), [&](const Auth& p) { encode_auth(out, p); });
    case PacketType::reserved:
        break;
    }
    return refuse_packet(ReasonCode::malformed_packet, "packet type 0");
}

/// Packets with a tail that may be left out: what is decoded from the long form is written in the short one.
inline bool may_be_shorter(PacketType type, ProtocolVersion version) {
    if (version != ProtocolVersion::v5)
        return false;
    switch (type) {
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubrel:
    case PacketType::pubcomp:
    case PacketType::disconnect:
    case PacketType::auth:
        return true;
    default:
        return false;
    }
}

/// The packets of a stream that arrives in pieces ending at `cuts` (ascending).
inline std::vector<std::pair<int, Bytes>> packets_of(ByteView stream, const std::vector<std::size_t>& cuts) {
    std::vector<std::pair<int, Bytes>> packets;
    Framer framer(packet_bytes_format_max);
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= cuts.size(); ++i) {
        const std::size_t end = i < cuts.size() ? cuts[i] : stream.size();
        ByteView piece = stream.substr(begin, end - begin);
        begin = end;
        for (;;) {
            const auto frame = framer.next(piece);
            REQUIRE(frame.has_value());
            if (!*frame)
                break;
            packets.emplace_back(
                static_cast<int>((*frame)->type) * 16 + (*frame)->flags, Bytes((*frame)->body)
            );
        }
    }
    return packets;
}

/// Makes random packets; the text behind the views lives in it.
class PacketMaker {
public:
    explicit PacketMaker(SeededRandom& random) : random_(random) {}

    Sample any() {
        sample_.version = std::array{
            ProtocolVersion::v31, ProtocolVersion::v311, ProtocolVersion::v5, ProtocolVersion::v5
        }[random_.below(4)];
        sample_.from = one() ? Sender::client : Sender::server;
        const std::uint64_t last = is_v5() ? 15 : 14;
        sample_.type = static_cast<PacketType>(1 + random_.below(last));
        if (sample_.type == PacketType::disconnect && !is_v5())
            sample_.from = Sender::client;
        fill();
        return std::move(sample_);
    }

private:
    bool is_v5() const { return sample_.version == ProtocolVersion::v5; }

    bool one() { return random_.below(2) == 1; }

    std::uint16_t id() { return static_cast<std::uint16_t>(1 + random_.below(65'535)); }

    std::string_view text(std::size_t bytes_max = 12) {
        static const std::string_view pieces[] = {
            "a", "Z", "0", "-", " ", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"
        };
        std::string made;
        const std::uint64_t count = 1 + random_.below(bytes_max / 4);
        for (std::uint64_t i = 0; i < count; ++i)
            made += pieces[random_.below(std::size(pieces))];
        return keep(std::move(made));
    }

    ByteView binary() {
        std::string made;
        const std::uint64_t count = 1 + random_.below(random_.below(20) == 0 ? 300 : 10);
        for (std::uint64_t i = 0; i < count; ++i)
            made += static_cast<char>(random_.below(256));
        return keep(std::move(made));
    }

    std::string_view topic() {
        std::string made(text());
        for (std::uint64_t i = random_.below(4); i > 0; --i)
            made.append("/").append(text());
        return keep(std::move(made));
    }

    std::string_view keep(std::string made) {
        kept_.push_back(std::move(made));
        return kept_.back();
    }

    UserProperties user() {
        UserProperties properties;
        if (!is_v5() || random_.below(3) != 0)
            return properties;
        for (std::uint64_t i = random_.below(4); i > 0; --i)
            properties.emplace_back(text(), text());
        return properties;
    }

    template <class T> void maybe(T& field, T value) {
        if (is_v5() && one())
            field = value;
    }

    void fill() {
        switch (sample_.type) {
        case PacketType::connect:
            connect();
            return;
        case PacketType::connack:
            connack();
            return;
        case PacketType::publish:
            publish();
            return;
        case PacketType::puback:
        case PacketType::pubrec:
        case PacketType::pubrel:
        case PacketType::pubcomp:
            ack();
            return;
        case PacketType::subscribe:
        case PacketType::unsubscribe:
            request();
            return;
        case PacketType::suback:
        case PacketType::unsuback:
            answer();
            return;
        case PacketType::pingreq:
            encode_pingreq(sample_.bytes);
            return;
        case PacketType::pingresp:
            encode_pingresp(sample_.bytes);
            return;
        case PacketType::disconnect:
            disconnect();
            return;
        default:
            auth();
            return;
        }
    }

    void connect() {
        Connect packet;
        packet.version = sample_.version;
        packet.client_id = text();
        packet.clean_start = one();
        packet.keepalive_s = static_cast<std::uint16_t>(random_.below(65'536));
        packet.has_username = one();
        if (packet.has_username)
            packet.username = text();
        packet.has_password = (packet.has_username || is_v5()) && one();
        if (packet.has_password)
            packet.password = binary();
        if (one())
            will(packet);
        maybe(packet.session_expiry_s, static_cast<std::uint32_t>(random_.u64()));
        maybe(packet.receive_maximum, id());
        maybe(packet.packet_bytes_max, static_cast<std::uint32_t>(1 + random_.below(0xFFFFFFFF)));
        maybe(packet.topic_alias_max, id());
        maybe(packet.request_response_information, true);
        maybe(packet.request_problem_information, false);
        if (is_v5() && one()) {
            packet.has_auth_method = true;
            packet.auth_method = text();
            if (one())
                packet.auth_data = binary();
        }
        packet.user_properties = user();
        encode_connect(sample_.bytes, packet);
    }

    void will(Connect& packet) {
        auto made = std::make_shared<Message>();
        made->topic = topic();
        made->payload = binary();
        made->qos = static_cast<std::uint8_t>(random_.below(3));
        made->retain = one();
        if (is_v5()) {
            if (one())
                packet.will_delay_s = static_cast<std::uint32_t>(random_.u64());
            if (one())
                made->expiry_s = static_cast<std::uint32_t>(random_.u64());
            if (one())
                made->content_type = text();
            if (one())
                made->response_topic = topic();
            if (one())
                made->correlation = binary();
            if (one()) {
                made->payload_is_utf8 = true;
                made->payload = text();
            }
            for (const auto& [name, value] : user())
                made->user_properties.emplace_back(name, value);
        }
        packet.will = std::move(made);
    }

    void connack() {
        Connack packet;
        const ReasonCode reasons_v5[] = {ReasonCode::success, ReasonCode::banned, ReasonCode::server_moved};
        packet.reason = is_v5() ? reasons_v5[random_.below(3)]
                                : reason_from_return_code(static_cast<std::uint8_t>(random_.below(6)));
        packet.session_present =
            packet.reason == ReasonCode::success && sample_.version != ProtocolVersion::v31 && one();
        if (is_v5()) {
            packet.has_session_expiry = one();
            if (packet.has_session_expiry)
                packet.session_expiry_s = static_cast<std::uint32_t>(random_.u64());
            maybe(packet.receive_maximum, id());
            maybe(packet.qos_max, static_cast<std::uint8_t>(random_.below(2)));
            maybe(packet.retain_available, false);
            maybe(packet.packet_bytes_max, static_cast<std::uint32_t>(1 + random_.below(1'000'000)));
            maybe(packet.assigned_client_id, text());
            maybe(packet.topic_alias_max, id());
            maybe(packet.reason_text, text());
            maybe(packet.wildcard_available, false);
            maybe(packet.subscription_ids_available, false);
            maybe(packet.shared_available, false);
            packet.has_server_keepalive = one();
            if (packet.has_server_keepalive)
                packet.server_keepalive_s = id();
            maybe(packet.response_information, text());
            maybe(packet.server_reference, text());
            packet.user_properties = user();
        }
        encode_connack(sample_.bytes, packet, sample_.version);
    }

    void publish() {
        Publish packet;
        packet.topic = topic();
        packet.payload = binary();
        packet.qos = static_cast<std::uint8_t>(random_.below(3));
        packet.packet_id = packet.qos == 0 ? std::uint16_t{0} : id();
        packet.dup = packet.qos != 0 && one();
        packet.retain = one();
        if (is_v5() && one()) {
            if (one())
                packet.expiry_s = static_cast<std::uint32_t>(random_.u64());
            if (one())
                packet.topic_alias = id();
            if (packet.topic_alias != 0 && one())
                packet.topic = {};
            if (one())
                packet.response_topic = topic();
            if (one())
                packet.correlation = binary();
            if (one())
                packet.content_type = text();
            if (one()) {
                packet.payload_is_utf8 = true;
                packet.payload = text();
            }
            for (std::uint64_t i = sample_.from == Sender::server ? random_.below(3) : 0; i > 0; --i) {
                packet.subscription_ids.push_back(static_cast<std::uint32_t>(1 + random_.below(268'435'455)));
            }
            packet.user_properties = user();
        }
        encode_publish(sample_.bytes, packet, sample_.version);
    }

    void ack() {
        Ack packet;
        packet.packet_id = id();
        const bool is_second_half = sample_.type == PacketType::pubrel || sample_.type == PacketType::pubcomp;
        maybe(
            packet.reason,
            is_second_half ? ReasonCode::packet_identifier_not_found : ReasonCode::quota_exceeded
        );
        maybe(packet.reason_text, text());
        packet.user_properties = user();
        encode_ack(sample_.bytes, sample_.type, packet, sample_.version);
    }

    void request() {
        if (sample_.type == PacketType::unsubscribe) {
            Unsubscribe packet;
            packet.packet_id = id();
            for (std::uint64_t i = 1 + random_.below(4); i > 0; --i)
                packet.filters.push_back(topic());
            packet.user_properties = user();
            encode_unsubscribe(sample_.bytes, packet, sample_.version);
            return;
        }
        Subscribe packet;
        packet.packet_id = id();
        for (std::uint64_t i = 1 + random_.below(4); i > 0; --i) {
            SubscribeFilter filter;
            filter.filter = topic();
            filter.qos = static_cast<std::uint8_t>(random_.below(3));
            maybe(filter.no_local, true);
            maybe(filter.retain_as_published, true);
            maybe(filter.retain_handling, static_cast<RetainHandling>(random_.below(3)));
            packet.filters.push_back(filter);
        }
        maybe(packet.subscription_id, static_cast<std::uint32_t>(1 + random_.below(268'435'455)));
        packet.user_properties = user();
        encode_subscribe(sample_.bytes, packet, sample_.version);
    }

    void answer() {
        const bool is_suback = sample_.type == PacketType::suback;
        Suback packet;
        packet.packet_id = id();
        if (is_suback || is_v5()) {
            const ReasonCode suback[] = {
                ReasonCode::granted_qos0, ReasonCode::granted_qos2, ReasonCode::unspecified_error
            };
            const ReasonCode unsuback[] = {
                ReasonCode::success, ReasonCode::no_subscription_existed, ReasonCode::not_authorized
            };
            for (std::uint64_t i = 1 + random_.below(4); i > 0; --i) {
                packet.reasons.push_back((is_suback ? suback : unsuback)[random_.below(3)]);
            }
        }
        maybe(packet.reason_text, text());
        packet.user_properties = user();
        if (is_suback) {
            encode_suback(sample_.bytes, packet, sample_.version);
            return;
        }
        const Unsuback other{packet.packet_id, packet.reasons, packet.reason_text, packet.user_properties};
        encode_unsuback(sample_.bytes, other, sample_.version);
    }

    void disconnect() {
        Disconnect packet;
        maybe(packet.reason, ReasonCode::quota_exceeded);
        if (is_v5() && sample_.from == Sender::client && one()) {
            packet.has_session_expiry = true;
            packet.session_expiry_s = static_cast<std::uint32_t>(random_.u64());
        }
        maybe(packet.reason_text, text());
        if (sample_.from == Sender::server)
            maybe(packet.server_reference, text());
        packet.user_properties = user();
        encode_disconnect(sample_.bytes, packet, sample_.version);
    }

    void auth() {
        Auth packet;
        packet.reason = one() ? ReasonCode::continue_authentication : ReasonCode::re_authenticate;
        packet.auth_method = text();
        if (one())
            packet.auth_data = binary();
        maybe(packet.reason_text, text());
        packet.user_properties = user();
        encode_auth(sample_.bytes, packet);
    }

    SeededRandom& random_;
    Sample sample_;
    std::deque<std::string> kept_;
};

inline Sample random_sample(SeededRandom& random) {
    return PacketMaker(random).any();
}

} // namespace brim::mqtt::bench
