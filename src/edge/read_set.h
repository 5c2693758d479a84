#pragma once
// The files a configuration is read from, as one set: what was read once is kept, and a kept set can be read
// again without the disk it came from.

#include "io/disk.h"

#include <map>
#include <string>

namespace brim::edge {

struct ReadLimits {
    std::size_t files_max = 10'000;
    std::size_t bytes_max = 67'108'864; ///< of all files together
};

/// A read-only disk over another one that remembers every file read, or over remembered files alone (then no
/// others exist). A file is read from the disk once; later readers see the same bytes. Writes are refused
/// with Errc::denied. One thread at a time.
class ReadSet final : public io::Disk {
public:
    using Files = std::map<std::string, Bytes>; ///< path -> content

    explicit ReadSet(io::Disk& disk, ReadLimits limits = {}) : disk_(&disk), limits_(limits) {}

    explicit ReadSet(Files files) : files_(std::move(files)) {}

    const Files& files() const { return files_; }

    /// Errc::too_large above a limit; else as the disk says.
    Result<std::unique_ptr<io::File>> open(const std::string& path, io::OpenMode mode) override;
    bool exists(const std::string& path) override;
    /// Of the set, nothing changes.
    std::string stamp(const std::string& path) override;
    Result<std::vector<std::string>> list(const std::string& folder) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    Result<void> remove(const std::string& path) override;
    Result<void> make_dir(const std::string& folder) override;
    Result<void> sync_dir(const std::string& folder) override;
    Result<std::unique_ptr<io::File>> lock(const std::string& path) override;
    Result<std::uint64_t> free_bytes(const std::string& folder) override;

    bool is_machine() const override { return false; }

private:
    Result<void> fetch(const std::string& path);

    io::Disk* disk_ = nullptr; ///< null: the kept files are all there is
    ReadLimits limits_;
    Files files_; ///< its nodes stay where they are: open files look into them
    std::size_t bytes_ = 0;
};

} // namespace brim::edge
