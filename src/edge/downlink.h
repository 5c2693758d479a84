#pragma once
// Requests from the hub to a sub-device, carried to its driver and answered in its name.

#include "edge/devices.h"
#include "io/env.h"

#include <map>
#include <string>

namespace brim::edge {

/// What the downlink needs of the others.
class DownlinkPort {
public:
    virtual ~DownlinkPort() = default;
    /// To the driver; false when it is not connected.
    virtual bool to_driver(const Device& device, const std::string& topic, const std::string& payload) = 0;
    /// To the hub, QoS 0: who asked has a deadline of his own.
    virtual void to_hub(const std::string& topic, const std::string& payload) = 0;
};

struct DownlinkLimits {
    std::size_t pending_max = 1'000;
    std::chrono::seconds answer_wait{10}; ///< [bus-5]
};

/// Lives on the loop. Every request gets one answer: the driver's, or a code of the edge gateway interface
/// (100006 no answer in time, 109000 not configured, 109001 offline, 109002..109006 against the model, 429
/// too many at a time).
class Downlink {
public:
    Downlink(io::Env& env, DownlinkPort& port, Devices& devices, DownlinkLimits limits = {});

    /// A message from the hub. False when it is no request to one of our sub-devices.
    bool request(std::string_view topic, std::string_view payload);
    /// The driver's answer.
    void reply(const Device& device, std::string_view topic, std::string_view payload);
    /// The device went offline: what it has not answered is answered with 109001.
    void offline(const thing::DeviceKey& device);

    std::size_t pending() const { return pending_.size(); }

private:
    struct Asked {
        thing::DeviceKey device;
        std::string reply_topic; ///< at the hub
        std::string id;          ///< the hub's, raw JSON
        std::string method;
        std::string driver_topic; ///< with "_reply"
        Mono deadline{};
    };

    void answer(const Asked& asked, int code, std::string_view message, const Json& data);
    void tick();

    io::Env& env_;
    DownlinkPort& port_;
    Devices& devices_;
    DownlinkLimits limits_;
    std::map<std::uint64_t, Asked> pending_; ///< by our own number, which is also the order of deadlines
    std::uint64_t last_ = 0;
    io::Timer tick_;
};

} // namespace brim::edge
