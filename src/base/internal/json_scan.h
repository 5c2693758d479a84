#pragma once
// A second look at JSON text that simdjson refused: it says that something is wrong, this says where.
// simdjson also refuses integers that fit no 64 bits; this finds them, so that they can be read as doubles.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brim {

struct JsonFault {
    std::size_t offset = 0; ///< byte
    std::string_view cause; ///< a constant
    bool too_deep = false;  ///< nothing wrong but the depth
};

struct JsonScan {
    std::optional<JsonFault> fault;          ///< empty: the text obeys RFC 8259
    std::vector<std::size_t> large_int_ends; ///< where integers outside int64 end, ascending
};

/// Checks the grammar, UTF-8, surrogate pairs and the range of doubles. No recursion; uses one byte for
/// each open bracket, at most `depth_max` of them.
JsonScan json_scan(std::string_view text, std::size_t depth_max);

} // namespace brim
