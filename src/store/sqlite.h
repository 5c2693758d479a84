#pragma once
// SQLite behind small values of ours: Database, Statement, Transaction; errors as Result. Used on one thread
// at a time (a worker). SQL text is always a literal with bound parameters, never built from data.

#include "base/error.h"
#include "io/disk.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace brim::store {

class Database;

/// A prepared statement. Parameters are numbered from 1, columns from 0. Views from text() and blob() live
/// until the next step() or reset().
class Statement {
public:
    Statement(Statement&& other) noexcept;
    Statement& operator=(Statement&&) = delete;
    Statement(const Statement&) = delete;
    ~Statement();

    Statement& bind(int index, std::int64_t value);

    Statement& bind(int index, int value) { return bind(index, std::int64_t{value}); }

    Statement& bind(int index, double value);
    Statement& bind(int index, std::string_view value);      ///< as TEXT, copied
    Statement& bind_blob(int index, std::string_view value); ///< as BLOB, copied
    Statement& bind_null(int index);

    /// True when a row is there, false at the end.
    Result<bool> step();
    /// For statements without rows: runs once and resets.
    Result<void> run();
    void reset();

    std::int64_t integer(int column) const;
    double number(int column) const;
    std::string_view text(int column) const;
    std::string_view blob(int column) const;
    bool is_null(int column) const;
    /// SQLITE_INTEGER and so on, for columns of any type.
    int type(int column) const;

private:
    friend class Database;

    Statement(Database& database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}

    Database& database_;
    sqlite3_stmt* statement_;
    bool misuse_ = false; ///< a bind failed; told at step()
};

enum class Durability : std::uint8_t {
    full,   ///< a commit is on disk when it returns (synchronous=FULL)
    normal, ///< durable at the next checkpoint(); consistent at any time (synchronous=NORMAL)
};

class Database {
public:
    /// Opens or creates, WAL mode, exclusive locking, foreign keys on. On a disk that is not the machine's,
    /// all file access goes through `disk`.
    static Result<std::unique_ptr<Database>>
    open(io::Disk& disk, const std::string& path, Durability durability);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    /// One statement; asserts that the literal is valid SQL (a bug of ours otherwise).
    Result<Statement> prepare(std::string_view literal);
    /// Several statements without parameters.
    Result<void> execute(const char* literal);
    std::int64_t last_insert_id() const;
    std::int64_t changes() const;
    /// Writes the WAL back and syncs: everything committed is durable afterwards, also with
    /// Durability::normal. Until it has succeeded nothing may be concluded about durability there: not from
    /// commits, not from what was written back in between.
    Result<void> checkpoint();

    /// Error of the last failed call, as object, cause, fix.
    Error error() const;

    const std::string& path() const { return path_; }

private:
    friend class Statement;
    friend class Transaction;

    Database(io::Disk& disk, std::string path, sqlite3* handle)
        : disk_(disk), path_(std::move(path)), handle_(handle) {}

    /// Takes note of a failed call's code.
    void note(int sqlite_code);
    /// After an I/O error: nothing new is committed before all that was is in the database file and synced.
    Result<void> settle();
    /// What is read from the WAL is on disk afterwards, whatever became of syncs before.
    Result<void> secure_wal();
    /// Writes the WAL back and syncs both; Errc::busy when a reader keeps part of it. `mode` is SQLite's.
    Result<void> write_back(int mode);
    /// After a commit that left `pages` in the WAL.
    void on_commit(int pages);

    io::Disk& disk_;
    std::string path_;
    sqlite3* handle_;
    bool doubtful_ = false; ///< an I/O error since the WAL was last written back whole
};

/// Runs a query to its end, `read` once for each row, and resets it.
template <class Read> Result<void> each_row(Statement& statement, Read read) {
    while (true) {
        const auto more = statement.step();
        if (!more)
            return fail(more.error());
        if (!*more)
            break;
        read(statement);
    }
    statement.reset();
    return {};
}

/// BEGIN IMMEDIATE at construction; rolled back unless commit() succeeded.
class Transaction {
public:
    static Result<Transaction> begin(Database& database);

    Transaction(Transaction&& other) noexcept : database_(other.database_) { other.database_ = nullptr; }

    Transaction& operator=(Transaction&&) = delete;
    Transaction(const Transaction&) = delete;
    ~Transaction();
    Result<void> commit();

private:
    explicit Transaction(Database& database) : database_(&database) {}

    Database* database_;
};

/// Brings a database to version steps.size(): step i leads from version i to i + 1, each in its own
/// transaction together with PRAGMA user_version. Errc::unsupported, without a write, when the file is newer.
Result<void> migrate(Database& database, std::span<const char* const> steps);

} // namespace brim::store
