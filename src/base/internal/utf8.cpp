#include "base/internal/utf8.h"

namespace brim {

Utf8Step utf8_step(ByteView text, std::size_t offset) noexcept {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned lead = byte(offset);
    if (lead < 0x80)
        return {lead, 1, true};

    unsigned size = 0;
    char32_t least = 0; // below it the form is overlong
    char32_t code = 0;
    if ((lead & 0xE0) == 0xC0) {
        size = 2, least = 0x80, code = lead & 0x1F;
    } else if ((lead & 0xF0) == 0xE0) {
        size = 3, least = 0x800, code = lead & 0x0F;
    } else if ((lead & 0xF8) == 0xF0) {
        size = 4, least = 0x10000, code = lead & 0x07;
    } else {
        return {};
    }
    if (text.size() - offset < size)
        return {};
    for (unsigned i = 1; i < size; ++i) {
        const unsigned next = byte(offset + i);
        if ((next & 0xC0) != 0x80)
            return {};
        code = (code << 6) | (next & 0x3F);
    }
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    if (code < least || code > 0x10FFFF || surrogate)
        return {};
    return {code, size, true};
}

} // namespace brim
