#include "store/internal/segment_table.h"

#include <algorithm>

namespace brim::store {

std::uint64_t Segment::records_within(SeqRange range) const {
    const auto clipped = [&](SeqRange part) {
        return SeqRange{std::max(part.first, range.first), std::min(part.end, range.end)}.count();
    };
    std::uint64_t records = clipped({first_seq, end_seq});
    for (const auto& part : damaged)
        records -= clipped(part);
    return records;
}

std::uint64_t Segment::add_damage(SeqRange range) {
    if (range.count() == 0)
        return 0;
    std::uint64_t known = 0;
    SeqRange merged = range;
    std::erase_if(damaged, [&](const SeqRange& part) {
        if (part.end < range.first || part.first > range.end)
            return false;
        known += SeqRange{std::max(part.first, range.first), std::min(part.end, range.end)}.count();
        merged = {std::min(merged.first, part.first), std::max(merged.end, part.end)};
        return true;
    });
    const auto at = std::ranges::lower_bound(damaged, merged.first, {}, &SeqRange::first);
    damaged.insert(at, merged);
    return range.count() - known;
}

Segment* find_segment(SegmentTable& table, Seq seq) {
    const auto found = std::ranges::upper_bound(table, seq, {}, &Segment::end_seq);
    return found == table.end() ? nullptr : &*found;
}

} // namespace brim::store
