// What the test does to the disk behind the program's back: power cuts, bit rot, lost and swapped files.
#include "io/sim/sim_disk.h"
#include "io/sim/sim_inode.h"
#include "io/sim/sim_path.h"

#include <utility>

namespace brim::io {

void SimDisk::apply(std::map<std::string, InodeRef>& names, const NameChange& change) {
    if (change.op == DiskOp::remove) {
        names.erase(change.path);
        return;
    }
    names[change.path] = change.inode;
    if (change.op != DiskOp::rename)
        return;
    const auto old = names.find(change.from);
    if (old != names.end() && old->second == change.inode)
        names.erase(old);
}

void SimDisk::power_cut(CutMode mode) {
    for (const auto& change : pending_)
        if (mode == CutMode::keep_all || (mode == CutMode::random && random_.below(2) == 0))
            apply(durable_names_, change);
    pending_.clear();
    names_ = durable_names_;
    std::set<SimInode*> settled;
    for (const auto& [path, inode] : names_)
        if (settled.insert(inode.get()).second)
            inode->settle(mode, random_);
    locks_.clear();
    ++power_cycles_;
    powered_off_ = false;
    cost_ = {};
}

void SimDisk::drop_caches() {
    for (const auto& [path, inode] : names_)
        inode->drop_clean_pages();
}

bool SimDisk::flip_bit(const std::string& path, std::uint64_t bit) {
    const auto inode = find(path);
    if (!inode || bit / 8 >= inode->cache.size())
        return false;
    const auto flipped = static_cast<unsigned char>(inode->cache[bit / 8]) ^ (1U << (bit % 8));
    const char byte = static_cast<char>(flipped);
    return corrupt(path, bit / 8, ByteView(&byte, 1));
}

bool SimDisk::corrupt(const std::string& path, std::uint64_t offset, ByteView bytes) {
    const auto inode = find(path);
    if (!inode || offset + bytes.size() > inode->cache.size())
        return false;
    inode->cache.replace(offset, bytes.size(), bytes);
    if (offset + bytes.size() <= inode->durable.size())
        inode->durable.replace(offset, bytes.size(), bytes);
    return true;
}

bool SimDisk::cut_file(const std::string& path, std::uint64_t size) {
    const auto inode = find(path);
    if (!inode || size > inode->cache.size())
        return false;
    inode->resize(size);
    inode->sync();
    return true;
}

bool SimDisk::lose_file(const std::string& path) {
    durable_names_.erase(plain_path(path));
    return names_.erase(plain_path(path)) > 0;
}

bool SimDisk::copy_file(const std::string& from, const std::string& to) {
    const auto inode = find(from);
    if (!inode)
        return false;
    put_file(to, inode->cache);
    return true;
}

bool SimDisk::swap_files(const std::string& a, const std::string& b) {
    const auto first = find(a);
    const auto second = find(b);
    if (!first || !second)
        return false;
    names_[plain_path(a)] = second;
    names_[plain_path(b)] = first;
    durable_names_[plain_path(a)] = second;
    durable_names_[plain_path(b)] = first;
    return true;
}

void SimDisk::put_file(const std::string& raw_path, ByteView content) {
    const auto path = plain_path(raw_path);
    for (auto folder = folder_of(path); !has_folder(folder); folder = folder_of(folder))
        folders_.insert(folder);
    auto inode = std::make_shared<SimInode>();
    inode->cache = Bytes(content);
    inode->durable = inode->cache;
    names_[path] = inode;
    durable_names_[path] = inode;
}

Bytes SimDisk::content(const std::string& path) const {
    const auto inode = find(path);
    return inode ? inode->cache : Bytes{};
}

std::optional<Bytes> SimDisk::durable_content(const std::string& path) const {
    const auto found = durable_names_.find(plain_path(path));
    if (found == durable_names_.end())
        return std::nullopt;
    return found->second->durable;
}

std::vector<std::string> SimDisk::paths() const {
    std::vector<std::string> all;
    for (const auto& [path, inode] : names_)
        all.push_back(path);
    return all;
}

} // namespace brim::io
