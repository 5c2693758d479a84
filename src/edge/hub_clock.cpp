#include "edge/hub_clock.h"

#include "base/json.h"

#include <charconv>

namespace brim::edge {

namespace {

constexpr std::int64_t time_ms_max = 253'402'300'799'999; // the last of the year 9999

/// Hubs send times as a number or as a text of digits.
std::optional<std::int64_t> time_of(const Json& value) {
    std::int64_t ms = value.as_int();
    const std::string_view text = value.as_string();
    if (!value.is_int()) {
        const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), ms);
        if (text.empty() || wrong != std::errc{} || end != text.data() + text.size())
            return std::nullopt;
    }
    return ms > 0 && ms <= time_ms_max ? std::optional(ms) : std::nullopt;
}

} // namespace

std::string HubClock::ask(Mono now, WallTime wall) {
    asked_ = now;
    mark_ = std::to_string(wall.ms);
    return Json::object({{"deviceSendTime", mark_}}).text();
}

std::optional<WallTime> HubClock::answer(std::string_view payload, Mono now) {
    const auto json = Json::parse(payload, {.bytes_max = 4'096, .depth_max = 8, .values_max = 64});
    if (!asked_ || !json || (*json)["deviceSendTime"].as_string() != mark_)
        return std::nullopt;
    const auto round_trip = now - *asked_;
    asked_.reset();
    const auto received = time_of((*json)["serverRecvTime"]);
    const auto sent = time_of((*json)["serverSendTime"]);
    if (!received || !sent || *sent < *received || round_trip > round_trip_max)
        return std::nullopt;
    // As in RFC 5905 section 8: what the hub did not take was spent on the way, half of it coming back.
    const auto on_the_way =
        std::chrono::duration_cast<std::chrono::milliseconds>(round_trip).count() - (*sent - *received);
    return on_the_way < 0 ? std::nullopt : std::optional(WallTime{*sent + on_the_way / 2});
}

} // namespace brim::edge
