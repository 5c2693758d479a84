#pragma once
// The Journal on a store::Log: sessions, their queues and retained messages of one broker in one folder.
// Entries gather through a turn of the loop and become one record; the log's group commit makes them safe,
// and then the broker is told. When less than half of the log is still needed, all that is kept is written
// anew, piece by piece, and what is older is let go of. Record format: docs/spec/session-log.md.

#include "base/metrics.h"
#include "io/env.h"
#include "mqtt/broker.h"
#include "mqtt/journal.h"
#include "store/log.h"

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

namespace brim::mqtt {

struct LogClock;

struct SessionLogOptions {
    std::string folder;
    std::uint32_t segment_bytes = 8'388'608;      ///< 1 MiB .. 64 MiB; a record is at most half of it
    std::uint64_t bytes_max = 2'147'483'648;      ///< of the folder; a quarter of it may be in use
    std::uint32_t pending_bytes_max = 67'108'864; ///< not yet on disk; half of it, and nothing new is taken
    std::uint32_t snapshot_step_bytes = 262'144;  ///< of a snapshot in one turn, a session in any case whole
    std::uint64_t compact_bytes_min = 16'777'216; ///< a log shorter than this is not written anew
};

struct SessionLogStats {
    std::uint64_t sessions = 0;
    std::uint64_t messages = 0;
    std::uint64_t live_bytes = 0; ///< what a snapshot would take
    std::uint64_t tail_bytes = 0; ///< written since the last snapshot began
    std::uint64_t disk_bytes = 0;
    std::uint64_t snapshots = 0;          ///< completed
    std::uint64_t failures = 0;           ///< of appends and syncs
    std::uint64_t unreadable_records = 0; ///< at the start: quarantined
    std::uint64_t unknown_entries = 0;
    std::uint64_t lost_references = 0; ///< at the start: entries about what lost records held
    std::uint64_t lost_records = 0;    ///< numbers missing in the log
    std::uint64_t restored_sessions = 0;
    std::uint64_t restored_messages = 0;
    std::uint64_t restored_retained = 0;
    bool is_failing = false; ///< takes nothing until a snapshot is on disk
};

/// Lives on the Env's loop, longer than the broker it is attached to.
class SessionLog final : public Journal {
public:
    /// Opens or creates, and reads all that is there. Blocking: used at start. Records that cannot be read
    /// are copied to `quarantine-<number>.record` (at most 8) and counted. Errors are those of the log;
    /// Errc::unsupported for a newer format.
    static Result<std::unique_ptr<SessionLog>> open(io::Env& env, SessionLogOptions options);
    ~SessionLog() override;
    SessionLog(const SessionLog&) = delete;
    SessionLog& operator=(const SessionLog&) = delete;

    /// Gives the broker, made with this journal, what was kept. Once, before its first connection.
    void attach(Broker& broker);
    /// Writes what has gathered, waits until it is on disk, then calls `done`. Nothing is taken any more.
    void close(std::move_only_function<void()> done);

    SessionLogStats stats() const;

    // Journal
    JournalNumber last() const override { return last_; }

    ReasonCode refusal(Promise what) const override;
    KeptId new_session() override;
    void session(KeptId id, const KeptFacts& facts) override;
    void session_gone(KeptId id) override;
    void subscribed(
        KeptId id, std::string_view filter, const SubscriptionOptions& options, bool is_new, bool has_replay
    ) override;
    void unsubscribed(KeptId id, std::string_view filter) override;
    void replayed(KeptId id, const KeptReplay& replay, bool is_done) override;
    void message(const Message& message, std::span<const KeptReceiver> receivers, bool is_retained) override;
    void done(KeptId id, std::uint64_t sequence, JournalNumber number) override;
    void received(KeptId id, std::uint64_t sequence, JournalNumber number) override;
    void inbound(KeptId id, std::uint16_t packet_id) override;
    void released(KeptId id, std::uint16_t packet_id) override;
    void retained_gone(std::string_view topic) override;
    void release(JournalNumber number) override;
    void image_begin(KeptId id, const KeptFacts& facts, std::uint64_t next_sequence) override;
    void image_place(KeptId id, const KeptPlace& place) override;
    void image_end(KeptId id) override;
    void image_retained(const Message& message, JournalNumber number) override;

private:
    struct Recovered;

    /// What a live message costs, and when it was written last.
    struct Held {
        std::uint32_t bytes = 0;
        std::uint32_t references = 0;
        std::uint64_t snapshot = 0;
    };

    struct KeptSession {
        std::uint64_t bytes = 0;
        std::uint64_t snapshot = 0;
    };

    static constexpr std::string_view snapshot_cursor = "snapshot"; ///< the record the last one begins with

    enum class Snapshot : std::uint8_t { none, writing, syncing };

    SessionLog(io::Env& env, SessionLogOptions options, std::unique_ptr<store::Log> log);

    // session_log_recovery.cpp
    Result<void> recover();
    void quarantine(store::Seq seq, ByteView record);
    void adopt(const RestoredState& state);

    // session_log_entries.cpp
    /// Appends one entry about session `id` (0: about none) unless a later image will say it.
    template <class Fill> void write(KeptId id, std::uint8_t kind, Fill fill);
    void write_mark(bool is_begin);
    void write_body(const Message& message, JournalNumber number, bool is_retained);
    void charge(KeptId id, std::size_t bytes);

    static std::size_t cost_of_session(std::size_t key_bytes) { return 128 + key_bytes * 2; }

    static std::size_t cost_of_filter(std::size_t bytes) { return 24 + bytes; }

    void hold(JournalNumber number, std::size_t bytes, std::uint32_t references);

    // session_log.cpp
    void flush_at_turn_end();
    /// For what nobody waits for: with the next record, or after a little while.
    void flush_soon();
    /// Makes a record of what has gathered and returns its number; 0 when there was nothing or it failed.
    store::Seq flush();
    void on_durable(std::uint64_t epoch, JournalNumber last, const Result<void>& outcome);
    void fail_with(const Error& error);
    void begin_snapshot();
    void go_on_with_snapshot();
    void on_snapshot_durable(JournalNumber last);
    void compact_when_due();

    io::Env& env_;
    SessionLogOptions options_;
    std::unique_ptr<store::Log> log_;
    Broker* broker_ = nullptr;
    std::unique_ptr<Recovered> recovered_; ///< until attach()
    std::unique_ptr<LogClock> clock_;

    Bytes batch_; ///< the record of this turn, head included; empty = nothing was written
    bool is_flush_due_ = false;
    bool is_closing_ = false;
    JournalNumber last_ = 0;
    std::uint64_t pending_bytes_ = 0; ///< handed to the log, not safe yet

    std::unordered_map<JournalNumber, Held> messages_;
    std::unordered_map<KeptId, KeptSession> sessions_;
    KeptId last_session_ = 0;
    std::uint64_t live_bytes_ = 0;
    std::uint64_t tail_bytes_ = 0;

    Snapshot snapshot_ = Snapshot::none;
    std::uint64_t snapshot_number_ = 0;
    store::Seq snapshot_seq_ = 0; ///< of the record it begins with
    ImagePlace image_at_;
    std::uint64_t quarantined_ = 0;   ///< files written
    std::uint64_t snapshot_tail_ = 0; ///< tail_bytes_ when it began

    bool is_failing_ = false; ///< the disk lacks what the broker has: only a snapshot helps
    ReasonCode failure_ = ReasonCode::success;
    std::uint64_t epoch_ = 0; ///< grows with each failure: what was handed over before does not count
    SessionLogStats stats_;
    Counter& failures_metric_;
    io::Timer step_;
    io::Timer idle_flush_;
    std::shared_ptr<bool> alive_; ///< shared with callbacks queued on the loop, which may outlive this
};

} // namespace brim::mqtt
