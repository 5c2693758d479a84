#pragma once
// Requests from the hub to a device: property set and service calls, with replies, time limits and desired
// values.

#include "hub/feed.h"
#include "hub/registry.h"

#include <functional>
#include <string>
#include <unordered_map>

namespace brim::hub {

/// Hands a message to a device's connection (its own, or its gateway's when logged in there). Implemented by
/// Access.
class DeviceChannel {
public:
    virtual ~DeviceChannel() = default;
    /// False when the device is not online.
    virtual bool send(Device& device, const std::string& topic, std::string payload, std::uint8_t qos) = 0;
};

struct ServiceResult {
    int code = 0; ///< the device's
    std::string message;
    Json output;
};

struct DownlinkLimits {
    std::size_t calls_max = 10'000; ///< waiting for a reply, all devices
    std::size_t calls_per_device_max = 64;
    std::chrono::milliseconds set_wait{10'000
    }; ///< for the reply to a property set; the desired value stays pending
    std::chrono::milliseconds offline_wait{5'000
    }; ///< until a set is sent again that the gateway of a logged-in device answered with "offline"
};

class Downlink {
public:
    Downlink(
        io::Env& env, Registry& registry, DeviceChannel& channel, Feed& feed, DownlinkLimits limits = {}
    );
    ~Downlink();

    /// Validates every value against the model (all or nothing: Errc::invalid names each), stores them as
    /// desired, and sends them now when the device is online. `done` gets true when sent.
    void set_properties(Device& device, const Json& values, std::move_only_function<void(Result<bool>)> done);
    /// Errc::not_found (no such service), invalid (input), unavailable (device offline), timeout, busy.
    void call_service(
        Device& device,
        std::string_view service,
        const Json& input,
        std::chrono::milliseconds wait,
        std::move_only_function<void(Result<ServiceResult>)> done
    );

    /// The device came online: sends its pending desired values, but none whose commit is under way (that is
    /// sent after it).
    void send_pending(Device& device);
    /// A reply to one of our requests arrived on a `_reply` topic. A property set that a gateway answers with
    /// 109001 (device offline) stays pending; other codes but 200 fail it.
    void on_reply(Device& device, std::string_view payload);
    /// Reported values: confirms desired ones that are equal.
    void on_reported(Device& device, PropertyId property, const thing::Value& value);

private:
    struct Call;
    std::string next_id();
    bool send_set(Device& device, const std::vector<PropertyId>& properties);
    void retry(Device& device, std::unique_ptr<Call> call);
    /// Those of its values that still wait.
    void send_again(Device& device, const Call& call);
    void publish_desired(Device& device, const DesiredValue& desired);

    io::Env& env_;
    Registry& registry_;
    DeviceChannel& channel_;
    Feed& feed_;
    DownlinkLimits limits_;
    std::unordered_map<std::string, std::unique_ptr<Call>> calls_; ///< by request id
    std::unordered_map<DeviceId, std::size_t> calls_per_device_;
    std::uint64_t next_id_ = 1;
};

} // namespace brim::hub
