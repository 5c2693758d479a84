#pragma once
// JSON for the cold paths (API, config pushes, envelopes): a plain value tree read by simdjson under explicit
// limits, and a writer that appends text. The hot path (property posts) has its own reader in thing/.

#include "base/error.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace brim {

struct JsonLimits {
    std::size_t bytes_max = 1'048'576;
    std::size_t depth_max = 64;
    std::size_t values_max = 100'000; ///< total number of values in the document
};

/// One JSON value. Objects keep the order of their members and may not repeat a name. Copies and compares.
class Json {
public:
    using Array = std::vector<Json>;
    using Member = std::pair<std::string, Json>;
    using Object = std::vector<Member>;

    Json() = default; ///< null

    Json(std::nullptr_t) {}

    Json(bool value) : value_(value) {}

    Json(int value) : value_(std::int64_t{value}) {}

    Json(unsigned value) : value_(std::int64_t{value}) {}

    Json(long value) : value_(std::int64_t{value}) {}

    Json(long long value) : value_(std::int64_t{value}) {}

    Json(unsigned long value);      ///< above 2^63-1 it becomes a double
    Json(unsigned long long value); ///< above 2^63-1 it becomes a double

    Json(double value) : value_(value) {}

    Json(const char* value) : value_(std::string(value)) {}

    Json(std::string_view value) : value_(std::string(value)) {}

    Json(std::string value) : value_(std::move(value)) {}

    Json(Array value) : value_(std::move(value)) {}

    Json(Object value) : value_(std::move(value)) {}

    static Json array() { return Json(Array{}); }

    static Json object() { return Json(Object{}); }

    /// An object from a list: Json::object({{"id", 1}, {"name", "x"}}).
    static Json object(std::initializer_list<Member> members) { return Json(Object(members)); }

    static Json array(std::initializer_list<Json> items) { return Json(Array(items)); }

    /// Errc::malformed with the byte offset, Errc::too_large over a limit. Integers outside int64 become
    /// doubles; a number too large for a double, a repeated member name, invalid UTF-8 or a lone surrogate is
    /// malformed. `depth_max` is at most 1,024.
    static Result<Json> parse(std::string_view text, const JsonLimits& limits = {});

    bool is_null() const { return std::holds_alternative<std::monostate>(value_); }

    bool is_bool() const { return std::holds_alternative<bool>(value_); }

    bool is_int() const { return std::holds_alternative<std::int64_t>(value_); }

    bool is_number() const { return is_int() || std::holds_alternative<double>(value_); }

    bool is_string() const { return std::holds_alternative<std::string>(value_); }

    bool is_array() const { return std::holds_alternative<Array>(value_); }

    bool is_object() const { return std::holds_alternative<Object>(value_); }

    /// Typed reads with a default for "absent or of another type": never fail, never throw.
    bool as_bool(bool otherwise = false) const;
    std::int64_t as_int(std::int64_t otherwise = 0) const;
    double as_double(double otherwise = 0) const;
    std::string_view as_string(std::string_view otherwise = {}) const; ///< a view into this value
    const Array& items() const;                                        ///< empty when not an array
    const Object& members() const;                                     ///< empty when not an object

    /// The member, or a null value when absent or not an object.
    const Json& operator[](std::string_view name) const;
    const Json* find(std::string_view name) const;
    /// Sets or replaces a member and returns *this, so calls chain; a null value becomes an object first, any
    /// other kind of value is a bug.
    Json& set(std::string_view name, Json value);
    void erase(std::string_view name);
    /// Appends; a null value becomes an array first, any other kind of value is a bug.
    void push(Json value);

    bool operator==(const Json&) const = default;

    /// Compact text, or indented by two blanks. Doubles are written shortest-round-trip and stay doubles when
    /// read back (one is "1.0", an integer "1"); NaN and infinity as null.
    std::string text(bool pretty = false) const;
    void append_to(std::string& out) const;

private:
    std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

/// Appends `text` as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD.
void json_append_string(std::string& out, std::string_view text);
void json_append_number(std::string& out, double value);
void json_append_number(std::string& out, std::int64_t value);

} // namespace brim
