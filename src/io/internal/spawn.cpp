#include "io/internal/spawn.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace brim::io {

namespace {

enum class Step : int { pipes, cgroup, limits, user, folder, privileges, exec };

constexpr std::array<const char*, 7> step_causes = {
    "its pipes could not be connected",
    "it could not be put into its control group",
    "its resource limits could not be set",
    "its user or group could not be set",
    "its working folder cannot be entered",
    "its privileges could not be locked",
    "the program could not be started",
};

struct Failure {
    Step step;
    int error;
};

/// All the child needs, made before the fork.
struct Plan {
    std::vector<char*> arguments, environment;
    std::vector<Descriptor> joins;
    Descriptor null, out, err, report;
    pid_t parent = 0;
    bool limit_address_space = false;
    bool limit_processes = false;
};

/// Numbers from 3 on, so that connecting 0, 1 and 2 cannot overwrite one that is still needed.
Descriptor above_standard(int fd) {
    Descriptor original(fd);
    if (fd > 2 || fd < 0)
        return original;
    return Descriptor(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

bool make_pipe(Descriptor& read_end, Descriptor& write_end) {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0)
        return false;
    read_end = above_standard(ends[0]);
    write_end = above_standard(ends[1]);
    return read_end && write_end;
}

bool limit(decltype(RLIMIT_CORE) resource, std::uint64_t value) {
    const rlimit both{.rlim_cur = value, .rlim_max = value};
    return ::setrlimit(resource, &both) == 0;
}

bool set_user(const ChildSpec& spec) {
    if (spec.uid < 0 && spec.gid < 0)
        return true;
    if (::geteuid() == 0 && ::setgroups(0, nullptr) != 0)
        return false;
    if (spec.gid >= 0 &&
        ::setresgid(
            static_cast<gid_t>(spec.gid), static_cast<gid_t>(spec.gid), static_cast<gid_t>(spec.gid)
        ) != 0)
        return false;
    return spec.uid < 0 ||
           ::setresuid(
               static_cast<uid_t>(spec.uid), static_cast<uid_t>(spec.uid), static_cast<uid_t>(spec.uid)
           ) == 0;
}

/// In the child. Only async-signal-safe calls: other threads of the parent may have held any lock.
Step prepare(const ChildSpec& spec, const Plan& plan) {
    ::setsid();
    for (int number = 1; number < NSIG; ++number)
        ::signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (::dup2(plan.null.value(), 0) < 0 || ::dup2(plan.out.value(), 1) < 0 ||
        ::dup2(plan.err.value(), 2) < 0)
        return Step::pipes;
    if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
        return Step::pipes;
    for (const Descriptor& join : plan.joins)
        if (::write(join.value(), "0", 1) != 1)
            return Step::cgroup;
    if (!limit(RLIMIT_CORE, 0))
        return Step::limits;
    if (spec.open_files_max != 0 && !limit(RLIMIT_NOFILE, spec.open_files_max))
        return Step::limits;
    if (plan.limit_address_space && !limit(RLIMIT_AS, spec.memory_bytes_max))
        return Step::limits;
    if (plan.limit_processes && !limit(RLIMIT_NPROC, spec.processes_max))
        return Step::limits;
    if (::chdir(spec.working_folder.empty() ? "/" : spec.working_folder.c_str()) != 0)
        return Step::folder;
    if (!set_user(spec))
        return Step::user;
    // After the user: changing credentials clears the death signal.
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return Step::privileges;
    if (::getppid() != plan.parent)
        ::_exit(127); // the parent died before the signal was set
    ::execve(spec.program.c_str(), plan.arguments.data(), plan.environment.data());
    return Step::exec;
}

Error spawn_error(const ChildSpec& spec, Failure failure) {
    Error error = errno_error("process \"" + spec.name + "\"", failure.error);
    error.cause = std::string(step_causes[static_cast<std::size_t>(failure.step)]) + " (" +
                  (failure.step == Step::folder ? spec.working_folder : spec.program) + "): " + error.cause;
    return error;
}

} // namespace

Result<Spawned> spawn(const ChildSpec& spec, const Cgroup& cgroup) {
    Spawned made;
    Plan plan;
    Descriptor report;
    plan.null = above_standard(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!plan.null || !make_pipe(made.out, plan.out) || !make_pipe(made.err, plan.err) ||
        !make_pipe(report, plan.report))
        return fail(spawn_error(spec, {Step::pipes, errno}));
    ::fcntl(made.out.value(), F_SETFL, O_NONBLOCK);
    ::fcntl(made.err.value(), F_SETFL, O_NONBLOCK);
    plan.arguments.push_back(const_cast<char*>(spec.program.c_str()));
    for (const std::string& argument : spec.arguments)
        plan.arguments.push_back(const_cast<char*>(argument.c_str()));
    plan.arguments.push_back(nullptr);
    for (const std::string& variable : spec.environment)
        plan.environment.push_back(const_cast<char*>(variable.c_str()));
    plan.environment.push_back(nullptr);
    plan.joins = cgroup.open_joins();
    plan.limit_address_space = spec.memory_bytes_max != 0 && cgroup.kind() == LimitKind::rlimit;
    plan.limit_processes = spec.processes_max != 0 && !cgroup.limits_processes();
    plan.parent = ::getpid();

    const pid_t pid = ::fork();
    if (pid < 0)
        return fail(spawn_error(spec, {Step::exec, errno}));
    if (pid == 0) {
        const Step failed_at = prepare(spec, plan);
        const Failure failure{failed_at, errno};
        [[maybe_unused]] const auto told = ::write(plan.report.value(), &failure, sizeof failure);
        ::_exit(127);
    }
    made.pid = pid;
    plan.report.reset();
    Failure failure{};
    ssize_t count = 0;
    do { // ends with exec, which closes the other end
        count = ::read(report.value(), &failure, sizeof failure);
    } while (count < 0 && errno == EINTR);
    if (count == static_cast<ssize_t>(sizeof failure)) {
        ::waitpid(pid, nullptr, 0);
        return fail(spawn_error(spec, failure));
    }
    made.pidfd = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (made.pidfd)
        return made;
    const int error = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return fail(spawn_error(spec, {Step::exec, error}));
}

} // namespace brim::io
