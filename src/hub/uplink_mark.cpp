#include "hub/uplink_mark.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace brim::hub {

namespace {

constexpr std::string_view lower_hex = "0123456789abcdef";
constexpr std::size_t store_bytes = 32;

bool is_hex(std::string_view text, std::size_t count) {
    return text.size() == count && text.find_first_not_of(lower_hex) == std::string_view::npos;
}

/// A decimal number from 1 to UplinkMark::seq_max; 0 for anything else.
store::Seq number(std::string_view text) {
    if (text.empty() || text.front() < '0' || text.front() > '9') // from_chars takes a minus
        return 0;
    std::uint64_t value = 0;
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = wrong == std::errc{} && end == text.data() + text.size();
    return whole && value <= UplinkMark::seq_max ? value : 0;
}

/// One part up to the next space, which is taken too; empty at the end.
std::string_view take_part(std::string_view& text) {
    const std::size_t space = text.find(' ');
    const std::string_view part = text.substr(0, space);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    return part;
}

} // namespace

std::optional<EdgeRuns> EdgeRuns::parse(std::string_view text) {
    std::string_view left = text;
    std::size_t count = 0;
    do {
        if (++count > count_max || !is_hex(take_part(left), name_bytes) || number(take_part(left)) == 0)
            return std::nullopt;
    } while (!left.empty());
    if (text.ends_with(' '))
        return std::nullopt;
    return EdgeRuns(text);
}

store::Seq EdgeRuns::first_after(std::string_view known) const {
    store::Seq lowest = UINT64_MAX;
    for (std::string_view left = text_; !left.empty();) {
        if (take_part(left) == known)
            break;
        lowest = std::min(lowest, number(take_part(left)));
    }
    return lowest;
}

std::optional<UplinkMark> read_uplink_mark(const Message& message, DeviceId gateway) {
    UplinkMark mark;
    mark.gateway = gateway;
    std::string_view store, seq, low, replay, run;
    bool twice = false, run_twice = false;
    const auto take = [](std::string_view& slot, std::string_view value, bool& again) {
        again = again || slot.data() != nullptr;
        slot = value;
    };
    for (const auto& [name, value] : message.user_properties) {
        if (name == "brim-store")
            take(store, value, twice);
        else if (name == "brim-seq")
            take(seq, value, twice);
        else if (name == "brim-low")
            take(low, value, twice);
        else if (name == "brim-replay")
            take(replay, value, twice);
        else if (name == "brim-run")
            take(run, value, run_twice);
    }
    mark.seq = number(seq);
    mark.low = number(low);
    const bool low_fits = low.data() == nullptr || (mark.low != 0 && mark.low <= mark.seq);
    if (twice || !is_hex(store, store_bytes) || mark.seq == 0 || !low_fits)
        return std::nullopt;
    mark.store = store;
    mark.replay = replay == "1";
    if (auto runs = run_twice ? std::nullopt : EdgeRuns::parse(run))
        mark.runs = std::move(*runs);
    return mark;
}

} // namespace brim::hub
