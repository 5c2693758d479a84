#pragma once
// One run of a stand-alone broker: clients and a time of misfortune drawn from a seed, then calm, a power cut
// in the calm, and the laws.

#include "sim/broker_client.h"
#include "sim/broker_node.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace brim::sim {

struct BrokerScenarioOptions {
    std::uint64_t seed = 1;
    BrokerNodeOptions broker;
    std::vector<BrokerClientOptions> clients; ///< the first is the witness, to whom nothing is done
    io::SimLink link;
    Duration trouble = std::chrono::seconds(12);
    Duration fault_every = std::chrono::milliseconds(600); ///< on average
};

BrokerScenarioOptions draw_broker_options(std::uint64_t seed);
std::string describe(const BrokerScenarioOptions& options);

struct BrokerOutcome {
    std::vector<Violation> violations;
    std::uint64_t trace_hash = 0;
    std::uint64_t acked = 0;    ///< messages
    std::uint64_t received = 0; ///< messages, by all clients
    std::uint64_t starts = 0;   ///< of the broker
    std::uint64_t snapshots = 0;
    std::uint64_t dropped = 0;      ///< by policy, and counted
    std::vector<std::string> story; ///< the faults with their times
    std::string trace;              ///< last lines; only of failing runs
    std::string log;                ///< what the broker said; only of failing runs
};

BrokerOutcome run_broker_scenario(const BrokerScenarioOptions& options);

inline BrokerOutcome run_broker_seed(std::uint64_t seed) {
    return run_broker_scenario(draw_broker_options(seed));
}

/// The lines to print for a failing run, ending with the command that repeats it.
std::string complaint(std::uint64_t seed, const BrokerOutcome& outcome);

/// A guest who comes under a client's name and does nothing: takes the session over, goes away.
class BrokerGuest final : public io::StreamHandler {
public:
    BrokerGuest(io::Env& env, const BrokerClientOptions& victim, Duration stays);

    void on_data(ByteView) override {}

    void on_closed(const Error&) override {}

private:
    io::Env& env_;
    Bytes connect_;
    std::unique_ptr<io::Connecting> connecting_;
    std::unique_ptr<io::Stream> stream_;
    io::Timer leave_;
};

/// The broker's world: the broker, its clients, the network.
class BrokerWorld {
public:
    explicit BrokerWorld(const BrokerScenarioOptions& options);
    ~BrokerWorld();
    BrokerWorld(const BrokerWorld&) = delete;
    BrokerWorld& operator=(const BrokerWorld&) = delete;

    io::SimWorld& world() { return world_; }

    BrokerRecorder& recorder() { return recorder_; }

    BrokerNode& node() { return node_; }

    BrokerClient& client(std::size_t number) { return *clients_[number]; }

    std::size_t client_count() const { return clients_.size(); }

    /// All clients are there and have what they asked for. False when that takes longer than `at_most`, and
    /// than it takes to serve what is queued then.
    bool settle(Duration at_most);
    /// Why not.
    std::string state() const;
    /// Ends every fault that lasts; clients finish what they began.
    void heal();
    /// One more client, a fresh one, which subscribes to "r/#".
    std::size_t add_newcomer();
    void add_guest(std::size_t victim, Duration stays);

private:
    void watch();
    bool is_settled() const;

    io::SimWorld world_;
    BrokerRecorder recorder_;
    BrokerNode node_;
    Duration serving_; ///< of one message to a client that takes one at a time, at most
    std::vector<std::unique_ptr<BrokerClient>> clients_;
    std::vector<std::unique_ptr<BrokerGuest>> guests_;
};

} // namespace brim::sim
