#include "broker/bridge_record.h"

#include <algorithm>

namespace brim::broker {

namespace {
constexpr std::uint8_t record_format = 1;
constexpr unsigned flag_retain = 1;
constexpr unsigned flag_utf8 = 2;
} // namespace

Bytes encode_bridge_record(const Message& message) {
    Bytes out;
    put_u8(out, record_format);
    put_u8(out, message.qos);
    put_u8(
        out,
        static_cast<std::uint8_t>(
            (message.retain ? flag_retain : 0) | (message.payload_is_utf8 ? flag_utf8 : 0)
        )
    );
    put_u64(out, static_cast<std::uint64_t>(message.time.ms));
    put_u64(out, static_cast<std::uint64_t>(message.expiry_s));
    put_prefixed(out, message.topic);
    put_prefixed(out, message.content_type);
    put_prefixed(out, message.response_topic);
    put_prefixed(out, message.correlation);
    put_u16(out, static_cast<std::uint16_t>(message.user_properties.size()));
    for (const auto& [name, value] : message.user_properties) {
        put_prefixed(out, name);
        put_prefixed(out, value);
    }
    out.append(message.payload);
    return out;
}

Result<Message> decode_bridge_record(ByteView record) {
    Reader in(record, "stored message of a bridge");
    const std::uint8_t format = in.u8();
    if (in.ok() && format > record_format) {
        return fail(
            Errc::unsupported,
            "stored message of a bridge",
            "its format is newer than this program",
            "start the newer version"
        );
    }
    Message message;
    message.qos = in.u8();
    const unsigned flags = in.u8();
    if (format == 0 || message.qos > 2 || flags > (flag_retain | flag_utf8))
        in.fail(Errc::malformed, "unknown format, QoS or flag");
    message.retain = (flags & flag_retain) != 0;
    message.payload_is_utf8 = (flags & flag_utf8) != 0;
    message.time.ms = static_cast<std::int64_t>(in.u64());
    message.expiry_s = static_cast<std::int64_t>(in.u64());
    if (message.expiry_s < -1 || message.expiry_s > 0xFFFF'FFFFLL)
        in.fail(Errc::malformed, "an expiry that MQTT does not know");
    message.topic = in.prefixed();
    message.content_type = in.prefixed();
    message.response_topic = in.prefixed();
    message.correlation = in.prefixed();
    for (unsigned left = in.u16(); left > 0 && in.ok(); --left) {
        const ByteView name = in.prefixed();
        const ByteView value = in.prefixed();
        message.user_properties.emplace_back(name, value);
    }
    message.payload = in.rest();
    return in.finish(std::move(message));
}

bool take_off_age(Message& message, WallTime now) {
    if (message.expiry_s < 0)
        return true;
    const std::int64_t waited_s = std::max<std::int64_t>(0, now.ms - message.time.ms) / 1'000;
    if (waited_s >= message.expiry_s)
        return false;
    message.expiry_s -= waited_s;
    return true;
}

} // namespace brim::broker
