#pragma once
// Everything a program may ask of the world, in one bundle handed down from main (or from the simulator).

#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "io/disk.h"
#include "io/loop.h"
#include "io/memory_limit.h"
#include "io/net.h"

#include <memory>
#include <string_view>

namespace brim::io {

/// The seams of one program on one loop. Owned by main or the simulator, outlives what it is given to.
class Env {
public:
    virtual ~Env() = default;
    virtual Loop& loop() = 0;
    virtual Network& net() = 0;
    virtual Disk& disk() = 0;
    virtual Random& random() = 0;
    virtual Log& log() = 0;
    virtual Metrics& metrics() = 0;
    /// A new ordered background thread; `name` (at most 15 bytes) is what top(1) shows. At most 4,096 jobs
    /// wait.
    virtual std::unique_ptr<Worker> make_worker(std::string_view name) = 0;

    /// What memory this program may use, and does. Limit 0 where that means nothing (simulator).
    virtual MemoryUse memory() { return {}; }

    /// Gives back to the system what buffers and allocator keep for later. Milliseconds; when memory is
    /// short.
    virtual void release_memory() {}
};

} // namespace brim::io
