#pragma once
// The hub's metadata database: one SQLite file, one worker, writes in order, each answered after its commit
// is synced.

#include "base/error.h"
#include "io/env.h"

#include <functional>
#include <memory>
#include <string>

namespace brim::store {
class Database;
}

namespace brim::hub {

class MetaDb {
public:
    using Job = std::move_only_function<Result<void>(store::Database&)>;
    using Done = std::move_only_function<void(Result<void>)>;

    /// Opens (or creates) and migrates `path`. Blocking. Errc::unsupported for a newer format.
    static Result<std::unique_ptr<MetaDb>> open(io::Env& env, const std::string& path);
    ~MetaDb();

    /// Runs `job` inside one transaction on the worker (rolled back when it fails), then `done` on the loop.
    /// What `job` captures must be its own copy. Errc::busy (at once) when more than 1,024 writes wait.
    void write(Job job, Done done);

    /// Direct access for loading at start, before the first write().
    store::Database& at_start() { return *db_; }

private:
    MetaDb(io::Env& env, std::unique_ptr<store::Database> db);
    io::Env& env_;
    std::unique_ptr<store::Database> db_;
    std::unique_ptr<io::Worker> worker_; ///< destroyed first: its jobs use db_
};

} // namespace brim::hub
