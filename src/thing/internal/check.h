#pragma once
// The checks of scalar values, shared by the tree reader (check_value) and the streaming one (PostReader).

#include "thing/value.h"

#include <optional>

namespace brim::thing::check {

/// Device-visible codes of hub-protocol 3.11.
enum Code : int {
    code_parameter = 460,
    code_property_count = 6106,
    code_struct_field = 6304,
    code_int = 6306,
    code_float = 6307,
    code_bool = 6308,
    code_enum = 6309,
    code_text = 6310,
    code_date = 6311,
    code_struct = 6312,
    code_unknown_property = 6320,
    code_double = 6322,
    code_array_element = 6324,
    code_time = 6326,
    code_not_array = 6328,
};

/// "tsl parse: {text} -> {identifier}"
Rejection reject(int code, std::string_view text, std::string_view identifier);
/// The value has another JSON type than `type` wants.
Rejection wrong_type(Type type, std::string_view identifier);

/// Each returns the reason to refuse `value`, or nothing. `type.type` is one that a value of this kind may
/// have.
std::optional<Rejection> integer(const DataType& type, std::int64_t value, std::string_view identifier);
std::optional<Rejection> real(const DataType& type, double value, std::string_view identifier);
std::optional<Rejection> text(const DataType& type, std::string_view value, std::string_view identifier);

} // namespace brim::thing::check
