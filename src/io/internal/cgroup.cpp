#include "io/internal/cgroup.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace brim::io {

namespace {

bool write_text(const std::string& path, const std::string& text) {
    const Descriptor fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_TRUNC));
    return fd && ::write(fd.value(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::string read_text(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

bool make_folder(const std::string& path) {
    return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST;
}

/// The number after `word` in a file of "word number" lines; 0 when absent.
std::uint64_t counter_in(const std::string& path, std::string_view word) {
    std::istringstream lines(read_text(path));
    std::string name;
    std::uint64_t value = 0;
    while (lines >> name >> value)
        if (name == word)
            return value;
    return 0;
}

bool has_word(const std::string& text, std::string_view word) {
    std::istringstream words(text);
    std::string each;
    while (words >> each)
        if (each == word)
            return true;
    return false;
}

/// This process's path in a hierarchy of /proc/self/cgroup ("4:memory:/x"); version 2 has no controller
/// ("0::/x").
std::string own_path(const std::string& self_file, std::string_view controller) {
    std::istringstream lines(read_text(self_file));
    std::string line;
    while (std::getline(lines, line)) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (second == std::string::npos)
            continue;
        std::string controllers = line.substr(first + 1, second - first - 1);
        bool ours = controllers == controller;
        for (char& c : controllers)
            if (c == ',')
                c = ' ';
        if (!controller.empty())
            ours = has_word(controllers, controller);
        const std::string path = line.substr(second + 1);
        if (ours)
            return path == "/" ? "" : path;
    }
    return {};
}

/// A version 2 group may hand controllers down only when no process is in it: we step aside into one of our
/// own.
bool hand_down(const std::string& base) {
    const std::string wanted = "+memory +pids";
    if (write_text(base + "/cgroup.subtree_control", wanted))
        return true;
    const std::string aside = base + "/brim-supervisor";
    if (!make_folder(aside) || !write_text(aside + "/cgroup.procs", "0"))
        return false;
    return write_text(base + "/cgroup.subtree_control", wanted);
}

std::string find_v2(const std::string& base, const std::string& name) {
    const std::string controllers = read_text(base + "/cgroup.controllers");
    if (!has_word(controllers, "memory") || !has_word(controllers, "pids") || !hand_down(base))
        return {};
    const std::string folder = base + "/" + name;
    if (!make_folder(folder) || !write_text(folder + "/cgroup.subtree_control", "+memory +pids"))
        return {};
    return folder;
}

std::string find_v1(
    const std::string& mount,
    const std::string& self_file,
    const std::string& controller,
    const std::string& name
) {
    const std::string folder = mount + "/" + controller + own_path(self_file, controller) + "/" + name;
    return make_folder(folder) ? folder : std::string();
}

} // namespace

CgroupRoot CgroupRoot::find(const std::string& mount, const std::string& self_file, const std::string& name) {
    CgroupRoot root;
    const std::string unified =
        ::access((mount + "/cgroup.controllers").c_str(), F_OK) == 0 ? mount : mount + "/unified";
    if (const std::string folder = find_v2(unified + own_path(self_file, ""), name); !folder.empty()) {
        root.kind = LimitKind::cgroup_v2;
        root.memory = root.pids = folder;
        return root;
    }
    root.memory = find_v1(mount, self_file, "memory", name);
    root.pids = find_v1(mount, self_file, "pids", name);
    if (!root.memory.empty())
        root.kind = LimitKind::cgroup_v1;
    return root;
}

Result<Cgroup> CgroupRoot::make(
    const std::string& child, std::uint64_t memory_bytes_max, std::uint64_t processes_max
) const {
    std::string memory_folder, pids_folder;
    const auto refused = [&](const std::string& path) {
        return fail(
            Errc::io,
            "process \"" + child + "\"",
            "its limit could not be written to " + path,
            "check the owner of that folder"
        );
    };
    if (!memory.empty()) {
        memory_folder = memory + "/" + child;
        if (!make_folder(memory_folder))
            return refused(memory_folder);
        const std::string limit = std::to_string(memory_bytes_max);
        const bool v2 = kind == LimitKind::cgroup_v2;
        const std::string file = memory_folder + (v2 ? "/memory.max" : "/memory.limit_in_bytes");
        if (memory_bytes_max != 0 && !write_text(file, limit))
            return refused(file);
        if (memory_bytes_max != 0) {
            // No escape into swap; hosts without swap accounting have no such file.
            write_text(
                memory_folder + (v2 ? "/memory.swap.max" : "/memory.memsw.limit_in_bytes"), v2 ? "0" : limit
            );
            if (v2)
                write_text(memory_folder + "/memory.oom.group", "1");
        }
    }
    if (!pids.empty()) {
        pids_folder = pids + "/" + child;
        if (!make_folder(pids_folder))
            return refused(pids_folder);
        const std::string file = pids_folder + "/pids.max";
        if (processes_max != 0 && !write_text(file, std::to_string(processes_max)))
            return refused(file);
    }
    return Cgroup(kind, memory_folder, pids_folder);
}

void CgroupRoot::remove() const {
    if (!memory.empty())
        ::rmdir(memory.c_str());
    if (!pids.empty())
        ::rmdir(pids.c_str());
}

Cgroup::Cgroup(LimitKind kind, std::string memory_folder, std::string pids_folder)
    : kind_(kind), memory_(std::move(memory_folder)), pids_(std::move(pids_folder)) {}

std::vector<Descriptor> Cgroup::open_joins() const {
    std::vector<Descriptor> joins;
    for (const std::string& folder : {memory_, kind_ == LimitKind::cgroup_v2 ? std::string() : pids_})
        if (!folder.empty())
            joins.emplace_back(::open((folder + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    return joins;
}

bool Cgroup::memory_limit_hit() const {
    if (memory_.empty())
        return false;
    return counter_in(
               memory_ + (kind_ == LimitKind::cgroup_v2 ? "/memory.events" : "/memory.oom_control"),
               "oom_kill"
           ) > 0;
}

std::int64_t Cgroup::memory_bytes() const {
    if (memory_.empty())
        return -1;
    std::istringstream text(
        read_text(memory_ + (kind_ == LimitKind::cgroup_v2 ? "/memory.current" : "/memory.usage_in_bytes"))
    );
    std::int64_t bytes = -1;
    text >> bytes;
    return bytes;
}

void Cgroup::kill_all() const {
    const std::string& folder = pids_.empty() ? memory_ : pids_;
    if (folder.empty())
        return;
    if (kind_ == LimitKind::cgroup_v2 && write_text(folder + "/cgroup.kill", "1"))
        return;
    std::istringstream processes(read_text(folder + "/cgroup.procs"));
    pid_t pid = 0;
    while (processes >> pid)
        if (pid > 1)
            ::kill(pid, SIGKILL);
}

bool Cgroup::remove() {
    for (std::string* folder : {&memory_, &pids_})
        if (!folder->empty() && (::rmdir(folder->c_str()) == 0 || errno == ENOENT))
            folder->clear();
    return !exists();
}

} // namespace brim::io
