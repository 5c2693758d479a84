#pragma once
// The log: segmented, checksummed, append-only, with group commit. Store-and-forward, sessions, the hub's
// ingress: all are records here with cursors beside them. On-disk format: README.md.

#include "base/bytes.h"
#include "base/time.h"
#include "io/env.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace brim::store {

/// Number of a record, from 1, never reused, without gaps in what was appended. 0 is "before the first".
using Seq = std::uint64_t;

enum class WhenFull : std::uint8_t {
    drop_oldest, ///< whole oldest segments go, counted per record
    reject,      ///< append fails with Errc::full
};

struct LogOptions {
    std::string folder;
    std::string name = "log";                ///< in errors and metrics
    std::uint32_t segment_bytes = 8'388'608; ///< 64 KiB .. 64 MiB
    std::uint64_t bytes_max =
        1'073'741'824; ///< at least 4 segments: what the folder may hold in record segments
    std::uint32_t record_bytes_max = 1'048'576; ///< at most segment_bytes / 2
    std::uint32_t pending_bytes_max =
        16'777'216; ///< appended but not yet on disk; above it append says Errc::busy
    WhenFull when_full = WhenFull::drop_oldest;
};

struct Record {
    Seq seq = 0;
    ByteView body; ///< valid until the reader moves or the log is destroyed
};

struct LogStats {
    Seq first = 1;           ///< oldest record held (next when empty)
    Seq next = 1;            ///< the number the next append gets
    Seq durable = 0;         ///< all records up to this one are on disk
    std::uint64_t bytes = 0; ///< of record segments on disk
    std::uint64_t appended_records = 0;
    std::uint64_t appended_bytes = 0;
    std::uint64_t dropped_records = 0;     ///< by retention, since open, not counting trim()
    std::uint64_t quarantined_records = 0; ///< known to be lost to corruption (from the sequence gap)
    std::uint64_t quarantined_segments = 0;
    std::uint64_t syncs = 0;
    std::uint64_t sync_errors = 0;
    /// From handing a group to the disk until it is synced: the middle of the last 128 groups; 0 before the
    /// first.
    double sync_ms_p50 = 0;
};

/// A snapshot reader over one log. Loop thread only; skips over what was dropped or quarantined (the gap
/// shows in seq).
class LogReader {
public:
    virtual ~LogReader() = default;
    /// The next durable record at or after the position, or nothing when caught up. Reads blocks of 256 KiB;
    /// blocking but from page cache in practice. A record whose checksum fails is quarantined and skipped.
    virtual Result<bool> next(Record& record) = 0;
    /// Continues at the first record >= seq.
    virtual void seek(Seq seq) = 0;
};

/// One log in one folder, used on one loop; file writes and syncs run on the log's own worker. The group is
/// closed when the disk is free again: everything appended meanwhile forms the next group (no timer).
class Log {
public:
    virtual ~Log() = default;

    /// Opens or creates. Blocking: used at start. Repairs a torn tail (everything after the last valid record
    /// of the last segment was never acknowledged), quarantines damaged segments (renamed to *.quarantine,
    /// never deleted), refuses a newer format with Errc::unsupported, a locked folder with Errc::busy.
    static Result<std::unique_ptr<Log>> open(io::Env& env, LogOptions options);

    /// Queues a record and returns its number. Not durable until `durable()` reaches it. Errc::too_large,
    /// Errc::busy (too much pending), Errc::full (policy reject or disk full), Errc::io after an
    /// unrecoverable write error (then the log has re-opened itself on a new segment and pending callers got
    /// the error).
    virtual Result<Seq> append(ByteView body) = 0;
    /// Calls `done` on the loop once record `seq` is synced, or with the error that befell its group. Never
    /// from inside this call. Callbacks run in the order of seq.
    virtual void when_durable(Seq seq, std::move_only_function<void(Result<void>)> done) = 0;

    virtual std::unique_ptr<LogReader> read_from(Seq seq) = 0;

    /// Cursors are named positions kept in the log itself: set lazily (written with the next group, or within
    /// `cursor_sync` 1 s when idle), so after a crash a cursor may lie behind, never ahead. Names: 1..64
    /// bytes. `extra` (at most 64 KiB) is kept beside the position.
    virtual Result<void> set_cursor(std::string_view name, Seq position, ByteView extra = {}) = 0;

    /// Blocking, and only between open() and the first append: the cursors set so far are on disk afterwards.
    /// After an error the log must be opened again.
    virtual Result<void> sync_cursors() = 0;

    struct Cursor {
        Seq position = 0;
        Bytes extra;
    };

    virtual Cursor cursor(std::string_view name) const = 0; ///< zero when never set
    /// Frees whole segments whose records are all <= seq. They are recycled for later appends.
    virtual void trim(Seq seq) = 0;

    virtual LogStats stats() const = 0;
    /// Random 128-bit id made with the folder, as hex: tells a copy or a fresh log apart.
    virtual const std::string& store_id() const = 0;
    /// Writes and syncs all that is pending, then calls `done`. No append is accepted any more.
    virtual void close(std::move_only_function<void()> done) = 0;
};

} // namespace brim::store
