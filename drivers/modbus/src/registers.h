#pragma once
// From 16-bit registers to numbers and back: types, byte swap, register order, scaling. Pure.

#include "base/error.h"

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace brim::modbus {

/// originalDataType.type of the extension.
enum class RawType : std::uint8_t {
    boolean,
    int16,
    uint16,
    int32,
    uint32,
    int64,
    uint64,
    float32,
    float64,
    text,
    custom
};

/// How a value lies in registers.
struct Encoding {
    RawType type = RawType::int16;
    std::uint16_t register_count = 1; ///< of text and custom as configured, else by the type; 1 for a bit
    bool swap_bytes = false;          ///< the two bytes inside of each register
    bool reverse_registers = false;   ///< the order of the registers
    double scaling = 1; ///< multiplier on read, divisor on write; not for boolean, text and custom
    /// Of a boolean or uint16 in a register: the value is these bits of it, counted from the lowest after the
    /// byte swap; bit_count 0 is the whole register.
    std::uint8_t bit_offset = 0, bit_count = 0;
};

/// The bits of a register that hold the value, as they lie on the line; 0xffff for a whole one.
std::uint16_t mask_of(const Encoding& encoding) noexcept;

/// What a property's value is: a whole number stays one unless a scaling makes it a real one.
using Value = std::variant<std::int64_t, double, std::string>;

/// Registers of one value of `type`; 0 for text and custom, which are configured.
std::uint16_t register_count_of(RawType type) noexcept;
Result<RawType> parse_raw_type(std::string_view name);

/// `registers.size()` equals encoding.register_count. Errc::malformed: NaN, infinity, or a text that is not
/// UTF-8. Text ends at its first zero byte; custom becomes lower-case hex.
Result<Value> decode(const Encoding& encoding, std::span<const std::uint16_t> registers);

/// Errc::invalid: the value has another type, or does not fit after division by the scaling (rounded to the
/// nearest).
Result<std::vector<std::uint16_t>> encode(const Encoding& encoding, const Value& value);

} // namespace brim::modbus
