#include "store/internal/disk_log.h"

#include "base/assert.h"

#include <algorithm>

namespace brim::store {

Result<std::unique_ptr<Log>> Log::open(io::Env& env, LogOptions options) {
    auto log = std::make_unique<DiskLog>(env, std::move(options));
    BRIM_TRY(log->start());
    return log;
}

namespace {
std::string label(const std::string& name) {
    return "log=\"" + name + "\"";
}
} // namespace

DiskLog::Counters::Counters(Metrics& metrics, const std::string& name)
    : records(metrics.counter("brim_log_records", "Records appended", label(name))),
      bytes(metrics.counter("brim_log_bytes", "Bytes of records appended", label(name))),
      syncs(metrics.counter("brim_log_syncs", "Groups synced", label(name))),
      errors(metrics.counter("brim_log_errors", "Groups that could not be written", label(name))),
      dropped(metrics.counter("brim_log_dropped_records", "Records dropped by retention", label(name))),
      quarantined(metrics.counter("brim_log_quarantined_records", "Records lost to damage", label(name))) {}

DiskLog::DiskLog(io::Env& env, LogOptions options)
    : env_(env), options_(std::move(options)), counters_(env.metrics(), options_.name),
      cursors_(options_.segment_bytes / 4), cursor_timer_(env.loop()), alive_(std::make_shared<bool>(true)),
      writer_(env.disk(), options_.folder) {}

DiskLog::~DiskLog() {
    *alive_ = false;
}

Result<void> DiskLog::check_options() const {
    const auto bad = [&](std::string cause) {
        return fail(Errc::invalid, object(), std::move(cause), "change its settings");
    };
    if (options_.segment_bytes < segment_bytes_min || options_.segment_bytes > segment_bytes_max)
        return bad("segment_bytes must be 65,536 to 67,108,864");
    if (options_.bytes_max / 4 < options_.segment_bytes)
        return bad("bytes_max must be at least 4 segments");
    if (options_.record_bytes_max == 0 || options_.record_bytes_max > options_.segment_bytes / 2)
        return bad("record_bytes_max must be 1 to half a segment");
    if (options_.pending_bytes_max < options_.record_bytes_max + record_head_bytes)
        return bad("pending_bytes_max must hold at least one record of record_bytes_max");
    return {};
}

Result<void> DiskLog::start() {
    BRIM_TRY(check_options());
    live_max_ = options_.bytes_max / options_.segment_bytes - 1;
    io::Disk& disk = env_.disk();
    BRIM_TRY(disk.make_dir(options_.folder));
    auto lock = disk.lock(path("lock"));
    if (!lock)
        return fail(std::move(lock).error());
    lock_ = std::move(*lock);
    auto found = recover({disk, env_.log(), env_.random(), options_}, cursors_);
    if (!found)
        return fail(std::move(found).error());
    store_id_ = found->store_id;
    store_id_hex_ = to_hex(ByteView(store_id_.data(), store_id_.size()));
    segments_ = std::move(found->segments);
    spares_ = std::move(found->free_files);
    next_number_ = found->next_number;
    next_seq_ = found->next_seq;
    durable_ = next_seq_ - 1;
    trimmed_to_ = cursors_.trim().trimmed_to;
    stats_.quarantined_records = found->quarantined_records;
    stats_.quarantined_segments = found->quarantined_segments;
    counters_.quarantined.add(found->quarantined_records);
    const auto names = disk.list(options_.folder);
    if (!names)
        return fail(names.error());
    quarantine_files_ = static_cast<std::size_t>(std::ranges::count_if(*names, [](const auto& name) {
        return name.ends_with(".quarantine");
    }));
    // Inside a segment record numbers have no gaps.
    need_segment_ = segments_.empty() || segments_.back().end_seq != next_seq_;
    if (!need_segment_) {
        writer_.adopt(std::move(found->active), segments_.back().seed);
        plan_offset_ = segments_.back().end;
        plan_bytes_ = segments_.back().segment_bytes;
    } else {
        split();
        BRIM_TRY(write_now());
    }
    worker_ = env_.make_worker("log");
    return {};
}

Result<void> DiskLog::write_now() {
    BRIM_ASSERT(!busy_ && !pending_.empty(), "the worker is idle and something is to be written");
    if (pending_.front().has_split() && options_.when_full == WhenFull::drop_oldest)
        make_room();
    in_flight_ = std::move(pending_.front());
    pending_.pop_front();
    prepare(in_flight_);
    outcome_ = writer_.write(in_flight_);
    if (!outcome_.result)
        return fail(outcome_.result.error());
    apply(in_flight_);
    return {};
}

Result<void> DiskLog::sync_cursors() {
    BRIM_ASSERT(stats_.appended_records == 0 && !closing_, "called before the first append");
    place_dirty_cursors();
    while (!pending_.empty())
        BRIM_TRY(write_now());
    return {};
}

bool DiskLog::needs_split(std::size_t body_bytes) const {
    return need_segment_ || plan_offset_ + record_head_bytes + body_bytes > plan_bytes_;
}

Group& DiskLog::collecting() {
    if (!pending_.empty() && pending_.back().bytes.size() < group_bytes_max)
        return pending_.back();
    Group& group = pending_.emplace_back();
    if (!buffers_.empty()) {
        group.bytes = std::move(buffers_.back());
        buffers_.pop_back();
        group.bytes.clear();
    }
    group.first_seq = group.end_seq = next_seq_;
    return group;
}

void DiskLog::split() {
    if (!pending_.empty() && pending_.back().has_split()) {
        // At most one change of segment in a group: close this one.
        pending_.emplace_back();
        pending_.back().first_seq = pending_.back().end_seq = next_seq_;
    }
    Group& group = collecting();
    group.split = group.bytes.size();
    group.split_seq = next_seq_;
    group.bytes.append(header_bytes, '\0');
    cursors_.append_all(group.bytes, next_seq_);
    hand_over_freed();
    const auto used = group.bytes.size() - group.split;
    pending_bytes_ += used;
    plan_offset_ = static_cast<std::uint32_t>(used);
    plan_bytes_ = options_.segment_bytes;
    need_segment_ = false;
    ++planned_segments_;
}

void DiskLog::hand_over_freed() {
    auto& to = pending_.back().freed;
    std::ranges::move(freed_, std::back_inserter(to));
    freed_.clear();
}

void DiskLog::place(RecordKind kind, ByteView body) {
    if (needs_split(body.size()))
        split();
    Group& group = collecting();
    append_record(group.bytes, kind, next_seq_, body);
    const auto size = record_head_bytes + body.size();
    plan_offset_ += static_cast<std::uint32_t>(size);
    pending_bytes_ += size;
    if (kind == RecordKind::data)
        group.end_seq = ++next_seq_;
}

void DiskLog::place_dirty_cursors() {
    cursors_.take_dirty([this](ByteView body) { place(RecordKind::cursor, body); });
    if (!pending_.empty())
        hand_over_freed();
}

Result<Seq> DiskLog::append(ByteView body) {
    if (closing_)
        return fail(Errc::closed, object(), "it is being closed");
    if (body.size() > options_.record_bytes_max)
        return fail(
            Errc::too_large,
            object(),
            "a record of " + std::to_string(body.size()) + " bytes is over the limit of " +
                std::to_string(options_.record_bytes_max),
            "send smaller messages or raise record_bytes_max"
        );
    if (pending_bytes_ + record_head_bytes + body.size() > options_.pending_bytes_max)
        return fail(Errc::busy, object(), "the disk is slower than what arrives", "try again later");
    if (stalled_until_ != Mono{} && stalled_until_ > env_.loop().clock().mono())
        return fail(stall_error_);
    if (options_.when_full == WhenFull::reject && needs_split(body.size()) &&
        segments_.size() + planned_segments_ + 1 > live_max_)
        return fail(
            Errc::full,
            object(),
            "it holds " + std::to_string(options_.bytes_max) + " bytes, as much as it may",
            "let its consumers catch up or raise bytes_max"
        );
    const Seq seq = next_seq_;
    place(RecordKind::data, body);
    ++stats_.appended_records;
    stats_.appended_bytes += body.size();
    counters_.records.add();
    counters_.bytes.add(body.size());
    start_soon();
    return seq;
}

Result<void> DiskLog::set_cursor(std::string_view name, Seq position, ByteView extra) {
    if (closing_)
        return fail(Errc::closed, object(), "it is being closed");
    BRIM_TRY(cursors_.set(name, position, extra));
    flush_later();
    return {};
}

void DiskLog::trim(Seq seq) {
    trimmed_to_ = std::max(trimmed_to_, std::min(seq, durable_));
    const std::size_t before = segments_.size();
    while (segments_.size() > 1 && segments_.front().end_seq <= trimmed_to_ + 1)
        release_front();
    if (segments_.size() != before)
        flush_later();
}

void DiskLog::flush_later() {
    if (closing_ || cursor_timer_.running())
        return;
    cursor_timer_.start(cursor_sync, [this] {
        flush_wanted_ = true;
        start_group();
    });
}

void DiskLog::release_front() {
    Segment& front = segments_.front();
    freed_.push_back({std::move(front.file), !front.damaged.empty()});
    segments_.pop_front();
    const Seq oldest = segments_.front().first_seq;
    std::erase_if(failures_, [&](const Failure& failure) { return failure.range.end <= oldest; });
    cursors_.set_trim({trimmed_to_, segments_.front().number, oldest});
}

void DiskLog::make_room() {
    while (segments_.size() > 1 && segments_.size() + 1 > live_max_) {
        // What was trimmed was consumed: letting go of it is not a loss.
        const auto dropped = segments_.front().records_within({trimmed_to_ + 1, ~Seq{0}});
        stats_.dropped_records += dropped;
        counters_.dropped.add(dropped);
        env_.log().warn(
            "store", "oldest records dropped, the log is full", {{"log", options_.name}, {"records", dropped}}
        );
        release_front();
    }
}

void DiskLog::note_damage(Segment& segment, SeqRange range) {
    const auto lost = segment.add_damage(range);
    if (lost == 0)
        return;
    stats_.quarantined_records += lost;
    counters_.quarantined.add(lost);
    env_.log().error(
        "store",
        "damaged records skipped",
        {{"log", options_.name}, {"file", segment.file}, {"first_seq", range.first}, {"records", lost}}
    );
}

LogStats DiskLog::stats() const {
    LogStats stats = stats_;
    stats.first = segments_.empty() ? next_seq_ : segments_.front().first_seq;
    stats.next = next_seq_;
    stats.durable = durable_;
    for (const auto& segment : segments_)
        stats.bytes += segment.segment_bytes;
    if (!sync_times_.empty()) {
        std::vector<Duration> times = sync_times_;
        const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
        std::nth_element(times.begin(), middle, times.end());
        stats.sync_ms_p50 = std::chrono::duration<double, std::milli>(*middle).count();
    }
    return stats;
}

std::unique_ptr<LogReader> DiskLog::read_from(Seq seq) {
    return make_reader(*this, seq);
}

} // namespace brim::store
