// Any bytes as packets of either version in either direction: a decoded packet encodes to bytes that decode
// to the same packet, and a stream cut in two anywhere gives the same packets and the same end.
#include "mqtt/codec.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace brim;
using namespace brim::mqtt;

namespace {

const CodecLimits limits{
    .user_properties_max = 16, .filters_max = 32, .topic_bytes_max = 256, .topic_levels_max = 16
};
constexpr std::uint32_t packet_bytes_max = 4'096;

/// Encodes again what was understood; empty when it was refused.
template <class Packet, class Encode> Bytes again(const Decoded<Packet>& packet, Encode encode) {
    Bytes out;
    if (packet) {
        encode(out, *packet);
    } else if (!is_failure(packet.error().reason) || packet.error().cause == nullptr) {
        std::abort();
    }
    return out;
}

Bytes reencode(const Frame& frame, ProtocolVersion version, Sender from) {
    switch (frame.type) {
    case PacketType::connect:
        return again(decode_connect(frame, limits), [](Bytes& out, const Connect& p) {
            encode_connect(out, p);
        });
    case PacketType::connack:
        return again(decode_connack(frame, version, limits), [=](Bytes& out, const Connack& p) {
            encode_connack(out, p, version);
        });
    case PacketType::publish:
        return again(decode_publish(frame, version, from, limits), [=](Bytes& out, const Publish& p) {
            encode_publish(out, p, version);
        });
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubrel:
    case PacketType::pubcomp:
        return again(decode_ack(frame, version, limits), [&](Bytes& out, const Ack& p) {
            encode_ack(out, frame.type, p, version);
        });
    case PacketType::subscribe:
        return again(decode_subscribe(frame, version, limits), [=](Bytes& out, const Subscribe& p) {
            encode_subscribe(out, p, version);
        });
    case PacketType::suback:
        return again(decode_suback(frame, version, limits), [=](Bytes& out, const Suback& p) {
            encode_suback(out, p, version);
        });
    case PacketType::unsubscribe:
        return again(decode_unsubscribe(frame, version, limits), [=](Bytes& out, const Unsubscribe& p) {
            encode_unsubscribe(out, p, version);
        });
    case PacketType::unsuback:
        return again(decode_unsuback(frame, version, limits), [=](Bytes& out, const Unsuback& p) {
            encode_unsuback(out, p, version);
        });
    case PacketType::disconnect:
        return again(decode_disconnect(frame, version, from, limits), [=](Bytes& out, const Disconnect& p) {
            encode_disconnect(out, p, version);
        });
    case PacketType::auth:
        return again(decode_auth(frame, version, limits), [](Bytes& out, const Auth& p) {
            encode_auth(out, p);
        });
    default:
        return {};
    }
}

std::string run(ByteView stream, std::size_t split, ProtocolVersion version, Sender from) {
    Framer framer(packet_bytes_max);
    std::string seen;
    for (ByteView part : {stream.substr(0, split), stream.substr(split)}) {
        for (;;) {
            const auto frame = framer.next(part);
            if (!frame)
                return seen + "error " + std::to_string(static_cast<int>(frame.error().reason));
            if (!*frame)
                break;
            if ((*frame)->body.size() > packet_bytes_max)
                std::abort();
            const Bytes first = reencode(**frame, version, from);
            if (!first.empty()) {
                Framer one(packet_bytes_format_max);
                ByteView rest = first;
                const auto parsed = one.next(rest);
                if (!parsed || !*parsed || !rest.empty())
                    std::abort();
                if (reencode(**parsed, version, from) != first)
                    std::abort();
            }
            seen += std::to_string(static_cast<int>((*frame)->type)) + ":" + first + "\n";
        }
    }
    return seen;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2)
        return 0;
    const ByteView all(reinterpret_cast<const char*>(data), size);
    const ProtocolVersion versions[] = {
        ProtocolVersion::v31, ProtocolVersion::v311, ProtocolVersion::v5, ProtocolVersion::v5
    };
    const ProtocolVersion version = versions[data[0] & 3];
    const Sender from = (data[0] & 4) != 0 ? Sender::client : Sender::server;
    const ByteView stream = all.substr(2);
    const std::string whole = run(stream, 0, version, from);
    const std::size_t split = stream.empty() ? 0 : data[1] % (stream.size() + 1);
    if (run(stream, split, version, from) != whole)
        std::abort();
    return 0;
}
