#pragma once
// A disk that remembers what was synced and what was not, and loses the difference on demand. Every file has
// a page-cache image (what the program reads back) and a durable image (what a power cut leaves). One thread
// only.

#include "base/random.h"
#include "base/time.h"
#include "io/disk.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace brim::io {

enum class DiskOp : std::uint8_t {
    open,
    read,
    list,
    write,
    sync,
    truncate,
    allocate,
    rename,
    remove,
    sync_dir,
    make_dir
};

std::string_view disk_op_name(DiskOp op) noexcept;
/// True for everything but open, read and list.
bool changes_disk(DiskOp op) noexcept;

/// One planned misfortune. Of the operations that match `op` and `path_part`, counted from the moment the
/// fault is added, number `nth` and the `times - 1` after it are hit.
struct DiskFault {
    enum class Kind : std::uint8_t {
        io_error,    ///< EIO; a write leaves a random prefix, a sync forgets the dirty pages as Linux does
        no_space,    ///< ENOSPC before anything is changed
        short_write, ///< the first byte of a write is kept, then EIO; as io_error for the rest
        power_off,   ///< takes partial effect; from then on everything fails until power_cut() is called
        slow,        ///< succeeds, but costs `delay` of virtual time to the worker that asked
    };
    Kind kind = Kind::io_error;
    std::optional<DiskOp> op{}; ///< none: every operation that changes the disk
    std::string path_part{};    ///< only paths that contain this text
    std::uint64_t nth = 1;
    std::uint64_t times = 1;
    Duration delay{};
};

/// What a power cut does with bytes that no sync has covered.
enum class CutMode : std::uint8_t {
    random,   ///< any subset of 512-byte sectors, names and sizes, each in any version since the last sync
    lose_all, ///< exactly what was synced
    keep_all, ///< everything, as after kill -9
};

struct SimInode;

/// The simulated disk. Its own Disk members are for programs (and unit tests without a SimWorld); the rest is
/// for the test that plays fate. Folders themselves are durable at once; the names in them need sync_dir().
class SimDisk final : public Disk {
public:
    static constexpr std::uint64_t sector_bytes = 512;

    explicit SimDisk(std::uint64_t seed);
    ~SimDisk() override;

    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    Result<void> remove(const std::string& path) override;
    bool exists(const std::string& path) override;
    std::string stamp(const std::string& path) override;
    Result<std::vector<std::string>> list(const std::string& folder) override;
    Result<void> make_dir(const std::string& folder) override;
    Result<void> sync_dir(const std::string& folder) override;
    Result<std::unique_ptr<File>> lock(const std::string& path) override;
    Result<std::uint64_t> free_bytes(const std::string& folder) override;

    bool is_machine() const override { return false; }

    /// The machine loses power: open files and locks of before are dead (Errc::io), un-synced state is
    /// settled.
    void power_cut(CutMode mode = CutMode::random);
    /// Evicts clean pages: after a failed sync this shows what the medium really holds.
    void drop_caches();

    void add_fault(DiskFault fault) { faults_.push_back({std::move(fault), 0}); }

    void clear_faults() { faults_.clear(); }

    /// All files together may use this much; more is ENOSPC. Default 1 TiB.
    void set_quota(std::uint64_t bytes) { quota_bytes_ = bytes; }

    /// Operations that changed (or tried to change) the disk so far: the range for "fail the Nth".
    std::uint64_t change_count() const noexcept { return change_count_; }

    bool powered_off() const noexcept { return powered_off_; }

    /// Virtual time that the operations since the last call have cost.
    Duration take_cost();
    /// lock() for one process among several; its locks go when it dies.
    Result<std::unique_ptr<File>> lock_for(std::uint64_t owner, const std::string& path);
    void release_locks(std::uint64_t owner);

    /// Called with each operation before it runs; for traces.
    void on_operation(std::function<void(DiskOp, const std::string&)> hook) { hook_ = std::move(hook); }

    // Fate, bypassing the page cache: each changes the durable and the cached image alike. False: no such
    // file.
    bool flip_bit(const std::string& path, std::uint64_t bit);
    bool corrupt(const std::string& path, std::uint64_t offset, ByteView bytes);
    bool cut_file(const std::string& path, std::uint64_t size);
    bool lose_file(const std::string& path);
    bool copy_file(const std::string& from, const std::string& to);
    bool swap_files(const std::string& a, const std::string& b);
    void put_file(const std::string& path, ByteView content);
    /// What a program would read; empty when absent.
    Bytes content(const std::string& path) const;
    /// What CutMode::lose_all would leave; nothing when the name itself is not durable.
    std::optional<Bytes> durable_content(const std::string& path) const;
    /// Every file's path, sorted.
    std::vector<std::string> paths() const;

private:
    friend class SimFile;
    friend class SimLock;
    using InodeRef =
        std::shared_ptr<SimInode>; // shared by names, durable names and open files, as in a real one

    /// A change of names that no sync_dir has covered yet.
    struct NameChange {
        DiskOp op; ///< open (a creation), rename or remove
        std::string path;
        std::string from; ///< rename only
        InodeRef inode;
    };

    struct Planned {
        DiskFault fault;
        std::uint64_t seen;
    };
    /// `cut` is the operation that meets the power cut (it may take partial effect), `dead` each one after
    /// it.
    enum class Verdict : std::uint8_t { go, fail_io, fail_space, fail_short, cut, dead };

    /// Counts the operation, asks the fault plan.
    Verdict judge(DiskOp op, const std::string& path);
    /// judge() for operations that have no partial effect.
    Result<void> allow(DiskOp op, const std::string& path);
    bool has_folder(const std::string& folder) const;
    InodeRef find(const std::string& path) const;
    std::uint64_t used_bytes() const;
    static std::unexpected<Error> refusal(Verdict verdict, const std::string& path);
    Result<void> rename_folder(const std::string& from, const std::string& to);
    Result<void> rename_file(const std::string& from, const std::string& to);
    static void apply(std::map<std::string, InodeRef>& names, const NameChange& change);

    SeededRandom random_;
    std::map<std::string, InodeRef> names_;
    std::map<std::string, InodeRef> durable_names_;
    std::vector<NameChange> pending_;
    std::set<std::string> folders_;
    std::map<std::string, std::uint64_t> locks_; ///< path -> owner
    std::vector<Planned> faults_;
    std::function<void(DiskOp, const std::string&)> hook_;
    std::uint64_t quota_bytes_ = std::uint64_t{1} << 40;
    std::uint64_t change_count_ = 0;
    std::uint64_t power_cycles_ = 0; ///< handles of an earlier cycle are dead
    bool powered_off_ = false;
    Duration cost_{};
};

} // namespace brim::io
