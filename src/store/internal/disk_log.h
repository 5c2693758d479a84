#pragma once
// The Log on files. Everything here is on the loop but SegmentWriter and the Group in flight, which the
// worker has while a job runs.

#include "base/metrics.h"
#include "store/internal/cursor_table.h"
#include "store/internal/recovery.h"
#include "store/internal/segment_table.h"
#include "store/internal/segment_writer.h"
#include "store/log.h"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brim::store {

inline constexpr std::size_t group_bytes_max = 1'048'576; ///< what a group takes before the next one is begun
inline constexpr std::size_t spare_files_max = 2;         ///< recyclable files kept; more are removed
inline constexpr std::size_t quarantine_files_max = 8;    ///< damaged segments kept when they are trimmed
inline constexpr Duration cursor_sync{1s};
inline constexpr std::size_t sync_times_kept = 128;
inline constexpr Duration stall_wait{500ms}; ///< after "disk full", before an append may try again

class DiskLog final : public Log {
public:
    DiskLog(io::Env& env, LogOptions options);
    ~DiskLog() override;

    /// Locks and recovers the folder; call once, first.
    Result<void> start();

    Result<Seq> append(ByteView body) override;
    void when_durable(Seq seq, std::move_only_function<void(Result<void>)> done) override;
    std::unique_ptr<LogReader> read_from(Seq seq) override;
    Result<void> set_cursor(std::string_view name, Seq position, ByteView extra) override;

    Result<void> sync_cursors() override;

    Cursor cursor(std::string_view name) const override { return cursors_.get(name); }

    void trim(Seq seq) override;
    LogStats stats() const override;

    const std::string& store_id() const override { return store_id_hex_; }

    void close(std::move_only_function<void()> done) override;

    // For the reader.
    SegmentTable& segments() { return segments_; }

    io::Disk& disk() { return env_.disk(); }

    std::string path(const std::string& file) const { return options_.folder + "/" + file; }

    /// Counts and reports records found unreadable, each once.
    void note_damage(Segment& segment, SeqRange range);

private:
    struct Waiter {
        Seq seq;
        std::move_only_function<void(Result<void>)> done;
    };

    struct Failure {
        SeqRange range;
        Error error;
    };

    struct Counters {
        explicit Counters(Metrics& metrics, const std::string& name);
        Counter& records;
        Counter& bytes;
        Counter& syncs;
        Counter& errors;
        Counter& dropped;
        Counter& quarantined;
    };

    std::string object() const { return "log \"" + options_.name + "\""; }

    Result<void> check_options() const;

    // Planning (disk_log.cpp): where each record goes is decided when it is appended.
    bool needs_split(std::size_t body_bytes) const;
    void place(RecordKind kind, ByteView body);
    Group& collecting();
    void split();
    void place_dirty_cursors();
    /// Writes the first pending group here and now. Only while the worker is idle.
    Result<void> write_now();
    void hand_over_freed();

    // Groups (disk_log_groups.cpp): one at a time is with the worker.
    void start_soon();
    /// Starts a group within cursor_sync even when nothing is appended.
    void flush_later();
    void start_group();
    void prepare(Group& group);
    void finish_group();
    void note_sync_time();
    void apply(Group& group);
    void recycle(Group& group);
    bool retry_on_oldest(Group& group);
    void fail_pending(Group& group, const Error& error);
    void verify_sealed();
    void run_waiters();
    std::optional<Result<void>> outcome_of(Seq seq) const;
    void finish_close();

    // Retention.
    void make_room();
    void release_front();

    io::Env& env_;
    LogOptions options_;
    std::size_t live_max_ = 0; ///< record segments; one more file is being recycled
    std::string store_id_hex_;
    std::array<char, store_id_bytes> store_id_{};
    std::unique_ptr<io::File> lock_;
    Counters counters_;
    LogStats stats_;
    Mono group_started_{};
    std::vector<Duration> sync_times_; ///< of the last groups, the oldest is overwritten
    std::size_t next_sync_time_ = 0;

    SegmentTable segments_;
    CursorTable cursors_;
    std::uint64_t next_number_ = 1;
    Seq next_seq_ = 1;
    Seq durable_ = 0;
    Seq trimmed_to_ = 0;
    std::vector<FreedFile> freed_; ///< wait for a record of the trim point
    std::vector<std::string> spares_;
    std::vector<std::string> unwanted_;
    std::vector<std::string> quarantine_;
    std::size_t quarantine_files_ = 0;

    std::deque<Group> pending_;     ///< the last one collects
    std::size_t pending_bytes_ = 0; ///< in pending_ and in flight
    std::uint32_t plan_offset_ = 0; ///< where the next record goes in the segment that is being planned
    std::uint32_t plan_bytes_ = 0;  ///< size of that segment
    std::size_t planned_segments_ = 0;
    bool need_segment_ = false;
    std::vector<Bytes> buffers_; ///< of finished groups, for the next ones

    std::vector<Waiter> waiters_; ///< by seq
    std::vector<Failure> failures_;
    Error stall_error_;
    Mono stalled_until_{};
    unsigned failures_in_row_ = 0;

    bool start_scheduled_ = false;
    bool flush_wanted_ = false;
    bool closing_ = false;
    std::move_only_function<void()> close_done_;
    io::Timer cursor_timer_;
    std::shared_ptr<bool> alive_; ///< shared with callbacks queued on the loop, which may outlive the log

    bool busy_ = false; ///< the worker has in_flight_
    Group in_flight_;
    GroupOutcome outcome_;
    SegmentWriter writer_;
    std::unique_ptr<io::Worker> worker_; ///< last: its destructor waits for the job that uses the above
};

/// A reader over `log`, which outlives it.
std::unique_ptr<LogReader> make_reader(DiskLog& log, Seq seq);

} // namespace brim::store
