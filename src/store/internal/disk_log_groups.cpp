// Groups: from "pending" over "with the worker" to "on disk" or "failed".

#include "base/assert.h"
#include "store/internal/disk_log.h"
#include "store/internal/segment_scan.h"

#include <algorithm>
#include <cstring>

namespace brim::store {

void DiskLog::start_soon() {
    if (busy_ || start_scheduled_)
        return;
    start_scheduled_ = true;
    // Everything appended in this turn shares the first sync.
    env_.loop().at_turn_end([this, alive = alive_] {
        if (!*alive)
            return;
        start_scheduled_ = false;
        start_group();
    });
}

void DiskLog::start_group() {
    if (busy_)
        return;
    if (!pending_.empty() && pending_.front().has_split() && options_.when_full == WhenFull::drop_oldest)
        make_room();
    if (cursors_.dirty())
        place_dirty_cursors();
    flush_wanted_ = false;
    if (pending_.empty()) {
        if (unwanted_.empty() && quarantine_.empty())
            return;
        collecting(); // a group without records, only to tidy up
    }
    in_flight_ = std::move(pending_.front());
    pending_.pop_front();
    prepare(in_flight_);
    busy_ = true;
    group_started_ = env_.loop().clock().mono();
    worker_->run([this] { outcome_ = writer_.write(in_flight_); }, [this] { finish_group(); });
}

void DiskLog::prepare(Group& group) {
    group.unwanted = std::exchange(unwanted_, {});
    group.quarantine = std::exchange(quarantine_, {});
    const std::size_t before = group.has_split() ? group.split : group.bytes.size();
    if (before > 0) {
        group.offset = segments_.back().end;
        mark_group_start(group.bytes.data());
    }
    if (!group.has_split())
        return;
    mark_group_start(group.bytes.data() + group.split + header_bytes);
    group.next = {
        .store_id = store_id_,
        .number = next_number_++,
        .salt = env_.random().u64(),
        .first_seq = group.split_seq,
        .segment_bytes = options_.segment_bytes,
    };
    if (!segments_.empty()) {
        const Segment& last = segments_.back();
        group.next.previous_number = last.number;
        group.next.previous_end_seq = before > 0 ? group.split_seq : last.end_seq;
        group.next.previous_end = last.end + static_cast<std::uint32_t>(before);
    }
    if (spares_.empty())
        return;
    group.reuse = std::move(spares_.back());
    spares_.pop_back();
}

void DiskLog::finish_group() {
    busy_ = false;
    stats_.syncs += outcome_.syncs;
    counters_.syncs.add(outcome_.syncs);
    if (outcome_.sync_failed)
        ++stats_.sync_errors;
    if (outcome_.result) {
        failures_in_row_ = 0;
        if (outcome_.syncs != 0)
            note_sync_time();
        std::ranges::move(outcome_.leftover, std::back_inserter(unwanted_));
        apply(in_flight_);
        // The disk is free: what was collected meanwhile goes before anybody is told, so that it is never
        // idle.
        if (!pending_.empty() || flush_wanted_)
            start_group();
        else if (!outcome_.leftover.empty())
            flush_later();
        else if (!unwanted_.empty() || !quarantine_.empty())
            start_group();
    } else {
        if (retry_on_oldest(in_flight_))
            return;
        fail_pending(in_flight_, outcome_.result.error());
        // Not at once: a disk that stays broken must not be asked again and again.
        flush_later();
    }
    const auto alive = alive_;
    run_waiters();
    if (*alive && closing_ && !busy_)
        finish_close();
}

void DiskLog::note_sync_time() {
    const Duration took = std::chrono::duration_cast<Duration>(env_.loop().clock().mono() - group_started_);
    if (sync_times_.size() < sync_times_kept)
        sync_times_.push_back(took);
    else
        sync_times_[next_sync_time_++ % sync_times_kept] = took;
}

void DiskLog::apply(Group& group) {
    const std::size_t before = group.has_split() ? group.split : group.bytes.size();
    if (before > 0) {
        Segment& active = segments_.back();
        active.end += static_cast<std::uint32_t>(before);
        active.end_seq = group.has_split() ? group.split_seq : group.end_seq;
    }
    if (group.has_split()) {
        --planned_segments_;
        segments_.push_back({
            .file = segment_file_name(group.next.number),
            .number = group.next.number,
            .seed = group.next.seed(),
            .segment_bytes = group.next.segment_bytes,
            .first_seq = group.split_seq,
            .end_seq = group.end_seq,
            .end = static_cast<std::uint32_t>(group.bytes.size() - group.split),
        });
    }
    durable_ = std::max(durable_, group.end_seq - 1);
    pending_bytes_ -= group.bytes.size();
    recycle(group);
}

void DiskLog::recycle(Group& group) {
    for (auto& freed : group.freed) {
        if (freed.damaged && quarantine_files_ < quarantine_files_max) {
            ++quarantine_files_;
            ++stats_.quarantined_segments;
            quarantine_.push_back(std::move(freed.file));
        } else if (spares_.size() < spare_files_max) {
            spares_.push_back(std::move(freed.file));
        } else {
            unwanted_.push_back(std::move(freed.file));
        }
    }
    while (spares_.size() > spare_files_max) {
        unwanted_.push_back(std::move(spares_.back()));
        spares_.pop_back();
    }
    constexpr std::size_t buffers_max = 2;
    if (buffers_.size() < buffers_max && group.bytes.capacity() <= 2 * group_bytes_max)
        buffers_.push_back(std::move(group.bytes));
    group = {};
}

bool DiskLog::retry_on_oldest(Group& group) {
    const bool may_drop = options_.when_full == WhenFull::drop_oldest && segments_.size() > 1;
    if (!outcome_.no_room_for_segment || !may_drop)
        return false;
    // The disk is full before we are (others use it too): keep the newest, as the policy says.
    const auto dropped = segments_.front().records_within({trimmed_to_ + 1, ~Seq{0}});
    stats_.dropped_records += dropped;
    counters_.dropped.add(dropped);
    env_.log().warn(
        "store", "oldest records dropped, the disk is full", {{"log", options_.name}, {"records", dropped}}
    );
    release_front();
    group.reuse = std::move(freed_.back().file);
    freed_.pop_back();
    group.unwanted.clear();
    group.quarantine.clear();
    busy_ = true;
    group_started_ = env_.loop().clock().mono();
    worker_->run([this] { outcome_ = writer_.write(in_flight_); }, [this] { finish_group(); });
    return true;
}

void DiskLog::fail_pending(Group& group, const Error& error) {
    counters_.errors.add();
    env_.log().error("store", "group not written", {{"log", options_.name}, {"error", error.text()}});
    // Later groups fail with this one: their records must not overtake those that the callers will append
    // again.
    pending_.push_front(std::move(group));
    for (auto& failed : pending_) {
        std::ranges::move(failed.freed, std::back_inserter(freed_));
        std::ranges::move(failed.unwanted, std::back_inserter(unwanted_));
        std::ranges::move(failed.quarantine, std::back_inserter(quarantine_));
        // The next attempt writes over whatever became of this one, under another salt.
        if (failed.next.number != 0)
            next_number_ = failed.next.number;
        if (!failed.reuse.empty())
            unwanted_.push_back(failed.reuse);
    }
    const SeqRange range{pending_.front().first_seq, next_seq_};
    if (!failures_.empty() && failures_.back().range.end == range.first)
        failures_.back() = {{failures_.back().range.first, range.end}, error};
    else if (range.count() > 0)
        failures_.push_back({range, error});
    pending_.clear();
    pending_bytes_ = 0;
    planned_segments_ = 0;
    need_segment_ = true;
    cursors_.mark_all_dirty();
    if (++failures_in_row_ > 1 || error.code == Errc::full) {
        stall_error_ = error;
        stalled_until_ = env_.loop().clock().mono() + stall_wait;
    }
    if (!outcome_.no_room_for_segment)
        verify_sealed();
}

void DiskLog::verify_sealed() {
    // What was acknowledged earlier in this segment shares sectors with what failed: look whether it is still
    // there.
    Segment sealed = segments_.back();
    auto found =
        std::make_shared<std::vector<SeqRange>>(); // the job's result: shared by the job and its `done`
    auto job = [this, sealed, found] {
        auto file = env_.disk().open(path(sealed.file), io::OpenMode::read);
        if (!file)
            return;
        SegmentScan scan;
        scan.reset(
            **file,
            {.seed = sealed.seed,
             .end = sealed.end,
             .expected = sealed.first_seq,
             .expected_max = sealed.end_seq}
        );
        while (true) {
            const auto step = scan.next();
            if (!step || *step == SegmentScan::Step::end)
                return;
            if (*step != SegmentScan::Step::damage)
                continue;
            const Seq end = scan.damage_to() == sealed.end ? sealed.end_seq : scan.expected() + scan.lost();
            found->push_back({scan.expected(), end});
        }
    };
    worker_->run(std::move(job), [this, number = sealed.number, found] {
        const auto segment = std::ranges::find(segments_, number, &Segment::number);
        if (segment == segments_.end())
            return;
        for (const auto& range : *found)
            note_damage(*segment, range);
    });
}

void DiskLog::when_durable(Seq seq, std::move_only_function<void(Result<void>)> done) {
    const auto at = std::ranges::upper_bound(waiters_, seq, {}, &Waiter::seq);
    waiters_.insert(at, {seq, std::move(done)});
    if (!outcome_of(seq))
        return;
    env_.loop().post([this, alive = alive_] {
        if (*alive)
            run_waiters();
    });
}

std::optional<Result<void>> DiskLog::outcome_of(Seq seq) const {
    for (const auto& failure : failures_)
        if (seq >= failure.range.first && seq < failure.range.end)
            return Result<void>(fail(failure.error));
    if (seq <= durable_)
        return Result<void>();
    if (seq >= next_seq_)
        return Result<void>(fail(Errc::invalid, object(), "no such record was appended"));
    return std::nullopt;
}

void DiskLog::run_waiters() {
    const auto alive = alive_;
    std::vector<std::pair<Waiter, Result<void>>> ready;
    auto last = waiters_.begin();
    for (; last != waiters_.end(); ++last) {
        auto outcome = outcome_of(last->seq);
        if (!outcome)
            break;
        ready.emplace_back(std::move(*last), std::move(*outcome));
    }
    waiters_.erase(waiters_.begin(), last);
    for (auto& [waiter, outcome] : ready) {
        waiter.done(std::move(outcome));
        if (!*alive)
            return;
    }
}

void DiskLog::close(std::move_only_function<void()> done) {
    BRIM_ASSERT(!closing_, "a log is closed once");
    closing_ = true;
    close_done_ = std::move(done);
    cursor_timer_.stop();
    if (!need_segment_) {
        cursors_.set_trim({trimmed_to_, segments_.front().number, segments_.front().first_seq});
        place_dirty_cursors();
        // Shows the next start that everything before was on disk.
        place(RecordKind::close, {});
        // Its own group, so that it is written after the rest was synced.
    }
    if (busy_)
        return;
    env_.loop().at_turn_end([this, alive = alive_] {
        if (!*alive)
            return;
        start_group();
        if (!busy_)
            finish_close();
    });
}

void DiskLog::finish_close() {
    if (!pending_.empty() || !close_done_)
        return;
    lock_.reset();
    auto done = std::move(close_done_);
    close_done_ = nullptr;
    done();
}

} // namespace brim::store
