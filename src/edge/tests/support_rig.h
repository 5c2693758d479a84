#pragma once
// A small installation in the simulator: one gateway, its drivers on the same machine, and a hub that records
// what it acked.

#include "edge/edge.h"
#include "io/sim/sim_world.h"
#include "mqtt/link.h"
#include "mqtt/server.h"

#include "support_model.h"

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace brim::edge::test {

inline constexpr std::string_view bus_path = "/run/bus.sock";

/// What the hub saw, outside of any machine: survives every crash.
struct Recorder {
    std::map<std::pair<std::string, std::uint64_t>, std::int64_t>
        stored;                                        ///< (store, seq) -> the report's value
    std::map<std::int64_t, unsigned> values;           ///< value -> how often stored
    std::vector<std::pair<std::uint64_t, bool>> order; ///< (seq, replayed) of first copies
    std::uint64_t received = 0;
    std::uint64_t repeated = 0;
    std::uint64_t wrong = 0; ///< same id with another payload, or no id
    std::uint64_t live_last = 0;
    std::map<std::string, std::uint64_t> logins; ///< device -> accepted logins
    std::map<std::string, std::uint64_t> logouts;
    std::vector<std::pair<std::string, std::string>>
        replies; ///< topic, payload of answers to the hub's requests
};

/// A hub made of mqtt::Server. Knobs are plain members.
class TestHub final : public mqtt::Server {
public:
    TestHub(io::Env& env, Recorder& to) : Server(env, mqtt::BrokerLimits{}), recorder(to) {}

    ~TestHub() override = default;

    Recorder& recorder;
    std::set<std::string> refused_logins;                ///< devices
    std::set<std::string> open;                          ///< devices logged in now
    mqtt::ReasonCode answer = mqtt::ReasonCode::success; ///< to the next `answers_left` reports
    std::uint64_t answers_left = 0;
    bool silent = false; ///< takes reports and never acknowledges
    Duration ack_delay{0};
    std::string session_key;
    std::uint64_t connects = 0;
    std::uint64_t most_waiting = 0;
    std::uint64_t waiting = 0;

    void ask(const std::string& topic, const std::string& payload) {
        Message message;
        message.topic = topic;
        message.payload = payload;
        message.qos = 1;
        broker().deliver(session_key, std::make_shared<const Message>(message), now());
    }

private:
    void on_connect(mqtt::ConnId conn, const mqtt::Connect& connect) override {
        mqtt::Admission admission;
        admission.session_key = std::string(connect.username);
        admission.principal = admission.session_key;
        session_key = admission.session_key;
        broker().accept(conn, admission, now());
    }

    bool authorise(const mqtt::ConnView&, mqtt::Action, std::string_view) override { return true; }

    void on_up(const mqtt::ConnView&) override {
        ++connects;
        waiting = 0;
        open.clear();
    }

    void on_down(const mqtt::ConnView&, mqtt::Ended) override {}

    void on_dropped(std::string_view, std::string_view, std::uint64_t) override {}

    mqtt::Verdict
    on_publish(const mqtt::ConnView& who, const MessagePtr& message, mqtt::AckToken token) override;
    void session_request(const Message& message);
    void store(const Message& message);
};

/// A driver with its devices: announces them, reports unique values, remembers which were acknowledged.
class TestDriver final : private mqtt::LinkEvents {
public:
    TestDriver(io::Env& env, std::string name, std::vector<thing::DeviceKey> devices);

    void start() { link_.start(); }

    /// Reports one unique value of one device in turn; false when not possible now.
    bool report(std::int64_t value);
    bool report_from(const thing::DeviceKey& device, std::int64_t value);
    void announce(const thing::DeviceKey& device, bool online);

    bool ready() const { return link_.client().connected() && online_ == devices_.size(); }

    mqtt::Link& link() { return link_; }

    std::set<std::int64_t>* acked = nullptr; ///< outlives crashes
    std::map<int, unsigned> refused;         ///< reason -> count
    std::string config;                      ///< as received
    std::string answer_data = "{}";
    bool answers = true;
    std::vector<int> device_codes;

private:
    mqtt::ClientOptions login() override;
    void on_up(const mqtt::Connack&) override;
    void on_down(const Error&, std::chrono::milliseconds) override;
    bool on_message(const MessagePtr& message, std::uint16_t) override;
    void on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) override;

    void on_subscribed(std::string_view, mqtt::ReasonCode) override {}

    std::string name_;
    std::vector<thing::DeviceKey> devices_;
    std::size_t next_ = 0;
    std::size_t online_ = 0;
    mutable mqtt::Link link_;
};

/// The settings as a source brim-edge would read: what the tests change of EdgeConfig is in it.
ConfigSource source_of(const EdgeConfig& settings);

/// Everything together. Crashed parts are rebuilt with restart_*().
class Rig {
public:
    explicit Rig(std::uint64_t seed, unsigned device_count = 4);
    ~Rig();

    void start_hub();
    void stop_hub();
    void start_edge();
    /// What start_edge() starts on: `config`, written as settings, over the real way of starting.
    Result<Startup> prepare(const EdgeConfig& settings, const std::string& process = "main");
    void crash_edge();
    void power_cut();
    void start_driver();
    /// Reports `per_second` unique values for `span` of virtual time.
    void load(unsigned per_second, Duration span);
    /// Reports `count` values at once.
    void burst(unsigned count);
    /// From now on each sync takes this long.
    void slow_disk(Duration sync);
    /// Runs until nothing is held any more.
    bool drain_backlog(Duration at_most);
    bool ready(Duration at_most);
    /// Every acknowledged value is stored at the hub, none under two ids, none changed. Prints the seed when
    /// not.
    void check_laws(std::uint64_t dropped = 0);

    io::SimWorld world;
    EdgeConfig config;
    Recorder recorder;
    std::set<std::int64_t> acked;
    std::int64_t next_value = 1;
    std::vector<thing::DeviceKey> devices;
    std::unique_ptr<TestHub> hub;
    std::unique_ptr<Edge> edge;
    std::unique_ptr<TestDriver> driver;
};

/// What was taken is sent, held or counted as lost.
inline void check_ledger(Rig& rig) {
    CHECK(rig.edge->ledger().balanced(rig.edge->forwarder().held(), rig.edge->forwarder().waiting_for_disk())
    );
}

} // namespace brim::edge::test
