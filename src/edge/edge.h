#pragma once
// The gateway as one object: everything brim-edge does, on one loop, out of what an Env offers. Runs the same
// on a machine and in the simulator.

#include "edge/alive.h"
#include "edge/bus.h"
#include "edge/driver_config.h"
#include "edge/ledger.h"
#include "edge/secrets.h"
#include "edge/settings.h"
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
    Edge(io::Env& env, io::Processes* processes, EdgeConfig config);
    ~Edge() override;
    Edge(const Edge&) = delete;
    Edge& operator=(const Edge&) = delete;

    /// Opens the stores, the listeners and the uplink. Blocking for the time recovery takes. Errc::busy:
    /// another process holds the data folder. The edge needs neither network nor hub nor a right clock for
    /// it.
    Result<void> start();
    /// Orderly end, at most 10 s: drivers stop, what they reported is synced, the hub gets a DISCONNECT
    /// [F-95].
    void drain(std::move_only_function<void()> done);
    /// New settings: drivers are added, removed, reconfigured and unparked without touching the others. What
    /// needs a restart is named in the log. An error leaves everything as it was.
    Result<void> reload(const EdgeConfig& config);

    /// Lets a driver that somebody else started connect with `token`.
    void admit_driver(const std::string& driver, const Secret& token);
    /// The same driver ended.
    void dismiss_driver(const std::string& driver);

    const EdgeConfig& config() const { return config_; }

    const Devices& devices() const { return devices_; }

    const Twin& twin() const { return twin_; }

    const Ledger& ledger() const { return ledger_; }

    Forwarder& forwarder() { return *forwarder_; }

    const Uplink& uplink() const { return *uplink_; }

    const Bus& bus() const { return *bus_; }

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
    void register_metrics();
    void measure_disk();
    Result<std::vector<DriverConfig>> load_drivers(const EdgeConfig& config);
    void install(DriverConfig config);
    void save_twin();
    void drivers_stopped();
    void finish_drain();

    std::string path(std::string_view name) const { return config_.data_dir + "/" + std::string(name); }

    io::Env& env_;
    io::Processes* processes_;
    EdgeConfig config_;
    std::unique_ptr<io::File> lock_;
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
    std::unique_ptr<Supervisor> supervisor_;
    std::unique_ptr<StatusServer> status_;
    std::map<std::string, std::string> published_; ///< driver -> its configuration on the bus
    io::Timer twin_timer_;
    io::Timer drain_timer_;
    std::move_only_function<void()> drained_;
    Duration disk_sync_{};
    bool draining_ = false;
    bool twin_saving_ = false;
    std::unique_ptr<io::Worker>
        files_; ///< small files are written there; goes first, so that its jobs find all alive
    Lease lease_;
};

} // namespace brim::edge
