#pragma once
// Which requests read the points of a device: neighbours share one. Pure.

#include "registers.h"

#include <cstdint>
#include <string>
#include <vector>

namespace brim::modbus {

/// operateType of the extension; also the function code to read it.
enum class Area : std::uint8_t { coil = 1, input_bit = 2, holding = 3, input = 4 };

constexpr bool is_bits(Area area) noexcept {
    return area == Area::coil || area == Area::input_bit;
}

constexpr bool is_writable(Area area) noexcept {
    return area == Area::coil || area == Area::holding;
}

/// What the model calls the value.
enum class Kind : std::uint8_t { whole, real, text };

/// One property of a device and where it lies.
struct Point {
    std::string identifier;
    Area area = Area::holding;
    std::uint16_t address = 0;
    Encoding encoding;
    Kind kind = Kind::real;
    bool writable = false;  ///< by the model (rw) and by the area
    bool on_change = false; ///< trigger 2: reported only when the value differs from the last one
    std::uint32_t polling_ms = 1'000;
};

struct ReadLimits {
    std::uint16_t registers_max = 125; ///< Modbus application protocol 1.1b3, section 6.3
    std::uint16_t bits_max = 2'000;    ///< section 6.1
    std::uint16_t gap_max = 0; ///< registers or bits nobody asked for that may be read to save a request
};

/// One read request and the points it serves.
struct Read {
    Area area = Area::holding;
    std::uint16_t address = 0;
    std::uint16_t count = 0;
    std::vector<std::size_t> points; ///< indexes into the points given to plan()
};

/// `chosen` are indexes into `points`. Requests are sorted by area and address; a point is never cut in two.
std::vector<Read>
plan(const std::vector<Point>& points, std::vector<std::size_t> chosen, const ReadLimits& limits);

/// The same points, one request each: for a device that refuses the shared one.
std::vector<Read> split(const std::vector<Point>& points, const Read& read);

/// One write request: function 05 or 0F for coils, 06 or 10 for registers, by the count; 16 for bits of one
/// (all hex).
struct Write {
    Area area = Area::holding;
    std::uint16_t address = 0;
    std::vector<std::uint16_t> data; ///< registers, or one element of 0 or 1 for each coil
    std::uint16_t mask = 0xffff;     ///< of a single register: the bits that are written, the others stay
};

inline constexpr std::size_t write_registers_max = 123; ///< Modbus application protocol, section 6.12
inline constexpr std::size_t write_coils_max = 1'968;   ///< section 6.11

/// Sorted by area and address; coils side by side become one request, and so do bits of one register;
/// registers stay one request a value so that a device with read-only holes refuses no neighbour.
std::vector<Write> plan_writes(std::vector<Write> single);

} // namespace brim::modbus
