#pragma once
// Writes groups of records to the active segment and opens the next one. The only code that changes record
// segments after recovery. Runs on the log's worker (or on the loop while the worker is idle: at open).

#include "io/disk.h"
#include "store/internal/segment_format.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace brim::store {

/// A released segment's file. Damaged ones are kept for inspection.
struct FreedFile {
    std::string file;
    bool damaged = false;
};

/// One group: records that become durable together. At most one change of segment inside.
struct Group {
    static constexpr std::size_t no_split = ~std::size_t{0};

    Bytes bytes;                  ///< sealed by the writer
    std::size_t split = no_split; ///< where the next segment begins: header_bytes of room, then its records
    std::uint32_t offset = 0;     ///< where bytes before the split go
    SegmentHeader next;           ///< header of the segment behind the split
    std::string reuse;            ///< file to recycle for it; empty: make a new one
    std::vector<std::string> unwanted;   ///< files to remove once the group is on disk
    std::vector<std::string> quarantine; ///< files to set aside once the group is on disk

    // What the loop needs to know again when the group is done.
    Seq first_seq = 0; ///< number of the next data record when the group was begun
    Seq split_seq = 0; ///< the same at the split
    Seq end_seq = 0;   ///< number after the last data record
    std::vector<FreedFile>
        freed; ///< released segments, recyclable once the group (with the trim point) is on disk

    bool has_split() const { return split != no_split; }
};

struct GroupOutcome {
    Result<void> result;
    bool no_room_for_segment = false; ///< Errc::full, and nothing but the next segment's creation failed
    bool sync_failed = false;
    std::uint64_t syncs = 0;
    std::vector<std::string> leftover; ///< unwanted files that could not be removed
};

class SegmentWriter {
public:
    SegmentWriter(io::Disk& disk, std::string folder) : disk_(disk), folder_(std::move(folder)) {}

    /// Adopts the segment that recovery left active.
    void adopt(std::unique_ptr<io::File> file, std::uint32_t seed);
    /// Writes and syncs. After an error the active segment is closed for good: the next group must begin with
    /// a split.
    GroupOutcome write(Group& group);

private:
    Result<void> write_parts(Group& group, GroupOutcome& outcome);
    Result<void> open_next(Group& group, GroupOutcome& outcome);
    Result<void> sync_active(GroupOutcome& outcome);
    void tidy(const Group& group, GroupOutcome& outcome);

    io::Disk& disk_;
    std::string folder_;
    std::unique_ptr<io::File> active_;
    std::uint32_t seed_ = 0;
};

} // namespace brim::store
