#include "store/sqlite_history.h"

#include "base/assert.h"
#include "store/internal/history_cursor.h"
#include "store/sqlite.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <tuple>

namespace brim::store {

namespace {

constexpr std::size_t page_points_max = 10'000;
constexpr std::size_t buckets_max = 5'000;
constexpr std::size_t note_name_bytes_max = 200;
/// One transaction of drop_before(): keeps the write-ahead log small however much is dropped.
constexpr std::int64_t drop_rows_max = 50'000;

// What Statement::type() says (sqlite3.h).
constexpr int type_integer = 1;
constexpr int type_real = 2;
constexpr int type_null = 5;

constexpr std::int64_t flag_replayed = 1;
constexpr std::int64_t flag_json = 2;

/// `late_ms` is received minus original time: two bytes where the time itself would take six.
constexpr std::array schema{
    "CREATE TABLE points(device INTEGER NOT NULL, property INTEGER NOT NULL, time_ms INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, ordinal INTEGER NOT NULL, late_ms INTEGER NOT NULL, flags INTEGER NOT NULL, "
    "value,"
    " PRIMARY KEY(device, property, time_ms, seq, ordinal)) WITHOUT ROWID;"
    "CREATE TABLE notes(name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE position(id INTEGER PRIMARY KEY CHECK(id = 1), applied INTEGER NOT NULL, points INTEGER "
    "NOT NULL);"
    "INSERT INTO position VALUES(1, 0, 0);"
};

constexpr std::string_view insert_sql = "INSERT INTO points VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
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
constexpr std::string_view drop_sql =
    "DELETE FROM points WHERE device = ?1 AND property = ?2 AND time_ms < ?3";

std::int64_t late_of(const HistoryPoint& point) {
    // Wraps for absurd times and wraps back when read.
    return static_cast<std::int64_t>(
        static_cast<std::uint64_t>(point.received_ms) - static_cast<std::uint64_t>(point.time_ms)
    );
}

bool key_less(const HistoryPoint& a, const HistoryPoint& b) {
    return std::tie(a.device, a.property, a.time_ms, a.seq) <
           std::tie(b.device, b.property, b.time_ms, b.seq);
}

void bind_value(Statement& statement, int index, const HistoryValue& value) {
    if (const auto* integer = std::get_if<std::int64_t>(&value))
        statement.bind(index, *integer);
    else if (const auto* number = std::get_if<double>(&value))
        statement.bind(index, *number); // NaN becomes NULL
    else if (const auto* text = std::get_if<std::string>(&value))
        statement.bind(index, std::string_view(*text));
    else
        statement.bind(index, std::string_view(std::get<JsonText>(value).text));
}

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
    if ((flags & flag_json) != 0)
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
        .replayed = (flags & flag_replayed) != 0,
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

class SqliteHistory final : public History {
public:
    explicit SqliteHistory(std::unique_ptr<Database> database) : database_(std::move(database)) {}

    Result<void> prepare();

    Result<void> append(
        const std::vector<HistoryPoint>& points, const std::vector<HistoryNote>& notes, Seq up_to
    ) override;

    Seq applied() const override { return applied_; }

    Result<Seq> checkpoint() override;
    Result<std::vector<HistoryNote>> notes() override;
    Result<HistoryPage> query(const HistoryQuery& query) override;
    Result<std::vector<HistoryBucket>> buckets(const BucketQuery& query) override;
    Result<std::vector<HistoryPoint>> latest() override;
    Result<void> forget_device(std::int64_t device) override;
    Result<std::uint64_t> drop_before(std::int64_t before_ms) override;

    Result<std::uint64_t> point_count() override { return static_cast<std::uint64_t>(points_); }

private:
    struct Series {
        std::int64_t device = std::numeric_limits<std::int64_t>::min();
        int property = std::numeric_limits<int>::min();
    };

    Result<void> insert(const std::vector<HistoryPoint>& points);
    Result<void> store_notes(const std::vector<HistoryNote>& notes);
    Result<void> store_position(Seq applied, std::int64_t points);
    /// The series after `series`, false when it was the last one.
    Result<bool> advance(Series& series);

    // Statements go before the database they belong to.
    std::unique_ptr<Database> database_;
    std::optional<Statement> insert_;
    std::optional<Statement> next_series_;
    std::optional<Statement> page_up_;
    std::optional<Statement> page_down_;
    std::vector<const HistoryPoint*> order_;
    Seq applied_ = 0;
    std::int64_t points_ = 0;
};

Result<void> SqliteHistory::prepare() {
    const auto keep = [this](std::optional<Statement>& slot, std::string_view literal) -> Result<void> {
        auto statement = database_->prepare(literal);
        if (!statement)
            return fail(std::move(statement).error());
        slot.emplace(std::move(*statement));
        return {};
    };
    BRIM_TRY(keep(insert_, insert_sql));
    BRIM_TRY(keep(next_series_, next_series_sql));
    BRIM_TRY(keep(page_up_, page_up_sql));
    BRIM_TRY(keep(page_down_, page_down_sql));
    auto position = database_->prepare("SELECT applied, points FROM position");
    if (!position)
        return fail(std::move(position).error());
    const auto row = position->step();
    if (!row)
        return fail(row.error());
    if (!*row)
        return fail(Errc::corrupt, "database " + database_->path(), "its position is missing", "restore it");
    applied_ = static_cast<Seq>(position->integer(0));
    points_ = position->integer(1);
    return {};
}

Result<void> SqliteHistory::append(
    const std::vector<HistoryPoint>& points, const std::vector<HistoryNote>& notes, Seq up_to
) {
    BRIM_ASSERT(up_to >= applied_, "history never goes back in the log");
    auto transaction = Transaction::begin(*database_);
    if (!transaction)
        return fail(std::move(transaction).error());
    BRIM_TRY(insert(points));
    BRIM_TRY(store_notes(notes));
    const auto total = points_ + static_cast<std::int64_t>(points.size());
    BRIM_TRY(store_position(up_to, total));
    BRIM_TRY(transaction->commit());
    applied_ = up_to;
    points_ = total;
    return {};
}

Result<void> SqliteHistory::insert(const std::vector<HistoryPoint>& points) {
    // In key order each page of the tree is visited once a batch instead of once a point.
    order_.clear();
    for (const auto& point : points) {
        BRIM_ASSERT(point.seq == 0 || point.seq > applied_, "a point is stored once");
        order_.push_back(&point);
    }
    std::ranges::stable_sort(order_, [](const auto* a, const auto* b) { return key_less(*a, *b); });
    const HistoryPoint* last = nullptr;
    std::int64_t ordinal = 0;
    for (const HistoryPoint* point : order_) {
        ordinal = last != nullptr && !key_less(*last, *point) ? ordinal + 1 : 0;
        last = point;
        const bool json = std::holds_alternative<JsonText>(point->value);
        insert_->bind(1, point->device)
            .bind(2, point->property)
            .bind(3, point->time_ms)
            .bind(4, static_cast<std::int64_t>(point->seq))
            .bind(5, ordinal)
            .bind(6, late_of(*point))
            .bind(7, (point->replayed ? flag_replayed : 0) | (json ? flag_json : 0));
        bind_value(*insert_, 8, point->value);
        BRIM_TRY(insert_->run());
    }
    return {};
}

Result<void> SqliteHistory::store_notes(const std::vector<HistoryNote>& notes) {
    for (const auto& note : notes) {
        if (note.name.empty() || note.name.size() > note_name_bytes_max)
            return fail(
                Errc::invalid, "history note", "its name must have 1 to 200 bytes", "choose another name"
            );
        auto statement = note.body.empty()
                             ? database_->prepare("DELETE FROM notes WHERE name = ?1")
                             : database_->prepare("INSERT OR REPLACE INTO notes VALUES(?1, ?2)");
        if (!statement)
            return fail(std::move(statement).error());
        statement->bind(1, std::string_view(note.name));
        if (!note.body.empty())
            statement->bind_blob(2, note.body);
        BRIM_TRY(statement->run());
    }
    return {};
}

Result<void> SqliteHistory::store_position(Seq applied, std::int64_t points) {
    auto statement = database_->prepare("UPDATE position SET applied = ?1, points = ?2");
    if (!statement)
        return fail(std::move(statement).error());
    statement->bind(1, static_cast<std::int64_t>(applied)).bind(2, points);
    return statement->run();
}

Result<Seq> SqliteHistory::checkpoint() {
    BRIM_TRY(database_->checkpoint());
    return applied_;
}

Result<std::vector<HistoryNote>> SqliteHistory::notes() {
    auto statement = database_->prepare("SELECT name, body FROM notes ORDER BY name");
    if (!statement)
        return fail(std::move(statement).error());
    std::vector<HistoryNote> out;
    while (true) {
        const auto row = statement->step();
        if (!row)
            return fail(row.error());
        if (!*row)
            return out;
        out.push_back({std::string(statement->text(0)), std::string(statement->blob(1))});
    }
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

Result<std::uint64_t> SqliteHistory::drop_before(std::int64_t before_ms) {
    auto statement = database_->prepare(drop_sql);
    if (!statement)
        return fail(std::move(statement).error());
    const std::int64_t before = points_;
    Series series;
    bool more = true;
    while (more) {
        auto transaction = Transaction::begin(*database_);
        if (!transaction)
            return fail(std::move(transaction).error());
        std::int64_t dropped = 0;
        while (dropped < drop_rows_max) {
            const auto advanced = advance(series);
            if (!advanced)
                return fail(advanced.error());
            more = *advanced;
            if (!more)
                break;
            statement->bind(1, series.device).bind(2, series.property).bind(3, before_ms);
            BRIM_TRY(statement->run());
            dropped += database_->changes();
        }
        BRIM_TRY(store_position(applied_, points_ - dropped));
        BRIM_TRY(transaction->commit());
        points_ -= dropped;
    }
    return static_cast<std::uint64_t>(before - points_);
}

} // namespace

Result<std::unique_ptr<History>> open_sqlite_history(io::Disk& disk, const std::string& path) {
    auto database = Database::open(disk, path, Durability::normal);
    if (!database)
        return fail(std::move(database).error());
    BRIM_TRY(migrate(**database, schema));
    auto history = std::make_unique<SqliteHistory>(std::move(*database));
    BRIM_TRY(history->prepare());
    return history;
}

} // namespace brim::store
