#include "io/resident.h"

#include "io/internal/address.h"
#include "io/internal/descriptor.h"

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fstream>
#include <link.h>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace brim::io {

namespace {

std::uint64_t count_entries(const char* folder) {
    const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(folder), &::closedir);
    std::uint64_t count = 0;
    while (opened) {
        const dirent* entry = ::readdir(opened.get());
        if (entry == nullptr)
            break;
        if (entry->d_name[0] != '.')
            ++count;
    }
    return count;
}

Duration since_zero(const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

} // namespace

ProcessCost process_cost() {
    ProcessCost cost;
    std::uint64_t total_pages = 0, resident_pages = 0;
    if (std::ifstream("/proc/self/statm") >> total_pages >> resident_pages)
        cost.resident_bytes = resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const std::uint64_t descriptors = count_entries("/proc/self/fd");
    cost.open_descriptors = descriptors == 0 ? 0 : descriptors - 1; // one was the listing's own
    cost.threads = count_entries("/proc/self/task");
    rusage usage{};
    if (::getrusage(RUSAGE_SELF, &usage) == 0)
        cost.cpu = since_zero(usage.ru_utime) + since_zero(usage.ru_stime);
    return cost;
}

void release_startup_pages() noexcept {
    const auto release = [](dl_phdr_info* object, std::size_t, void*) {
        const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
        for (int i = 0; i < object->dlpi_phnum; ++i) {
            const auto& part = object->dlpi_phdr[i];
            // Never one that is written to, at a relocation either: those pages are in no file. Of the others
            // only whole pages, which are nobody else's.
            if (part.p_type != PT_LOAD || (part.p_flags & PF_W) != 0)
                continue;
            const std::uintptr_t begin = (object->dlpi_addr + part.p_vaddr + page - 1) & ~(page - 1);
            const std::uintptr_t end = (object->dlpi_addr + part.p_vaddr + part.p_memsz) & ~(page - 1);
            if (begin < end) // an address of the linker, not of an object of ours
                ::madvise(
                    reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED
                ); // NOLINT(performance-no-int-to-ptr)
        }
        return 0;
    };
    dl_iterate_phdr(release, nullptr);
}

void register_process_metrics(Metrics& metrics) {
    metrics.gauge_from("brim_process_resident_bytes", "Memory of the process in RAM.", [] {
        return static_cast<double>(process_cost().resident_bytes);
    });
    metrics.gauge_from("brim_process_open_descriptors", "Open file descriptors.", [] {
        return static_cast<double>(process_cost().open_descriptors);
    });
    metrics.gauge_from("brim_process_cpu_seconds", "User and system time used since the start.", [] {
        return std::chrono::duration<double>(process_cost().cpu).count();
    });
    metrics.gauge_from("brim_process_threads", "Threads.", [] {
        return static_cast<double>(process_cost().threads);
    });
}

std::uint64_t raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
}

Result<void> notify_supervisor(std::string_view state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    if (path == nullptr || path[0] == '\0')
        return {};
    auto address = unix_address(path);
    if (!address)
        return fail(std::move(address).error());
    sockaddr_un raw{};
    std::memcpy(&raw, &address->storage, sizeof raw);
    socklen_t size = address->size;
    if (path[0] == '@') { // an abstract name: no file, its length is the address's length
        raw.sun_path[0] = '\0';
        size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    }
    const Descriptor fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd)
        return fail(errno_error("service supervisor", errno));
    // Not waiting: a supervisor that does not read must not stop us.
    const ssize_t sent = ::sendto(
        fd.value(),
        state.data(),
        state.size(),
        MSG_NOSIGNAL | MSG_DONTWAIT,
        reinterpret_cast<const sockaddr*>(&raw),
        size
    );
    if (sent != static_cast<ssize_t>(state.size()))
        return fail(errno_error(std::string("service supervisor at ") + path, errno));
    return {};
}

Duration watchdog_interval() {
    const char* microseconds = std::getenv("WATCHDOG_USEC");
    if (microseconds == nullptr)
        return Duration::zero();
    const char* pid = std::getenv("WATCHDOG_PID");
    if (pid != nullptr && std::strtoll(pid, nullptr, 10) != ::getpid())
        return Duration::zero();
    return std::chrono::microseconds(std::strtoll(microseconds, nullptr, 10) / 2);
}

void Supervised::ready() {
    release_.start(start_is_over, [] { release_startup_pages(); });
    tell("READY=1");
    feed();
}

void Supervised::tell(std::string_view state) {
    if (const auto told = notify_supervisor(state); !told)
        log_.warn("program", "the service supervisor cannot be told", {{"cause", told.error().text()}});
}

void Supervised::feed() {
    const Duration every = watchdog_interval();
    if (every == Duration::zero())
        return;
    watchdog_.start(every, [this] {
        tell("WATCHDOG=1");
        feed();
    });
}

} // namespace brim::io
