#pragma once
// Guest processes: drivers and functions. Each runs in a session of its own, cannot gain privileges, dies
// with us, is held to its limits, and is ended with all it started. Loop thread only.

#include "base/error.h"
#include "base/time.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brim::io {

/// What to run. A limit of 0 is "none".
struct ChildSpec {
    std::string name{};    ///< for messages and the cgroup; letters, digits, '-', '_' and '.', at most 64
    std::string program{}; ///< path; PATH is not searched
    std::vector<std::string> arguments{};   ///< after the program's own name
    std::vector<std::string> environment{}; ///< "NAME=value", exactly these: nothing is inherited
    std::string working_folder{};           ///< empty: "/"
    std::int64_t uid = -1;                  ///< -1: ours. A uid without a gid keeps our group, so give both.
    std::int64_t gid = -1;
    std::uint64_t memory_bytes_max = 0;
    std::uint64_t open_files_max = 0;
    std::uint64_t processes_max = 0; ///< with threads; the child itself counts
};

/// How a child ended.
struct ChildExit {
    int status = 0;            ///< of exit(), when signal is 0
    int signal = 0;            ///< that killed it, else 0
    bool memory_limit = false; ///< the kernel killed in its cgroup for memory
    std::string text;          ///< "exit status 3", "killed by signal 9 (memory limit)"

    bool clean() const noexcept { return signal == 0 && status == 0; }
};

/// What holds the memory limit.
enum class LimitKind : std::uint8_t {
    none,      ///< none was asked for
    cgroup_v2, ///< all processes of the child together, by real use
    cgroup_v1, ///< the same
    rlimit,    ///< each process alone, by address space: no cgroup can be written here
};
std::string_view limit_kind_name(LimitKind kind) noexcept;

/// May destroy the child from inside any call.
struct ChildEvents {
    enum class Output : std::uint8_t { out, err };
    /// One line without its end. Longer ones than 4 KiB are cut there and the rest is dropped; `cut` says so.
    /// Bytes are whatever the child wrote: hostile until shown otherwise.
    std::function<void(Output from, std::string_view line, bool cut)> on_line{};
    /// The last call, after the output at hand was delivered.
    std::function<void(const ChildExit& exit)> on_exit{};
};

struct ChildLimits {
    static constexpr std::size_t line_bytes_max = 4'096;
    static constexpr std::size_t read_bytes_per_turn_max =
        16 * 1024; ///< of each pipe: a flood costs us this much
};

/// A running child. Destroying it kills it and all it started; no further call.
class Child {
public:
    virtual ~Child() = default;
    virtual std::int64_t pid() const = 0;
    virtual LimitKind limit_kind() const = 0;
    /// SIGTERM to the whole group now, SIGKILL to what is left after `grace`. on_exit still comes.
    virtual void terminate(Duration grace) = 0;
    /// To the whole group; false when it is gone.
    virtual bool signal(int number) = 0;
    virtual bool running() const = 0;
    /// Bytes the child and all it started use, by its cgroup; -1 when unknown.
    virtual std::int64_t memory_bytes() const = 0;
};

/// Starts children. Outlives them.
class Processes {
public:
    virtual ~Processes() = default;
    /// Errors name the program and the step that failed (folder, user, limit, exec).
    virtual Result<std::unique_ptr<Child>> start(const ChildSpec& spec, ChildEvents events) = 0;
};

} // namespace brim::io
