#pragma once
// The exact text of one member of a JSON object, where reading it into a value would change it (ids above
// 2^63).

#include <string>
#include <string_view>

namespace brim::thing {

/// The raw text of the top-level member `name` of `payload` when it is a string or a number; else empty.
/// `payload` was parsed with success before.
std::string raw_member(std::string_view payload, std::string_view name);

} // namespace brim::thing
