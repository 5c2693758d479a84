// Ingest: from applied records to history, and what is read from it and dropped again.

#include "hub/internal/ingest_state.h"

#include <algorithm>

namespace brim::hub {

namespace {

// How often history is made durable so that the log behind it can be recycled.
constexpr Duration checkpoint_every = std::chrono::seconds{30};

} // namespace

std::vector<store::HistoryNote> Ingest::State::take_notes() {
    auto notes = delivered.take_changed();
    std::ranges::move(current.take_changed(registry), std::back_inserter(notes));
    return notes;
}

void Ingest::State::flush() {
    flush_timer.stop();
    if (flushing != 0 || applied == flushed)
        return; // one batch at a time; the next starts when it is done

    struct Batch {
        std::vector<store::HistoryPoint> points;
        std::vector<store::HistoryNote> notes;
        store::Seq up_to;
        Result<void> result;
    };

    auto batch = std::make_shared<Batch>(Batch{std::move(points), take_notes(), applied, {}});
    // shared by the job on the worker and the completion on the loop
    points.clear();
    flushing = std::max<std::size_t>(batch->points.size(), 1);
    flushed = applied;
    worker->run(
        [this, batch] {
            batch->result = history->append(batch->points, batch->notes, batch->up_to);
            note_room();
        },
        [this, batch] {
            flushing = 0;
            if (!batch->result) {
                // The log still has it all: stop here rather than acknowledge what history can never show.
                env.log().error(
                    "ingest", "history cannot be written", {{"cause", batch->result.error().text()}}
                );
                points.insert(points.begin(), batch->points.begin(), batch->points.end());
                delivered.give_back(batch->notes);
                current.give_back(batch->notes);
                flushed = batch->up_to - 1;
                run_readers(applied); // what is there is better than no answer
                flush_timer.start(std::chrono::seconds{1}, [this] { flush(); });
                return;
            }
            run_readers(batch->up_to);
            if (applied != flushed)
                return flush();
            if (closing && closed)
                checkpoint();
        }
    );
}

void Ingest::State::when_written(io::Work read) {
    if (applied == flushed && flushing == 0)
        return read();
    readers.emplace_back(applied, std::move(read));
    flush();
}

void Ingest::State::run_readers(store::Seq written) {
    while (!readers.empty() && readers.front().first <= written) {
        io::Work read = std::move(readers.front().second);
        readers.pop_front();
        read();
    }
}

void Ingest::State::checkpoint() {
    auto position = std::make_shared<Result<store::Seq>>(store::Seq{0}); // shared by job and completion
    worker->run(
        [this, position] {
            *position = history->checkpoint();
            note_room();
        },
        [this, position] {
            if (*position) {
                log->trim(**position);
            } else {
                env.log().error("ingest", "history checkpoint failed", {{"cause", position->error().text()}});
            }
            if (closing && closed)
                return log->close(std::move(closed));
            checkpoint_timer.start(checkpoint_every, [this] { checkpoint(); });
        }
    );
}

void Ingest::State::start_timers() {
    checkpoint_timer.start(checkpoint_every, [this] { checkpoint(); });
    retention_timer.start(options.retention_every, [this] { apply_retention(); });
}

void Ingest::State::note_room() {
    if (const auto points_stored = history->point_count())
        history_points = *points_stored;
    if (const auto used = history->bytes_used())
        history_bytes = *used;
    if (const auto left = env.disk().free_bytes(options.folder))
        free_bytes = static_cast<std::int64_t>(*left);
}

void Ingest::State::apply_retention() {
    if (closing)
        return;
    using Step = Result<store::Retention::Step>;
    auto step = std::make_shared<Step>(store::Retention::Step{}); // shared by job and completion
    const std::int64_t now_ms = env.loop().clock().wall().ms;
    auto work = [this, step, now_ms] {
        *step = retention.step(*history, now_ms);
        if (*step && (*step)->next != store::Retention::Next::go_on)
            note_room();
    };
    auto done = [this, step] {
        using Next = store::Retention::Next;
        if (!*step)
            env.log().error("ingest", "old history cannot be dropped", {{"cause", step->error().text()}});
        const store::Retention::Step& result = *step ? **step : store::Retention::Step{};
        dropped_by_age.add(result.dropped_by_age);
        dropped_by_bytes.add(result.dropped_by_bytes);
        const bool stuck = result.next == Next::stuck;
        if (stuck && !std::exchange(told_stuck, true)) {
            env.log().warn(
                "ingest",
                "history is over its limit with nothing left to drop",
                {{"bytes", history_bytes.load()}, {"fix", "raise history.bytes_max"}}
            );
        }
        if (result.next == Next::rest)
            told_stuck = false;
        // Others use the worker between the steps.
        const Duration pause = result.next == Next::go_on ? options.retention_pause : options.retention_every;
        retention_timer.start(pause, [this] { apply_retention(); });
    };
    worker->run(std::move(work), std::move(done));
}

namespace {

/// Runs `read` on the history worker and hands its result to `done` on the loop.
template <class T, class Read>
void on_worker(io::Worker& worker, Read read, std::move_only_function<void(Result<T>)> done) {
    auto result = std::make_shared<std::optional<Result<T>>>(); // shared by job and completion
    worker.run(
        [result, read = std::move(read)]() mutable { *result = read(); },
        [result, done = std::move(done)]() mutable { done(std::move(**result)); }
    );
}

} // namespace

void Ingest::query(
    store::HistoryQuery query, std::move_only_function<void(Result<store::HistoryPage>)> done
) {
    state_->when_written([state = state_.get(), query = std::move(query), done = std::move(done)]() mutable {
        auto read = [history = state->history.get(), query = std::move(query)] {
            return history->query(query);
        };
        on_worker<store::HistoryPage>(*state->worker, std::move(read), std::move(done));
    });
}

void Ingest::buckets(
    store::BucketQuery query, std::move_only_function<void(Result<std::vector<store::HistoryBucket>>)> done
) {
    state_->when_written([state = state_.get(), query, done = std::move(done)]() mutable {
        auto read = [history = state->history.get(), query] { return history->buckets(query); };
        on_worker<std::vector<store::HistoryBucket>>(*state->worker, std::move(read), std::move(done));
    });
}

void Ingest::forget_device(DeviceId device, Done done) {
    state_->delivered.forget(device);
    state_->current.forget(device);
    std::erase_if(state_->points, [device](const store::HistoryPoint& point) {
        return point.device == device;
    });
    auto forget = [history = state_->history.get(), device] { return history->forget_device(device); };
    on_worker<void>(*state_->worker, std::move(forget), std::move(done));
}

IngestStats Ingest::stats() const {
    IngestStats stats = state_->stats;
    stats.log = state_->log->stats();
    stats.history_points = state_->history_points;
    stats.history_bytes = state_->history_bytes;
    stats.free_bytes = state_->free_bytes;
    stats.dropped_by_age = state_->dropped_by_age.value();
    stats.dropped_by_bytes = state_->dropped_by_bytes.value();
    return stats;
}

void Ingest::close(std::move_only_function<void()> done) {
    state_->closing = true;
    state_->checkpoint_timer.stop();
    state_->retention_timer.stop();
    state_->closed = std::move(done);
    // What was appended becomes durable first, is applied, flushed, and only then the log closes.
    state_->log->when_durable(state_->log->stats().next - 1, [state = state_.get()](const Result<void>&) {
        if (state->applied != state->flushed || state->flushing != 0) {
            state->flush();
        } else {
            state->checkpoint();
        }
    });
}

const store::RetentionLimits& Ingest::retention() const {
    return state_->options.retention;
}

void Ingest::set_retention(const store::RetentionLimits& limits) {
    if (limits == state_->options.retention)
        return;
    state_->options.retention = limits;
    state_->worker->run([state = state_.get(), limits] { state->retention.set_limits(limits); }, [] {});
    state_->retention_timer.start(Duration::zero(), [state = state_.get()] { state->apply_retention(); });
}

} // namespace brim::hub
