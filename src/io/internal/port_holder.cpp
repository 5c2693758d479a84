#include "io/internal/port_holder.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace brim::io {

namespace {

/// The socket inode that listens on `port`, from one of /proc/net's tables; empty when there is none.
std::string listening_inode(const char* table, std::uint16_t port) {
    std::ifstream file(table);
    std::string line;
    std::getline(file, line); // the headings
    while (std::getline(file, line)) {
        std::istringstream fields(line);
        std::string slot, local, remote, state, queues, timer, retries, uid, timeout, inode;
        fields >> slot >> local >> remote >> state >> queues >> timer >> retries >> uid >> timeout >> inode;
        const std::size_t colon = local.rfind(':');
        constexpr std::string_view listening = "0A";
        if (state != listening || colon == std::string::npos)
            continue;
        if (std::strtoul(local.c_str() + colon + 1, nullptr, 16) == port)
            return inode;
    }
    return {};
}

} // namespace

std::string describe_process(std::int64_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
    std::string name;
    std::getline(file, name);
    return "pid " + std::to_string(pid) + (name.empty() ? "" : " (" + name + ")");
}

std::string tcp_port_holder(std::uint16_t port) {
    namespace fs = std::filesystem;
    std::string inode = listening_inode("/proc/net/tcp", port);
    if (inode.empty())
        inode = listening_inode("/proc/net/tcp6", port);
    if (inode.empty())
        return {};
    const std::string wanted = "socket:[" + inode + "]";
    std::error_code error;
    for (fs::directory_iterator process("/proc", error), end; !error && process != end;
         process.increment(error)) {
        const std::string pid = process->path().filename();
        if (pid.find_first_not_of("0123456789") != std::string::npos)
            continue;
        std::error_code denied;
        for (fs::directory_iterator fd(process->path() / "fd", denied); !denied && fd != end;
             fd.increment(denied)) {
            std::error_code gone;
            if (fs::read_symlink(fd->path(), gone) == wanted)
                return describe_process(std::atoll(pid.c_str()));
        }
    }
    return {};
}

} // namespace brim::io
