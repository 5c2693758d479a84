#include "hub/meta_db.h"

#include "store/sqlite.h"

#include <array>

namespace brim::hub {

namespace {

constexpr std::size_t waiting_writes_max = 1'024;

constexpr std::array<const char*, 4> steps{
    R"(CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES('boot', 0), ('next_product', 1), ('next_device', 1);
CREATE TABLE product(
    id INTEGER PRIMARY KEY, product_key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, description TEXT NOT NULL,
    is_gateway INTEGER NOT NULL, created_ms INTEGER NOT NULL, model TEXT NOT NULL) STRICT;
CREATE TABLE product_property(
    product INTEGER NOT NULL REFERENCES product(id) ON DELETE CASCADE, id INTEGER NOT NULL, identifier TEXT NOT NULL,
    PRIMARY KEY(product, id)) STRICT, WITHOUT ROWID;
CREATE TABLE device(
    id INTEGER PRIMARY KEY, product INTEGER NOT NULL REFERENCES product(id), name TEXT NOT NULL, nickname TEXT NOT NULL,
    secret TEXT NOT NULL, enabled INTEGER NOT NULL, activated INTEGER NOT NULL, created_ms INTEGER NOT NULL,
    gateway INTEGER REFERENCES device(id) ON DELETE SET NULL, online INTEGER NOT NULL, since_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL, epoch INTEGER NOT NULL, reason TEXT NOT NULL, address TEXT NOT NULL,
    UNIQUE(product, name)) STRICT;
CREATE INDEX device_gateway ON device(gateway) WHERE gateway IS NOT NULL;
CREATE TABLE desired(
    device INTEGER NOT NULL REFERENCES device(id) ON DELETE CASCADE, property INTEGER NOT NULL, value TEXT NOT NULL,
    version INTEGER NOT NULL, time_ms INTEGER NOT NULL, state INTEGER NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY(device, property)) STRICT, WITHOUT ROWID;
CREATE TABLE account(
    name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE token(
    id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL,
    account TEXT NOT NULL REFERENCES account(name) ON DELETE CASCADE, created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE session(
    digest BLOB PRIMARY KEY, account TEXT NOT NULL REFERENCES account(name) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;)",
    // The last version of desired values that were deleted: the next one goes on from there.
    R"(CREATE TABLE desired_version(
    device INTEGER NOT NULL REFERENCES device(id) ON DELETE CASCADE, property INTEGER NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY(device, property)) STRICT, WITHOUT ROWID;)",
    R"(CREATE TABLE device_tag(
    device INTEGER NOT NULL REFERENCES device(id) ON DELETE CASCADE, system INTEGER NOT NULL, key TEXT NOT NULL,
    value TEXT NOT NULL, PRIMARY KEY(device, system, key)) STRICT, WITHOUT ROWID;)",
    // Status 0: begun and not yet answered.
    R"(CREATE TABLE answer(
    id BLOB PRIMARY KEY, body_digest BLOB NOT NULL, status INTEGER NOT NULL, sealed BLOB NOT NULL,
    created_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;)",
};

} // namespace

MetaDb::MetaDb(io::Env& env, std::unique_ptr<store::Database> db) : env_(env), db_(std::move(db)) {
    worker_ = env.make_worker("meta");
}

MetaDb::~MetaDb() = default;

Result<std::unique_ptr<MetaDb>> MetaDb::open(io::Env& env, const std::string& path) {
    auto db = store::Database::open(env.disk(), path, store::Durability::full);
    if (!db)
        return fail(std::move(db).error());
    BRIM_TRY(store::migrate(**db, steps));
    return std::unique_ptr<MetaDb>(new MetaDb(env, std::move(*db)));
}

void MetaDb::write(Job job, Done done) {
    if (worker_->queued() >= waiting_writes_max) {
        Error busy{
            Errc::busy, "hub database", "too many changes wait to be stored", "try again in a few seconds"
        };
        return env_.loop().post([done = std::move(done), busy]() mutable { done(fail(busy)); });
    }
    auto outcome = std::make_shared<Result<void>>(); // shared by the job on the worker and its completion
    auto run = [this, job = std::move(job), outcome]() mutable {
        auto transaction = store::Transaction::begin(*db_);
        if (!transaction) {
            *outcome = fail(std::move(transaction).error());
            return;
        }
        *outcome = job(*db_);
        if (*outcome)
            *outcome = transaction->commit();
    };
    worker_->run(std::move(run), [outcome, done = std::move(done)]() mutable { done(std::move(*outcome)); });
}

} // namespace brim::hub
