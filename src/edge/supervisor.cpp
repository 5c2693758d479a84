#include "edge/supervisor.h"

#include "io/child.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace brim::edge {

std::string_view driver_state_name(DriverState state) noexcept {
    switch (state) {
    case DriverState::stopped:
        return "stopped";
    case DriverState::running:
        return "running";
    case DriverState::waiting:
        return "waiting";
    case DriverState::parked:
        return "parked";
    }
    return "unknown";
}

struct Supervisor::Driver {
    explicit Driver(io::Loop& loop) : retry(loop) {}

    DriverSettings settings;
    DriverState state = DriverState::stopped;
    std::unique_ptr<io::Child> child;
    io::Timer retry;
    std::deque<Mono> crashes; ///< within the window
    Mono started{};
    unsigned attempt = 0;
    std::uint64_t restarts = 0;
    std::string reason;
    bool leaving = false;    ///< removed: not started again
    bool restarting = false; ///< stopped by us because its settings changed
};

Supervisor::Supervisor(
    io::Env& env, io::Processes& processes, SupervisorEvents& events, SupervisorOptions options
)
    : env_(env), processes_(processes), events_(events), options_(std::move(options)) {}

Supervisor::~Supervisor() = default;

void Supervisor::put(const DriverSettings& settings) {
    auto& slot = drivers_[settings.name];
    if (!slot)
        slot = std::make_unique<Driver>(env_.loop());
    Driver& driver = *slot;
    const bool same = driver.settings.program == settings.program && driver.settings.args == settings.args &&
                      driver.settings.memory_max == settings.memory_max;
    driver.settings = settings;
    if (driver.child) {
        if (same)
            return;
        driver.restarting = true;
        driver.child->terminate(options_.stop_wait);
        return;
    }
    driver.crashes.clear();
    driver.attempt = 0;
    driver.retry.stop();
    start(driver);
}

void Supervisor::remove(const std::string& name) {
    auto node = drivers_.extract(name);
    if (node.empty())
        return;
    Driver& driver = *node.mapped();
    driver.leaving = true;
    driver.retry.stop();
    if (!driver.child)
        return;
    leaving_.push_back(std::move(node.mapped()));
    driver.child->terminate(options_.stop_wait);
}

void Supervisor::start(Driver& driver) {
    if (stopping_ || driver.leaving)
        return;
    const std::string& name = driver.settings.name;
    const Secret token(env_.random().hex(32));
    io::ChildSpec spec;
    spec.name = "driver-" + name;
    spec.program = driver.settings.program;
    spec.arguments = driver.settings.args;
    spec.memory_bytes_max = driver.settings.memory_max;
    spec.environment = {
        "BRIM_BUS=" + options_.bus_path,
        "BRIM_BUS_TOKEN=" + token.reveal(),
        "BRIM_DRIVER=" + name,
        "FUNCTION_ID=" + name,
        "FUNCTION_NAME=" + name,
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "LANG=C.UTF-8",
    };
    io::ChildEvents events;
    events.on_line = [this, name](io::ChildEvents::Output from, std::string_view line, bool cut) {
        const auto level = from == io::ChildEvents::Output::err ? LogLevel::warn : LogLevel::info;
        env_.log().write(
            level, "driver", "output", {{"driver", name}, {"line", line}, {"cut", cut ? "yes" : "no"}}
        );
    };
    events.on_exit = [this, &driver](const io::ChildExit& exit) { ended(driver, exit.text); };
    driver.started = env_.loop().now();
    events_.on_driver_starting(name, token);
    auto child = processes_.start(spec, std::move(events));
    if (!child) {
        ended(driver, child.error().text());
        return;
    }
    driver.child = std::move(*child);
    driver.state = DriverState::running;
    env_.log().info("driver", "started", {{"driver", name}, {"pid", driver.child->pid()}});
}

void Supervisor::ended(Driver& driver, std::string how) {
    driver.child.reset();
    driver.reason = how;
    driver.state = DriverState::stopped;
    events_.on_driver_ended(driver.settings.name);
    if (driver.leaving) {
        std::erase_if(leaving_, [&](const auto& old) { return old.get() == &driver; });
        finish_stop();
        return;
    }
    if (stopping_) {
        finish_stop();
        return;
    }
    const Mono now = env_.loop().now();
    if (std::exchange(driver.restarting, false)) {
        start(driver);
        return;
    }
    // A driver is meant to run for ever: exit 0 is an end like any other.
    if (now - driver.started >= options_.healthy_after)
        driver.attempt = 0;
    driver.crashes.push_back(now);
    while (now - driver.crashes.front() > options_.crash_window)
        driver.crashes.pop_front();
    if (driver.crashes.size() >= options_.crashes_max) {
        driver.state = DriverState::parked;
        driver.reason = how + "; ended " + std::to_string(driver.crashes.size()) + " times in a short while";
        env_.log().error(
            "driver",
            "parked",
            {{"driver", driver.settings.name},
             {"reason", driver.reason},
             {"fix", "correct the driver or its configuration, then reload (SIGHUP)"}}
        );
        return;
    }
    const auto doubled = options_.restart_min * (1LL << std::min(driver.attempt, 20U));
    const auto ceiling = std::min<std::chrono::milliseconds>(options_.restart_max, doubled);
    const auto wait = std::max<std::chrono::milliseconds>(
        options_.restart_min / 10,
        std::chrono::milliseconds(env_.random().below(static_cast<std::uint64_t>(ceiling.count()) + 1))
    );
    ++driver.attempt;
    ++driver.restarts;
    driver.state = DriverState::waiting;
    env_.log().warn(
        "driver", "ended", {{"driver", driver.settings.name}, {"how", how}, {"restart_ms", wait.count()}}
    );
    driver.retry.start(wait, [this, &driver] { start(driver); });
}

void Supervisor::stop(std::move_only_function<void()> done) {
    stopping_ = true;
    stopped_ = std::move(done);
    for (auto& [name, driver] : drivers_) {
        driver->retry.stop();
        if (driver->child)
            driver->child->terminate(options_.stop_wait);
    }
    finish_stop();
}

void Supervisor::finish_stop() {
    if (!stopping_ || !stopped_ || !leaving_.empty())
        return;
    for (const auto& [name, driver] : drivers_) {
        if (driver->child)
            return;
    }
    env_.loop().post(std::exchange(stopped_, nullptr));
}

std::vector<DriverView> Supervisor::view() const {
    std::vector<DriverView> out;
    for (const auto& [name, driver] : drivers_) {
        out.push_back(
            {name, driver->state, driver->child ? driver->child->pid() : 0, driver->restarts, driver->reason}
        );
    }
    return out;
}

bool Supervisor::owns(const std::string& name, std::int64_t pid) const {
    const auto found = drivers_.find(name);
    if (found == drivers_.end() || !found->second->child)
        return false;
    // Each child leads a session of its own (io/child.h), which all it starts belongs to. Not I/O: a question
    // about a pid.
    const std::int64_t leader = found->second->child->pid();
    return pid == leader || ::getsid(static_cast<pid_t>(pid)) == static_cast<pid_t>(leader);
}

} // namespace brim::edge
