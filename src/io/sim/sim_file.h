#pragma once
// Open files and lock files of the simulated disk. Private to sim/.

#include "io/sim/sim_disk.h"
#include "io/sim/sim_inode.h"

#include <memory>
#include <string>

namespace brim::io {

/// Dead (Errc::io) once the disk has lost power since it was opened.
class SimFile : public File {
public:
    SimFile(SimDisk& disk, std::shared_ptr<SimInode> inode, std::string path, bool writable);

    Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override;
    Result<void> write_at(std::uint64_t offset, ByteView bytes) override;
    Result<void> sync() override;
    Result<std::uint64_t> size() override;
    Result<void> truncate(std::uint64_t size) override;
    Result<void> allocate(std::uint64_t size) override;

protected:
    bool current() const;

    SimDisk& disk_;
    std::string path_;

private:
    Result<void> usable(bool for_writing) const;
    Result<void> room_for(std::uint64_t size) const;
    Result<void> failed_write(SimDisk::Verdict verdict, std::uint64_t offset, ByteView bytes);

    std::shared_ptr<SimInode> inode_; // shared with the names and other handles of the same file
    bool writable_;
    std::uint64_t cycle_;
};

class SimLock final : public SimFile {
public:
    SimLock(SimDisk& disk, std::shared_ptr<SimInode> inode, std::string path, std::uint64_t owner);
    ~SimLock() override;

private:
    std::uint64_t owner_;
};

} // namespace brim::io
