// SqliteHistory: reading.

#include "store/internal/sqlite_history_impl.h"

#include <algorithm>
#include <tuple>

namespace brim::store {

namespace {

constexpr std::size_t page_points_max = 10'000;
constexpr std::size_t buckets_max = 5'000;

// What Statement::type() says (sqlite3.h).
constexpr int type_integer = 1;
constexpr int type_real = 2;
constexpr int type_null = 5;

constexpr std::string_view page_up_sql =
    "SELECT time_ms, seq, ordinal, late_ms, flags, value FROM points WHERE device = ?1 AND property = ?2"
    " AND (time_ms, seq, ordinal) > (?3, ?4, ?5) AND time_ms < ?6 ORDER BY time_ms, seq, ordinal LIMIT ?7";
constexpr std::string_view page_down_sql =
    "SELECT time_ms, seq, ordinal, late_ms, flags, value FROM points WHERE device = ?1 AND property = ?2"
    " AND (time_ms, seq, ordinal) < (?3, ?4, ?5) AND time_ms >= ?6"
    " ORDER BY time_ms DESC, seq DESC, ordinal DESC LIMIT ?7";
constexpr std::string_view buckets_sql =
    "SELECT (time_ms - ?3) / ?5 AS bucket, min(value), max(value), avg(value), count(*), max(flags & 1) FROM "
    "points"
    " WHERE device = ?1 AND property = ?2 AND time_ms >= ?3 AND time_ms < ?4"
    " AND typeof(value) IN ('integer', 'real') GROUP BY bucket ORDER BY bucket";
constexpr std::string_view next_series_sql = "SELECT device, property FROM points WHERE (device, property) > "
                                             "(?1, ?2) ORDER BY device, property LIMIT 1";

HistoryValue value_of(const Statement& row, int column, std::int64_t flags) {
    switch (row.type(column)) {
    case type_integer:
        return row.integer(column);
    case type_real:
        return row.number(column);
    case type_null:
        return std::numeric_limits<double>::quiet_NaN();
    default:
        break;
    }
    if ((flags & history_flag_json) != 0)
        return JsonText{std::string(row.text(column))};
    return std::string(row.text(column));
}

/// From a row of the page queries.
HistoryPoint point_of(const Statement& row, std::int64_t device, int property) {
    const std::int64_t flags = row.integer(4);
    HistoryPoint point{
        .device = device,
        .property = property,
        .time_ms = row.integer(0),
        .received_ms = 0,
        .seq = static_cast<Seq>(row.integer(1)),
        .replayed = (flags & history_flag_replayed) != 0,
        .value = value_of(row, 5, flags),
    };
    point.received_ms = static_cast<std::int64_t>(
        static_cast<std::uint64_t>(point.time_ms) + static_cast<std::uint64_t>(row.integer(3))
    );
    return point;
}

std::unexpected<Error> bad_query(std::string cause, std::string fix) {
    return fail(Errc::invalid, "history query", std::move(cause), std::move(fix));
}

} // namespace

Result<void> SqliteHistory::prepare_reads() {
    BRIM_TRY(keep(next_series_, next_series_sql));
    BRIM_TRY(keep(page_up_, page_up_sql));
    return keep(page_down_, page_down_sql);
}

Result<HistoryPage> SqliteHistory::query(const HistoryQuery& query) {
    if (query.limit < 1 || query.limit > page_points_max)
        return bad_query("limit must be 1 to 10,000", "ask for less and follow the cursor");
    HistoryKey edge{query.ascending ? query.from_ms : query.to_ms, -1, -1};
    if (!query.cursor.empty()) {
        const auto cursor = decode_history_cursor(query.cursor);
        if (!cursor)
            return fail(cursor.error());
        edge = query.ascending ? std::max(edge, *cursor) : std::min(edge, *cursor);
    }
    Statement& statement = query.ascending ? *page_up_ : *page_down_;
    statement.bind(1, query.device)
        .bind(2, query.property)
        .bind(3, edge.time_ms)
        .bind(4, edge.seq)
        .bind(5, edge.ordinal)
        .bind(6, query.ascending ? query.to_ms : query.from_ms)
        .bind(7, static_cast<std::int64_t>(query.limit + 1));
    HistoryPage page;
    HistoryKey last;
    while (true) {
        const auto row = statement.step();
        if (!row)
            return fail(row.error());
        if (!*row)
            break;
        if (page.points.size() == query.limit) {
            page.next = encode_history_cursor(last);
            break;
        }
        last = {statement.integer(0), statement.integer(1), statement.integer(2)};
        page.points.push_back(point_of(statement, query.device, query.property));
    }
    statement.reset();
    return page;
}

Result<std::vector<HistoryBucket>> SqliteHistory::buckets(const BucketQuery& query) {
    if (query.buckets < 1 || query.buckets > buckets_max)
        return bad_query("buckets must be 1 to 5,000", "ask for fewer");
    if (query.from_ms >= query.to_ms || query.from_ms < 0)
        return bad_query("the time span is empty", "give a from before the to");
    const auto count = static_cast<std::int64_t>(query.buckets);
    const std::int64_t span = query.to_ms - query.from_ms;
    const std::int64_t width = span / count + (span % count != 0 ? 1 : 0);
    auto statement = database_->prepare(buckets_sql);
    if (!statement)
        return fail(std::move(statement).error());
    statement->bind(1, query.device)
        .bind(2, query.property)
        .bind(3, query.from_ms)
        .bind(4, query.to_ms)
        .bind(5, width);
    std::vector<HistoryBucket> out;
    while (true) {
        const auto row = statement->step();
        if (!row)
            return fail(row.error());
        if (!*row)
            return out;
        out.push_back({
            .time_ms = query.from_ms + statement->integer(0) * width,
            .min = statement->number(1),
            .max = statement->number(2),
            .avg = statement->number(3),
            .count = statement->integer(4),
            .replayed = statement->integer(5) != 0,
        });
    }
}

Result<bool> SqliteHistory::advance(Series& series) {
    next_series_->bind(1, series.device).bind(2, series.property);
    const auto row = next_series_->step();
    if (!row)
        return fail(row.error());
    const Series next{next_series_->integer(0), static_cast<int>(next_series_->integer(1))};
    next_series_->reset();
    if (!*row)
        return false;
    // A damaged tree may lead in circles.
    if (std::tie(next.device, next.property) <= std::tie(series.device, series.property))
        return fail(
            Errc::corrupt, "database " + database_->path(), "its series are out of order", "restore it"
        );
    series = next;
    return true;
}

Result<std::vector<HistoryPoint>> SqliteHistory::latest() {
    // From series to series in the tree: never reads the points in between.
    std::vector<HistoryPoint> out;
    Series series;
    while (true) {
        const auto more = advance(series);
        if (!more)
            return fail(more.error());
        if (!*more)
            return out;
        HistoryQuery newest;
        newest.device = series.device;
        newest.property = series.property;
        newest.ascending = false;
        newest.limit = 1;
        auto page = query(newest);
        if (!page)
            return fail(std::move(page).error());
        std::ranges::move(page->points, std::back_inserter(out));
    }
}

} // namespace brim::store
