#include "mqtt/session_log.h"

#include "base/assert.h"
#include "mqtt/internal/session_fold.h"
#include "mqtt/internal/session_log_recovered.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

constexpr Duration step_wait = std::chrono::milliseconds{1};    ///< between pieces of a snapshot
constexpr Duration retry_wait = std::chrono::milliseconds{600}; ///< above the log's own, after a failure
constexpr Duration idle_flush_wait = std::chrono::milliseconds{2};
constexpr std::size_t step_items = 16;                      ///< asked of the broker at once
constexpr std::uint64_t step_pending_bytes_max = 4'194'304; ///< a snapshot waits while more is on its way

ReasonCode reason_of(const Error& error) {
    return error.code == Errc::full || error.code == Errc::busy ? ReasonCode::quota_exceeded
                                                                : ReasonCode::implementation_specific_error;
}

} // namespace

SessionLog::SessionLog(io::Env& env, SessionLogOptions options, std::unique_ptr<store::Log> log)
    : env_(env), options_(std::move(options)), log_(std::move(log)), clock_(std::make_unique<LogClock>()),
      failures_metric_(
          env.metrics().counter("brim_mqtt_session_log_failures", "Appends and syncs that failed")
      ),
      step_(env.loop()), idle_flush_(env.loop()), alive_(std::make_shared<bool>(true)) {}

SessionLog::~SessionLog() {
    *alive_ = false;
}

ReasonCode SessionLog::refusal(Promise what) const {
    if (is_failing_)
        return failure_;
    if (is_closing_)
        return ReasonCode::server_shutting_down;
    const bool is_full =
        live_bytes_ > options_.bytes_max / 4 || pending_bytes_ > options_.pending_bytes_max / 2;
    return what == Promise::grow && is_full ? ReasonCode::quota_exceeded : ReasonCode::success;
}

void SessionLog::flush_at_turn_end() {
    if (is_flush_due_)
        return;
    is_flush_due_ = true;
    env_.loop().at_turn_end([this, alive = alive_] {
        if (!*alive)
            return;
        is_flush_due_ = false;
        flush();
    });
}

void SessionLog::flush_soon() {
    if (!is_flush_due_ && !idle_flush_.running())
        idle_flush_.start(idle_flush_wait, [this] { flush(); });
}

store::Seq SessionLog::flush() {
    if (batch_.empty() || is_closing_)
        return 0;
    Bytes head;
    put_head(head, {session_record_version, clock_->ms_at(env_.loop().now()), last_});
    batch_.replace(0, head.size(), head);
    const auto seq = log_->append(batch_);
    const std::size_t bytes = batch_.size();
    batch_.clear();
    if (!seq) {
        fail_with(seq.error());
        return 0;
    }
    tail_bytes_ += bytes;
    pending_bytes_ += bytes;
    log_->when_durable(*seq, [this, bytes, last = last_, epoch = epoch_](const Result<void>& outcome) {
        pending_bytes_ -= bytes;
        on_durable(epoch, last, outcome);
    });
    return *seq;
}

void SessionLog::on_durable(std::uint64_t epoch, JournalNumber last, const Result<void>& outcome) {
    if (epoch != epoch_)
        return;
    if (!outcome) {
        fail_with(outcome.error());
        return;
    }
    if (is_failing_ || broker_ == nullptr)
        return;
    const auto alive = alive_;
    broker_->journal_stable(last, env_.loop().now());
    if (*alive)
        compact_when_due();
}

void SessionLog::fail_with(const Error& error) {
    ++stats_.failures;
    failures_metric_.add();
    ++epoch_;
    is_failing_ = true;
    failure_ = reason_of(error);
    snapshot_ = Snapshot::none;
    step_.stop();
    batch_.clear();
    if (is_closing_)
        return;
    env_.log().error("mqtt", "session log not written", {{"error", error.text()}});
    // Not from here: this may be inside one of the broker's own calls.
    env_.loop().at_turn_end([this, alive = alive_, epoch = epoch_] {
        if (!*alive || epoch != epoch_ || broker_ == nullptr)
            return;
        broker_->journal_failed(failure_, env_.loop().now());
        if (*alive)
            step_.start(retry_wait, [this] { begin_snapshot(); });
    });
}

void SessionLog::compact_when_due() {
    if (snapshot_ != Snapshot::none || is_failing_ || is_closing_)
        return;
    if (tail_bytes_ > std::max(options_.compact_bytes_min, 2 * live_bytes_))
        begin_snapshot();
}

void SessionLog::begin_snapshot() {
    flush();
    ++snapshot_number_;
    snapshot_ = Snapshot::writing;
    image_at_ = {};
    snapshot_tail_ = tail_bytes_;
    write_mark(true);
    snapshot_seq_ = flush();
    if (snapshot_seq_ != 0)
        step_.start(step_wait, [this] { go_on_with_snapshot(); });
}

void SessionLog::go_on_with_snapshot() {
    const std::uint64_t epoch = epoch_;
    const std::uint64_t end = tail_bytes_ + options_.snapshot_step_bytes;
    bool is_complete = false;
    while (!is_complete && pending_bytes_ < step_pending_bytes_max && tail_bytes_ + batch_.size() < end) {
        is_complete = broker_->write_image(image_at_, step_items);
        if (epoch != epoch_)
            return;
    }
    if (!is_complete) {
        flush();
        if (epoch == epoch_)
            step_.start(step_wait, [this] { go_on_with_snapshot(); });
        return;
    }
    write_mark(false);
    const store::Seq seq = flush();
    if (seq == 0)
        return;
    snapshot_ = Snapshot::syncing;
    log_->when_durable(seq, [this, epoch, last = last_](const Result<void>& outcome) {
        if (outcome && epoch == epoch_)
            on_snapshot_durable(last);
    });
}

void SessionLog::on_snapshot_durable(JournalNumber last) {
    snapshot_ = Snapshot::none;
    ++stats_.snapshots;
    log_->trim(snapshot_seq_ - 1);
    if (const auto set = log_->set_cursor(snapshot_cursor, snapshot_seq_); !set)
        env_.log().warn("mqtt", "snapshot not marked", {{"error", set.error().text()}});
    tail_bytes_ -= snapshot_tail_;
    if (!std::exchange(is_failing_, false))
        return;
    env_.log().info("mqtt", "session log written anew", {{"sessions", sessions_.size()}});
    broker_->journal_stable(last, env_.loop().now());
}

void SessionLog::close(std::move_only_function<void()> done) {
    flush();
    is_closing_ = true;
    step_.stop();
    log_->close(std::move(done));
}

SessionLogStats SessionLog::stats() const {
    SessionLogStats stats = stats_;
    stats.sessions = sessions_.size();
    stats.messages = messages_.size();
    stats.live_bytes = live_bytes_;
    stats.tail_bytes = tail_bytes_;
    stats.disk_bytes = log_->stats().bytes;
    stats.is_failing = is_failing_;
    return stats;
}

} // namespace brim::mqtt
