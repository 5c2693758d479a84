#pragma once
// One process on a simulated machine, as its program sees it. Private to sim/; made by SimMachine::env().

#include "io/env.h"
#include "io/sim/sim_disk_view.h"
#include "io/sim/sim_loop.h"
#include "io/sim/sim_machine.h"
#include "io/sim/sim_network.h"

#include <memory>
#include <string>

namespace brim::io {

class SimEnv final : public Env {
public:
    SimEnv(SimMachine& machine, std::string process, unsigned pid);
    ~SimEnv() override;

    Loop& loop() override { return loop_; }

    Network& net() override { return net_; }

    Disk& disk() override { return disk_; }

    Random& random() override { return random_; }

    Log& log() override { return log_; }

    Metrics& metrics() override { return metrics_; }

    std::unique_ptr<Worker> make_worker(std::string_view name) override;

    MemoryUse memory() override { return machine_.memory(); }

    SimLoop& sim_loop() noexcept { return loop_; }

    SimMachine& machine() const noexcept { return machine_; }

    const std::string& process() const noexcept { return process_; }

    unsigned pid() const noexcept { return pid_; }

    std::uint64_t lane() const noexcept { return lane_; }

    bool alive() const noexcept { return alive_; }

    /// From now on nothing this process does has any effect.
    void silence() noexcept { alive_ = false; }

    /// silence(), and drops what its loop still holds.
    void die();

private:
    SimMachine& machine_;
    std::string process_;
    unsigned pid_;
    std::uint64_t lane_;
    bool alive_ = true;
    SeededRandom random_;
    SimLoop loop_;
    SimNetwork net_;
    SimDiskView disk_;
    Log log_;
    Metrics metrics_;
};

} // namespace brim::io
