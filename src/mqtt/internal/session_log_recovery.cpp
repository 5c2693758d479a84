// The start of a session log: read what is there, give it to the broker.

#include "mqtt/internal/session_fold.h"
#include "mqtt/internal/session_log_recovered.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

constexpr std::uint64_t quarantine_files_max = 8;
constexpr std::uint32_t log_pending_factor = 4; ///< so that a snapshot's piece still fits in

/// What a message costs in a snapshot, roughly; the next one says it exactly.
std::size_t cost_of(const Message& message) {
    return 128 + message.topic.size() + message.payload.size();
}

} // namespace

Result<std::unique_ptr<SessionLog>> SessionLog::open(io::Env& env, SessionLogOptions options) {
    store::LogOptions log_options;
    log_options.folder = options.folder;
    log_options.name = "sessions";
    log_options.segment_bytes = options.segment_bytes;
    log_options.bytes_max = options.bytes_max;
    log_options.record_bytes_max = options.segment_bytes / 2;
    log_options.pending_bytes_max = options.pending_bytes_max * log_pending_factor;
    log_options.when_full = store::WhenFull::reject;
    auto log = store::Log::open(env, std::move(log_options));
    if (!log)
        return fail(std::move(log).error());
    // Not make_unique: the constructor is ours alone.
    std::unique_ptr<SessionLog> sessions(new SessionLog(env, std::move(options), std::move(*log)));
    BRIM_TRY(sessions->recover());
    return sessions;
}

Result<void> SessionLog::recover() {
    const store::Seq from = std::max(log_->stats().first, log_->cursor(snapshot_cursor).position);
    SessionFold fold(from == 1);
    const std::unique_ptr<store::LogReader> reader = log_->read_from(from);
    store::Record record;
    std::uint64_t missing = 0;
    for (store::Seq expected = from;; expected = record.seq + 1) {
        const auto more = reader->next(record);
        if (!more)
            return fail(more.error());
        if (!*more)
            break;
        tail_bytes_ += record.body.size();
        missing += record.seq - expected;
        const SessionFold::Applied applied = fold.apply(record.body);
        if (applied == SessionFold::Applied::newer_format)
            return fail(
                Errc::unsupported,
                "session log \"" + options_.folder + "\"",
                "a newer version has written it",
                "start that version, or move the folder away"
            );
        if (applied == SessionFold::Applied::damaged)
            quarantine(record.seq, record.body);
    }
    // The clock may have been set back: time in the log never is, or messages would live again and again.
    clock_->base = env_.loop().now();
    clock_->base_ms = std::max(env_.loop().clock().wall().ms, fold.wall_ms());
    last_ = fold.last();
    recovered_ = std::make_unique<Recovered>();
    recovered_->state = fold.finish(*clock_);
    stats_.unreadable_records = fold.counts().unreadable_records;
    stats_.unknown_entries = fold.counts().unknown_entries;
    stats_.lost_references = fold.counts().lost_references;
    // Numbers are also missing where an append failed, and damage also shows where nobody needs it any more.
    stats_.lost_records = std::min(missing, log_->stats().quarantined_records);
    recovered_->is_damaged =
        stats_.unreadable_records + stats_.unknown_entries + stats_.lost_references + stats_.lost_records !=
        0;
    adopt(recovered_->state);
    if (recovered_->is_damaged)
        env_.log().error(
            "mqtt",
            "session log damaged",
            {{"folder", options_.folder},
             {"lost_records", stats_.lost_records},
             {"unreadable_records", stats_.unreadable_records},
             {"unknown_entries", stats_.unknown_entries},
             {"lost_references", stats_.lost_references}}
        );
    return {};
}

void SessionLog::quarantine(store::Seq seq, ByteView record) {
    if (quarantined_ >= quarantine_files_max)
        return;
    ++quarantined_;
    const std::string path = options_.folder + "/quarantine-" + std::to_string(seq) + ".record";
    if (const auto written = io::write_file_atomically(env_.disk(), path, record); !written)
        env_.log().error("mqtt", "damaged record not kept", {{"error", written.error().text()}});
}

void SessionLog::adopt(const RestoredState& state) {
    const auto hold_one = [this](const Message& message, JournalNumber number) {
        Held& held = messages_[number];
        ++held.references;
        if (held.bytes != 0)
            return;
        held.bytes = static_cast<std::uint32_t>(cost_of(message));
        live_bytes_ += held.bytes;
    };
    for (const RestoredSession& session : state.sessions) {
        last_session_ = std::max(last_session_, session.id);
        charge(session.id, cost_of_session(session.key.size()));
        for (const RestoredSubscription& subscription : session.subscriptions)
            charge(session.id, cost_of_filter(subscription.filter.text().size()));
        for (const RestoredPlace& place : session.places) {
            if (place.message)
                hold_one(*place.message, place.number);
            stats_.restored_messages += place.message ? 1 : 0;
        }
    }
    for (const RestoredRetained& kept : state.retained)
        hold_one(*kept.message, kept.number);
    stats_.restored_sessions = state.sessions.size();
    stats_.restored_retained = state.retained.size();
}

void SessionLog::attach(Broker& broker) {
    const std::unique_ptr<Recovered> recovered = std::move(recovered_);
    broker_ = &broker;
    const bool is_exact = broker.restore(std::move(recovered->state), env_.loop().now());
    if (is_exact && !recovered->is_damaged)
        return;
    // Until all that is kept is written anew nothing may rest on what the disk has.
    flush();
    is_failing_ = true;
    failure_ = ReasonCode::implementation_specific_error;
    begin_snapshot();
}

} // namespace brim::mqtt
