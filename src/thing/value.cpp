#include "thing/value.h"

#include "thing/internal/check.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace brim::thing {

namespace check {

Rejection reject(int code, std::string_view text, std::string_view identifier) {
    return {code, "tsl parse: " + std::string(text) + " -> " + std::string(identifier)};
}

Rejection wrong_type(Type type, std::string_view identifier) {
    switch (type) {
    case Type::int32:
        return reject(code_int, "data type is not int", identifier);
    case Type::float32:
        return reject(code_float, "data type is not float", identifier);
    case Type::float64:
        return reject(code_double, "data type is not double", identifier);
    case Type::boolean:
        return reject(code_bool, "value of bool type must be int", identifier);
    case Type::enumeration:
        return reject(code_enum, "value of enum type must be int", identifier);
    case Type::text:
        return reject(code_text, "data type is not text", identifier);
    case Type::date:
        return reject(code_date, "data type is not date", identifier);
    case Type::structure:
        return reject(code_struct, "data type is not struct", identifier);
    case Type::array:
        return reject(code_not_array, "data type is not array", identifier);
    }
    return reject(code_parameter, "unknown type", identifier);
}

std::optional<Rejection> integer(const DataType& type, std::int64_t value, std::string_view identifier) {
    if (type.type == Type::int32) {
        constexpr std::int64_t lowest = std::numeric_limits<std::int32_t>::min();
        constexpr std::int64_t highest = std::numeric_limits<std::int32_t>::max();
        if (value < lowest || value > highest)
            return reject(code_int, "int value is not 32-bit", identifier);
        const auto number = static_cast<double>(value);
        if (type.min != type.max && (number < type.min || number > type.max)) {
            return reject(code_int, "int value is out of range", identifier);
        }
        return std::nullopt;
    }
    for (const auto& choice : type.choices) {
        if (choice.first == value)
            return std::nullopt;
    }
    if (type.type == Type::boolean) {
        // A model may name only one of the two; both remain values of a bool.
        if (value == 0 || value == 1)
            return std::nullopt;
        return reject(code_bool, "bool value is not 0 or 1", identifier);
    }
    return reject(code_enum, "enum value is not in the list", identifier);
}

std::optional<Rejection> real(const DataType& type, double value, std::string_view identifier) {
    const bool single = type.type == Type::float32;
    const int code = single ? code_float : code_double;
    if (!std::isfinite(value) || (single && std::fabs(value) > double{std::numeric_limits<float>::max()})) {
        return reject(code, single ? "data type is not float" : "data type is not double", identifier);
    }
    if (type.min != type.max && (value < type.min || value > type.max)) {
        return reject(
            code, single ? "float value is out of range" : "double value is out of range", identifier
        );
    }
    return std::nullopt;
}

std::optional<Rejection> text(const DataType& type, std::string_view value, std::string_view identifier) {
    if (type.type == Type::text) {
        if (value.size() <= type.text_bytes_max)
            return std::nullopt;
        return reject(code_text, "text value is too long", identifier);
    }
    constexpr std::size_t digits_max = 16; // the year 317,000 ends here: what is longer is no date in ms
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    if (!value.empty() && value.size() <= digits_max && std::ranges::all_of(value, digit))
        return std::nullopt;
    return reject(code_date, "date value is not UTC milliseconds", identifier);
}

} // namespace check

namespace {

using Checked = std::variant<Value, Rejection>;

Checked check_struct(const DataType& type, const Json& json) {
    for (const auto& member : json.members()) {
        const bool known =
            std::ranges::find(type.fields, member.first, &Field::identifier) != type.fields.end();
        if (!known)
            return check::reject(check::code_struct_field, "field is not in struct", member.first);
    }
    Value::Composite out;
    out.json = "{";
    for (const Field& field : type.fields) {
        const Json* member = json.find(field.identifier);
        if (member == nullptr)
            continue; // a device may report the part that it knows
        auto checked = check_value(field.type, *member, field.identifier);
        if (std::holds_alternative<Rejection>(checked))
            return checked;
        if (out.json.size() > 1)
            out.json += ',';
        json_append_string(out.json, field.identifier);
        out.json += ':';
        std::get<Value>(checked).append_json(out.json);
    }
    out.json += '}';
    return Value{std::move(out)};
}

Checked check_array(const DataType& type, const Json& json, std::string_view identifier) {
    if (!json.is_array())
        return check::wrong_type(Type::array, identifier);
    if (json.items().size() > type.array_count_max) {
        return check::reject(check::code_array_element, "array has too many elements", identifier);
    }
    Value::Composite out;
    out.json = "[";
    for (const Json& item : json.items()) {
        auto checked = check_value(*type.item, item, identifier);
        if (std::holds_alternative<Rejection>(checked)) {
            const Rejection& inner = std::get<Rejection>(checked);
            return Rejection{check::code_array_element, inner.message};
        }
        if (out.json.size() > 1)
            out.json += ',';
        std::get<Value>(checked).append_json(out.json);
    }
    out.json += ']';
    return Value{std::move(out)};
}

template <class T> Checked accept_unless(std::optional<Rejection> refused, T value) {
    if (refused)
        return *std::move(refused);
    return Value{std::move(value)};
}

} // namespace

std::variant<Value, Rejection>
check_value(const DataType& type, const Json& json, std::string_view identifier) {
    switch (type.type) {
    case Type::int32:
    case Type::boolean:
    case Type::enumeration:
        if (!json.is_int())
            break;
        return accept_unless(check::integer(type, json.as_int(), identifier), json.as_int());
    case Type::float32:
    case Type::float64: {
        if (!json.is_number())
            break;
        const double number = json.is_int() ? static_cast<double>(json.as_int()) : json.as_double();
        return accept_unless(check::real(type, number, identifier), number);
    }
    case Type::text:
    case Type::date:
        if (!json.is_string())
            break;
        return accept_unless(check::text(type, json.as_string(), identifier), std::string(json.as_string()));
    case Type::structure:
        if (!json.is_object())
            break;
        return check_struct(type, json);
    case Type::array:
        return check_array(type, json, identifier);
    }
    return check::wrong_type(type.type, identifier);
}

void Value::append_json(std::string& out) const {
    if (const auto* whole = std::get_if<std::int64_t>(&data)) {
        json_append_number(out, *whole);
    } else if (const auto* real = std::get_if<double>(&data)) {
        json_append_number(out, *real);
    } else if (const auto* text = std::get_if<std::string>(&data)) {
        json_append_string(out, *text);
    } else {
        out += std::get<Composite>(data).json;
    }
}

Json Value::to_json() const {
    if (const auto* whole = std::get_if<std::int64_t>(&data))
        return *whole;
    if (const auto* real = std::get_if<double>(&data))
        return *real;
    if (const auto* text = std::get_if<std::string>(&data))
        return *text;
    auto parsed = Json::parse(std::get<Composite>(data).json);
    return parsed ? *std::move(parsed) : Json();
}

std::optional<double> Value::number() const {
    if (const auto* whole = std::get_if<std::int64_t>(&data))
        return static_cast<double>(*whole);
    if (const auto* real = std::get_if<double>(&data))
        return *real;
    return std::nullopt;
}

} // namespace brim::thing
