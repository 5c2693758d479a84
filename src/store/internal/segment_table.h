#pragma once
// What the loop knows about the segments that hold records. Pure.

#include "store/internal/segment_format.h"

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace brim::store {

/// A run of record numbers.
struct SeqRange {
    Seq first = 0;
    Seq end = 0; ///< one after the last

    std::uint64_t count() const { return end > first ? end - first : 0; }
};

struct Segment {
    std::string file; ///< name in the folder; after somebody renamed files not always that of the number
    std::uint64_t number = 0;
    std::uint32_t seed = 0;
    std::uint32_t segment_bytes = 0;
    Seq first_seq = 1;
    Seq end_seq = 1;                  ///< number after its last durable record
    std::uint32_t end = header_bytes; ///< offset after its last durable record
    std::vector<SeqRange> damaged{};  ///< record numbers known to be unreadable, in order

    /// Records of `range` that are in this segment and readable as far as is known.
    std::uint64_t records_within(SeqRange range) const;
    /// Notes that `range` is unreadable; returns how many of its numbers were not known to be.
    std::uint64_t add_damage(SeqRange range);
};

/// By number; the last one is active.
using SegmentTable = std::deque<Segment>;

/// The segment that holds `seq` or, in a gap or before the first, the next one; null behind the last record.
Segment* find_segment(SegmentTable& table, Seq seq);

} // namespace brim::store
