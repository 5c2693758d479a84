#pragma once
// One simulated machine: a disk, two clocks and the processes that run on it.

#include "base/time.h"
#include "io/env.h"
#include "io/sim/sim_disk.h"

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace brim::io {

class SimEnv;
class SimWorld;

/// Made by SimWorld::machine(). Each process on it has its own Env (loop, random, log, metrics); they share
/// the disk, the clocks and the network address.
class SimMachine {
public:
    SimMachine(SimWorld& world, std::string name, unsigned number);
    ~SimMachine();
    SimMachine(const SimMachine&) = delete;
    SimMachine& operator=(const SimMachine&) = delete;

    const std::string& name() const noexcept { return name_; }

    /// "10.1.0.N", what peers see.
    const std::string& address() const noexcept { return address_; }

    /// The running process' Env; starts the process (and powers the machine on) when it is not running.
    Env& env(const std::string& process = "main");
    bool running(const std::string& process = "main") const;

    bool powered() const noexcept { return powered_; }

    /// kill -9: what is scheduled for the process is dropped, its sockets are closed by the kernel, the page
    /// cache survives. The caller destroys the program's objects afterwards.
    void crash(const std::string& process = "main");
    void crash_all();
    /// All processes die, un-synced bytes are settled by `mode`, the monotonic clock starts again, peers hear
    /// nothing.
    void power_cut(CutMode mode = CutMode::random);
    /// crash() when running, then env(): a fresh Env on the same disk.
    Env& restart(const std::string& process = "main");

    SimDisk& disk() { return disk_; }

    /// Somebody sets the clock: wall time jumps, the monotonic clock does not.
    void jump_wall(std::chrono::milliseconds by) { wall_offset_ += by; }

    void set_wall(WallTime time);
    WallTime wall() const;
    /// Since this machine's last boot.
    Mono mono() const;
    /// The machine does nothing for a while (suspend, a stuck hypervisor); its peers go on.
    void freeze(Duration span);

    /// What programs on it see of their memory; at first that there is no limit.
    void set_memory(MemoryUse use) { memory_ = std::move(use); }

    const MemoryUse& memory() const noexcept { return memory_; }

    /// For the simulator's own parts.
    Mono frozen_until() const noexcept { return frozen_until_; }

    SimWorld& world() const noexcept { return world_; }

    /// The disk met its planned power cut: processes are dead at once, the rest follows in an event of its
    /// own.
    void lose_power_now();

    unsigned epoch() const noexcept { return boots_; }

private:
    void stop(SimEnv& env, bool silent);

    SimWorld& world_;
    std::string name_;
    std::string address_;
    SimDisk disk_;
    std::chrono::milliseconds wall_offset_{0};
    Mono booted_at_{};
    Mono frozen_until_{};
    MemoryUse memory_;
    bool powered_ = true;
    unsigned boots_ = 1;
    unsigned processes_started_ = 0;
    std::map<std::string, SimEnv*> running_;
    std::vector<std::unique_ptr<SimEnv>> all_; ///< dead ones too: their programs may still hold references
};

} // namespace brim::io
