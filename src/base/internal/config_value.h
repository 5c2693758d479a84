#pragma once
// One value against its schema key: conversion, range, and its text forms.

#include "base/config.h"

#include <expected>

namespace brim {

struct ConfigComplaint {
    std::string cause;
    std::string fix;
};

/// A value as a TOML file gives it. Durations come out as milliseconds, sizes as bytes, both as int64.
std::expected<ConfigValue, ConfigComplaint> config_value(const ConfigKey& key, const ConfigValue& given);
/// A value as the environment and --set give it; lists are separated by commas.
std::expected<ConfigValue, ConfigComplaint>
config_value_of_text(const ConfigKey& key, const std::string& given);

/// The value as TOML, such as `"30s"`, `5`, `["a", "b"]`.
std::string config_value_toml(ConfigType type, const ConfigValue& value);
/// "1 to 65535", "one of: a, b", or a word for the type.
std::string config_range_text(const ConfigKey& key);

} // namespace brim
