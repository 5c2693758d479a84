#pragma once
// The local bus (docs/spec/bus.md): the MQTT broker drivers connect to over a unix socket, and what each may
// do there.

#include "edge/alive.h"
#include "edge/devices.h"
#include "edge/forwarder.h"
#include "edge/intake.h"
#include "edge/ledger.h"
#include "edge/twin.h"
#include "mqtt/server.h"

#include <functional>
#include <map>
#include <string>

namespace brim::edge {

/// What the bus tells the rest of the edge.
class BusEvents {
public:
    virtual ~BusEvents() = default;
    virtual void on_device(const Device& device) = 0; ///< `online` changed
    /// A driver answered a request: `topic` ends in "_reply".
    virtual void on_reply(const Device& device, std::string_view topic, std::string_view payload) = 0;
    virtual void on_driver(const std::string& name, bool connected) = 0;
    virtual WallTime wall() = 0;
};

/// Lives on the Env's loop; all it is given outlives it. Stop it before the forwarder goes.
class Bus final : public mqtt::Server {
public:
    /// True when this process belongs to the driver's. Asked only when the socket knows its peer.
    using OwnsPid = std::function<bool(std::int64_t pid)>;

    Bus(io::Env& env, BusEvents& events, Devices& devices, Forwarder& forwarder, Twin& twin, Ledger& ledger);

    /// From now on `driver` may connect with `token` (once per start of its process) [bus-1].
    void expect(const std::string& driver, Secret token, OwnsPid owns_pid);
    /// The driver's process ended: its token is worthless, its connection is closed, its devices are offline.
    void revoke(const std::string& driver);
    /// Publishes the driver's configuration, retained [bus-2].
    void configure(const std::string& driver, const std::string& config);
    /// Sends a request to an online device's driver [bus-5]. False when it cannot be handed over.
    bool request(const Device& device, const std::string& topic, const std::string& payload);

    bool connected(const std::string& driver) const { return broker_online(driver); }

    /// Marks a device offline and tells on_device() (its configuration was taken away).
    void take_offline(Device& device);

    static mqtt::BrokerLimits limits();

private:
    struct Guest {
        Secret token;
        OwnsPid owns_pid;
    };

    // mqtt::BrokerHost, policy part
    void on_connect(mqtt::ConnId conn, const mqtt::Connect& connect) override;
    bool authorise(const mqtt::ConnView& who, mqtt::Action action, std::string_view topic) override;
    mqtt::Verdict
    on_publish(const mqtt::ConnView& who, const MessagePtr& message, mqtt::AckToken token) override;
    void on_up(const mqtt::ConnView& who) override;
    void on_down(const mqtt::ConnView& who, mqtt::Ended why) override;
    void on_dropped(std::string_view session_key, std::string_view reason, std::uint64_t count) override;

    bool broker_online(const std::string& driver) const;
    mqtt::Verdict device_action(const std::string& driver, const Message& message);
    mqtt::Verdict report(
        Device& device,
        const thing::DeviceTopic& topic,
        const Message& message,
        mqtt::AckToken token,
        const mqtt::ConnView& who
    );
    mqtt::Verdict
    refuse(mqtt::AckToken token, const Refused& why, const mqtt::ConnView& who, std::string_view topic);
    void answer(const std::string& driver, const Json& id, int code, std::string_view message);

    BusEvents& events_;
    Devices& devices_;
    Forwarder& forwarder_;
    Twin& twin_;
    Ledger& ledger_;
    Intake intake_;
    std::map<std::string, Guest, std::less<>> guests_;
    Lease lease_;
};

} // namespace brim::edge
