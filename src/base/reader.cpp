#include "base/bytes.h"

#include "base/assert.h"

namespace brim {

bool Reader::need(std::size_t count) noexcept {
    if (failed_)
        return false;
    if (count <= remaining())
        return true;
    failed_ = true;
    code_ = Errc::malformed;
    static_cause_ = "the bytes end inside a field";
    error_offset_ = offset_;
    return false;
}

std::uint8_t Reader::u8() noexcept {
    if (!need(1))
        return 0;
    return static_cast<std::uint8_t>(bytes_[offset_++]);
}

std::uint16_t Reader::u16() noexcept {
    if (!need(2))
        return 0;
    const unsigned high = u8();
    const unsigned low = u8();
    return static_cast<std::uint16_t>(high << 8 | low);
}

std::uint32_t Reader::u32() noexcept {
    if (!need(4))
        return 0;
    const std::uint32_t high = u16();
    const std::uint32_t low = u16();
    return high << 16 | low;
}

std::uint64_t Reader::u64() noexcept {
    if (!need(8))
        return 0;
    const std::uint64_t high = u32();
    const std::uint64_t low = u32();
    return high << 32 | low;
}

std::uint32_t Reader::varint() noexcept {
    const std::size_t start = offset_;
    std::uint32_t value = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        const std::uint8_t byte = u8();
        if (failed_)
            return 0;
        value |= static_cast<std::uint32_t>(byte & 0x7F) << shift;
        if (byte >= 0x80)
            continue;
        if (byte != 0 || shift == 0)
            return value;
        break; // a last byte of zero says nothing: not the shortest form
    }
    failed_ = true;
    code_ = Errc::malformed;
    static_cause_ = "variable byte integer longer than 4 bytes or not in its shortest form";
    error_offset_ = start;
    return 0;
}

ByteView Reader::view(std::size_t count) noexcept {
    if (!need(count))
        return {};
    const ByteView out = bytes_.substr(offset_, count);
    offset_ += count;
    return out;
}

ByteView Reader::prefixed() noexcept {
    const std::size_t count = u16();
    return view(count);
}

ByteView Reader::rest() noexcept {
    return view(remaining());
}

void Reader::fail(Errc code, std::string_view cause) {
    if (failed_)
        return;
    failed_ = true;
    code_ = code;
    cause_ = cause;
    error_offset_ = offset_;
}

Error Reader::error() const {
    BRIM_ASSERT(failed_, "asked for the error of a reader that has none");
    std::string cause(cause_.empty() ? static_cause_ : std::string_view(cause_));
    cause += " at byte " + std::to_string(error_offset_);
    return Error{code_, std::string(object_), std::move(cause), "the sender must correct its encoding"};
}

} // namespace brim
