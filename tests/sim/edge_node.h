#pragma once
// brim-edge on its simulated machine with the drivers beside it, and the supervisors that start them again.

#include "edge/edge.h"
#include "sim/sim_device.h"

#include <memory>
#include <string>
#include <vector>

namespace brim::sim {

struct EdgeNodeOptions {
    std::string machine;
    DeviceIdentity gateway;
    std::vector<std::vector<DeviceIdentity>> drivers; ///< devices by driver
    std::vector<thing::DeviceKey> foreign;            ///< devices of other machines
    Duration report_every = std::chrono::milliseconds(200);
    std::uint64_t buffer_bytes_max = 16'777'216;
    std::chrono::seconds keepalive{30};
    std::uint16_t inflight = 128;
    double replay_rate = 0;
};

/// Moved by fate, that is: called outside every machine.
class EdgeNode {
public:
    EdgeNode(io::SimWorld& world, HistoryRecorder& recorder, EdgeNodeOptions options);
    ~EdgeNode();
    EdgeNode(const EdgeNode&) = delete;
    EdgeNode& operator=(const EdgeNode&) = delete;

    bool start();
    /// Writes version `version` of every driver's file, or a settings file that ends in the middle, and does
    /// nothing else.
    void write_drivers(int version);
    void tear_settings();
    /// SIGHUP.
    void reload();
    void kill();
    void kill_driver(std::size_t driver);
    void cut(io::CutMode mode);
    void terminate();
    /// Buries what died with the machine, starts what is due.
    void tick();
    void set_mood(Mood mood);

    edge::Edge* edge() { return edge_.get(); }

    io::SimMachine& machine() { return world_.machine(options_.machine); }

    const EdgeNodeOptions& options() const { return options_; }

    Speaker* driver(std::size_t number) { return drivers_[number].speaker.get(); }

    /// Uplink up, every driver and device there, nothing held.
    bool settled() const;
    /// Why it is not.
    std::string state() const;

    const std::string& last_refusal() const { return last_refusal_; }

    /// What its machines' registers hold; survives everything.
    std::map<std::string, std::int64_t>& targets() { return targets_; }

private:
    struct Driver {
        std::string name;
        std::unique_ptr<Speaker> speaker;
        Mono due{};
    };

    void write_settings();
    Result<void> start_program();
    void bury();
    void start_driver(Driver& driver, std::size_t number);

    io::SimWorld& world_;
    HistoryRecorder& recorder_;
    EdgeNodeOptions options_;
    std::string settings_; ///< the settings file as it should be
    std::unique_ptr<edge::Edge> edge_;
    std::vector<Driver> drivers_;
    std::map<std::string, std::int64_t> targets_;
    Mono due_{};
    std::string last_refusal_;
    Mood mood_ = Mood::busy;
    bool drained_ = false;
};

} // namespace brim::sim
