#pragma once
// Files as the store sees them: positioned reads and writes, explicit syncs. Blocking, so used on workers (or
// at start up). Implementations: the machine (posix_disk.h) and the simulated disk (sim/), which can drop
// un-synced bytes, tear and reorder writes, and fail the Nth operation.

#include "base/bytes.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace brim::io {

/// An open file. Thread-compatible: one thread at a time.
class File {
public:
    virtual ~File() = default;
    /// Reads up to out.size() bytes at `offset`; less only at the end of the file. EINTR and short reads are
    /// handled.
    virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) = 0;
    /// Writes all of `bytes` or fails; what was written before a failure is undefined.
    virtual Result<void> write_at(std::uint64_t offset, ByteView bytes) = 0;
    /// fdatasync. After a failure nothing may be assumed about earlier writes: never retry and continue.
    virtual Result<void> sync() = 0;
    virtual Result<std::uint64_t> size() = 0;
    virtual Result<void> truncate(std::uint64_t size) = 0;
    /// Reserves `size` bytes of real disk (zeroed), so that later writes inside it need no metadata.
    virtual Result<void> allocate(std::uint64_t size) = 0;
};

enum class OpenMode : std::uint8_t {
    read,       ///< must exist
    write,      ///< read and write, must exist
    create,     ///< read and write, made when absent (mode 0600)
    create_new, ///< read and write, Errc::exists when there already
};

class Disk {
public:
    virtual ~Disk() = default;
    virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
    virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
    virtual Result<void> remove(const std::string& path) = 0;
    virtual bool exists(const std::string& path) = 0;
    /// Another text once the file was changed or another took its place, as far as the file system can tell:
    /// two changes within the grain of its clock may look like one. Nothing is read. No file has a stamp too.
    virtual std::string stamp(const std::string& path) = 0;
    /// Names (not paths) of a folder's entries, sorted. Errc::not_found when there is no such folder.
    virtual Result<std::vector<std::string>> list(const std::string& folder) = 0;
    /// Makes a folder and its parents, mode 0700. No error when there.
    virtual Result<void> make_dir(const std::string& folder) = 0;
    /// Makes creations, renames and removals in `folder` durable.
    virtual Result<void> sync_dir(const std::string& folder) = 0;
    /// Takes the exclusive lock file at `path` until the returned object dies. Errc::busy names the holder's
    /// pid.
    virtual Result<std::unique_ptr<File>> lock(const std::string& path) = 0;
    virtual Result<std::uint64_t> free_bytes(const std::string& folder) = 0;
    /// True when SQLite may use its own file access on this disk's paths; else the store's VFS goes through
    /// this Disk.
    virtual bool is_machine() const = 0;
};

/// Writes the bytes [from, to) of `file` once more as they read now; the caller syncs. A sync that failed, in
/// this process or one before it, leaves pages that read well, count as written and are on no disk: no later
/// sync would take them. What lies beyond the end of the file is left out.
Result<void> rewrite(File& file, std::uint64_t from, std::uint64_t to);
/// Whole small files, at most `bytes_max`.
Result<Bytes> read_file(Disk& disk, const std::string& path, std::size_t bytes_max);
/// Replaces `path` so that a crash leaves the old or the new content: temporary file, sync, rename, folder
/// sync.
Result<void> write_file_atomically(Disk& disk, const std::string& path, ByteView content);

} // namespace brim::io
