#include "io/machine_processes.h"

#include "io/internal/cgroup.h"
#include "io/internal/line_splitter.h"
#include "io/internal/spawn.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <thread>

namespace brim::io {

namespace {

constexpr Duration bury_interval = 20ms;
constexpr Duration farewell_wait_max = 1s;

void kill_everything(std::int64_t pid, const Cgroup& cgroup) {
    // The session's leader is also its group's; as long as it is not reaped the number cannot be anybody
    // else's.
    ::kill(-static_cast<pid_t>(pid), SIGKILL);
    cgroup.kill_all();
}

std::string exit_text(const ChildExit& exit) {
    if (exit.signal == 0)
        return "exit status " + std::to_string(exit.status);
    const char* name = ::sigdescr_np(exit.signal);
    return "killed by signal " + std::to_string(exit.signal) + " (" +
           (exit.memory_limit ? "memory limit" : (name != nullptr ? name : "unknown")) + ")";
}

Result<void> check(const ChildSpec& spec) {
    constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    const bool named = !spec.name.empty() && spec.name.size() <= 64 && spec.name.front() != '.' &&
                       spec.name.find_first_not_of(allowed) == std::string::npos;
    if (!named)
        return fail(
            Errc::invalid,
            "process \"" + spec.name + "\"",
            "the name is not 1 to 64 letters, digits, '-', '_' or '.'",
            "rename it"
        );
    const auto has_zero = [](const std::string& text) { return text.find('\0') != std::string::npos; };
    bool zero = has_zero(spec.program) || has_zero(spec.working_folder);
    for (const auto& text : spec.arguments)
        zero = zero || has_zero(text);
    for (const auto& text : spec.environment)
        zero = zero || has_zero(text) || text.find('=') == std::string::npos;
    if (zero)
        return fail(
            Errc::invalid,
            "process \"" + spec.name + "\"",
            "an argument or variable holds a zero byte or lacks '='",
            ""
        );
    return {};
}

} // namespace

std::string_view limit_kind_name(LimitKind kind) noexcept {
    switch (kind) {
    case LimitKind::none:
        return "none";
    case LimitKind::cgroup_v2:
        return "cgroup-v2";
    case LimitKind::cgroup_v1:
        return "cgroup-v1";
    case LimitKind::rlimit:
        return "rlimit";
    }
    return "none";
}

/// A killed process (or only its group) whose object is gone, until the kernel has let go of it.
class MachineProcesses::Dying {
public:
    Dying(MachineProcesses& owner, Descriptor pidfd, Cgroup cgroup)
        : owner_(owner), pidfd_(std::move(pidfd)), cgroup_(std::move(cgroup)), timer_(owner.loop_) {}

    bool over() {
        siginfo_t info{};
        if (pidfd_) {
            const int waited = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.value()), &info, WEXITED | WNOHANG);
            if (waited == 0 && info.si_pid == 0)
                return false;
            pidfd_.reset();
        }
        cgroup_.kill_all(); // a fork may have slipped through the first round
        return cgroup_.remove();
    }

    void watch() {
        timer_.start(bury_interval, [this] {
            if (over())
                owner_.dying_.erase(this);
            else
                watch();
        });
    }

private:
    MachineProcesses& owner_;
    Descriptor pidfd_;
    Cgroup cgroup_;
    Timer timer_;
};

class MachineChild final : public Child {
public:
    MachineChild(MachineProcesses& owner, Spawned spawned, Cgroup cgroup, LimitKind kind, ChildEvents events)
        : owner_(owner), pid_(spawned.pid), pidfd_(std::move(spawned.pidfd)), cgroup_(std::move(cgroup)),
          kind_(kind), events_(std::move(events)), grace_(owner.loop_),
          out_(*this, ChildEvents::Output::out, std::move(spawned.out)),
          err_(*this, ChildEvents::Output::err, std::move(spawned.err)), end_(*this) {}

    ~MachineChild() override {
        if (gone_ != nullptr)
            *gone_ = true;
        end_.stop();
        if (pidfd_)
            kill_everything(pid_, cgroup_);
        hand_over();
    }

    Result<void> begin() {
        for (Pipe* pipe : {&out_, &err_})
            BRIM_TRY(pipe->begin());
        return end_.begin();
    }

    std::int64_t pid() const override { return pid_; }

    LimitKind limit_kind() const override { return kind_; }

    bool running() const override { return static_cast<bool>(pidfd_); }

    bool signal(int number) override { return running() && ::kill(-static_cast<pid_t>(pid_), number) == 0; }

    std::int64_t memory_bytes() const override { return running() ? cgroup_.memory_bytes() : -1; }

    void terminate(Duration grace) override {
        if (!signal(SIGTERM))
            return;
        grace_.start(grace, [this] {
            if (running())
                kill_everything(pid_, cgroup_);
        });
    }

private:
    struct Pipe final : Watcher {
        Pipe(MachineChild& owner, ChildEvents::Output which, Descriptor end)
            : child(owner), from(which), fd(std::move(end)), lines(ChildLimits::line_bytes_max) {}

        ~Pipe() override { stop(); }

        Result<void> begin() {
            auto made = child.owner_.loop_.watch(fd.value(), EPOLLIN, *this);
            if (!made)
                return fail(std::move(made).error());
            watch = *made;
            return {};
        }

        void stop() {
            if (watch != 0)
                child.owner_.loop_.unwatch(std::exchange(watch, 0));
            fd.reset();
        }

        void on_ready(std::uint32_t) override { child.take_output(*this); }

        MachineChild& child;
        ChildEvents::Output from;
        Descriptor fd;
        LineSplitter lines;
        WatchId watch = 0;
    };

    struct End final : Watcher {
        explicit End(MachineChild& owner) : child(owner) {}

        Result<void> begin() {
            auto made = child.owner_.loop_.watch(child.pidfd_.value(), EPOLLIN, *this);
            if (!made)
                return fail(std::move(made).error());
            watch = *made;
            return {};
        }

        void stop() {
            if (watch != 0)
                child.owner_.loop_.unwatch(std::exchange(watch, 0));
        }

        void on_ready(std::uint32_t) override { child.ended(); }

        MachineChild& child;
        WatchId watch = 0;
    };

    enum class Taken : std::uint8_t { some, nothing, gone };

    /// One read's worth of lines. `gone`: a callback destroyed this child.
    Taken take_output(Pipe& pipe) {
        if (!pipe.fd)
            return Taken::nothing;
        std::array<char, ChildLimits::read_bytes_per_turn_max> buffer;
        const ssize_t count = ::read(pipe.fd.value(), buffer.data(), buffer.size());
        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            return Taken::nothing;
        if (count <= 0) {
            pipe.stop(); // closed by the child; it may well run on
            return Taken::nothing;
        }
        ByteView bytes(buffer.data(), static_cast<std::size_t>(count));
        while (auto line = pipe.lines.next(bytes))
            if (!tell(pipe, *line))
                return Taken::gone;
        return Taken::some;
    }

    bool tell(Pipe& pipe, const LineSplitter::Line& line) {
        if (!events_.on_line)
            return true;
        bool gone = false;
        gone_ = &gone;
        events_.on_line(pipe.from, line.text, line.cut);
        if (gone)
            return false;
        gone_ = nullptr;
        return true;
    }

    void ended() {
        end_.stop();
        grace_.stop();
        kill_everything(pid_, cgroup_); // what it left behind goes with it
        siginfo_t info{};
        ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.value()), &info, WEXITED);
        pidfd_.reset();
        ChildExit exit;
        const bool exited = info.si_code == CLD_EXITED;
        exit.status = exited ? info.si_status : 0;
        exit.signal = exited ? 0 : info.si_status;
        exit.memory_limit = cgroup_.memory_limit_hit();
        exit.text = exit_text(exit);
        if (exited && exit.memory_limit)
            exit.text += " (a process of it was killed by the memory limit)";
        // A pipe holds 64 KiB; a writer that survived must not hold us here.
        for (Pipe* pipe : {&out_, &err_}) {
            Taken taken = Taken::some;
            for (int i = 0; i < 8 && taken == Taken::some; ++i)
                taken = take_output(*pipe);
            if (taken == Taken::gone)
                return;
            if (const auto rest = pipe->lines.rest(); rest && !tell(*pipe, *rest))
                return;
            pipe->stop();
        }
        hand_over();
        if (events_.on_exit) {
            const auto on_exit = std::move(events_.on_exit);
            on_exit(exit); // may destroy this child
        }
    }

    void hand_over() {
        if (!pidfd_ && (!cgroup_.exists() || cgroup_.remove()))
            return;
        auto dying = std::make_unique<MachineProcesses::Dying>(
            owner_, std::move(pidfd_), std::exchange(cgroup_, Cgroup())
        );
        if (dying->over())
            return;
        dying->watch();
        auto& key = *dying;
        owner_.dying_.emplace(&key, std::move(dying));
    }

    MachineProcesses& owner_;
    const std::int64_t pid_;
    Descriptor pidfd_;
    Cgroup cgroup_;
    const LimitKind kind_;
    ChildEvents events_;
    Timer grace_;
    Pipe out_;
    Pipe err_;
    End end_;
    bool* gone_ = nullptr;
};

MachineProcesses::MachineProcesses(EpollLoop& loop, Log& log)
    : loop_(loop), log_(log),
      cgroups_(std::make_unique<CgroupRoot>(
          CgroupRoot::find("/sys/fs/cgroup", "/proc/self/cgroup", "brim-" + std::to_string(::getpid()))
      )) {}

MachineProcesses::~MachineProcesses() {
    const Mono deadline = loop_.clock().mono() + farewell_wait_max;
    while (!dying_.empty() && loop_.clock().mono() < deadline) {
        std::erase_if(dying_, [](const auto& entry) { return entry.second->over(); });
        if (!dying_.empty())
            std::this_thread::sleep_for(1ms);
    }
    if (!dying_.empty())
        log_.warn("child", "killed processes have not ended yet", {{"count", dying_.size()}});
    cgroups_->remove();
}

std::size_t MachineProcesses::dying() const noexcept {
    return dying_.size();
}

Result<std::unique_ptr<Child>> MachineProcesses::start(const ChildSpec& spec, ChildEvents events) {
    BRIM_TRY(check(spec));
    // Numbered: the group of an earlier run of this name may still be dying.
    auto cgroup = cgroups_->make(
        spec.name + "." + std::to_string(++started_), spec.memory_bytes_max, spec.processes_max
    );
    if (!cgroup)
        return fail(std::move(cgroup).error());
    auto spawned = spawn(spec, *cgroup);
    if (!spawned) {
        cgroup->remove();
        return fail(std::move(spawned).error());
    }
    const LimitKind kind = spec.memory_bytes_max == 0 ? LimitKind::none : cgroup->kind();
    auto child = std::make_unique<MachineChild>(
        *this, std::move(*spawned), std::move(*cgroup), kind, std::move(events)
    );
    if (auto begun = child->begin(); !begun)
        return fail(std::move(begun).error());
    return child;
}

} // namespace brim::io
