// Topics and filters level by level.

#pragma once

#include <string_view>

namespace brim::broker {

/// Takes the level before the first '/' off `rest`; false when it was the last one, which leaves nothing
/// behind.
inline bool take_level(std::string_view& rest, std::string_view& level) noexcept {
    const std::size_t slash = rest.find('/');
    level = rest.substr(0, slash);
    rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    return slash != std::string_view::npos;
}

} // namespace brim::broker
