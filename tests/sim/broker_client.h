#pragma once
// A client of the simulated broker: publishes, subscribes, and behaves as badly as a client may: it goes away
// in the middle of a packet, comes back beside its own old connection, reads slowly, acknowledges late.

#include "mqtt/client.h"
#include "mqtt/codec.h"
#include "sim/broker_recorder.h"

#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace brim::sim {

struct BrokerClientOptions {
    std::string name; ///< of the client, its principal, its session and its machine
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5;
    std::uint32_t expiry_s = 3'600; ///< of its session; 0: ends with the connection. 3.1.1: 7 days or 0
    std::uint16_t receive_maximum = 20;
    std::uint16_t inflight_max = 20;
    bool is_lazy = false; ///< acknowledges late
    bool has_wills = false;
    std::uint32_t will_delay_s = 0; ///< MQTT 5
    bool is_steady = false;         ///< publishes nothing, keeps its subscriptions
    bool starts_clean = false;      ///< now and then, MQTT 5
    Duration act_every = std::chrono::milliseconds(150);
    std::vector<std::pair<std::string, std::uint8_t>> filters; ///< filter and QoS, which never changes
};

/// Lives on its machine's loop from set-up to the end. The members up to the break are fate's, and are called
/// outside every machine.
class BrokerClient final : private mqtt::ClientHost {
public:
    BrokerClient(io::SimWorld& world, BrokerRecorder& recorder, BrokerClientOptions options);
    ~BrokerClient() override;
    BrokerClient(const BrokerClient&) = delete;
    BrokerClient& operator=(const BrokerClient&) = delete;

    void start();
    /// The connection ends after `bytes` more that it sends, or reads.
    void cut_after_sending(std::uint64_t bytes);
    void cut_after_reading(std::uint64_t bytes);
    /// Says DISCONNECT, comes back after `span`.
    void leave(Duration span);
    /// Comes back on a new connection while the old one stays open, never read from again.
    void take_over();
    void read_nothing_for(Duration span);
    /// No new messages, no new wishes; what is under way is finished.
    void calm();

    bool is_settled() const;
    std::string state() const;

    const BrokerClientOptions& options() const { return options_; }

    std::size_t index() const { return index_; }

    bool is_kept() const { return options_.expiry_s != 0; }

private:
    struct Wire;

    struct Owed {
        std::uint16_t packet_id = 0;
        Receipt receipt;
    };

    void post(io::Work work);
    void dial();
    void start_session();
    void hang_up(Duration back_in);
    void act();
    void publish_some();
    void publish_retained();
    void publish_one(const std::string& topic, std::uint8_t qos, bool retain);
    void ask_next();
    void ask(const std::string& filter, std::uint8_t qos);
    std::uint32_t subscription_id(std::string_view filter) const;
    void check_ids(const mqtt::Frame& frame);
    void let_go();
    void pay();
    void pump();
    void wire_has(Wire& wire, ByteView bytes);
    void look_at(ByteView bytes);
    Duration soon(std::uint64_t ms_max);

    std::uint64_t below(std::uint64_t bound) { return env_.random().below(bound); }

    Mono now() const { return env_.loop().now(); }

    // ClientHost
    void send(ByteView bytes) override;
    void close(const Error& why) override;
    void on_connected(const mqtt::Connack& connack) override;
    bool on_message(const MessagePtr& message, std::uint16_t packet_id) override;
    void on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) override;
    void on_subscribed(std::string_view filter, mqtt::ReasonCode reason) override;

    io::SimWorld& world_;
    BrokerRecorder& recorder_;
    BrokerClientOptions options_;
    io::Env& env_;
    std::size_t index_;
    mqtt::Client client_;
    std::unique_ptr<io::Connecting> connecting_;
    std::vector<std::unique_ptr<Wire>> wires_; ///< the last is the present one, if it has an owner
    Wire* wire_ = nullptr;                     ///< null: not connected
    std::deque<Owed> owed_;                    ///< acknowledgements not sent yet
    std::string asking_;                       ///< the filter of the request under way; empty: none
    bool is_releasing_ = false;                ///< and it is an UNSUBSCRIBE
    std::string unwanted_;                     ///< of its filters, for a while
    mqtt::Framer tap_{0};
    Moment began_; ///< the present connection
    bool is_calm_ = false;
    bool is_paused_ = false;
    io::Timer act_;
    io::Timer redial_;
    io::Timer pump_;
    io::Timer pay_;
    io::Timer read_again_;
};

} // namespace brim::sim
