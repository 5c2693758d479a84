#pragma once
// How short of memory a program is. Told by io::MemoryWatch, acted on by whoever holds what can be given up.

#include <cstdint>
#include <string_view>

namespace brim {

/// Grows with the shortage: compare with < and >=.
enum class Pressure : std::uint8_t {
    none,
    high,    ///< nothing new that can wait
    critical ///< nothing more that would have to be held
};

constexpr std::string_view pressure_name(Pressure pressure) {
    switch (pressure) {
    case Pressure::none:
        return "none";
    case Pressure::high:
        return "high";
    case Pressure::critical:
        return "critical";
    }
    return "none";
}

} // namespace brim
