#include "poll.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

namespace brim::modbus {

DevicePoll::DevicePoll(const DeviceSettings& settings, const ReadLimits& limits, std::int64_t now_ms)
    : settings_(settings), last_(settings.points.size()), exceptions_(settings.points.size()) {
    std::map<std::uint32_t, std::vector<std::size_t>> by_period;
    for (std::size_t index = 0; index < settings.points.size(); ++index) {
        by_period[settings.points[index].polling_ms].push_back(index);
    }
    for (auto& [period, chosen] : by_period) {
        groups.push_back({period, now_ms, plan(settings.points, std::move(chosen), limits)});
    }
}

std::optional<std::size_t> DevicePoll::next_group() const {
    if (groups.empty())
        return std::nullopt;
    const auto earliest = std::ranges::min_element(groups, {}, &Group::due_ms);
    return static_cast<std::size_t>(earliest - groups.begin());
}

void DevicePoll::cycle_ended(std::size_t group, std::int64_t now_ms, std::uint32_t timeout_ms) {
    Group& ended = groups[group];
    if (health.online()) {
        ended.due_ms += ended.period_ms;
        if (ended.due_ms <= now_ms)
            ended.due_ms = now_ms + 1;
        return;
    }
    // One group is enough to see whether the device is back.
    const std::int64_t pause = std::max<std::int64_t>(ended.period_ms, std::int64_t{timeout_ms} * 5);
    for (Group& each : groups)
        each.due_ms = std::max(each.due_ms, now_ms + pause);
}

void DevicePoll::collect(
    const Read& read, const std::vector<std::uint16_t>& data, std::vector<PointValue>& out
) {
    for (const std::size_t index : read.points) {
        const Point& point = settings_.points[index];
        exceptions_[index] = 0;
        const auto registers =
            std::span(data).subspan(point.address - read.address, point.encoding.register_count);
        auto value = decode(point.encoding, registers);
        if (value)
            out.push_back({index, as_kind(point.kind, *std::move(value))});
    }
}

bool DevicePoll::refused(std::size_t point, int exception) {
    const bool news = exceptions_[point] != exception;
    exceptions_[point] = exception;
    return news;
}

void DevicePoll::filter_unchanged(std::vector<PointValue>& values) {
    std::erase_if(values, [this](const PointValue& entry) {
        return settings_.points[entry.point].on_change && last_[entry.point] == entry.value;
    });
    for (const PointValue& entry : values)
        last_[entry.point] = entry.value;
}

Value as_kind(Kind kind, Value value) {
    if (kind == Kind::whole && std::holds_alternative<double>(value)) {
        const double number = std::nearbyint(std::get<double>(value));
        constexpr double limit = 9'223'372'036'854'775'808.0;
        if (number >= -limit && number < limit)
            return static_cast<std::int64_t>(number);
    } else if (kind == Kind::real && std::holds_alternative<std::int64_t>(value)) {
        return static_cast<double>(std::get<std::int64_t>(value));
    } else if (kind == Kind::text && std::holds_alternative<std::int64_t>(value)) {
        return std::to_string(std::get<std::int64_t>(value));
    }
    return value;
}

} // namespace brim::modbus
