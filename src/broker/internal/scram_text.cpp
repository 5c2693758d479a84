#include "broker/internal/scram_text.h"

#include "broker/scram.h"

#include "base/assert.h"

#include <algorithm>
#include <charconv>

namespace brim::broker {

namespace {

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

} // namespace

std::optional<std::uint32_t> iterations_from(std::string_view text) {
    std::uint32_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    const bool is_number = error == std::errc() && end == text.data() + text.size() && text.front() != '0';
    if (!is_number || count < ScramLimits::iterations_min || count > ScramLimits::iterations_max)
        return std::nullopt;
    return count;
}

bool is_nonce_text(std::string_view text) noexcept {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F && c != ','; });
}

std::string to_saslname(std::string_view name) {
    std::string text;
    for (const char c : name) {
        if (c == ',')
            text += "=2C";
        else if (c == '=')
            text += "=3D";
        else
            text += c;
    }
    return text;
}

std::optional<std::string> from_saslname(std::string_view text) {
    std::string name;
    while (!text.empty()) {
        if (text.front() != '=') {
            name += text.front();
            text.remove_prefix(1);
            continue;
        }
        if (text.starts_with("=2C"))
            name += ',';
        else if (text.starts_with("=3D"))
            name += '=';
        else
            return std::nullopt;
        text.remove_prefix(3);
    }
    return name;
}

std::optional<AttributeReader::Attribute> AttributeReader::peek() const {
    const std::string_view text = rest_.substr(0, rest_.find(','));
    if (is_done_ || text.size() < 3 || !is_letter(text[0]) || text[1] != '=')
        return std::nullopt;
    return Attribute{text[0], text.substr(2)};
}

void AttributeReader::drop(const Attribute& attribute) {
    const std::size_t size = attribute.value.size() + 2;
    is_done_ = size == rest_.size();
    rest_.remove_prefix(is_done_ ? size : size + 1); // a comma at the end leaves an attribute that is none
}

std::optional<std::string_view> AttributeReader::take(char name) {
    const auto attribute = peek();
    if (!attribute || attribute->name != name)
        return std::nullopt;
    drop(*attribute);
    return attribute->value;
}

void AttributeReader::skip_optional(std::string_view reserved) {
    for (auto attribute = peek(); attribute && reserved.find(attribute->name) == std::string_view::npos;
         attribute = peek()) {
        drop(*attribute);
    }
}

Bytes exclusive_or(ByteView a, ByteView b) {
    BRIM_ASSERT(a.size() == b.size(), "keys and signatures are of one size");
    Bytes out(a);
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<char>(out[i] ^ b[i]);
    return out;
}

} // namespace brim::broker
