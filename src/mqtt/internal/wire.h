#pragma once
// Reads the fields of one packet body in a straight line, checked once. Unlike base's Reader it is inline and
// its error is a reason code: PUBLISH passes here a million times a second.

#include "mqtt/codec.h"

namespace brim::mqtt::wire {

class PacketReader {
public:
    explicit PacketReader(ByteView bytes) noexcept : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

    std::uint8_t u8() noexcept { return need(1) ? take() : std::uint8_t{0}; }

    std::uint16_t u16() noexcept {
        if (!need(2))
            return 0;
        const unsigned high = take();
        return static_cast<std::uint16_t>(high << 8 | take());
    }

    std::uint32_t u32() noexcept {
        const std::uint32_t high = u16();
        return high << 16 | u16();
    }

    /// Variable byte integer: at most 4 bytes, the shortest form only (MQTT 5 section 1.5.5).
    std::uint32_t varint() noexcept {
        std::uint32_t value = 0;
        for (unsigned shift = 0; shift < 28; shift += 7) {
            if (!need(1))
                return 0;
            const std::uint32_t byte = take();
            value |= (byte & 0x7Fu) << shift;
            if (byte < 0x80) {
                if (byte == 0 && shift != 0)
                    fail("a variable byte integer is longer than needed");
                return value;
            }
        }
        fail("a variable byte integer has more than four bytes");
        return 0;
    }

    ByteView view(std::size_t count) noexcept {
        if (!need(count))
            return {};
        const ByteView result(at_, count);
        at_ += count;
        return result;
    }

    ByteView prefixed() noexcept {
        const std::size_t count = u16();
        return view(count);
    }

    /// A UTF-8 string; refuses what MQTT text may not hold.
    std::string_view text() noexcept {
        const ByteView result = prefixed();
        if (ok() && !is_mqtt_text(result))
            fail("a string is not UTF-8 text that MQTT allows");
        return result;
    }

    /// Takes the next byte when it is 0.
    bool take_zero() noexcept {
        if (at_ == end_ || *at_ != 0)
            return false;
        ++at_;
        return true;
    }

    ByteView rest() noexcept { return view(remaining()); }

    std::size_t remaining() const noexcept { return static_cast<std::size_t>(end_ - at_); }

    bool more() const noexcept { return ok() && at_ != end_; }

    bool ok() const noexcept { return error_.cause == nullptr; }

    void fail(const char* cause, ReasonCode reason = ReasonCode::malformed_packet) noexcept {
        if (ok())
            error_ = {reason, cause};
        at_ = end_;
    }

    void protocol_error(const char* cause) noexcept { fail(cause, ReasonCode::protocol_error); }

    PacketError error() const noexcept { return error_; }

    template <class T> Decoded<T> finish(T&& value) {
        if (ok() && at_ != end_)
            fail("bytes are left over after the last field");
        if (!ok())
            return std::unexpected<PacketError>(error_);
        return std::forward<T>(value);
    }

private:
    std::uint8_t take() noexcept { return static_cast<std::uint8_t>(*at_++); }

    bool need(std::size_t count) noexcept {
        if (static_cast<std::size_t>(end_ - at_) >= count) [[likely]]
            return true;
        fail("the packet ends inside a field");
        return false;
    }

    const char* at_;
    const char* end_;
    PacketError error_{ReasonCode::success, nullptr};
};

/// Fixed header and body: the remaining length is known only when the body is.
void put_packet(Bytes& out, PacketType type, std::uint8_t flags, ByteView body);

/// The size `put_varint` will need.
constexpr std::size_t varint_bytes(std::size_t value) {
    return value < 128 ? 1 : value < 16'384 ? 2 : value < 2'097'152 ? 3 : 4;
}

} // namespace brim::mqtt::wire
