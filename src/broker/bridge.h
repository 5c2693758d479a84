#pragma once
// One bridge: a connection to another MQTT broker over which topics are carried out, in, or both
// (docs/broker-bridge.md). What it promises:
//
// - Out, QoS 1 (and 2, which is carried as 1): once `done` said so the message is on disk, and stays there
// until
//   the remote broker acknowledged it. At least once, in the order it was accepted; after a crash here some
//   are sent twice, and a message the remote broker refused for a while comes after those behind it.
// - In, QoS 1: acknowledged to the remote broker when the local one has it for good; its session there is
// kept.
// - QoS 0: while connected; else dropped and counted, or queued when the settings say so.

#include "broker/bridge_echo.h"
#include "broker/bridge_queue.h"
#include "broker/bridge_settings.h"
#include "mqtt/link.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace brim::broker {

/// What a bridge needs of the broker it belongs to.
class LocalBroker {
public:
    using Done = std::function<void(Result<void>)>;

    virtual ~LocalBroker() = default;
    /// A message from the other side, its topic a local one, its origin "$bridge/NAME". `done` runs on the
    /// loop, inside this call or later, once: success when the message is kept as an acknowledged one of a
    /// local publisher would be; an error makes the remote broker send it again.
    virtual void publish(const MessagePtr& message, Done done) = 0;
};

struct BridgeStats {
    bool up = false;
    std::uint64_t connects = 0;
    std::uint64_t sent = 0;         ///< handed to the connection; sent again on a new one not counted
    std::uint64_t acknowledged = 0; ///< by the remote broker, QoS 1
    std::uint64_t received = 0;     ///< messages of the remote broker, all
    std::uint64_t queued_records = 0;
    std::uint64_t queued_bytes = 0; ///< of the log's segments on disk
    std::uint64_t loops_cut = 0;    ///< of `received`: had been here, or came a second time
    /// By reason. Out: unfit (topic), too_large, full, qos0_down, qos0_slow, expired, refused, unsupported,
    /// unreadable, quarantined, gaps, busy. In: in_unmatched, in_unfit, in_failed (asked for again).
    std::map<std::string, std::uint64_t, std::less<>> dropped;
    std::optional<Error> last_error;                                 ///< why it is, or was last, down
    std::chrono::milliseconds retry_in{0};                           ///< of that
    std::map<std::string, std::string, std::less<>> refused_filters; ///< filter -> the remote broker's reason
};

/// Lives on the Env's loop; env, local broker and what `wrap` uses outlive it.
class Bridge final : private mqtt::LinkEvents, private BridgePort {
public:
    /// Checks the settings and opens the queue (blocking: used at start). `broker_id` names this broker
    /// (is_broker_id). `wrap` puts TLS on the connection. Errors: those of check() and of Log::open.
    static Result<std::unique_ptr<Bridge>> open(
        io::Env& env,
        LocalBroker& local,
        const std::string& broker_id,
        BridgeSettings settings,
        mqtt::Link::Wrap wrap = {}
    );
    ~Bridge() override;

    /// Begins to dial.
    void start();
    /// Says DISCONNECT, stores the queue, then calls `done`; nothing is accepted any more.
    void stop(std::move_only_function<void()> done);

    /// True when a rule takes this local topic to the other side.
    bool wants(std::string_view local_topic) const;

    /// True when a rule of either direction is for this local topic.
    bool touches(std::string_view local_topic) const { return rules_.touches(local_topic); }

    enum class Taken : std::uint8_t {
        settled, ///< nothing more will be said: not for this bridge, sent live, or dropped and counted
        pending, ///< `done` will be called, never from inside this call
        refused, ///< the queue is full or broken: tell the publisher to try later; `done` is not called
    };
    /// Offers a message of the local broker, whoever published it. Not one that came through this bridge:
    /// those it passes over itself.
    Taken accept(const Message& message, std::move_only_function<void(Result<void>)> done);

    BridgeStats stats() const;

    /// Called after each change of `up`, on the loop.
    void on_state(std::function<void()> changed) { state_changed_ = std::move(changed); }

    /// Counts one that had been here.
    void count_loop() { ++stats_.loops_cut; }

    const std::string& name() const { return settings_.name; }

    /// What messages that came through this bridge have as origin.
    const std::string& origin() const { return origin_; }

private:
    Bridge(
        io::Env& env,
        LocalBroker& local,
        const std::string& broker_id,
        BridgeSettings settings,
        BridgeRules rules,
        std::unique_ptr<store::Log> log,
        mqtt::Link::Wrap wrap
    );

    // mqtt::LinkEvents
    mqtt::ClientOptions login() override;
    void on_up(const mqtt::Connack& connack) override;
    void on_down(const Error& why, std::chrono::milliseconds retry_in) override;
    bool on_message(const MessagePtr& message, std::uint16_t packet_id) override;
    void on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) override;
    void on_subscribed(std::string_view filter, mqtt::ReasonCode reason) override;
    // BridgePort
    std::size_t quota() override;
    Result<bool> send(Message& message, store::Seq seq) override;
    void dropped(std::string_view reason, std::uint64_t count) override;

    void subscribe();
    void send_live(Message& message);
    void fit(Message& message) const;
    void note_echo(const Message& message);
    bool drop_incoming(std::string_view reason);

    io::Env& env_;
    LocalBroker& local_;
    BridgeSettings settings_;
    BridgeRules rules_;
    std::string client_id_;
    std::string origin_;
    BridgeQueue queue_;
    mqtt::Link link_;
    EchoMemory echoes_;
    io::Timer look_; ///< while the transport is congested
    BridgeStats stats_;
    std::function<void()> state_changed_;
    std::uint64_t connection_ =
        0; ///< counts connections: a late acknowledgement must not meet another packet
    std::uint8_t remote_qos_max_ = 2;
    bool remote_retains_ = true;
    bool subscribed_ = false;      ///< the remote session has all our filters: each was answered
    std::size_t answers_left_ = 0; ///< to the filters asked for on this connection
    bool stopped_ = false;
    std::shared_ptr<char> alive_; ///< shared with callbacks given away, which only ask whether we are here
};

} // namespace brim::broker
