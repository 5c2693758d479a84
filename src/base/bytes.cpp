#include "base/bytes.h"

#include "base/assert.h"
#include "base/internal/utf8.h"

#include <cstring>

namespace brim {

bool is_utf8(ByteView text) noexcept {
    constexpr std::uint64_t high_bits = 0x8080'8080'8080'8080;
    std::size_t offset = 0;
    while (offset < text.size()) {
        // Topics and keys are nearly always ASCII: skip eight at a time.
        if (text.size() - offset >= sizeof(std::uint64_t)) {
            std::uint64_t word = 0;
            std::memcpy(&word, text.data() + offset, sizeof word);
            if ((word & high_bits) == 0) {
                offset += sizeof word;
                continue;
            }
        }
        const Utf8Step step = utf8_step(text, offset);
        if (!step.valid)
            return false;
        offset += step.size;
    }
    return true;
}

bool is_mqtt_utf8(ByteView text) noexcept {
    return text.find('\0') == ByteView::npos && is_utf8(text);
}

void put_u8(Bytes& out, std::uint8_t value) {
    out.push_back(static_cast<char>(value));
}

void put_u16(Bytes& out, std::uint16_t value) {
    const char field[] = {static_cast<char>(value >> 8), static_cast<char>(value)};
    out.append(field, sizeof field);
}

void put_u32(Bytes& out, std::uint32_t value) {
    put_u16(out, static_cast<std::uint16_t>(value >> 16));
    put_u16(out, static_cast<std::uint16_t>(value));
}

void put_u64(Bytes& out, std::uint64_t value) {
    put_u32(out, static_cast<std::uint32_t>(value >> 32));
    put_u32(out, static_cast<std::uint32_t>(value));
}

void put_varint(Bytes& out, std::uint32_t value) {
    BRIM_ASSERT(value <= 268'435'455, "a variable byte integer has at most 28 bits");
    while (value >= 0x80) {
        put_u8(out, static_cast<std::uint8_t>(value | 0x80));
        value >>= 7;
    }
    put_u8(out, static_cast<std::uint8_t>(value));
}

void put_prefixed(Bytes& out, ByteView value) {
    BRIM_ASSERT(value.size() <= 65'535, "a 16-bit length cannot say more than 65,535");
    put_u16(out, static_cast<std::uint16_t>(value.size()));
    out.append(value);
}

std::string to_hex(ByteView bytes) {
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    out.reserve(bytes.size() * 2);
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        out.push_back(digits[byte >> 4]);
        out.push_back(digits[byte & 0x0F]);
    }
    return out;
}

namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

} // namespace

Result<Bytes> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) {
        return fail(Errc::malformed, "hex text", "odd number of digits", "give two hex digits for each byte");
    }
    Bytes out;
    out.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = hex_digit(text[i]);
        const int low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0) {
            const std::size_t at = high < 0 ? i : i + 1;
            return fail(
                Errc::malformed,
                "hex text",
                "not a hex digit at byte " + std::to_string(at),
                "use only 0-9 and a-f"
            );
        }
        out.push_back(static_cast<char>(high * 16 + low));
    }
    return out;
}

std::string to_base64url(ByteView bytes) {
    constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string out;
    out.reserve((bytes.size() * 4 + 2) / 3);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char c : bytes) {
        bits = (bits << 8) | static_cast<unsigned char>(c);
        count += 8;
        while (count >= 6) {
            count -= 6;
            out.push_back(digits[(bits >> count) & 0x3F]);
        }
    }
    if (count > 0)
        out.push_back(digits[(bits << (6 - count)) & 0x3F]);
    return out;
}

} // namespace brim
