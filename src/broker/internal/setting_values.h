// Values of settings as their keys declare them and their readers want them.

#pragma once

#include "base/config.h"

#include <chrono>
#include <string>
#include <string_view>

namespace brim::broker {

/// A default of type text, choice, size or duration.
inline ConfigValue words(const char* value) {
    return ConfigValue(std::string(value));
}

/// A default of type integer.
inline ConfigValue whole(std::int64_t value) {
    return ConfigValue(value);
}

/// What the setting says, whole seconds of it.
inline std::chrono::seconds seconds(const Config& config, std::string_view key) {
    return std::chrono::duration_cast<std::chrono::seconds>(config.duration(key));
}

} // namespace brim::broker
