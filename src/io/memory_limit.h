#pragma once
// The memory limit that really applies to this process, and what is used of it. A container's or service's
// limit is a control group's, not the machine's: a guard that looks at the machine wakes after the kernel has
// killed the program.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brim::io {

struct MemoryUse {
    std::uint64_t limit_bytes = 0; ///< 0: unknown, nothing to go by
    std::uint64_t used_bytes = 0;  ///< without what the kernel takes back by itself before it kills
    std::string where;             ///< for people: "/sys/fs/cgroup/x/memory.max" or "this machine"
};

/// Gives a file's text; nothing when it cannot be read.
using ReadText = std::function<std::optional<std::string>(const std::string& path)>;

/// The smallest of: memory.max of our version 2 group and of each above it, memory.limit_in_bytes of our
/// version 1 group and of each above it, MemTotal. What is used is that group's use, pages of files not
/// counted (they are given back first); of the machine it is what this process has in RAM.
MemoryUse memory_use(const ReadText& read);

/// memory_use() of this process, now. Some file reads under /proc and /sys: about 0.1 ms.
MemoryUse memory_use();

// --- the texts

/// A limit's or use's file: one number. Nothing for "max", for version 1's way of saying so (within a page of
/// 2^63), and for what is no number.
std::optional<std::uint64_t> parse_memory_bytes(std::string_view text);
/// The number behind `name` in memory.stat ("name number") or, in bytes, in /proc's files ("Name:  number
/// kB"); 0 when it is not there.
std::uint64_t memory_field(std::string_view text, std::string_view name);
/// Our path in a hierarchy of /proc/self/cgroup and each above it up to "": "/a/b", "/a", "". `controller` is
/// empty for version 2. Empty list when the process is in no such hierarchy; only "" for a path that leaves
/// the mounted part ("/../x") or is none.
std::vector<std::string> cgroup_paths(std::string_view self_cgroup, std::string_view controller);

} // namespace brim::io
