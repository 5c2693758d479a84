#include "registers.h"

#include "base/bytes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

namespace brim::modbus {

namespace {

constexpr std::array<std::string_view, 11> type_names{
    "bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float", "double", "string", "customized"
};

std::uint16_t swapped(std::uint16_t value) {
    return static_cast<std::uint16_t>(value << 8 | value >> 8);
}

/// Puts registers into the order and byte order of the other side; its own inverse.
std::vector<std::uint16_t> arranged(const Encoding& encoding, std::span<const std::uint16_t> registers) {
    std::vector<std::uint16_t> out(registers.begin(), registers.end());
    if (encoding.reverse_registers)
        std::ranges::reverse(out);
    if (encoding.swap_bytes)
        std::ranges::transform(out, out.begin(), swapped);
    return out;
}

/// 1234 * 0.01 is 12.34 and not 12.340000000000002: the noise of the binary factor is cut at 15 digits.
double without_noise(double value) {
    std::array<char, 40> text{};
    const auto end =
        std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, 15).ptr;
    double clean = value;
    std::from_chars(text.data(), end, clean);
    return clean;
}

Result<Value> scaled(double value, double scaling) {
    if (!std::isfinite(value))
        return fail(Errc::malformed, "register value", "is not a finite number", "check the data type");
    return Value(scaling == 1 ? value : without_noise(value * scaling));
}

template <class Whole> Result<Value> whole(std::uint64_t bits, double scaling) {
    const auto number = static_cast<Whole>(bits);
    constexpr auto highest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (scaling != 1 || (std::is_same_v<Whole, std::uint64_t> && bits > highest)) {
        return scaled(static_cast<double>(number), scaling);
    }
    return Value(static_cast<std::int64_t>(number));
}

std::string bytes_of(std::span<const std::uint16_t> registers) {
    std::string out;
    for (const std::uint16_t value : registers) {
        out += static_cast<char>(value >> 8);
        out += static_cast<char>(value & 0xff);
    }
    return out;
}

std::vector<std::uint16_t> registers_of(std::uint64_t bits, std::uint16_t count) {
    std::vector<std::uint16_t> out(count);
    for (std::uint16_t i = 0; i < count; ++i)
        out[i] = static_cast<std::uint16_t>(bits >> (16 * (count - 1 - i)));
    return out;
}

std::unexpected<Error> does_not_fit(std::string cause) {
    return fail(
        Errc::invalid, "value to write", std::move(cause), "write a value of the register's type and range"
    );
}

/// The value in units of the register.
Result<double> divided(const Encoding& encoding, const Value& value) {
    if (std::holds_alternative<std::string>(value))
        return does_not_fit("is a text");
    const double number = std::holds_alternative<double>(value)
                              ? std::get<double>(value)
                              : static_cast<double>(std::get<std::int64_t>(value));
    const double raw = number / encoding.scaling;
    if (!std::isfinite(raw))
        return does_not_fit("is not a finite number");
    return raw;
}

template <class Whole> Result<std::uint64_t> whole_bits(const Encoding& encoding, const Value& value) {
    if (encoding.scaling == 1 && std::holds_alternative<std::int64_t>(value)) { // exact above 2^53
        const std::int64_t number = std::get<std::int64_t>(value);
        if (!std::in_range<Whole>(number))
            return does_not_fit("is outside of the register's range");
        return static_cast<std::uint64_t>(number);
    }
    const auto raw = divided(encoding, value);
    if (!raw)
        return fail(raw.error());
    const double rounded = std::nearbyint(*raw);
    // The limits as powers of two: the largest 64-bit numbers are no doubles.
    constexpr double above = std::is_signed_v<Whole> ? 0.5 : 1.0;
    const double limit = std::ldexp(above, static_cast<int>(sizeof(Whole) * 8));
    const double lowest = std::is_signed_v<Whole> ? -limit : 0;
    if (rounded < lowest || rounded >= limit)
        return does_not_fit("is outside of the register's range");
    return rounded < 0 ? static_cast<std::uint64_t>(static_cast<std::int64_t>(rounded))
                       : static_cast<std::uint64_t>(rounded);
}

Result<std::vector<std::uint16_t>> encode_bytes(const Encoding& encoding, const Value& value) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr)
        return does_not_fit("is not a text");
    std::string bytes = *text;
    if (encoding.type == RawType::custom) {
        auto raw = from_hex(*text);
        if (!raw)
            return does_not_fit("is not hex");
        bytes = *std::move(raw);
    }
    const std::size_t size_max = std::size_t{encoding.register_count} * 2;
    if (bytes.size() > size_max)
        return does_not_fit("is longer than the registers");
    bytes.resize(size_max, '\0');
    std::vector<std::uint16_t> out;
    for (std::size_t i = 0; i < size_max; i += 2) {
        const auto high = static_cast<unsigned char>(bytes[i]);
        const auto low = static_cast<unsigned char>(bytes[i + 1]);
        out.push_back(static_cast<std::uint16_t>(high << 8 | low));
    }
    return out;
}

Result<std::uint64_t> number_bits(const Encoding& encoding, const Value& value) {
    switch (encoding.type) {
    case RawType::int16:
        return whole_bits<std::int16_t>(encoding, value);
    case RawType::uint16:
        return whole_bits<std::uint16_t>(encoding, value);
    case RawType::int32:
        return whole_bits<std::int32_t>(encoding, value);
    case RawType::uint32:
        return whole_bits<std::uint32_t>(encoding, value);
    case RawType::int64:
        return whole_bits<std::int64_t>(encoding, value);
    case RawType::uint64:
        return whole_bits<std::uint64_t>(encoding, value);
    default:
        break;
    }
    const auto raw = divided(encoding, value);
    if (!raw)
        return fail(raw.error());
    if (encoding.type == RawType::float64)
        return std::bit_cast<std::uint64_t>(*raw);
    if (std::fabs(*raw) > double{std::numeric_limits<float>::max()})
        return does_not_fit("does not fit a float");
    return std::uint64_t{std::bit_cast<std::uint32_t>(static_cast<float>(*raw))};
}

} // namespace

std::uint16_t register_count_of(RawType type) noexcept {
    switch (type) {
    case RawType::int32:
    case RawType::uint32:
    case RawType::float32:
        return 2;
    case RawType::int64:
    case RawType::uint64:
    case RawType::float64:
        return 4;
    case RawType::text:
    case RawType::custom:
        return 0;
    default:
        return 1;
    }
}

std::uint16_t mask_of(const Encoding& encoding) noexcept {
    if (encoding.bit_count == 0)
        return 0xffff;
    const auto mask = static_cast<std::uint16_t>(((1U << encoding.bit_count) - 1) << encoding.bit_offset);
    return encoding.swap_bytes ? swapped(mask) : mask;
}

Result<RawType> parse_raw_type(std::string_view name) {
    const auto at = std::ranges::find(type_names, name);
    if (at != type_names.end())
        return static_cast<RawType>(at - type_names.begin());
    return fail(
        Errc::invalid,
        "originalDataType.type",
        "\"" + std::string(name) + "\" is no type",
        "use bool, int16, uint16, int32, uint32, int64, uint64, float, double, string or customized"
    );
}

Result<Value> decode(const Encoding& encoding, std::span<const std::uint16_t> registers) {
    const std::vector<std::uint16_t> in_order = arranged(encoding, registers);
    std::uint64_t bits = 0;
    for (const std::uint16_t value : in_order)
        bits = bits << 16 | value;
    if (encoding.bit_count != 0)
        bits = bits >> encoding.bit_offset & ((1U << encoding.bit_count) - 1);
    switch (encoding.type) {
    case RawType::boolean:
        return Value(std::int64_t{bits != 0});
    case RawType::int16:
        return whole<std::int16_t>(bits, encoding.scaling);
    case RawType::uint16:
        return whole<std::uint16_t>(bits, encoding.scaling);
    case RawType::int32:
        return whole<std::int32_t>(bits, encoding.scaling);
    case RawType::uint32:
        return whole<std::uint32_t>(bits, encoding.scaling);
    case RawType::int64:
        return whole<std::int64_t>(bits, encoding.scaling);
    case RawType::uint64:
        return whole<std::uint64_t>(bits, encoding.scaling);
    case RawType::float32: {
        // The shortest decimal of the float, not its binary expansion: 21.3 stays 21.3 on its way to a
        // double.
        const auto number = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
        if (!std::isfinite(number))
            return scaled(number, 1);
        std::array<char, 32> text{};
        double wide = 0;
        std::from_chars(text.data(), std::to_chars(text.data(), text.data() + text.size(), number).ptr, wide);
        return scaled(wide, encoding.scaling);
    }
    case RawType::float64:
        return scaled(std::bit_cast<double>(bits), encoding.scaling);
    case RawType::text: {
        std::string text = bytes_of(in_order);
        text.resize(std::min(text.find('\0'), text.size()));
        if (!is_utf8(text))
            return fail(Errc::malformed, "register text", "is not UTF-8", "use the type customized");
        return Value(std::move(text));
    }
    case RawType::custom:
        return Value(to_hex(bytes_of(in_order)));
    }
    return fail(Errc::unsupported, "register type", "is unknown", "correct the extension");
}

Result<std::vector<std::uint16_t>> encode(const Encoding& encoding, const Value& value) {
    if (encoding.type == RawType::boolean) {
        const auto* number = std::get_if<std::int64_t>(&value);
        if (number == nullptr || (*number != 0 && *number != 1))
            return does_not_fit("is neither 0 nor 1");
        return arranged(
            encoding, registers_of(static_cast<std::uint64_t>(*number) << encoding.bit_offset, 1)
        );
    }
    if (encoding.type == RawType::text || encoding.type == RawType::custom) {
        auto bytes = encode_bytes(encoding, value);
        if (!bytes)
            return fail(std::move(bytes).error());
        return arranged(encoding, *bytes);
    }
    const auto bits = number_bits(encoding, value);
    if (!bits)
        return fail(bits.error());
    if (encoding.bit_count != 0 && *bits >> encoding.bit_count != 0)
        return does_not_fit("is outside of the range of its bits");
    return arranged(encoding, registers_of(*bits << encoding.bit_offset, encoding.register_count));
}

} // namespace brim::modbus
