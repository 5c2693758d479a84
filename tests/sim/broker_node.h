#pragma once
// A stand-alone broker on its simulated machine, with the supervisor that starts it again.

#include "mqtt/server.h"
#include "sim/broker_recorder.h"

#include <memory>
#include <string>

namespace brim::sim {

inline constexpr std::string_view broker_machine = "broker";
inline constexpr std::uint16_t broker_port = 1'883;

/// The policy: everyone may do everything, but publish below "x" and receive what the recorder says is
/// forbidden just now.
class SimBroker final : public mqtt::Server {
public:
    SimBroker(
        io::Env& env,
        mqtt::BrokerLimits limits,
        std::unique_ptr<mqtt::SessionLog> sessions,
        BrokerRecorder& recorder
    )
        : Server(env, limits, std::move(sessions)), recorder_(recorder) {}

    void on_connect(mqtt::ConnId conn, const mqtt::Connect& connect) override;
    bool authorise(const mqtt::ConnView& who, mqtt::Action action, std::string_view topic) override;
    mqtt::Verdict
    on_publish(const mqtt::ConnView& who, const MessagePtr& message, mqtt::AckToken token) override;
    void on_up(const mqtt::ConnView& who) override;
    void on_down(const mqtt::ConnView& who, mqtt::Ended why) override;
    void on_dropped(std::string_view session_key, std::string_view reason, std::uint64_t count) override;

private:
    BrokerRecorder& recorder_;
};

struct BrokerNodeOptions {
    mqtt::BrokerLimits limits;
    mqtt::SessionLogOptions log;
};

/// Moved by fate, that is: called outside every machine.
class BrokerNode {
public:
    BrokerNode(io::SimWorld& world, BrokerRecorder& recorder, BrokerNodeOptions options);
    ~BrokerNode();
    BrokerNode(const BrokerNode&) = delete;
    BrokerNode& operator=(const BrokerNode&) = delete;

    /// Starts the program; when it refuses, tick() tries again.
    bool start();
    void kill();
    void cut(io::CutMode mode);
    /// SIGTERM: says goodbye, closes its log, ends, and is started again.
    void terminate();
    /// Buries a program whose machine lost power, starts what is due, looks at the journal.
    void tick();

    /// Down until then; the supervisor's own delay otherwise.
    void stay_down(Duration span) { due_ = world_.now() + span; }

    /// Runs `work` in a turn of the broker's loop. False when it is down.
    bool post(io::Work work);

    /// Null while it is down.
    SimBroker* broker() { return broker_.get(); }

    io::SimMachine& machine() { return world_.machine(std::string(broker_machine)); }

    /// Nothing waits in it, nothing is left of what was delivered.
    bool is_drained() const;

    /// Messages that wait in it for its clients.
    std::uint64_t queued() const { return broker_ ? broker_->broker().stats().queued : 0; }

    std::uint64_t connections() const { return broker_ ? broker_->broker().stats().connections : 0; }

    std::string state() const;

    std::uint64_t starts() const { return starts_; }

    std::uint64_t snapshots() const { return snapshots_; }

private:
    Result<void> start_program();
    void bury();

    io::SimWorld& world_;
    BrokerRecorder& recorder_;
    BrokerNodeOptions options_;
    io::Env* env_ = nullptr; ///< of the running program; owned by the machine
    std::unique_ptr<SimBroker> broker_;
    Mono due_{};
    std::uint64_t starts_ = 0;
    std::uint64_t snapshots_ = 0;
    std::uint64_t failures_seen_ = 0;
    std::string last_refusal_;
    bool is_draining_ = false;
    bool is_drained_down_ = false;
};

} // namespace brim::sim
