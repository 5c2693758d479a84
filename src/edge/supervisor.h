#pragma once
// Keeps the drivers running: each in its own process, restarted with growing waits, parked when it only ever
// crashes.

#include "edge/settings.h"
#include "io/env.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace brim::io {
class Processes;
class Child;
} // namespace brim::io

namespace brim::edge {

enum class DriverState : std::uint8_t { stopped, running, waiting, parked };
std::string_view driver_state_name(DriverState state) noexcept;

/// What the supervisor tells the rest of the edge.
class SupervisorEvents {
public:
    virtual ~SupervisorEvents() = default;
    /// Before each start: this token is the driver's password on the bus until on_driver_ended().
    virtual void on_driver_starting(const std::string& driver, const Secret& token) = 0;
    /// The process and all it started are gone.
    virtual void on_driver_ended(const std::string& driver) = 0;
};

struct SupervisorOptions {
    std::string bus_path{};
    unsigned crashes_max = 10;
    Duration crash_window = std::chrono::minutes{10};
    std::chrono::milliseconds restart_min{1'000};
    std::chrono::milliseconds restart_max{60'000};
    std::chrono::seconds healthy_after{60}; ///< a run that long resets the wait
    std::chrono::seconds stop_wait{5};      ///< between SIGTERM and SIGKILL
};

/// One driver as status shows it.
struct DriverView {
    std::string name;
    DriverState state = DriverState::stopped;
    std::int64_t pid = 0;
    std::uint64_t restarts = 0;
    std::string reason; ///< of the last end; why it is parked
};

/// Lives on the loop. Full jitter between restarts: uniform in [0, doubled wait], at least a tenth of
/// restart_min, so that a driver that dies at once never spins.
class Supervisor {
public:
    Supervisor(io::Env& env, io::Processes& processes, SupervisorEvents& events, SupervisorOptions options);
    ~Supervisor();
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    /// Starts the driver; a running one is restarted when its program, arguments or limits changed. Unparks
    /// it.
    void put(const DriverSettings& settings);
    void remove(const std::string& driver);
    /// Stops all; `done` runs when every process is gone (at most stop_wait, then they are killed).
    void stop(std::move_only_function<void()> done);

    std::vector<DriverView> view() const;
    /// True when `pid` belongs to the driver's process group.
    bool owns(const std::string& driver, std::int64_t pid) const;

private:
    struct Driver;
    void start(Driver& driver);
    void ended(Driver& driver, std::string how);
    void finish_stop();

    io::Env& env_;
    io::Processes& processes_;
    SupervisorEvents& events_;
    SupervisorOptions options_;
    std::map<std::string, std::unique_ptr<Driver>> drivers_;
    std::vector<std::unique_ptr<Driver>> leaving_; ///< removed, their process not gone yet
    std::move_only_function<void()> stopped_;
    bool stopping_ = false;
};

} // namespace brim::edge
