#pragma once
// What this process costs, and what it tells its supervisor.

#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/time.h"
#include "io/loop.h"

#include <cstdint>
#include <string_view>

namespace brim::io {

/// From /proc/self; a figure that cannot be read is 0.
struct ProcessCost {
    std::uint64_t resident_bytes = 0;
    std::uint64_t open_descriptors = 0;
    Duration cpu{}; ///< user and system, of all threads
    std::uint64_t threads = 0;
};

ProcessCost process_cost();

/// Raises the soft limit of open descriptors to the hard one: a service manager's default of 1,024 would end
/// a hub at a thousand clients. Returns the limit in force.
std::uint64_t raise_descriptor_limit() noexcept;

/// Unmaps the read-only pages of the program and its libraries: code that only ran at the start need not stay
/// in RAM. What is used again comes back from the page cache at its next use. Costs some hundred page faults.
void release_startup_pages() noexcept;

/// Registers brim_process_resident_bytes, brim_process_open_descriptors, brim_process_cpu_seconds and
/// brim_process_threads, read when scraped.
void register_process_metrics(Metrics& metrics);

/// Tells the service supervisor "READY=1", "STOPPING=1", "WATCHDOG=1" or "STATUS=..." (sd_notify(3)) by a
/// datagram to $NOTIFY_SOCKET. Nothing happens, without error, when the variable is not set.
Result<void> notify_supervisor(std::string_view state);
/// How often WATCHDOG=1 is due: half of $WATCHDOG_USEC; zero when no watchdog is set or it is for another
/// process.
Duration watchdog_interval();

/// A daemon's side of its service supervisor: says when it is ready and when it stops, and feeds the watchdog
/// in between. Loop thread only.
class Supervised {
public:
    Supervised(Loop& loop, Log& log) : log_(log), watchdog_(loop), release_(loop) {}

    /// Also gives back what only the start needed, start_is_over later.
    void ready();

    void stopping() { tell("STOPPING=1"); }

private:
    static constexpr std::chrono::seconds start_is_over{1};

    void tell(std::string_view state);
    void feed();

    Log& log_;
    Timer watchdog_;
    Timer release_;
};

} // namespace brim::io
