#include "store/sqlite.h"

#include "store/sqlite_vfs.h"

#include <sqlite3.h>

namespace brim::store {

namespace {

constexpr int wal_pages_max = 1'000; ///< then it is written back

Errc code_of(int sqlite_code) {
    switch (sqlite_code & 0xff) {
    case SQLITE_FULL:
        return Errc::full;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return Errc::corrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return Errc::busy;
    case SQLITE_CONSTRAINT:
        return Errc::conflict;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return Errc::denied;
    default:
        return Errc::io;
    }
}

std::string fix_of(Errc code) {
    switch (code) {
    case Errc::full:
        return "free disk space; writing goes on by itself";
    case Errc::corrupt:
        return "restore the file from a backup; brim keeps the damaged one";
    case Errc::busy:
        return "another process holds the file; stop it";
    case Errc::denied:
        return "check owner and permissions of the file and its folder";
    default:
        return "check the disk (dmesg, smartctl)";
    }
}

} // namespace

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), statement_(other.statement_), misuse_(other.misuse_) {
    other.statement_ = nullptr;
}

Statement::~Statement() {
    sqlite3_finalize(statement_);
}

Statement& Statement::bind(int index, std::int64_t value) {
    misuse_ |= sqlite3_bind_int64(statement_, index, value) != SQLITE_OK;
    return *this;
}

Statement& Statement::bind(int index, double value) {
    misuse_ |= sqlite3_bind_double(statement_, index, value) != SQLITE_OK;
    return *this;
}

Statement& Statement::bind(int index, std::string_view value) {
    const char* text = value.empty() ? "" : value.data();
    misuse_ |= sqlite3_bind_text64(statement_, index, text, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8) !=
               SQLITE_OK;
    return *this;
}

Statement& Statement::bind_blob(int index, std::string_view value) {
    const char* bytes = value.empty() ? "" : value.data();
    misuse_ |= sqlite3_bind_blob64(statement_, index, bytes, value.size(), SQLITE_TRANSIENT) != SQLITE_OK;
    return *this;
}

Statement& Statement::bind_null(int index) {
    misuse_ |= sqlite3_bind_null(statement_, index) != SQLITE_OK;
    return *this;
}

Result<bool> Statement::step() {
    if (misuse_)
        return fail(database_.error());
    // A write of its own, not one of a Transaction.
    const bool commits =
        sqlite3_get_autocommit(database_.handle_) != 0 && sqlite3_stmt_readonly(statement_) == 0;
    if (commits && database_.doubtful_)
        BRIM_TRY(database_.settle());
    const int result = sqlite3_step(statement_);
    if (result == SQLITE_ROW)
        return true;
    if (result == SQLITE_DONE)
        return false;
    Error why = database_.error();
    database_.note(result);
    sqlite3_reset(statement_);
    return fail(std::move(why));
}

Result<void> Statement::run() {
    const auto row = step();
    reset();
    if (!row)
        return fail(row.error());
    return {};
}

void Statement::reset() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

std::int64_t Statement::integer(int column) const {
    return sqlite3_column_int64(statement_, column);
}

double Statement::number(int column) const {
    return sqlite3_column_double(statement_, column);
}

std::string_view Statement::text(int column) const {
    const unsigned char* bytes = sqlite3_column_text(statement_, column);
    if (bytes == nullptr)
        return {};
    return {
        reinterpret_cast<const char*>(bytes),
        static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))
    };
}

std::string_view Statement::blob(int column) const {
    const void* bytes = sqlite3_column_blob(statement_, column);
    if (bytes == nullptr)
        return {};
    return {
        static_cast<const char*>(bytes), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))
    };
}

bool Statement::is_null(int column) const {
    return type(column) == SQLITE_NULL;
}

int Statement::type(int column) const {
    return sqlite3_column_type(statement_, column);
}

Result<std::unique_ptr<Database>>
Database::open(io::Disk& disk, const std::string& path, Durability durability) {
    const char* vfs = disk.is_machine() ? nullptr : register_vfs(disk);
    sqlite3* handle = nullptr;
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    const int opened = sqlite3_open_v2(path.c_str(), &handle, flags, vfs);
    std::unique_ptr<Database> database(new Database(disk, path, handle));
    if (opened != SQLITE_OK)
        return fail(database->error());
    // Exclusive locking keeps the WAL index in memory: no shared memory file, and a second process is
    // refused.
    BRIM_TRY(
        database->execute("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON;"
                          "PRAGMA cache_size=-4000; PRAGMA temp_store=MEMORY;")
    );
    BRIM_TRY(database->execute(
        durability == Durability::full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"
    ));
    // SQLite's own automatic write-back keeps its errors to itself.
    sqlite3_wal_hook(
        handle,
        [](void* self, sqlite3*, const char*, int pages) {
            static_cast<Database*>(self)->on_commit(pages);
            return SQLITE_OK;
        },
        database.get()
    );
    // The lock is ours by now. A process before this one may have been killed behind a sync that failed.
    BRIM_TRY(database->secure_wal());
    return database;
}

Database::~Database() {
    sqlite3_close_v2(handle_);
}

Result<Statement> Database::prepare(std::string_view literal) {
    sqlite3_stmt* statement = nullptr;
    const int size = static_cast<int>(literal.size());
    if (sqlite3_prepare_v3(handle_, literal.data(), size, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) !=
        SQLITE_OK) {
        return fail(error());
    }
    return Statement(*this, statement);
}

Result<void> Database::execute(const char* literal) {
    if (const int result = sqlite3_exec(handle_, literal, nullptr, nullptr, nullptr); result != SQLITE_OK) {
        note(result);
        return fail(error());
    }
    return {};
}

void Database::note(int sqlite_code) {
    doubtful_ = doubtful_ || (sqlite_code & 0xff) == SQLITE_IOERR;
}

// A sync that failed has lost what was written before it, also the last bytes of the last commit's padding,
// which SQLite leaves to the next sync. The WAL is a chain of checksums: with a hole in it, everything
// committed behind the hole would be gone after a power cut. So it is written back and begun anew first.
Result<void> Database::settle() {
    if (!doubtful_)
        return {};
    // A power cut in the middle of writing back needs the whole WAL to repair the database file.
    BRIM_TRY(secure_wal());
    BRIM_TRY(write_back(SQLITE_CHECKPOINT_TRUNCATE));
    doubtful_ = false;
    return {};
}

Result<void> Database::secure_wal() {
    const std::string wal = path_ + "-wal";
    if (!disk_.exists(wal))
        return {};
    auto file = disk_.open(wal, io::OpenMode::write);
    if (!file)
        return fail(std::move(file).error());
    const auto size = (*file)->size();
    if (!size)
        return fail(size.error());
    BRIM_TRY(io::rewrite(**file, 0, *size));
    return (*file)->sync();
}

Result<void> Database::write_back(int mode) {
    int in_wal = 0, written = 0;
    const int result = sqlite3_wal_checkpoint_v2(handle_, nullptr, mode, &in_wal, &written);
    if (result != SQLITE_OK) {
        note(result);
        return fail(error());
    }
    if (written < in_wal)
        return fail(Errc::busy, "database " + path_, "a reader keeps its WAL", "it is tried again");
    return {};
}

void Database::on_commit(int pages) {
    if (pages < wal_pages_max || doubtful_) // the next transaction settles what is doubtful
        return;
    const int result =
        sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    note(result);
}

std::int64_t Database::last_insert_id() const {
    return sqlite3_last_insert_rowid(handle_);
}

std::int64_t Database::changes() const {
    return sqlite3_changes64(handle_);
}

Result<void> Database::checkpoint() {
    if (doubtful_)
        return settle();
    return write_back(SQLITE_CHECKPOINT_FULL);
}

Error Database::error() const {
    const int code = handle_ == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(handle_);
    const Errc errc = code_of(code);
    const char* text = handle_ == nullptr ? "out of memory" : sqlite3_errmsg(handle_);
    return {errc, "database " + path_, text, fix_of(errc)};
}

Result<Transaction> Transaction::begin(Database& database) {
    BRIM_TRY(database.settle());
    BRIM_TRY(database.execute("BEGIN IMMEDIATE"));
    return Transaction(database);
}

Transaction::~Transaction() {
    // Nothing to do about a failing ROLLBACK: SQLite has rolled back already in that case.
    if (database_ != nullptr)
        (void)database_->execute("ROLLBACK");
}

Result<void> Transaction::commit() {
    BRIM_TRY(database_->execute("COMMIT"));
    database_ = nullptr;
    return {};
}

namespace {

Result<int> user_version(Database& database) {
    auto statement = database.prepare("PRAGMA user_version");
    if (!statement)
        return fail(std::move(statement).error());
    const auto row = statement->step();
    if (!row)
        return fail(row.error());
    return static_cast<int>(statement->integer(0));
}

} // namespace

Result<void> migrate(Database& database, std::span<const char* const> steps) {
    auto version = user_version(database);
    if (!version)
        return fail(std::move(version).error());
    const int newest = static_cast<int>(steps.size());
    if (*version > newest) {
        return fail(
            Errc::unsupported,
            "database " + database.path(),
            "format " + std::to_string(*version) + " is newer than this program's " + std::to_string(newest),
            "install the version that wrote it, or a newer one"
        );
    }
    for (int at = *version; at < newest; ++at) {
        auto transaction = Transaction::begin(database);
        if (!transaction)
            return fail(std::move(transaction).error());
        BRIM_TRY(database.execute(steps[static_cast<std::size_t>(at)]));
        // PRAGMA takes no parameter; the number is ours.
        const std::string set_version = "PRAGMA user_version=" + std::to_string(at + 1);
        BRIM_TRY(database.execute(set_version.c_str()));
        BRIM_TRY(transaction->commit());
    }
    return {};
}

} // namespace brim::store
