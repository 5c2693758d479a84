#pragma once
// Processes of this machine: fork and exec, pidfd, pipes, cgroups v2 or v1 where they can be written, else
// rlimits.

#include "io/child.h"
#include "io/epoll_loop.h"

#include <memory>
#include <unordered_map>

namespace brim::io {

class MachineChild;
struct CgroupRoot;

class MachineProcesses final : public Processes {
public:
    MachineProcesses(EpollLoop& loop, Log& log);
    /// Waits up to 1 s for killed children, then leaves them to the system.
    ~MachineProcesses() override;

    Result<std::unique_ptr<Child>> start(const ChildSpec& spec, ChildEvents events) override;
    /// Killed children of destroyed objects that the kernel has not ended yet.
    std::size_t dying() const noexcept;

private:
    friend class MachineChild;
    class Dying;

    EpollLoop& loop_;
    Log& log_;
    std::unique_ptr<CgroupRoot> cgroups_;
    std::unordered_map<Dying*, std::unique_ptr<Dying>> dying_;
    std::uint64_t started_ = 0;
};

} // namespace brim::io
