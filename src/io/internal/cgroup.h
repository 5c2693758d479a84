#pragma once
// Control groups as plain files: one group a child, below our own group, in whichever version can be written.

#include "io/child.h"
#include "io/internal/descriptor.h"

#include <string>
#include <vector>

namespace brim::io {

/// One child's group (two folders in version 1). Removing it needs its processes gone.
class Cgroup {
public:
    Cgroup() = default;
    Cgroup(LimitKind kind, std::string memory_folder, std::string pids_folder);

    bool exists() const noexcept { return !memory_.empty() || !pids_.empty(); }

    bool limits_processes() const noexcept { return !pids_.empty(); }

    LimitKind kind() const noexcept { return kind_; }

    /// To be written "0" by who joins.
    std::vector<Descriptor> open_joins() const;
    /// True when the kernel has killed in this group for memory.
    bool memory_limit_hit() const;
    std::int64_t memory_bytes() const;
    /// SIGKILL to every process in it, also those that left the session.
    void kill_all() const;
    /// True when the folders are gone.
    bool remove();

private:
    LimitKind kind_ = LimitKind::none;
    std::string memory_; ///< empty when this controller cannot be used
    std::string pids_;   ///< version 2: the same folder
};

/// Where groups can be made.
struct CgroupRoot {
    LimitKind kind = LimitKind::rlimit; ///< cgroup_v2, cgroup_v1, or rlimit for "nowhere"
    std::string memory;                 ///< folder of ours, "" when that controller cannot be used
    std::string pids;

    /// Looks at the mounted hierarchies and this process's place in them, and makes the folder `name` there.
    static CgroupRoot find(const std::string& mount, const std::string& self_file, const std::string& name);
    /// Makes a child's group with its limits. Empty group when there is no controller; an error when one that
    /// was there refuses the limit.
    Result<Cgroup>
    make(const std::string& child, std::uint64_t memory_bytes_max, std::uint64_t processes_max) const;
    void remove() const;
};

} // namespace brim::io
