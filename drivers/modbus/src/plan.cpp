#include "plan.h"

#include <algorithm>
#include <tuple>

namespace brim::modbus {

namespace {

Read single(const std::vector<Point>& points, std::size_t index) {
    const Point& point = points[index];
    return {point.area, point.address, point.encoding.register_count, {index}};
}

} // namespace

std::vector<Read>
plan(const std::vector<Point>& points, std::vector<std::size_t> chosen, const ReadLimits& limits) {
    std::ranges::sort(chosen, {}, [&points](std::size_t index) {
        return std::tuple(points[index].area, points[index].address, index);
    });
    std::vector<Read> reads;
    for (const std::size_t index : chosen) {
        const Point& point = points[index];
        const std::uint32_t end = std::uint32_t{point.address} + point.encoding.register_count;
        if (!reads.empty() && reads.back().area == point.area) {
            Read& last = reads.back();
            const std::uint32_t last_end = std::uint32_t{last.address} + last.count;
            const std::uint32_t count_max = is_bits(point.area) ? limits.bits_max : limits.registers_max;
            const std::uint32_t joined_end = std::max(last_end, end);
            if (point.address <= last_end + limits.gap_max && joined_end - last.address <= count_max) {
                last.count = static_cast<std::uint16_t>(joined_end - last.address);
                last.points.push_back(index);
                continue;
            }
        }
        reads.push_back(single(points, index));
    }
    return reads;
}

std::vector<Write> plan_writes(std::vector<Write> single) {
    std::ranges::stable_sort(single, {}, [](const Write& write) {
        return std::tuple(write.area, write.address);
    });
    std::vector<Write> writes;
    for (Write& write : single) {
        Write* last = writes.empty() ? nullptr : &writes.back();
        const bool joins = last != nullptr && write.area == Area::coil && last->area == Area::coil &&
                           last->address + last->data.size() == write.address &&
                           last->data.size() < write_coils_max;
        const bool shares = last != nullptr && write.area == Area::holding && last->area == Area::holding &&
                            last->address == write.address && last->mask != 0xffff && write.mask != 0xffff;
        if (joins) {
            last->data.push_back(write.data.front());
        } else if (shares) { // the later one wins where they overlap
            last->data[0] = static_cast<std::uint16_t>((last->data[0] & ~write.mask) | write.data[0]);
            last->mask |= write.mask;
        } else {
            writes.push_back(std::move(write));
        }
    }
    return writes;
}

std::vector<Read> split(const std::vector<Point>& points, const Read& read) {
    std::vector<Read> reads;
    for (const std::size_t index : read.points)
        reads.push_back(single(points, index));
    return reads;
}

} // namespace brim::modbus
