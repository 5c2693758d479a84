#include "store/sqlite_history.h"

#include "base/assert.h"
#include "store/internal/sqlite_history_impl.h"

#include <algorithm>
#include <array>
#include <tuple>

namespace brim::store {

namespace {

constexpr std::size_t note_name_bytes_max = 200;

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

} // namespace

Result<void> SqliteHistory::keep(std::optional<Statement>& slot, std::string_view literal) {
    auto statement = database_->prepare(literal);
    if (!statement)
        return fail(std::move(statement).error());
    slot.emplace(std::move(*statement));
    return {};
}

Result<void> SqliteHistory::prepare() {
    BRIM_TRY(keep(insert_, insert_sql));
    BRIM_TRY(prepare_reads());
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
            .bind(7, (point->replayed ? history_flag_replayed : 0) | (json ? history_flag_json : 0));
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
