#pragma once
// The embedded property history: its class, shared by writing (../sqlite_history.cpp), reading and dropping.

#include "store/history.h"
#include "store/internal/history_cursor.h"
#include "store/sqlite.h"

#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace brim::store {

inline constexpr std::int64_t history_flag_replayed = 1;
inline constexpr std::int64_t history_flag_json = 2;

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
    Result<void> drop_step(std::int64_t before_ms, std::size_t points_max, DropSweep& sweep) override;
    Result<std::uint64_t> bytes_used() override;

    Result<std::uint64_t> point_count() override { return static_cast<std::uint64_t>(points_); }

private:
    struct Series {
        std::int64_t device = std::numeric_limits<std::int64_t>::min();
        int property = std::numeric_limits<int>::min();
    };

    struct DropStatements {
        std::optional<Statement> newest, oldest, nth, drop_to, drop_below;
    };

    Result<void> prepare_reads();
    /// Prepares a statement for the life of this object.
    Result<void> keep(std::optional<Statement>& slot, std::string_view literal);
    Result<void> insert(const std::vector<HistoryPoint>& points);
    Result<void> store_notes(const std::vector<HistoryNote>& notes);
    Result<void> store_position(Seq applied, std::int64_t points);
    /// The series after `series`, false when it was the last one.
    Result<bool> advance(Series& series);
    Result<void> prepare_drop(DropStatements& statements);
    /// Drops up to `points_max` points of the series the sweep is at; returns how many.
    Result<std::int64_t> drop_of_series(
        DropStatements& statements, std::int64_t before_ms, std::int64_t points_max, DropSweep& sweep
    );
    Result<std::int64_t> pragma(std::string_view literal);

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

} // namespace brim::store
