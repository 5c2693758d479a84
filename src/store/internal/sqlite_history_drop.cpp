// SqliteHistory: dropping, and how much room is used.

#include "store/internal/sqlite_history_impl.h"

#include <algorithm>

namespace brim::store {

namespace {

/// Series looked at in one step, dropped from or not.
constexpr int step_series_max = 500;

constexpr std::string_view newest_key_sql =
    "SELECT time_ms, seq, ordinal FROM points WHERE device = ?1 AND property = ?2"
    " ORDER BY time_ms DESC, seq DESC, ordinal DESC LIMIT 1";
constexpr std::string_view oldest_key_sql =
    "SELECT time_ms, seq, ordinal FROM points WHERE device = ?1 AND property = ?2"
    " AND (time_ms, seq, ordinal) < (?3, ?4, ?5) ORDER BY time_ms, seq, ordinal LIMIT 1";
/// The last key of the `?7` oldest below both bounds.
constexpr std::string_view nth_key_sql =
    "SELECT time_ms, seq, ordinal FROM points WHERE device = ?1 AND property = ?2"
    " AND (time_ms, seq, ordinal) < (?3, ?4, ?5) AND time_ms < ?6"
    " ORDER BY time_ms, seq, ordinal LIMIT 1 OFFSET ?7 - 1";
constexpr std::string_view drop_to_sql = "DELETE FROM points WHERE device = ?1 AND property = ?2"
                                         " AND (time_ms, seq, ordinal) <= (?3, ?4, ?5)";
constexpr std::string_view drop_below_sql = "DELETE FROM points WHERE device = ?1 AND property = ?2"
                                            " AND (time_ms, seq, ordinal) < (?3, ?4, ?5) AND time_ms < ?6";

Statement& bind_key(Statement& statement, const HistoryKey& key) {
    return statement.bind(3, key.time_ms).bind(4, key.seq).bind(5, key.ordinal);
}

/// The key a query of one row gives; nothing when it gives none.
Result<std::optional<HistoryKey>> read_key(Statement& statement) {
    const auto row = statement.step();
    if (!row)
        return fail(row.error());
    std::optional<HistoryKey> key;
    if (*row)
        key = HistoryKey{statement.integer(0), statement.integer(1), statement.integer(2)};
    statement.reset();
    return key;
}

} // namespace

Result<void> SqliteHistory::forget_device(std::int64_t device) {
    auto transaction = Transaction::begin(*database_);
    if (!transaction)
        return fail(std::move(transaction).error());
    auto statement = database_->prepare("DELETE FROM points WHERE device = ?1");
    if (!statement)
        return fail(std::move(statement).error());
    statement->bind(1, device);
    BRIM_TRY(statement->run());
    const std::int64_t left = points_ - database_->changes();
    BRIM_TRY(store_position(applied_, left));
    BRIM_TRY(transaction->commit());
    points_ = left;
    return {};
}

Result<void> SqliteHistory::drop_step(std::int64_t before_ms, std::size_t points_max, DropSweep& sweep) {
    DropStatements statements;
    BRIM_TRY(prepare_drop(statements));
    auto transaction = Transaction::begin(*database_);
    if (!transaction)
        return fail(std::move(transaction).error());
    DropSweep after = sweep;
    std::int64_t left = static_cast<std::int64_t>(points_max);
    for (int seen = 0; seen < step_series_max && left > 0; ++seen) {
        Series series{after.device, after.property};
        if (!after.inside) {
            const auto more = advance(series);
            if (!more)
                return fail(more.error());
            after.done = !*more;
            if (after.done)
                break;
        }
        after.device = series.device;
        after.property = series.property;
        const auto dropped = drop_of_series(statements, before_ms, left, after);
        if (!dropped)
            return fail(dropped.error());
        left -= *dropped;
    }
    const std::int64_t dropped = static_cast<std::int64_t>(points_max) - left;
    if (dropped > 0)
        BRIM_TRY(store_position(applied_, points_ - dropped));
    BRIM_TRY(transaction->commit());
    points_ -= dropped;
    after.dropped += static_cast<std::uint64_t>(dropped);
    sweep = after;
    return {};
}

Result<void> SqliteHistory::prepare_drop(DropStatements& statements) {
    BRIM_TRY(keep(statements.newest, newest_key_sql));
    BRIM_TRY(keep(statements.oldest, oldest_key_sql));
    BRIM_TRY(keep(statements.nth, nth_key_sql));
    BRIM_TRY(keep(statements.drop_to, drop_to_sql));
    return keep(statements.drop_below, drop_below_sql);
}

Result<std::int64_t> SqliteHistory::drop_of_series(
    DropStatements& statements, std::int64_t before_ms, std::int64_t points_max, DropSweep& sweep
) {
    sweep.inside = false;
    const auto newest = read_key(statements.newest->bind(1, sweep.device).bind(2, sweep.property));
    if (!newest)
        return fail(newest.error());
    if (!*newest)
        return std::int64_t{0};
    const HistoryKey keep = **newest;
    const auto on_series = [&](std::optional<Statement>& statement, const HistoryKey& key) -> Statement& {
        return bind_key(statement->bind(1, sweep.device).bind(2, sweep.property), key);
    };
    const auto last = read_key(on_series(statements.nth, keep).bind(6, before_ms).bind(7, points_max));
    if (!last)
        return fail(last.error());
    if (*last) {
        BRIM_TRY(on_series(statements.drop_to, **last).run());
        sweep.inside = true; // there may be more
        return database_->changes();
    }
    BRIM_TRY(on_series(statements.drop_below, keep).bind(6, before_ms).run());
    const std::int64_t dropped = database_->changes();
    const auto oldest = read_key(on_series(statements.oldest, keep));
    if (!oldest)
        return fail(oldest.error());
    if (*oldest)
        sweep.oldest_ms = std::min(sweep.oldest_ms, (*oldest)->time_ms);
    return dropped;
}

Result<std::int64_t> SqliteHistory::pragma(std::string_view literal) {
    auto statement = database_->prepare(literal);
    if (!statement)
        return fail(std::move(statement).error());
    const auto row = statement->step();
    if (!row)
        return fail(row.error());
    return statement->integer(0);
}

Result<std::uint64_t> SqliteHistory::bytes_used() {
    const auto pages = pragma("PRAGMA page_count");
    if (!pages)
        return fail(pages.error());
    const auto unused = pragma("PRAGMA freelist_count");
    if (!unused)
        return fail(unused.error());
    const auto page_bytes = pragma("PRAGMA page_size");
    if (!page_bytes)
        return fail(page_bytes.error());
    return static_cast<std::uint64_t>((*pages - *unused) * *page_bytes);
}

} // namespace brim::store
