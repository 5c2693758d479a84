#include "base/internal/config_value.h"

#include "base/bytes.h"
#include "base/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace brim {

namespace {

using Converted = std::expected<ConfigValue, ConfigComplaint>;

std::unexpected<ConfigComplaint> complain(std::string cause, std::string fix) {
    return std::unexpected<ConfigComplaint>(ConfigComplaint{std::move(cause), std::move(fix)});
}

/// For error texts: short, on one line.
std::string in_quotes(std::string_view text) {
    constexpr std::size_t shown_max = 64;
    std::string out;
    json_append_string(
        out, text.size() > shown_max ? std::string(text.substr(0, shown_max)) + "..." : std::string(text)
    );
    return out;
}

struct ConfigUnit {
    std::string_view name;
    std::int64_t factor;
};

constexpr std::array<ConfigUnit, 5> duration_units{
    {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}
};
/// What Duration's nanoseconds can hold.
constexpr std::int64_t duration_ms_max = INT64_MAX / 1'000'000;
constexpr std::array<ConfigUnit, 5> size_units{
    {{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", std::int64_t{1} << 40}}
};

/// "30s" -> 30,000; nothing when it is no whole number followed by one of `units`, or does not fit.
template <std::size_t N>
std::optional<std::int64_t> parse_units(std::string_view text, const std::array<ConfigUnit, N>& units) {
    std::int64_t count = 0;
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, count);
    if (error != std::errc{} || count < 0)
        return std::nullopt;
    const std::string_view name(at, static_cast<std::size_t>(end - at));
    for (const ConfigUnit& unit : units) {
        if (unit.name == name && count <= INT64_MAX / unit.factor)
            return count * unit.factor;
    }
    return std::nullopt;
}

/// In the largest unit that says it exactly.
template <std::size_t N> std::string units_text(std::int64_t value, const std::array<ConfigUnit, N>& units) {
    const ConfigUnit* best = &units[0];
    for (const ConfigUnit& unit : units) {
        if (value != 0 && value % unit.factor == 0)
            best = &unit;
    }
    return std::to_string(value / best->factor) + std::string(best->name);
}

std::string amount_text(ConfigType type, std::int64_t value) {
    if (type == ConfigType::duration)
        return units_text(value, duration_units);
    if (type == ConfigType::size)
        return units_text(value, size_units);
    return std::to_string(value);
}

bool may_be_unset(const ConfigKey& key) {
    const auto* fallback = std::get_if<std::string>(&key.fallback);
    return fallback != nullptr && fallback->empty();
}

Converted in_range(const ConfigKey& key, std::int64_t value) {
    if (value == 0 && may_be_unset(key))
        return value;
    if (value >= key.min && value <= key.max)
        return value;
    return complain(
        amount_text(key.type, value) + (value < key.min ? " is too small" : " is too large"),
        "choose " + config_range_text(key)
    );
}

Converted duration_value(const ConfigKey& key, const ConfigValue& given) {
    constexpr std::string_view fix =
        "write it with a unit, such as \"250ms\", \"30s\", \"5m\", \"24h\" or \"7d\"";
    const auto* text = std::get_if<std::string>(&given);
    if (text == nullptr)
        return complain("a duration needs a unit", std::string(fix));
    if (text->empty() && may_be_unset(key))
        return std::int64_t{0};
    const auto value = parse_units(*text, duration_units);
    if (!value)
        return complain(in_quotes(*text) + " is not a duration", std::string(fix));
    if (*value > duration_ms_max)
        return complain(in_quotes(*text) + " is too long", "choose less than 292 years");
    return in_range(key, *value);
}

Converted size_value(const ConfigKey& key, const ConfigValue& given) {
    constexpr std::string_view fix =
        "write bytes as a number, or text such as \"64KiB\", \"8MiB\", \"32GiB\"";
    if (const auto* bytes = std::get_if<std::int64_t>(&given)) {
        if (*bytes < 0)
            return complain("a size is not negative", std::string(fix));
        return in_range(key, *bytes);
    }
    const auto* text = std::get_if<std::string>(&given);
    if (text == nullptr)
        return complain("this is not a size", std::string(fix));
    if (text->empty() && may_be_unset(key))
        return std::int64_t{0};
    const auto value = parse_units(*text, size_units);
    if (!value)
        return complain(in_quotes(*text) + " is not a size", std::string(fix));
    return in_range(key, *value);
}

Converted secret_value(const ConfigValue& given) {
    constexpr std::string_view fix = "put the secret into a file readable by this program only and write "
                                     "\"file:PATH\", or \"env:NAME\", or "
                                     "\"cred:NAME\" for a systemd credential";
    const auto* text = std::get_if<std::string>(&given);
    // The value is never repeated here: it may be the secret itself.
    if (text == nullptr)
        return complain("a secret is given by reference", std::string(fix));
    if (text->empty())
        return *text;
    for (const std::string_view scheme : {"file:", "env:", "cred:"}) {
        if (text->starts_with(scheme) && text->size() > scheme.size())
            return *text;
    }
    return complain("a secret does not stand in the configuration itself", std::string(fix));
}

Converted choice_value(const ConfigKey& key, const ConfigValue& given) {
    const auto* text = std::get_if<std::string>(&given);
    if (text == nullptr)
        return complain("this is not text", "choose " + config_range_text(key));
    if ((text->empty() && may_be_unset(key)) || std::ranges::find(key.choices, *text) != key.choices.end())
        return *text;
    const std::vector<std::string_view> choices(key.choices.begin(), key.choices.end());
    const std::string_view near = did_you_mean(*text, choices);
    std::string fix = "choose " + config_range_text(key);
    if (!near.empty())
        fix = "did you mean " + in_quotes(near) + "? " + fix;
    return complain(in_quotes(*text) + " is not known here", std::move(fix));
}

template <class T>
Converted plain_value(const ConfigValue& given, std::string_view cause, std::string_view fix) {
    if (const auto* value = std::get_if<T>(&given))
        return *value;
    return complain(std::string(cause), std::string(fix));
}

Converted number_value(const ConfigKey& key, const ConfigValue& given) {
    double value = 0;
    if (const auto* whole = std::get_if<std::int64_t>(&given)) {
        value = static_cast<double>(*whole);
    } else if (const auto* number = std::get_if<double>(&given);
               number != nullptr && std::isfinite(*number)) {
        value = *number;
    } else {
        return complain("this is not a finite number", "write a number such as 0.5, without quotes");
    }
    if (value >= static_cast<double>(key.min) && value <= static_cast<double>(key.max))
        return value;
    return complain("this number is out of range", "choose " + config_range_text(key));
}

Converted integer_value(const ConfigKey& key, const ConfigValue& given) {
    const auto* value = std::get_if<std::int64_t>(&given);
    if (value == nullptr)
        return complain("this is not a whole number", "write digits without quotes");
    return in_range(key, *value);
}

template <class Number> std::optional<Number> whole_text(const std::string& text) {
    Number value{};
    const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || at != text.data() + text.size())
        return std::nullopt;
    return value;
}

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> out;
    while (!text.empty()) {
        const std::size_t comma = std::min(text.find(','), text.size());
        std::string_view item = text.substr(0, comma);
        while (item.starts_with(' '))
            item.remove_prefix(1);
        while (item.ends_with(' '))
            item.remove_suffix(1);
        out.emplace_back(item);
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return out;
}

/// TOML's basic strings are JSON's but for DEL, which TOML wants escaped.
std::string toml_string(std::string_view text) {
    std::string json;
    json_append_string(json, text);
    std::string out;
    for (const char c : json) {
        if (c == '\x7F') {
            out += "\\u007F";
        } else {
            out += c;
        }
    }
    return out;
}

} // namespace

Converted config_value(const ConfigKey& key, const ConfigValue& given) {
    switch (key.type) {
    case ConfigType::text:
        return plain_value<std::string>(given, "this is not text", "put it in quotes");
    case ConfigType::integer:
        return integer_value(key, given);
    case ConfigType::boolean:
        return plain_value<bool>(given, "this is not true or false", "write true or false");
    case ConfigType::number:
        return number_value(key, given);
    case ConfigType::duration:
        return duration_value(key, given);
    case ConfigType::size:
        return size_value(key, given);
    case ConfigType::list:
        return plain_value<std::vector<std::string>>(given, "this is not a list", "write [\"a\", \"b\"]");
    case ConfigType::secret:
        return secret_value(given);
    case ConfigType::choice:
        return choice_value(key, given);
    }
    return complain("this type is not known", "");
}

Converted config_value_of_text(const ConfigKey& key, const std::string& given) {
    // A TOML file is UTF-8 as a whole; the environment and --set may be anything.
    if (!is_utf8(given))
        return complain("this is not UTF-8", "check the encoding of the terminal or script");
    switch (key.type) {
    case ConfigType::integer:
        if (const auto value = whole_text<std::int64_t>(given))
            return integer_value(key, *value);
        return complain(in_quotes(given) + " is not a whole number", "write digits only");
    case ConfigType::number:
        if (const auto value = whole_text<double>(given))
            return number_value(key, *value);
        return complain(in_quotes(given) + " is not a number", "write a number such as 0.5");
    case ConfigType::boolean:
        if (given == "true" || given == "false")
            return given == "true";
        return complain(in_quotes(given) + " is not true or false", "write true or false");
    case ConfigType::size:
        if (const auto value = whole_text<std::int64_t>(given))
            return size_value(key, *value);
        return size_value(key, given);
    case ConfigType::list:
        return split_list(given);
    default:
        return config_value(key, given);
    }
}

std::string config_value_toml(ConfigType type, const ConfigValue& value) {
    if (const auto* text = std::get_if<std::string>(&value))
        return toml_string(*text);
    if (const auto* boolean = std::get_if<bool>(&value))
        return *boolean ? "true" : "false";
    if (const auto* number = std::get_if<double>(&value)) {
        std::string out;
        json_append_number(out, *number);
        return out;
    }
    if (const auto* amount = std::get_if<std::int64_t>(&value)) {
        if (type == ConfigType::integer)
            return std::to_string(*amount);
        return '"' + amount_text(type, *amount) + '"';
    }
    std::string out = "[";
    for (const std::string& item : std::get<std::vector<std::string>>(value)) {
        if (out.size() > 1)
            out += ", ";
        out += toml_string(item);
    }
    return out + ']';
}

std::string config_range_text(const ConfigKey& key) {
    if (key.type == ConfigType::choice) {
        std::string out = "one of: ";
        for (const std::string& choice : key.choices) {
            if (&choice != &key.choices.front())
                out += ", ";
            out += choice;
        }
        return out;
    }
    constexpr std::array<std::string_view, 9> words{
        "text",
        "a whole number",
        "true or false",
        "a number",
        "a duration",
        "a size",
        "a list of text",
        "a reference file:PATH, env:NAME or cred:NAME",
        "one of"
    };
    const bool amount = key.type == ConfigType::integer || key.type == ConfigType::number ||
                        key.type == ConfigType::duration || key.type == ConfigType::size;
    const bool from = key.min != INT64_MIN;
    const bool to = key.max != INT64_MAX;
    if (amount && from && to)
        return amount_text(key.type, key.min) + " to " + amount_text(key.type, key.max);
    if (amount && from)
        return amount_text(key.type, key.min) + " or more";
    if (amount && to)
        return "at most " + amount_text(key.type, key.max);
    return std::string(words[static_cast<std::size_t>(key.type)]);
}

} // namespace brim
