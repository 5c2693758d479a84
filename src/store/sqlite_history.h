#pragma once
// History in one SQLite file of its own, clustered by device, property and time: a chart reads neighbouring
// pages.

#include "io/disk.h"
#include "store/history.h"

#include <memory>
#include <string>

namespace brim::store {

/// Opens or creates the database at `path`. Commits are consistent at any time and durable after
/// checkpoint(). Errc::unsupported when a newer version wrote it, Errc::corrupt when it is not a database.
Result<std::unique_ptr<History>> open_sqlite_history(io::Disk& disk, const std::string& path);

} // namespace brim::store
