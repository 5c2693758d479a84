#pragma once
// brim-hub on its simulated machine, with the supervisor that starts it again.

#include "hub/hub.h"
#include "sim/history_recorder.h"
#include "sim/sim_device.h"

#include <memory>
#include <string>

namespace brim::sim {

inline constexpr std::string_view hub_machine = "hub";
inline constexpr std::string_view sensor_product = "a1SENSOR";
inline constexpr std::string_view gateway_product = "a1GATE";
extern const std::string_view sensor_tsl;

/// Moved by fate, that is: called outside every machine.
class HubNode {
public:
    HubNode(io::SimWorld& world, HistoryRecorder& recorder);
    ~HubNode();
    HubNode(const HubNode&) = delete;
    HubNode& operator=(const HubNode&) = delete;

    /// Starts the program; when it refuses, tick() tries again.
    bool start();
    void kill();
    void cut(io::CutMode mode);
    /// SIGTERM: drains, ends, and is started again.
    void terminate();
    /// Buries a program whose machine lost power, starts what is due.
    void tick();

    /// Down until start_when() has passed; the default delay of a supervisor otherwise.
    void stay_down(Duration span) { due_ = world_.now() + span; }

    hub::Hub* hub() { return hub_.get(); }

    io::SimMachine& machine() { return world_.machine(std::string(hub_machine)); }

    /// Runs `work` in a turn of the hub's loop. False when the hub is down.
    bool post(io::Work work);

    // Set-up; each runs the world until the change is durable.
    void create_products();
    void create_device(std::string_view product, const DeviceIdentity& device);
    void bind(const thing::DeviceKey& device, const thing::DeviceKey& gateway);

    std::uint64_t starts() const { return starts_; }

    std::uint64_t failed_starts() const { return failed_starts_; }

    const std::string& last_refusal() const { return last_refusal_; }

    bool draining() const { return draining_; }

private:
    void bury();
    void wait_for(const bool& done, std::string_view what);

    io::SimWorld& world_;
    HistoryRecorder& recorder_;
    hub::HubConfig config_;
    io::Env* env_ = nullptr; ///< of the running program; owned by the machine
    std::unique_ptr<hub::Hub> hub_;
    Mono due_{};
    std::uint64_t starts_ = 0;
    std::uint64_t failed_starts_ = 0;
    std::string last_refusal_;
    bool draining_ = false;
    bool drained_ = false;
};

} // namespace brim::sim
