#include "io/sim/sim_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace brim::io {

namespace {

std::string file_object(const std::string& path) {
    return "file \"" + path + "\"";
}

} // namespace

SimFile::SimFile(SimDisk& disk, std::shared_ptr<SimInode> inode, std::string path, bool writable)
    : disk_(disk), path_(std::move(path)), inode_(std::move(inode)), writable_(writable),
      cycle_(disk.power_cycles_) {}

bool SimFile::current() const {
    return cycle_ == disk_.power_cycles_;
}

Result<void> SimFile::usable(bool for_writing) const {
    if (!current())
        return fail(Errc::io, file_object(path_), "the machine lost power since it was opened");
    if (for_writing && !writable_)
        return fail(errno_error(file_object(path_), EBADF));
    return {};
}

Result<void> SimFile::room_for(std::uint64_t size) const {
    const auto now = inode_->cache.size();
    if (size > now && disk_.used_bytes() + (size - now) > disk_.quota_bytes_)
        return fail(errno_error(file_object(path_), ENOSPC));
    return {};
}

Result<std::size_t> SimFile::read_at(std::uint64_t offset, std::span<char> out) {
    BRIM_TRY(usable(false));
    BRIM_TRY(disk_.allow(DiskOp::read, path_));
    if (offset >= inode_->cache.size())
        return std::size_t{0};
    const auto count = std::min<std::uint64_t>(out.size(), inode_->cache.size() - offset);
    std::memcpy(out.data(), inode_->cache.data() + offset, count);
    return static_cast<std::size_t>(count);
}

Result<void> SimFile::failed_write(SimDisk::Verdict verdict, std::uint64_t offset, ByteView bytes) {
    using enum SimDisk::Verdict;
    if (verdict == fail_space || verdict == dead)
        return SimDisk::refusal(verdict, path_);
    const bool one_byte = verdict == fail_short;
    const auto kept =
        one_byte ? std::min<std::size_t>(1, bytes.size()) : disk_.random_.below(bytes.size() + 1);
    inode_->write(offset, bytes.substr(0, kept));
    return SimDisk::refusal(verdict, path_);
}

Result<void> SimFile::write_at(std::uint64_t offset, ByteView bytes) {
    BRIM_TRY(usable(true));
    const auto verdict = disk_.judge(DiskOp::write, path_);
    if (verdict != SimDisk::Verdict::go)
        return failed_write(verdict, offset, bytes);
    BRIM_TRY(room_for(offset + bytes.size()));
    inode_->write(offset, bytes);
    return {};
}

Result<void> SimFile::sync() {
    BRIM_TRY(usable(false));
    const auto verdict = disk_.judge(DiskOp::sync, path_);
    if (verdict == SimDisk::Verdict::go) {
        inode_->sync();
        return {};
    }
    // A sync that meets the power cut leaves its pages dirty: settle() then decides which of them made it.
    if (verdict != SimDisk::Verdict::cut && verdict != SimDisk::Verdict::dead)
        inode_->sync_failed(disk_.random_);
    return SimDisk::refusal(verdict, path_);
}

Result<std::uint64_t> SimFile::size() {
    BRIM_TRY(usable(false));
    return static_cast<std::uint64_t>(inode_->cache.size());
}

Result<void> SimFile::truncate(std::uint64_t size) {
    BRIM_TRY(usable(true));
    BRIM_TRY(disk_.allow(DiskOp::truncate, path_));
    BRIM_TRY(room_for(size));
    inode_->resize(size);
    return {};
}

Result<void> SimFile::allocate(std::uint64_t size) {
    BRIM_TRY(usable(true));
    BRIM_TRY(disk_.allow(DiskOp::allocate, path_));
    BRIM_TRY(room_for(size));
    if (size > inode_->cache.size())
        inode_->resize(size);
    return {};
}

SimLock::SimLock(SimDisk& disk, std::shared_ptr<SimInode> inode, std::string path, std::uint64_t owner)
    : SimFile(disk, std::move(inode), std::move(path), true), owner_(owner) {}

SimLock::~SimLock() {
    // After a crash somebody else may hold the lock by now.
    const auto held = disk_.locks_.find(path_);
    if (current() && held != disk_.locks_.end() && held->second == owner_)
        disk_.locks_.erase(held);
}

} // namespace brim::io
