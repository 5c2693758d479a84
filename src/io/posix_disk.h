#pragma once
// The machine's file systems as a Disk. Any thread; each File one thread at a time.

#include "io/disk.h"

namespace brim::io {

class PosixDisk final : public Disk {
public:
    Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    /// Removes a file or an empty folder.
    Result<void> remove(const std::string& path) override;
    bool exists(const std::string& path) override;
    std::string stamp(const std::string& path) override;
    Result<std::vector<std::string>> list(const std::string& folder) override;
    Result<void> make_dir(const std::string& folder) override;
    Result<void> sync_dir(const std::string& folder) override;
    /// An open-file-description lock: gone with the process however it ends. The file holds the owner's pid
    /// as text.
    Result<std::unique_ptr<File>> lock(const std::string& path) override;
    /// What an unprivileged process may still use.
    Result<std::uint64_t> free_bytes(const std::string& folder) override;

    bool is_machine() const override { return true; }
};

} // namespace brim::io
