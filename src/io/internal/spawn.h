#pragma once
// fork and exec of one guest, with everything prepared before the fork: after it only system calls are made.

#include "io/child.h"
#include "io/internal/cgroup.h"
#include "io/internal/descriptor.h"

namespace brim::io {

struct Spawned {
    std::int64_t pid = -1;
    Descriptor pidfd;
    Descriptor out, err; ///< read ends, non-blocking
};

/// Errors name the step: folder, user, limit or exec. The caller reaps the process.
Result<Spawned> spawn(const ChildSpec& spec, const Cgroup& cgroup);

} // namespace brim::io
