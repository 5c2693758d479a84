#pragma once
// Where an edge keeps the original of a message, and what its numbers mean: the user properties of
// docs/spec/bus.md, "Uplink extension". They come from outside and are trusted in nothing.

#include "base/message.h"
#include "hub/registry.h"
#include "store/log.h"

#include <optional>
#include <string>
#include <string_view>

namespace brim::hub {

/// The starts of an edge that the hub may not know of yet, the newest first. A start may give numbers again
/// that its log had lost; from its first number on they are other messages than before.
class EdgeRuns {
public:
    static constexpr std::size_t count_max = 32;
    static constexpr std::size_t name_bytes = 16;

    EdgeRuns() = default; ///< the edge does not say

    /// "<run> <first>", 1 to count_max times, with one space between all parts: 16 hex digits, and a number
    /// from 1.
    static std::optional<EdgeRuns> parse(std::string_view text);

    bool empty() const { return text_.empty(); }

    /// The start that sends; not of an empty one.
    std::string_view newest() const { return std::string_view(text_).substr(0, name_bytes); }

    /// The lowest number that a start after `known` gave first; of all named ones when `known` is not among
    /// them. Not 0, but UINT64_MAX when nothing came after `known`.
    store::Seq first_after(std::string_view known) const;

private:
    explicit EdgeRuns(std::string_view text) : text_(text) {}

    std::string text_; ///< checked: hardly a message needs more of it than newest()
};

struct UplinkMark {
    /// Numbers above take no part: they could not be counted up to (store::SeqSet).
    static constexpr store::Seq seq_max = (store::Seq{1} << 62) - 1;

    DeviceId gateway = 0;
    std::string store;  ///< 32 hex digits
    store::Seq seq = 0; ///< 1 to seq_max
    store::Seq low = 0; ///< at most `seq`: everything below is settled on the edge; 0: it does not say
    bool replay = false;
    EdgeRuns runs;
};

/// Nothing when the message has no mark or not a well-formed one: it is stored as a device's of today, and a
/// repetition of it again. Properties that come twice are not well-formed. `runs` alone may be missing or
/// not well-formed; then it is empty.
std::optional<UplinkMark> read_uplink_mark(const Message& message, DeviceId gateway);

} // namespace brim::hub
