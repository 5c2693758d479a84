#pragma once
// Simulated things that speak MQTT: a driver with its devices on an edge's bus, and a device that talks to
// the hub itself. Both report on their own, answer property sets, and now and then try what they may not.

#include "mqtt/link.h"
#include "sim/history_recorder.h"

#include <map>
#include <string>
#include <vector>

namespace brim::sim {

struct DeviceIdentity {
    thing::DeviceKey key;
    std::string secret;
};

/// How a speaker behaves.
struct SpeakerOptions {
    std::string name; ///< of the driver, or "{pk}/{dn}"
    io::Endpoint to;
    std::vector<DeviceIdentity> devices;   ///< exactly one when it talks to the hub itself
    std::vector<thing::DeviceKey> foreign; ///< devices it may not speak for or hear
    Duration report_every = std::chrono::milliseconds(200);
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5;
    std::uint16_t keepalive_s = 30;
    bool driver = true; ///< on a bus: announces its devices
};

enum class Mood : std::uint8_t {
    busy,     ///< reports, trespasses, obeys
    obedient, ///< obeys, and reports its Target every few seconds
    silent,   ///< obeys
};

inline constexpr std::string_view driver_token = "token-of-this-run";

/// Lives on its Env's loop; destroyed after its process died. The values it applied are kept in `targets`,
/// outside, as a machine keeps its registers.
class Speaker final : private mqtt::LinkEvents {
public:
    Speaker(
        io::Env& env,
        SpeakerOptions options,
        HistoryRecorder& recorder,
        std::map<std::string, std::int64_t>& targets
    );

    void set_mood(Mood mood) { mood_ = mood; }

    bool ready() const { return link_.up() && online_ >= options_.devices.size(); }

    mqtt::Link& link() { return link_; }

private:
    struct Sent {
        std::string device;
        Property property = Property::speed;
        std::int64_t value = 0;
        bool forged = false;
    };

    mqtt::ClientOptions login() override;
    void on_up(const mqtt::Connack& connack) override;
    void on_down(const Error& why, std::chrono::milliseconds retry_in) override;
    bool on_message(const MessagePtr& message, std::uint16_t packet_id) override;
    void on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) override;
    void on_subscribed(std::string_view filter, mqtt::ReasonCode reason) override;

    void announce();
    void act();
    void report(const thing::DeviceKey& device, Property property, std::int64_t value, bool forged);
    void report_targets();
    void obey(const thing::DeviceKey& device, const Message& message);
    void trespass();
    bool owns(std::string_view product_key, std::string_view device_name) const;

    io::Env& env_;
    SpeakerOptions options_;
    HistoryRecorder& recorder_;
    std::map<std::string, std::int64_t>& targets_;
    std::map<mqtt::PublishTag, Sent> waiting_;
    mqtt::PublishTag last_tag_ = 0;
    std::size_t online_ = 0;
    Mood mood_ = Mood::busy;
    mutable mqtt::Link link_;
    io::Timer act_;
    io::Timer poll_;
};

} // namespace brim::sim
