#pragma once
// A process' way to its machine's disk: works while the process lives. Private to sim/.

#include "io/disk.h"

namespace brim::io {

class SimEnv;

class SimDiskView final : public Disk {
public:
    explicit SimDiskView(SimEnv& env) : env_(env) {}

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

private:
    SimEnv& env_;
};

} // namespace brim::io
