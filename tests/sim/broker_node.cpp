#include "sim/broker_node.h"

#include <charconv>
#include <utility>

namespace brim::sim {

using namespace std::chrono_literals;

namespace {

constexpr Duration restart_after = 300ms;

} // namespace

void SimBroker::on_connect(mqtt::ConnId conn, const mqtt::Connect& connect) {
    mqtt::Admission admission;
    admission.session_key = connect.client_id;
    admission.principal = connect.client_id;
    const std::string_view attempt = connect.username; // which of its connections this is; guests do not say
    std::from_chars(attempt.data(), attempt.data() + attempt.size(), admission.user);
    broker().accept(conn, admission, now());
}

bool SimBroker::authorise(const mqtt::ConnView& who, mqtt::Action action, std::string_view topic) {
    return action != mqtt::Action::receive || recorder_.is_allowed(who.principal, topic);
}

mqtt::Verdict SimBroker::on_publish(const mqtt::ConnView&, const MessagePtr& message, mqtt::AckToken) {
    return message->topic.starts_with("x/") ? mqtt::Verdict::denied : mqtt::Verdict::route;
}

void SimBroker::on_up(const mqtt::ConnView& who) {
    recorder_.broker_has(who.session_key, who.user);
}

void SimBroker::on_down(const mqtt::ConnView& who, mqtt::Ended why) {
    recorder_.broker_lost(who.session_key, who.user, why);
}

void SimBroker::on_dropped(std::string_view session_key, std::string_view reason, std::uint64_t count) {
    recorder_.broker_dropped(session_key, reason, count);
}

BrokerNode::BrokerNode(io::SimWorld& world, BrokerRecorder& recorder, BrokerNodeOptions options)
    : world_(world), recorder_(recorder), options_(std::move(options)) {}

BrokerNode::~BrokerNode() {
    bury();
}

bool BrokerNode::start() {
    bury();
    ++starts_;
    due_ = world_.now() + restart_after;
    env_ = &machine().env();
    const auto started = start_program();
    if (started)
        return true;
    last_refusal_ = started.error().text();
    world_.note("broker", "start refused: " + last_refusal_);
    bury();
    return false;
}

Result<void> BrokerNode::start_program() {
    auto sessions = mqtt::SessionLog::open(*env_, options_.log);
    if (!sessions)
        return std::unexpected<Error>(sessions.error());
    const mqtt::SessionLogStats stats = (*sessions)->stats();
    const std::uint64_t lost =
        stats.unreadable_records + stats.unknown_entries + stats.lost_references + stats.lost_records;
    if (lost != 0)
        recorder_.breach(1, "the session log has lost " + std::to_string(lost) + " things");
    broker_ = std::make_unique<SimBroker>(*env_, options_.limits, std::move(*sessions), recorder_);
    failures_seen_ = 0;
    const io::Endpoint at{io::Endpoint::Kind::tcp, "0.0.0.0", broker_port};
    if (const auto bound = broker_->listen(at, {}); !bound)
        return std::unexpected<Error>(bound.error());
    return {};
}

// The program's objects go after its process is dead, as a killed program's memory does: nothing they do
// while they are destroyed reaches disk or network.
void BrokerNode::bury() {
    if (env_ == nullptr)
        return;
    if (machine().running() && &machine().env() == env_)
        machine().crash();
    if (broker_) {
        snapshots_ += broker_->sessions()->stats().snapshots;
        if (broker_->sessions()->stats().failures != failures_seen_)
            recorder_.journal_failed();
        recorder_.broker_died();
    }
    broker_.reset();
    env_ = nullptr;
    is_draining_ = false;
    is_drained_down_ = false;
}

void BrokerNode::kill() {
    machine().crash();
    bury();
    due_ = world_.now() + restart_after;
}

void BrokerNode::cut(io::CutMode mode) {
    machine().power_cut(mode);
    bury();
    due_ = world_.now() + restart_after;
}

void BrokerNode::terminate() {
    const bool is_first = post([this] {
        broker_->stop();
        broker_->close_sessions([this] { is_drained_down_ = true; });
    });
    // Once told it is told: a second signal finds it at it.
    is_draining_ = is_draining_ || is_first;
}

void BrokerNode::tick() {
    const bool is_dead = env_ != nullptr && !(machine().powered() && machine().running());
    if (is_dead || is_drained_down_) {
        bury();
        due_ = world_.now() + restart_after;
    }
    if (env_ == nullptr && world_.now() >= due_)
        start();
    if (!broker_)
        return;
    const std::uint64_t failures = broker_->sessions()->stats().failures;
    if (std::exchange(failures_seen_, failures) != failures)
        recorder_.journal_failed();
    else
        recorder_.journal_was_well();
}

bool BrokerNode::post(io::Work work) {
    if (!broker_ || !machine().running() || is_draining_)
        return false;
    env_->loop().post(std::move(work));
    return true;
}

bool BrokerNode::is_drained() const {
    if (!broker_ || is_draining_)
        return false;
    const mqtt::BrokerStats broker = broker_->broker().stats();
    const mqtt::SessionLogStats log = broker_->sessions()->stats();
    return broker.queued == 0 && !log.is_failing && log.messages <= broker.retained;
}

std::string BrokerNode::state() const {
    if (!broker_)
        return "the broker is down: " + last_refusal_;
    const mqtt::BrokerStats broker = broker_->broker().stats();
    const mqtt::SessionLogStats log = broker_->sessions()->stats();
    return "the broker has " + std::to_string(broker.connections) + " connections, " +
           std::to_string(broker.queued) + " queued, " + std::to_string(log.messages) +
           " messages in its log, of which " + std::to_string(broker.retained) + " are retained" +
           (log.is_failing ? ", and its log fails" : "");
}

} // namespace brim::sim
