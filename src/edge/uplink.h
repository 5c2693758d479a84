#pragma once
// The connection to the hub: one MQTT session in the gateway's name, under which the sub-devices' sessions,
// the stored reports and the hub's requests travel.

#include "edge/downlink.h"
#include "edge/forwarder.h"
#include "edge/hub_clock.h"
#include "edge/sessions.h"
#include "edge/settings.h"
#include "edge/time_floor.h"
#include "io/tls.h"
#include "mqtt/link.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace brim::edge {

/// What others see of it.
struct UplinkState {
    bool up = false;
    Mono since{};
    std::optional<Error> last_error; ///< why it is, or was last, down
    std::chrono::milliseconds retry_in{0};
    std::uint64_t connects = 0;
};

/// Lives on the loop. Wires Link, Forwarder, Sessions and Downlink together; those are owned here but the
/// forwarder, which also serves the bus.
class Uplink final : private mqtt::LinkEvents, public ForwardPort, private SessionPort, private DownlinkPort {
public:
    using ToDriver = std::function<bool(const Device&, const std::string& topic, const std::string& payload)>;

    /// `tls` is null for plain MQTT. set_forwarder() follows before start().
    Uplink(
        io::Env& env,
        const EdgeConfig& config,
        Devices& devices,
        Secrets& secrets,
        TimeFloor& floor,
        io::TlsContext* tls,
        ToDriver to_driver
    );

    void set_forwarder(Forwarder& forwarder) { forwarder_ = &forwarder; }

    /// For the connections made from now on. Only where there was a context before.
    void set_tls(io::TlsContext& tls) { tls_ = &tls; }

    void start();
    /// Says DISCONNECT and stays away.
    void stop();
    /// A device's `online` changed.
    void device_changed(const Device& device);
    void driver_reply(const Device& device, std::string_view topic, std::string_view payload);

    const UplinkState& state() const { return state_; }

    const Sessions& sessions() const { return sessions_; }

    /// Called when secrets were handed out.
    void on_secrets(std::function<void()> changed) { secrets_changed_ = std::move(changed); }

    // ForwardPort
    std::size_t quota() override;
    Result<void> publish(const Message& message, store::Seq seq) override;
    bool gate(std::string_view product_key, std::string_view device_name) override;

    bool doubt(const std::string& device) override { return sessions_.doubt(device); }

private:
    // mqtt::LinkEvents
    mqtt::ClientOptions login() override;
    void on_up(const mqtt::Connack& connack) override;
    void on_down(const Error& why, std::chrono::milliseconds retry_in) override;
    bool on_message(const MessagePtr& message, std::uint16_t packet_id) override;
    void on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) override;
    void on_subscribed(std::string_view filter, mqtt::ReasonCode reason) override;
    // SessionPort
    void request(const std::string& topic, const std::string& payload) override;
    void on_open(const thing::DeviceKey& device) override;
    bool passed(store::Seq mark) override;

    WallTime wall() override { return floor_.now(); }

    // DownlinkPort
    bool to_driver(const Device& device, const std::string& topic, const std::string& payload) override;
    void to_hub(const std::string& topic, const std::string& payload) override;

    void begin_when_settled();
    void ask_time();
    void device_order(const Message& message);

    io::Env& env_;
    UplinkSettings settings_;
    thing::DeviceKey gateway_;
    Secret secret_;
    TimeFloor& floor_;
    io::TlsContext* tls_;
    ToDriver to_driver_;
    Forwarder* forwarder_ = nullptr;
    Sessions sessions_;
    Downlink downlink_;
    mqtt::Link link_;
    UplinkState state_;
    bool forwarding_ = false;
    io::Timer settle_wait_;
    HubClock hub_clock_;
    io::Timer ask_time_;
    std::function<void()> secrets_changed_;
};

} // namespace brim::edge
