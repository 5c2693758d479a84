#include "io/sim/sim_machine.h"

#include "io/sim/sim_env.h"
#include "io/sim/sim_world.h"

#include <utility>

namespace brim::io {

SimMachine::SimMachine(SimWorld& world, std::string name, unsigned number)
    : world_(world), name_(std::move(name)), address_("10.1.0." + std::to_string(number)),
      disk_(world.random().u64()), booted_at_(world.now()) {
    disk_.on_operation([this](DiskOp op, const std::string& path) {
        world_.note(name_, "disk " + std::string(disk_op_name(op)) + " " + path);
    });
}

SimMachine::~SimMachine() = default;

Env& SimMachine::env(const std::string& process) {
    if (!powered_) {
        powered_ = true;
        booted_at_ = world_.now();
        world_.note(name_, "boot");
        world_.links().machine_booted(*this);
    }
    auto& slot = running_[process];
    if (!slot) {
        ++processes_started_;
        world_.note(name_, "start " + process);
        all_.push_back(std::make_unique<SimEnv>(*this, process, processes_started_));
        slot = all_.back().get();
    }
    return *slot;
}

bool SimMachine::running(const std::string& process) const {
    const auto found = running_.find(process);
    return found != running_.end() && found->second->alive();
}

void SimMachine::stop(SimEnv& env, bool silent) {
    world_.note(name_, "dead " + env.process());
    env.die();
    world_.links().process_died(env, silent);
}

void SimMachine::crash(const std::string& process) {
    const auto found = running_.find(process);
    if (found == running_.end())
        return;
    SimEnv& env = *found->second;
    running_.erase(found);
    stop(env, world_.links().is_silent(name_));
}

void SimMachine::crash_all() {
    while (!running_.empty())
        crash(std::string(running_.begin()->first));
}

void SimMachine::power_cut(CutMode mode) {
    world_.note(name_, "power cut");
    const auto dying = std::exchange(running_, {});
    powered_ = false;
    ++boots_;
    for (const auto& [process, env] : dying)
        stop(*env, true);
    disk_.power_cut(mode);
}

void SimMachine::lose_power_now() {
    for (const auto& [process, env] : running_)
        env->silence();
    world_.schedule(world_.now(), 0, [this, boot = boots_] {
        if (boots_ == boot)
            power_cut();
    });
}

Env& SimMachine::restart(const std::string& process) {
    crash(process);
    return env(process);
}

void SimMachine::set_wall(WallTime time) {
    jump_wall(std::chrono::milliseconds(time.ms - wall().ms));
}

WallTime SimMachine::wall() const {
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::milliseconds>(world_.now().time_since_epoch());
    return WallTime{world_.options().wall.ms + elapsed.count() + wall_offset_.count()};
}

Mono SimMachine::mono() const {
    return Mono{} + (world_.now() - booted_at_);
}

void SimMachine::freeze(Duration span) {
    world_.note(name_, "frozen");
    frozen_until_ = std::max(frozen_until_, world_.now() + span);
}

} // namespace brim::io
