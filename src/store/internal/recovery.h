#pragma once
// Makes sense of a log's folder after any kind of end: orderly, killed, power cut, damaged, tampered with.
// Reads the header of every segment but the records of the last one only, so opening stays fast however much
// is stored.

#include "base/log.h"
#include "base/random.h"
#include "io/disk.h"
#include "store/internal/cursor_table.h"
#include "store/internal/segment_table.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace brim::store {

struct Recovered {
    std::array<char, store_id_bytes> store_id{};
    SegmentTable segments;               ///< empty for a new folder
    std::unique_ptr<io::File> active;    ///< of the last segment, open for writing
    std::vector<std::string> free_files; ///< recyclable
    std::uint64_t next_number = 1;       ///< above every number seen in a header or a name
    Seq next_seq = 1;
    std::uint64_t quarantined_records = 0;
    std::uint64_t quarantined_segments = 0;
};

struct RecoveryInput {
    io::Disk& disk;
    brim::Log& log;
    Random& random;
    const LogOptions& options;
};

/// `cursors` is filled. Writes nothing before it knows that no file is of a newer format (Errc::unsupported).
Result<Recovered> recover(const RecoveryInput& input, CursorTable& cursors);

} // namespace brim::store
