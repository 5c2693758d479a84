#pragma once
// A Disk whose files reach the one below in the smallest possible steps: what short reads, short writes and
// EINTR do to a program, one level down.

#include "io/env.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace brim::store::rig {

class ShortFile final : public io::File {
public:
    ShortFile(std::unique_ptr<io::File> below, bool one_by_one)
        : below_(std::move(below)), one_by_one_(one_by_one) {}

    Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
        if (!one_by_one_)
            return below_->read_at(offset, out);
        for (std::size_t at = 0; at < out.size(); ++at) {
            const auto got = below_->read_at(offset + at, out.subspan(at, 1));
            if (!got)
                return got;
            if (*got == 0)
                return at;
        }
        return out.size();
    }

    Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
        if (!one_by_one_)
            return below_->write_at(offset, bytes);
        for (std::size_t at = 0; at < bytes.size(); ++at)
            BRIM_TRY(below_->write_at(offset + at, bytes.substr(at, 1)));
        return {};
    }

    Result<void> sync() override { return below_->sync(); }

    Result<std::uint64_t> size() override { return below_->size(); }

    Result<void> truncate(std::uint64_t size) override { return below_->truncate(size); }

    Result<void> allocate(std::uint64_t size) override { return below_->allocate(size); }

private:
    std::unique_ptr<io::File> below_;
    bool one_by_one_;
};

class ShortDisk final : public io::Disk {
public:
    ShortDisk(io::Disk& below, bool one_by_one) : below_(below), one_by_one_(one_by_one) {}

    Result<std::unique_ptr<io::File>> open(const std::string& path, io::OpenMode mode) override {
        auto file = below_.open(path, mode);
        if (!file)
            return file;
        return std::make_unique<ShortFile>(std::move(*file), one_by_one_);
    }

    Result<void> rename(const std::string& from, const std::string& to) override {
        return below_.rename(from, to);
    }

    Result<void> remove(const std::string& path) override { return below_.remove(path); }

    bool exists(const std::string& path) override { return below_.exists(path); }

    std::string stamp(const std::string& path) override { return below_.stamp(path); }

    Result<std::vector<std::string>> list(const std::string& folder) override { return below_.list(folder); }

    Result<void> make_dir(const std::string& folder) override { return below_.make_dir(folder); }

    Result<void> sync_dir(const std::string& folder) override { return below_.sync_dir(folder); }

    Result<std::unique_ptr<io::File>> lock(const std::string& path) override { return below_.lock(path); }

    Result<std::uint64_t> free_bytes(const std::string& folder) override { return below_.free_bytes(folder); }

    bool is_machine() const override { return false; }

private:
    io::Disk& below_;
    bool one_by_one_;
};

/// An Env with another disk.
class ShortEnv final : public io::Env {
public:
    ShortEnv(io::Env& below, io::Disk& disk) : below_(below), disk_(disk) {}

    io::Loop& loop() override { return below_.loop(); }

    io::Network& net() override { return below_.net(); }

    io::Disk& disk() override { return disk_; }

    Random& random() override { return below_.random(); }

    brim::Log& log() override { return below_.log(); }

    Metrics& metrics() override { return below_.metrics(); }

    std::unique_ptr<io::Worker> make_worker(std::string_view name) override {
        return below_.make_worker(name);
    }

private:
    io::Env& below_;
    io::Disk& disk_;
};

} // namespace brim::store::rig
