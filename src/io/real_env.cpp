#include "io/real_env.h"

#include "io/thread_worker.h"

#include <malloc.h>

namespace brim::io {

namespace {

/// Left alone, glibc raises both to what was freed once: after one password hash (19 MiB) it would keep that
/// much in a worker's arena for good.
constexpr int mapped_bytes_min = 4 * 1024 * 1024;
constexpr int kept_bytes_max = 2 * 1024 * 1024;

} // namespace

RealEnv::RealEnv(Log& log, Metrics& metrics, unsigned transport_loops)
    : log_(log), metrics_(metrics), loop_(log), net_(loop_, log, &metrics) {
    if (transport_loops != 0)
        spread_ = std::make_unique<SpreadNetwork>(loop_, net_, log, transport_loops);
    ::mallopt(M_MMAP_THRESHOLD, mapped_bytes_min);
    ::mallopt(M_TRIM_THRESHOLD, kept_bytes_max);
}

std::unique_ptr<Worker> RealEnv::make_worker(std::string_view name) {
    return std::make_unique<ThreadWorker>(loop_, log_, name);
}

void RealEnv::release_memory() {
    net_.release_buffers();
    if (spread_)
        spread_->release_buffers();
    ::malloc_trim(0);
}

} // namespace brim::io
