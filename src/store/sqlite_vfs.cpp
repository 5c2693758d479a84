#include "store/sqlite_vfs.h"

#include <sqlite3.h>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>

namespace brim::store {

namespace {

/// What SQLite keeps per open file; it allocates szOsFile bytes and we build this in place.
struct VfsFile {
    sqlite3_file base; // must be first: SQLite sees only this
    io::Disk* disk;
    io::File* file;
    std::string* path;
    bool delete_on_close;
};

struct DiskVfs {
    sqlite3_vfs vfs{};
    std::string name;
    io::Disk* disk = nullptr;
};

VfsFile& as_file(sqlite3_file* file) {
    return *reinterpret_cast<VfsFile*>(file);
}

int io_code(const Error& error, int otherwise) {
    return error.code == Errc::full ? SQLITE_FULL : otherwise;
}

int vfs_close(sqlite3_file* file) {
    VfsFile& mine = as_file(file);
    delete mine.file;
    if (mine.delete_on_close)
        (void)mine.disk->remove(*mine.path).has_value();
    delete mine.path;
    mine.file = nullptr;
    mine.path = nullptr;
    return SQLITE_OK;
}

int vfs_read(sqlite3_file* file, void* out, int amount, sqlite3_int64 offset) {
    const auto size = static_cast<std::size_t>(amount);
    auto got =
        as_file(file).file->read_at(static_cast<std::uint64_t>(offset), {static_cast<char*>(out), size});
    if (!got)
        return SQLITE_IOERR_READ;
    if (*got == size)
        return SQLITE_OK;
    std::memset(static_cast<char*>(out) + *got, 0, size - *got); // SQLite relies on it
    return SQLITE_IOERR_SHORT_READ;
}

int vfs_write(sqlite3_file* file, const void* bytes, int amount, sqlite3_int64 offset) {
    const ByteView view(static_cast<const char*>(bytes), static_cast<std::size_t>(amount));
    const auto wrote = as_file(file).file->write_at(static_cast<std::uint64_t>(offset), view);
    return wrote ? SQLITE_OK : io_code(wrote.error(), SQLITE_IOERR_WRITE);
}

int vfs_truncate(sqlite3_file* file, sqlite3_int64 size) {
    return as_file(file).file->truncate(static_cast<std::uint64_t>(size)) ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

int vfs_sync(sqlite3_file* file, int) {
    VfsFile& mine = as_file(file);
    if (!mine.file->sync())
        return SQLITE_IOERR_FSYNC;
    // A fresh file is only there after a crash when its name is: SQLite's own VFS syncs the folder as well.
    const std::size_t slash = mine.path->rfind('/');
    if (slash == std::string::npos)
        return SQLITE_OK;
    return mine.disk->sync_dir(mine.path->substr(0, slash)) ? SQLITE_OK : SQLITE_IOERR_DIR_FSYNC;
}

int vfs_size(sqlite3_file* file, sqlite3_int64* out) {
    const auto size = as_file(file).file->size();
    if (!size)
        return SQLITE_IOERR_FSTAT;
    *out = static_cast<sqlite3_int64>(*size);
    return SQLITE_OK;
}

// Locks: one process, one connection, held exclusively for the life of the database; the store's lock file
// guards it.
int vfs_lock(sqlite3_file*, int) {
    return SQLITE_OK;
}

int vfs_unlock(sqlite3_file*, int) {
    return SQLITE_OK;
}

int vfs_check_lock(sqlite3_file*, int* out) {
    *out = 0;
    return SQLITE_OK;
}

int vfs_control(sqlite3_file*, int, void*) {
    return SQLITE_NOTFOUND;
}

int vfs_sector_size(sqlite3_file*) {
    return 512;
}

int vfs_characteristics(sqlite3_file*) {
    return 0;
} // a power cut may tear anything

const sqlite3_io_methods methods{
    .iVersion = 1, // no shared memory: WAL needs exclusive locking
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check_lock,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

io::Disk& disk_of(sqlite3_vfs* vfs) {
    return *static_cast<io::Disk*>(vfs->pAppData);
}

int vfs_open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    auto& mine = *new (file) VfsFile{};
    if (name == nullptr)
        return SQLITE_CANTOPEN; // temporary files stay in memory (PRAGMA temp_store)
    io::OpenMode mode = io::OpenMode::read;
    if ((flags & SQLITE_OPEN_READWRITE) != 0)
        mode = io::OpenMode::write;
    if ((flags & SQLITE_OPEN_CREATE) != 0)
        mode = io::OpenMode::create;
    auto opened = disk_of(vfs).open(name, mode);
    if (!opened)
        return SQLITE_CANTOPEN;
    mine.disk = &disk_of(vfs);
    mine.file = opened->release();
    mine.path = new std::string(name);
    mine.delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    mine.base.pMethods = &methods;
    if (out_flags != nullptr)
        *out_flags = flags;
    return SQLITE_OK;
}

int vfs_delete(sqlite3_vfs* vfs, const char* name, int sync_folder) {
    io::Disk& disk = disk_of(vfs);
    const auto removed = disk.remove(name);
    if (!removed)
        return removed.error().code == Errc::not_found ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
    const std::string path = name;
    const std::size_t slash = path.rfind('/');
    if (sync_folder == 0 || slash == std::string::npos)
        return SQLITE_OK;
    return disk.sync_dir(path.substr(0, slash)) ? SQLITE_OK : SQLITE_IOERR_DIR_FSYNC;
}

int vfs_access(sqlite3_vfs* vfs, const char* name, int, int* out) {
    *out = disk_of(vfs).exists(name) ? 1 : 0;
    return SQLITE_OK;
}

int vfs_full_path(sqlite3_vfs*, const char* name, int size, char* out) {
    const std::size_t length = std::strlen(name);
    if (length + 1 > static_cast<std::size_t>(size))
        return SQLITE_CANTOPEN;
    std::memcpy(out, name, length + 1);
    return SQLITE_OK;
}

// SQLite seeds its own generator from this; nothing of ours depends on it, and zeros keep a simulated run
// repeatable.
int vfs_randomness(sqlite3_vfs*, int size, char* out) {
    std::memset(out, 0, static_cast<std::size_t>(size));
    return size;
}

int vfs_sleep(sqlite3_vfs*, int) {
    return 0;
}

int vfs_time(sqlite3_vfs*, double* out) {
    *out = 2'440'587.5; // 1970-01-01: no SQL of ours asks for the time
    return SQLITE_OK;
}

std::mutex registered_mutex; // guards `registered`; SQLite's own registry is a process-wide list as well

std::map<io::Disk*, std::unique_ptr<DiskVfs>>& registered() {
    static std::map<io::Disk*, std::unique_ptr<DiskVfs>> all;
    return all;
}

} // namespace

const char* register_vfs(io::Disk& disk) {
    const std::scoped_lock lock(registered_mutex);
    auto& slot = registered()[&disk];
    if (slot != nullptr)
        return slot->name.c_str();
    slot = std::make_unique<DiskVfs>();
    slot->disk = &disk;
    slot->name = "brim-" + std::to_string(reinterpret_cast<std::uintptr_t>(&disk));
    sqlite3_vfs& vfs = slot->vfs;
    vfs.iVersion = 1;
    vfs.szOsFile = sizeof(VfsFile);
    vfs.mxPathname = 1'024;
    vfs.zName = slot->name.c_str();
    vfs.pAppData = &disk;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    vfs.xAccess = vfs_access;
    vfs.xFullPathname = vfs_full_path;
    vfs.xRandomness = vfs_randomness;
    vfs.xSleep = vfs_sleep;
    vfs.xCurrentTime = vfs_time;
    sqlite3_vfs_register(&vfs, 0);
    return slot->name.c_str();
}

void unregister_vfs(io::Disk& disk) {
    const std::scoped_lock lock(registered_mutex);
    const auto found = registered().find(&disk);
    if (found == registered().end())
        return;
    sqlite3_vfs_unregister(&found->second->vfs);
    registered().erase(found);
}

} // namespace brim::store
