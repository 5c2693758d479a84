#include "io/real_env.h"

#include "io/thread_worker.h"

namespace brim::io {

std::unique_ptr<Worker> RealEnv::make_worker(std::string_view name) {
    return std::make_unique<ThreadWorker>(loop_, log_, name);
}

} // namespace brim::io
