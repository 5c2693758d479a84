#pragma once
// SQLite's file access through io::Disk, so that databases live on the simulated disk and lose what it loses.

#include "io/disk.h"

namespace brim::store {

/// Registers (once per disk) a SQLite VFS over `disk` and returns its name, valid for the life of the
/// process. `disk` must outlive every database opened with it. Only for exclusive-locking WAL databases:
/// there is no shared memory.
const char* register_vfs(io::Disk& disk);
/// Forgets the VFS of a disk that is about to die. No database may be open on it.
void unregister_vfs(io::Disk& disk);

} // namespace brim::store
