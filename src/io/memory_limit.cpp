#include "io/memory_limit.h"

#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>

namespace brim::io {

namespace {

/// Version 1 says "no limit" by the largest multiple of a page; pages are at most 64 KiB.
constexpr std::uint64_t unlimited_bytes_min =
    static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) - 65'536;
constexpr std::uint64_t kilobyte = 1'024;

/// Names of one hierarchy's files.
struct Files {
    std::string_view limit, used, inactive, active;
};

constexpr Files version2{"/memory.max", "/memory.current", "inactive_file", "active_file"};
constexpr Files version1{
    "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file", "total_active_file"
};

/// The text up to the separator; both are taken off `rest`.
std::string_view cut(std::string_view& rest, char separator) {
    const std::size_t end = rest.find(separator);
    const std::string_view part = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    return part;
}

bool has_controller(std::string_view list, std::string_view wanted) {
    while (!list.empty())
        if (cut(list, ',') == wanted)
            return true;
    return false;
}

std::optional<std::uint64_t> read_bytes(const ReadText& read, const std::string& path) {
    const auto text = read(path);
    return text ? parse_memory_bytes(*text) : std::nullopt;
}

/// Makes `least` the group's figures when its limit is smaller.
void consider(const ReadText& read, const std::string& folder, const Files& files, MemoryUse& least) {
    const std::string limit_file = folder + std::string(files.limit);
    const auto limit = read_bytes(read, limit_file);
    if (!limit || *limit == 0 || *limit >= least.limit_bytes)
        return;
    const auto used = read_bytes(read, folder + std::string(files.used));
    if (!used)
        return;
    const std::string stat = read(folder + "/memory.stat").value_or(std::string());
    // Active pages of files too: a log and a database that are read and written keep half of theirs there.
    const std::uint64_t of_files = memory_field(stat, files.inactive) + memory_field(stat, files.active);
    least = {*limit, *used > of_files ? *used - of_files : 0, limit_file};
}

} // namespace

std::optional<std::uint64_t> parse_memory_bytes(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
        text.remove_suffix(1);
    std::uint64_t bytes = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
    const bool is_number = error == std::errc() && end == text.data() + text.size();
    if (!is_number || bytes >= unlimited_bytes_min)
        return std::nullopt;
    return bytes;
}

std::uint64_t memory_field(std::string_view text, std::string_view name) {
    while (!text.empty()) {
        std::string_view line = cut(text, '\n');
        if (!line.starts_with(name))
            continue;
        line.remove_prefix(name.size());
        if (!line.starts_with(' ') && !line.starts_with(':'))
            continue;
        const std::size_t first = line.find_first_not_of(": \t");
        if (first == std::string_view::npos)
            return 0;
        line.remove_prefix(first);
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
        if (error != std::errc())
            return 0;
        const bool is_kilobytes = std::string_view(end, line.data() + line.size()).starts_with(" kB");
        if (is_kilobytes && value > std::numeric_limits<std::uint64_t>::max() / kilobyte)
            return 0;
        return is_kilobytes ? value * kilobyte : value;
    }
    return 0;
}

std::vector<std::string> cgroup_paths(std::string_view self_cgroup, std::string_view controller) {
    while (!self_cgroup.empty()) {
        std::string_view line = cut(self_cgroup, '\n');
        const std::string_view hierarchy = cut(line, ':');
        const std::string_view controllers = cut(line, ':');
        const bool is_ours = controller.empty() ? hierarchy == "0" && controllers.empty()
                                                : has_controller(controllers, controller);
        if (!is_ours)
            continue;
        std::vector<std::string> paths;
        const bool is_inside = line.starts_with('/') && line.find("/..") == std::string_view::npos;
        std::string_view path = is_inside ? line : std::string_view();
        while (path.size() > 1) {
            paths.emplace_back(path);
            path = path.substr(0, path.rfind('/'));
        }
        paths.emplace_back();
        return paths;
    }
    return {};
}

MemoryUse memory_use(const ReadText& read) {
    MemoryUse least;
    least.limit_bytes = memory_field(read("/proc/meminfo").value_or(std::string()), "MemTotal");
    least.used_bytes = memory_field(read("/proc/self/status").value_or(std::string()), "VmRSS");
    least.where = "this machine";
    if (least.limit_bytes == 0)
        return {};
    const std::string self = read("/proc/self/cgroup").value_or(std::string());
    const bool is_mixed = !read("/sys/fs/cgroup/cgroup.controllers");
    const std::string unified = is_mixed ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
    // In a container the path is often the host's, and our group is mounted where the root would be: then the
    // folders below it are not there and the walk upward ends at the right one.
    for (const std::string& path : cgroup_paths(self, ""))
        consider(read, unified + path, version2, least);
    for (const std::string& path : cgroup_paths(self, "memory"))
        consider(read, "/sys/fs/cgroup/memory" + path, version1, least);
    return least;
}

MemoryUse memory_use() {
    return memory_use([](const std::string& path) -> std::optional<std::string> {
        std::ifstream file(path);
        if (!file)
            return std::nullopt;
        std::ostringstream text;
        text << file.rdbuf();
        return text.str();
    });
}

} // namespace brim::io
