#include "io/sim/sim_env.h"

#include "io/sim/sim_worker.h"
#include "io/sim/sim_world.h"

namespace brim::io {

SimEnv::SimEnv(SimMachine& machine, std::string process, unsigned pid)
    : machine_(machine), process_(std::move(process)), pid_(pid), lane_(machine.world().new_lane()),
      random_(machine.world().random().u64()), loop_(*this), net_(*this), disk_(*this),
      log_(
          loop_.clock(),
          Log::Options{.fd = machine.world().log_fd(), .level = LogLevel::debug, .lines_per_second_max = 1000}
      ) {}

SimEnv::~SimEnv() = default;

std::unique_ptr<Worker> SimEnv::make_worker(std::string_view name) {
    return std::make_unique<SimWorker>(*this, std::string(name));
}

void SimEnv::die() {
    alive_ = false;
    machine_.disk().release_locks(lane_);
    loop_.clear();
}

} // namespace brim::io
