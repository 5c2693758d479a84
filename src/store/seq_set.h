#pragma once
// Which record numbers are done: an interval set with a floor, small however long the log is. The edge keeps
// in it what the hub acknowledged; the hub keeps in it what a gateway already delivered.

#include "base/bytes.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace brim::store {

/// A set of record numbers (from 1). Everything below low() is in it; above, at most `intervals_max` separate
/// runs. Copies and compares. Memory: 16 bytes a run. Look-up is a binary search; inserting near the top
/// costs no move.
class SeqSet {
public:
    static constexpr std::size_t intervals_max_default = 4'096;

    explicit SeqSet(std::size_t intervals_max = intervals_max_default) : intervals_max_(intervals_max) {}

    enum class Insert : std::uint8_t {
        added,
        already,
        full, ///< it would begin a run above `intervals_max`: not inserted; raise() the floor first
    };
    Insert insert(std::uint64_t seq);
    /// Puts all numbers below `low` in (a floor never goes back). Returns how many were not in before.
    std::uint64_t raise(std::uint64_t low);
    /// Takes all numbers >= `first` (at least 1) out; the only way a floor goes back. For a log that lost its
    /// tail and gives these numbers to other records. Returns whether any was in.
    bool cut(std::uint64_t first);

    bool contains(std::uint64_t seq) const;

    /// The lowest number not in the set.
    std::uint64_t low() const { return floor_ + 1; }

    /// The lowest number >= `from` not in the set.
    std::uint64_t next_missing(std::uint64_t from) const;
    /// How many numbers of [first, end) are not in the set.
    std::uint64_t missing(std::uint64_t first, std::uint64_t end) const;

    /// Runs above the floor.
    std::size_t intervals() const { return runs_.size(); }

    std::size_t intervals_max() const { return intervals_max_; }

    /// Where the lowest run above the floor begins; 0 when there is none.
    std::uint64_t first_run() const { return runs_.empty() ? 0 : runs_.front().first; }

    /// The runs above the floor as text-free bytes (LEB128 gaps and lengths), lowest first, cut off before
    /// `bytes_max`: what is cut off is forgotten, never invented. The floor itself is kept by the caller (it
    /// is the cursor's position).
    Bytes encode(std::size_t bytes_max) const;
    /// Rebuilds from a floor (all numbers <= `floor` are in) and encode()'s bytes. Errc::corrupt when they
    /// are not such; Errc::too_large for more than `intervals_max` runs.
    static Result<SeqSet>
    decode(std::uint64_t floor, ByteView bytes, std::size_t intervals_max = intervals_max_default);

    bool operator==(const SeqSet& other) const { return floor_ == other.floor_ && runs_ == other.runs_; }

private:
    struct Run {
        std::uint64_t first;
        std::uint64_t last;
        bool operator==(const Run&) const = default;
    };

    /// Index of the first run whose last >= seq.
    std::size_t find(std::uint64_t seq) const;
    void absorb();

    std::size_t intervals_max_;
    std::uint64_t floor_ = 0;
    std::vector<Run> runs_; ///< sorted, never touching one another nor the floor
};

} // namespace brim::store
