#include "io/sim/sim_disk_view.h"

#include "io/sim/sim_env.h"
#include "io/sim/sim_world.h"

#include <type_traits>

namespace brim::io {

namespace {

/// Runs `operation` on the machine's disk when the process lives; notices when that operation met the power
/// cut.
template <class Operation>
auto while_alive(SimEnv& env, Operation operation) -> std::invoke_result_t<Operation, SimDisk&> {
    if (!env.alive())
        return fail(Errc::io, "process \"" + env.process() + "\"", "it was killed");
    auto& disk = env.machine().disk();
    auto result = operation(disk);
    if (disk.powered_off())
        env.machine().lose_power_now();
    return result;
}

class ViewFile final : public File {
public:
    ViewFile(SimEnv& env, std::unique_ptr<File> file) : env_(env), file_(std::move(file)) {}

    Result<std::size_t> read_at(std::uint64_t offset, std::span<char> out) override {
        return while_alive(env_, [&](SimDisk&) { return file_->read_at(offset, out); });
    }

    Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
        return while_alive(env_, [&](SimDisk&) { return file_->write_at(offset, bytes); });
    }

    Result<void> sync() override {
        return while_alive(env_, [&](SimDisk&) { return file_->sync(); });
    }

    Result<std::uint64_t> size() override {
        return while_alive(env_, [&](SimDisk&) { return file_->size(); });
    }

    Result<void> truncate(std::uint64_t size) override {
        return while_alive(env_, [&](SimDisk&) { return file_->truncate(size); });
    }

    Result<void> allocate(std::uint64_t size) override {
        return while_alive(env_, [&](SimDisk&) { return file_->allocate(size); });
    }

private:
    SimEnv& env_;
    std::unique_ptr<File> file_;
};

Result<std::unique_ptr<File>> wrap(SimEnv& env, Result<std::unique_ptr<File>> file) {
    if (!file)
        return file;
    return std::make_unique<ViewFile>(env, std::move(*file));
}

} // namespace

Result<std::unique_ptr<File>> SimDiskView::open(const std::string& path, OpenMode mode) {
    return wrap(env_, while_alive(env_, [&](SimDisk& disk) { return disk.open(path, mode); }));
}

Result<void> SimDiskView::rename(const std::string& from, const std::string& to) {
    return while_alive(env_, [&](SimDisk& disk) { return disk.rename(from, to); });
}

Result<void> SimDiskView::remove(const std::string& path) {
    return while_alive(env_, [&](SimDisk& disk) { return disk.remove(path); });
}

bool SimDiskView::exists(const std::string& path) {
    return env_.alive() && env_.machine().disk().exists(path);
}

std::string SimDiskView::stamp(const std::string& path) {
    return env_.alive() ? env_.machine().disk().stamp(path) : std::string();
}

Result<std::vector<std::string>> SimDiskView::list(const std::string& folder) {
    return while_alive(env_, [&](SimDisk& disk) { return disk.list(folder); });
}

Result<void> SimDiskView::make_dir(const std::string& folder) {
    return while_alive(env_, [&](SimDisk& disk) { return disk.make_dir(folder); });
}

Result<void> SimDiskView::sync_dir(const std::string& folder) {
    return while_alive(env_, [&](SimDisk& disk) { return disk.sync_dir(folder); });
}

Result<std::unique_ptr<File>> SimDiskView::lock(const std::string& path) {
    return wrap(env_, while_alive(env_, [&](SimDisk& disk) { return disk.lock_for(env_.lane(), path); }));
}

Result<std::uint64_t> SimDiskView::free_bytes(const std::string& folder) {
    return while_alive(env_, [&](SimDisk& disk) { return disk.free_bytes(folder); });
}

} // namespace brim::io
