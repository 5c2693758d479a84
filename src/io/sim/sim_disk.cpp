#include "io/sim/sim_disk.h"

#include "io/sim/sim_file.h"
#include "io/sim/sim_inode.h"
#include "io/sim/sim_path.h"

#include <cerrno>
#include <utility>

namespace brim::io {

namespace {

/// There are no real processes here; the error still has to name one.
constexpr int lock_holder_pid = 4242;

} // namespace

std::string_view disk_op_name(DiskOp op) noexcept {
    switch (op) {
    case DiskOp::open:
        return "open";
    case DiskOp::read:
        return "read";
    case DiskOp::list:
        return "list";
    case DiskOp::write:
        return "write";
    case DiskOp::sync:
        return "sync";
    case DiskOp::truncate:
        return "truncate";
    case DiskOp::allocate:
        return "allocate";
    case DiskOp::rename:
        return "rename";
    case DiskOp::remove:
        return "remove";
    case DiskOp::sync_dir:
        return "sync_dir";
    case DiskOp::make_dir:
        return "make_dir";
    }
    return "unknown";
}

bool changes_disk(DiskOp op) noexcept {
    return op != DiskOp::open && op != DiskOp::read && op != DiskOp::list;
}

SimDisk::SimDisk(std::uint64_t seed) : random_(seed) {
    folders_ = {"", "/"};
}

SimDisk::~SimDisk() = default;

SimDisk::Verdict SimDisk::judge(DiskOp op, const std::string& path) {
    if (powered_off_)
        return Verdict::dead;
    if (hook_)
        hook_(op, path);
    if (changes_disk(op))
        ++change_count_;
    Verdict verdict = Verdict::go;
    for (auto& [fault, seen] : faults_) {
        const bool kind_fits = fault.op ? *fault.op == op : changes_disk(op);
        if (!kind_fits || path.find(fault.path_part) == std::string::npos)
            continue;
        if (++seen < fault.nth || seen - fault.nth >= fault.times)
            continue;
        switch (fault.kind) {
        case DiskFault::Kind::slow:
            cost_ += fault.delay;
            break;
        case DiskFault::Kind::io_error:
            verdict = Verdict::fail_io;
            break;
        case DiskFault::Kind::no_space:
            verdict = Verdict::fail_space;
            break;
        case DiskFault::Kind::short_write:
            verdict = Verdict::fail_short;
            break;
        case DiskFault::Kind::power_off:
            powered_off_ = true;
            return Verdict::cut;
        }
    }
    return verdict;
}

std::unexpected<Error> SimDisk::refusal(Verdict verdict, const std::string& path) {
    return fail(errno_error("file \"" + path + "\"", verdict == Verdict::fail_space ? ENOSPC : EIO));
}

Result<void> SimDisk::allow(DiskOp op, const std::string& path) {
    const auto verdict = judge(op, path);
    if (verdict != Verdict::go)
        return refusal(verdict, path);
    return {};
}

bool SimDisk::has_folder(const std::string& folder) const {
    return folders_.contains(folder);
}

SimDisk::InodeRef SimDisk::find(const std::string& path) const {
    const auto found = names_.find(plain_path(path));
    return found == names_.end() ? nullptr : found->second;
}

std::uint64_t SimDisk::used_bytes() const {
    std::uint64_t sum = 0;
    for (const auto& [path, inode] : names_)
        sum += inode->cache.size();
    return sum;
}

Result<std::unique_ptr<File>> SimDisk::open(const std::string& raw_path, OpenMode mode) {
    const auto path = plain_path(raw_path);
    auto inode = find(path);
    const bool makes = !inode && (mode == OpenMode::create || mode == OpenMode::create_new);
    BRIM_TRY(allow(DiskOp::open, path));
    if (inode && mode == OpenMode::create_new)
        return fail(errno_error("file \"" + path + "\"", EEXIST));
    if (has_folder(path))
        return fail(errno_error("file \"" + path + "\"", EISDIR));
    if (!inode && (!makes || !has_folder(folder_of(path))))
        return fail(errno_error("file \"" + path + "\"", ENOENT));
    if (makes) {
        inode = std::make_shared<SimInode>();
        names_[path] = inode;
        pending_.push_back({DiskOp::open, path, {}, inode});
        ++change_count_;
    }
    return std::make_unique<SimFile>(*this, std::move(inode), path, mode != OpenMode::read);
}

Result<void> SimDisk::rename(const std::string& raw_from, const std::string& raw_to) {
    const auto from = plain_path(raw_from);
    const auto to = plain_path(raw_to);
    const auto verdict = judge(DiskOp::rename, from);
    // The rename that meets the power cut is the classic: it may or may not have happened.
    const bool happens = verdict == Verdict::go || (verdict == Verdict::cut && random_.below(2) == 0);
    if (happens) {
        auto done = has_folder(from) ? rename_folder(from, to) : rename_file(from, to);
        if (!done)
            return done;
    }
    if (verdict != Verdict::go)
        return refusal(verdict, from);
    return {};
}

Result<void> SimDisk::rename_file(const std::string& from, const std::string& to) {
    const auto inode = find(from);
    if (!inode || !has_folder(folder_of(to)))
        return fail(errno_error("file \"" + from + "\"", ENOENT));
    if (has_folder(to))
        return fail(errno_error("file \"" + to + "\"", EISDIR));
    if (from == to)
        return {};
    pending_.push_back({DiskOp::rename, to, from, inode});
    apply(names_, pending_.back());
    return {};
}

Result<void> SimDisk::rename_folder(const std::string& from, const std::string& to) {
    if (!list(to).value_or(std::vector<std::string>{}).empty())
        return fail(errno_error("folder \"" + to + "\"", ENOTEMPTY));
    std::vector<std::pair<std::string, InodeRef>> moved;
    for (const auto& [path, inode] : names_)
        if (is_inside(path, from))
            moved.emplace_back(path, inode);
    for (const auto& [path, inode] : moved) {
        pending_.push_back({DiskOp::rename, to + path.substr(from.size()), path, inode});
        apply(names_, pending_.back());
    }
    std::set<std::string> folders;
    for (const auto& folder : folders_)
        folders.insert(folder == from || is_inside(folder, from) ? to + folder.substr(from.size()) : folder);
    folders_ = std::move(folders);
    return {};
}

Result<void> SimDisk::remove(const std::string& raw_path) {
    const auto path = plain_path(raw_path);
    const auto verdict = judge(DiskOp::remove, path);
    if (verdict != Verdict::go && verdict != Verdict::cut)
        return refusal(verdict, path);
    if (has_folder(path)) {
        for (const auto& [name, inode] : names_)
            if (is_inside(name, path))
                return fail(errno_error("folder \"" + path + "\"", ENOTEMPTY));
        folders_.erase(path);
        return {};
    }
    const auto inode = find(path);
    if (!inode)
        return fail(errno_error("file \"" + path + "\"", ENOENT));
    if (verdict == Verdict::cut && random_.below(2) == 0)
        return refusal(verdict, path);
    pending_.push_back({DiskOp::remove, path, {}, inode});
    apply(names_, pending_.back());
    if (verdict != Verdict::go)
        return refusal(verdict, path);
    return {};
}

bool SimDisk::exists(const std::string& path) {
    return !powered_off_ && (find(path) != nullptr || has_folder(plain_path(path)));
}

std::string SimDisk::stamp(const std::string& path) {
    return exists(path) ? "=" + content(path) : "!";
}

Result<std::vector<std::string>> SimDisk::list(const std::string& raw_folder) {
    const auto folder = plain_path(raw_folder);
    BRIM_TRY(allow(DiskOp::list, folder));
    if (!has_folder(folder))
        return fail(errno_error("folder \"" + folder + "\"", ENOENT));
    std::set<std::string> found;
    for (const auto& [path, inode] : names_)
        if (folder_of(path) == folder)
            found.insert(name_of(path));
    for (const auto& path : folders_)
        if (!name_of(path).empty() && folder_of(path) == folder)
            found.insert(name_of(path));
    return std::vector<std::string>(found.begin(), found.end());
}

Result<void> SimDisk::make_dir(const std::string& raw_folder) {
    const auto folder = plain_path(raw_folder);
    if (has_folder(folder))
        return {};
    BRIM_TRY(allow(DiskOp::make_dir, folder));
    for (auto part = folder; !has_folder(part); part = folder_of(part)) {
        if (find(part))
            return fail(errno_error("folder \"" + part + "\"", ENOTDIR));
        folders_.insert(part);
    }
    return {};
}

Result<void> SimDisk::sync_dir(const std::string& raw_folder) {
    const auto folder = plain_path(raw_folder);
    BRIM_TRY(allow(DiskOp::sync_dir, folder));
    if (!has_folder(folder))
        return fail(errno_error("folder \"" + folder + "\"", ENOENT));
    std::vector<NameChange> kept;
    for (auto& change : pending_) {
        // A rename between folders is durable only when the new name's folder is synced; then both ends are.
        if (folder_of(change.path) == folder)
            apply(durable_names_, change);
        else
            kept.push_back(std::move(change));
    }
    pending_ = std::move(kept);
    return {};
}

Result<std::unique_ptr<File>> SimDisk::lock(const std::string& path) {
    return lock_for(0, path);
}

Result<std::unique_ptr<File>> SimDisk::lock_for(std::uint64_t owner, const std::string& raw_path) {
    const auto path = plain_path(raw_path);
    if (locks_.contains(path))
        return fail(
            Errc::busy,
            "lock \"" + path + "\"",
            "another process (pid " + std::to_string(lock_holder_pid) + ") holds it",
            "stop that process first"
        );
    auto opened = open(path, OpenMode::create);
    if (!opened)
        return fail(std::move(opened).error());
    locks_[path] = owner;
    return std::make_unique<SimLock>(*this, find(path), path, owner);
}

void SimDisk::release_locks(std::uint64_t owner) {
    std::erase_if(locks_, [owner](const auto& held) { return held.second == owner; });
}

Result<std::uint64_t> SimDisk::free_bytes(const std::string& folder) {
    if (!has_folder(plain_path(folder)))
        return fail(errno_error("folder \"" + folder + "\"", ENOENT));
    const auto used = used_bytes();
    return used >= quota_bytes_ ? std::uint64_t{0} : quota_bytes_ - used;
}

Duration SimDisk::take_cost() {
    return std::exchange(cost_, Duration{});
}

} // namespace brim::io
