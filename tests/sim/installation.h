#pragma once
// A whole simulated installation: one hub, edges with their drivers, devices that talk to the hub themselves,
// a console that sets properties, and the network between them.

#include "sim/edge_node.h"
#include "sim/history_recorder.h"
#include "sim/hub_node.h"

#include <memory>
#include <string>
#include <vector>

namespace brim::sim {

struct InstallationOptions {
    std::uint64_t seed = 1;
    std::size_t edges = 1;
    std::size_t drivers_per_edge = 1;
    std::size_t devices_per_driver = 2;
    std::size_t direct_devices = 1;
    Duration report_every = std::chrono::milliseconds(200); ///< of each driver and direct device
    Duration set_every = std::chrono::seconds(3);           ///< of the console; zero = never
    std::uint64_t buffer_bytes_max = 16'777'216;            ///< of each edge
    std::chrono::seconds keepalive{30};
    std::uint16_t inflight = 128;
    double replay_rate = 0;
    io::SimLink link{};         ///< between all machines
    bool bound_by_edge = false; ///< the edges bind their devices themselves
};

class Installation {
public:
    explicit Installation(InstallationOptions options);
    ~Installation();
    Installation(const Installation&) = delete;
    Installation& operator=(const Installation&) = delete;

    /// Registers everything on a healthy hub, then starts the rest.
    void set_up();

    io::SimWorld& world() { return world_; }

    HistoryRecorder& recorder() { return recorder_; }

    HubNode& hub() { return *hub_; }

    EdgeNode& edge(std::size_t number) { return *edges_[number]; }

    std::size_t edge_count() const { return edges_.size(); }

    std::size_t direct_count() const { return direct_.size(); }

    static std::string direct_machine(std::size_t number) { return "device-" + std::to_string(number); }

    void kill_direct(std::size_t number);
    /// Of all devices; unless busy, the console asks for nothing new.
    void set_mood(Mood mood);
    /// No more faults: everything heals, what is down is started.
    void heal();

    /// Empty when all are connected, nothing is held anywhere and every set is settled; else the first that
    /// is not.
    std::string unsettled();
    /// Runs until unsettled() is empty.
    bool settle(Duration at_most);

    const std::vector<thing::DeviceKey>& devices() const { return devices_; }

    /// The value a device has applied last; -1: none.
    std::int64_t applied(const thing::DeviceKey& device) const;

    std::vector<std::string> machines() const;

    const InstallationOptions& options() const { return options_; }

private:
    struct Direct {
        DeviceIdentity identity;
        std::unique_ptr<Speaker> speaker;
        std::map<std::string, std::int64_t> targets;
        Mono due{};
    };

    void watch();
    void ask();
    void start_direct(std::size_t number);
    std::string unsettled_set();

    InstallationOptions options_;
    io::SimWorld world_;
    HistoryRecorder recorder_;
    std::unique_ptr<HubNode> hub_;
    std::vector<std::unique_ptr<EdgeNode>> edges_;
    std::vector<std::unique_ptr<Direct>> direct_;
    std::vector<thing::DeviceKey> devices_; ///< all sensors, the edges' first
    Mood mood_ = Mood::busy;
};

} // namespace brim::sim
