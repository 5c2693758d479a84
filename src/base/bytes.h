#pragma once
// Bytes, views of them, and a reader that cannot be made to read more than it was given.
// A byte is a char here: files, sockets and JSON text all meet in std::string without a cast.

#include "base/error.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace brim {

using Bytes = std::string;
using ByteView = std::string_view;

/// Reads big-endian fields from a view, in a straight line, checked once at the end. The first error wins and
/// is kept with its offset; every read after it yields zero or an empty view. Never reads outside the view.
class Reader {
public:
    /// `object` names what is read in errors, for example "CONNECT packet".
    Reader(ByteView bytes, std::string_view object) noexcept : bytes_(bytes), object_(object) {}

    std::uint8_t u8() noexcept;
    std::uint16_t u16() noexcept;
    std::uint32_t u32() noexcept;
    std::uint64_t u64() noexcept;
    /// MQTT variable byte integer (MQTT 5 section 1.5.5): at most 4 bytes, minimal encoding required.
    std::uint32_t varint() noexcept;
    /// The next `count` bytes; fails when fewer are left.
    ByteView view(std::size_t count) noexcept;
    /// A 16-bit length and that many bytes.
    ByteView prefixed() noexcept;
    /// All that is left.
    ByteView rest() noexcept;

    bool more() const noexcept { return ok() && offset_ < bytes_.size(); }

    bool ok() const noexcept { return !failed_; }

    std::size_t remaining() const noexcept { return bytes_.size() - offset_; }

    std::size_t offset() const noexcept { return offset_; }

    /// Notes an error found by the caller (kept only when it is the first).
    void fail(Errc code, std::string_view cause);
    /// The first error; call only when !ok().
    Error error() const;

    /// `value` when all went well and nothing is left over; else the first error.
    template <class T> Result<T> finish(T value) {
        if (ok() && offset_ != bytes_.size())
            fail(Errc::malformed, "bytes left over after the last field");
        if (!ok())
            return std::unexpected<Error>(error());
        return value;
    }

private:
    bool need(std::size_t count) noexcept;

    ByteView bytes_;
    std::string_view object_;
    std::size_t offset_ = 0;
    bool failed_ = false;
    Errc code_ = Errc::malformed;
    std::string_view static_cause_;
    std::string cause_;
    std::size_t error_offset_ = 0;
};

/// Appends big-endian fields to a byte string.
void put_u8(Bytes& out, std::uint8_t value);
void put_u16(Bytes& out, std::uint16_t value);
void put_u32(Bytes& out, std::uint32_t value);
void put_u64(Bytes& out, std::uint64_t value);
void put_varint(Bytes& out, std::uint32_t value); ///< value <= 268,435,455
void put_prefixed(Bytes& out, ByteView value);    ///< 16-bit length first; value.size() <= 65,535

/// True when `text` is well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF).
bool is_utf8(ByteView text) noexcept;
/// True when `text` may be an MQTT UTF-8 string: well-formed and without U+0000 (MQTT 5 section 1.5.4).
bool is_mqtt_utf8(ByteView text) noexcept;

std::string to_hex(ByteView bytes); ///< lower case
/// Either case; fails on odd length or a non-digit.
Result<Bytes> from_hex(std::string_view text);
std::string to_base64url(ByteView bytes); ///< without padding

} // namespace brim
