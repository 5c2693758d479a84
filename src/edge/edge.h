#pragma once
// The gateway as one object: everything brim-edge does, on one loop, out of what an Env offers. Runs the same
// on a machine and in the simulator.

#include "broker/service.h"
#include "edge/alive.h"
#include "edge/bus.h"
#include "edge/driver_config.h"
#include "edge/ledger.h"
#include "edge/secrets.h"
#include "edge/startup.h"
#include "edge/status.h"
#include "edge/supervisor.h"
#include "edge/time_floor.h"
#include "edge/twin.h"
#include "edge/uplink.h"
#include "store/log.h"

#include <memory>
#include <set>
#include <string>

namespace brim::edge {

/// Life: made -> start() -> ... -> drain() -> destroyed. Loop thread only.
class Edge final : private BusEvents, private SupervisorEvents {
public:
    /// `processes` is null where nothing can be started (simulator): then drivers come by admit_driver().
    /// The lock in `startup` is of this env's disk.
    Edge(io::Env& env, io::Processes* processes, Startup startup);
    ~Edge() override;
    Edge(const Edge&) = delete;
    Edge& operator=(const Edge&) = delete;

    /// Opens the stores, the listeners and the uplink. Blocking for the time recovery takes. The edge needs
    /// neither network nor hub nor a right clock for it.
    Result<void> start();
    /// Orderly end, at most 10 s: drivers stop, what they reported is synced, the hub gets a DISCONNECT
    /// [F-95].
    void drain(std::move_only_function<void()> done);
    /// Reads and checks the files again, keeps them when they are good (both on a worker), and then takes
    /// them into effect as a whole: drivers are added, removed, reconfigured and unparked without touching
    /// the others. When something in them can only change at a start, nothing changes before that. After an
    /// error everything stays as it was. How it went is in the log and in config_state().
    void reload(const ConfigSource& source);

    /// A reload is under way.
    bool reloading() const { return reloading_; }

    const ConfigState& config_state() const { return config_state_; }

    /// Lets a driver that somebody else started connect with `token`.
    void admit_driver(const std::string& driver, const Secret& token);
    /// The same driver ended.
    void dismiss_driver(const std::string& driver);

    const EdgeConfig& config() const { return config_; }

    const Devices& devices() const { return devices_; }

    /// What each driver is told [bus-2]; empty for one that is no longer listed.
    const std::map<std::string, std::string>& published() const { return published_; }

    const Twin& twin() const { return twin_; }

    const Ledger& ledger() const { return ledger_; }

    Forwarder& forwarder() { return *forwarder_; }

    const Uplink& uplink() const { return *uplink_; }

    const Bus& bus() const { return *bus_; }

    const broker::Service* broker() const { return broker_.get(); }

    const Supervisor* supervisor() const { return supervisor_.get(); }

    const TimeFloor& clock_floor() const { return floor_; }

    store::LogStats log_stats() const { return log_->stats(); }

    /// What times of this edge are measured from, such as UplinkState::since.
    Mono now() const { return env_.loop().now(); }

    /// Median of three small synced writes at start.
    Duration disk_sync_time() const { return disk_sync_; }

    bool draining() const { return draining_; }

    static constexpr std::chrono::seconds drain_max{9
    }; ///< then what is not finished is left; it is safe on disk
    static constexpr std::chrono::seconds twin_save_every{30};

private:
    // BusEvents
    void on_device(const Device& device) override;
    void on_reply(const Device& device, std::string_view topic, std::string_view payload) override;
    void on_driver(const std::string& name, bool connected) override;

    WallTime wall() override { return floor_.now(); }

    // SupervisorEvents
    void on_driver_starting(const std::string& driver, const Secret& token) override;
    void on_driver_ended(const std::string& driver) override;

    Result<void> open_store();
    Result<void> open_tls();
    Result<void> open_bus();
    void open_broker();
    void register_metrics();
    void measure_disk();
    struct Reload;
    void read_files(Reload& job);
    void reloaded(Reload& job);
    void take_effect(Configuration fresh);
    void trust(const Configuration& fresh);
    void install(DriverConfig config);
    void tell_config();
    void save_twin();
    void drivers_stopped();
    void finish_drain();

    std::string path(std::string_view name) const { return config_.data_dir + "/" + std::string(name); }

    io::Env& env_;
    io::Processes* processes_;
    std::unique_ptr<io::File> lock_;
    Configuration starting_; ///< what start() takes apart; without drivers and texts afterwards
    EdgeConfig config_;
    ConfigState config_state_;
    std::vector<Error> notes_;
    AppliedFile applied_; ///< used on files_
    TimeFloor floor_;
    Devices devices_;
    Secrets secrets_;
    Ledger ledger_;
    Twin twin_;
    std::unique_ptr<io::TlsContext> tls_;
    std::unique_ptr<store::Log> log_;
    std::unique_ptr<Uplink> uplink_;
    std::unique_ptr<Forwarder> forwarder_;
    std::unique_ptr<Bus> bus_;
    std::unique_ptr<broker::Service> broker_; ///< null without a listener, or when it could not be opened
    std::unique_ptr<Supervisor> supervisor_;
    std::unique_ptr<StatusServer> status_;
    std::map<std::string, std::string> published_; ///< driver -> its configuration on the bus
    io::Timer twin_timer_;
    io::Timer drain_timer_;
    std::move_only_function<void()> drained_;
    Duration disk_sync_{};
    bool draining_ = false;
    bool twin_saving_ = false;
    bool reloading_ = false;
    std::optional<ConfigSource> reload_again_; ///< asked for while one was under way
    Gauge* revision_shown_ = nullptr;          ///< the metric of the revision that runs
    std::unique_ptr<io::Worker>
        files_; ///< small files are written there; goes first, so that its jobs find all alive
    Lease lease_;
};

} // namespace brim::edge
