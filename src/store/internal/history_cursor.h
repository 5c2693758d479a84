#pragma once
// Where a page of history ends, as an opaque text. Pure.

#include "base/error.h"

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace brim::store {

/// The key of a point inside its series. `ordinal` keeps two values apart that one record holds for one
/// millisecond.
struct HistoryKey {
    std::int64_t time_ms = 0;
    std::int64_t seq = 0;
    std::int64_t ordinal = 0;
    auto operator<=>(const HistoryKey&) const = default;
};

std::string encode_history_cursor(const HistoryKey& key);
/// Errc::invalid when `text` is not one of ours.
Result<HistoryKey> decode_history_cursor(std::string_view text);

} // namespace brim::store
