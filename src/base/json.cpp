#include "base/json.h"

#include "base/assert.h"

#include <algorithm>
#include <cmath>

namespace brim {

namespace {

template <class Unsigned>
std::variant<std::monostate, bool, std::int64_t, double, std::string, Json::Array, Json::Object>
json_of_unsigned(Unsigned value) {
    if (value > static_cast<Unsigned>(INT64_MAX))
        return static_cast<double>(value);
    return static_cast<std::int64_t>(value);
}

} // namespace

Json::Json(unsigned long value) : value_(json_of_unsigned(value)) {}

Json::Json(unsigned long long value) : value_(json_of_unsigned(value)) {}

bool Json::as_bool(bool otherwise) const {
    const bool* value = std::get_if<bool>(&value_);
    return value != nullptr ? *value : otherwise;
}

std::int64_t Json::as_int(std::int64_t otherwise) const {
    const std::int64_t* value = std::get_if<std::int64_t>(&value_);
    return value != nullptr ? *value : otherwise;
}

double Json::as_double(double otherwise) const {
    if (const double* value = std::get_if<double>(&value_))
        return *value;
    if (const std::int64_t* value = std::get_if<std::int64_t>(&value_))
        return static_cast<double>(*value);
    return otherwise;
}

std::string_view Json::as_string(std::string_view otherwise) const {
    const std::string* value = std::get_if<std::string>(&value_);
    return value != nullptr ? std::string_view(*value) : otherwise;
}

const Json::Array& Json::items() const {
    static const Array none;
    const Array* value = std::get_if<Array>(&value_);
    return value != nullptr ? *value : none;
}

const Json::Object& Json::members() const {
    static const Object none;
    const Object* value = std::get_if<Object>(&value_);
    return value != nullptr ? *value : none;
}

const Json& Json::operator[](std::string_view name) const {
    static const Json null;
    const Json* value = find(name);
    return value != nullptr ? *value : null;
}

const Json* Json::find(std::string_view name) const {
    for (const Member& member : members()) {
        if (member.first == name)
            return &member.second;
    }
    return nullptr;
}

Json& Json::set(std::string_view name, Json value) {
    if (is_null())
        value_ = Object{};
    BRIM_ASSERT(is_object(), "only an object has members");
    auto& object = std::get<Object>(value_);
    const auto found = std::ranges::find(object, name, &Member::first);
    if (found != object.end()) {
        found->second = std::move(value);
    } else {
        object.emplace_back(std::string(name), std::move(value));
    }
    return *this;
}

void Json::erase(std::string_view name) {
    if (auto* object = std::get_if<Object>(&value_)) {
        std::erase_if(*object, [name](const Member& member) { return member.first == name; });
    }
}

void Json::push(Json value) {
    if (is_null())
        value_ = Array{};
    BRIM_ASSERT(is_array(), "only an array has items");
    std::get<Array>(value_).push_back(std::move(value));
}

} // namespace brim
