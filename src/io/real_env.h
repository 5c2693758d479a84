#pragma once
// The machine as an Env: what main gives to a program.

#include "io/env.h"
#include "io/epoll_loop.h"
#include "io/posix_disk.h"
#include "io/socket_network.h"
#include "io/spread_network.h"

#include <memory>

namespace brim::io {

/// `log` and `metrics` outlive it; workers, streams and listeners made from it are destroyed before it.
/// Making one tells the process's allocator to give large blocks back to the system when they are freed.
class RealEnv final : public Env {
public:
    /// With `transport_loops` (up to SpreadLimits::loops_max) accepted connections are on so many further
    /// threads.
    RealEnv(Log& log, Metrics& metrics, unsigned transport_loops = 0);

    EpollLoop& loop() override { return loop_; }

    Network& net() override { return spread_ ? static_cast<Network&>(*spread_) : net_; }

    PosixDisk& disk() override { return disk_; }

    Random& random() override { return random_; }

    Log& log() override { return log_; }

    Metrics& metrics() override { return metrics_; }

    std::unique_ptr<Worker> make_worker(std::string_view name) override;

    MemoryUse memory() override { return memory_use(); }

    void release_memory() override;

private:
    Log& log_;
    Metrics& metrics_;
    EpollLoop loop_;
    SocketNetwork net_;
    std::unique_ptr<SpreadNetwork> spread_; ///< null: all is on one loop
    PosixDisk disk_;
    SystemRandom random_;
};

} // namespace brim::io
