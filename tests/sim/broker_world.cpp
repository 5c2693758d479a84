#include "sim/broker_scenario.h"

#include <algorithm>

namespace brim::sim {

using namespace std::chrono_literals;

namespace {

constexpr Duration watch_every = 20ms; // the resolution of the supervisor
constexpr Duration pay_max = 10ms;     // until a lazy client in the calm acknowledges, and more
constexpr const char* guest_machine = "guest";
constexpr const char* newcomer_name = "newcomer";

} // namespace

BrokerGuest::BrokerGuest(io::Env& env, const BrokerClientOptions& victim, Duration stays)
    : env_(env), leave_(env.loop()) {
    mqtt::Connect packet;
    packet.version = victim.version;
    packet.client_id = victim.name;
    packet.clean_start = false;
    packet.session_expiry_s = victim.expiry_s;
    packet.keepalive_s = 30;
    mqtt::encode_connect(connect_, packet);
    connecting_ = env_.net().connect(
        {io::Endpoint::Kind::tcp, std::string(broker_machine), broker_port},
        2s,
        [this, stays](Result<std::unique_ptr<io::Stream>> dialled) {
            if (!dialled)
                return;
            stream_ = std::move(*dialled);
            stream_->start(*this);
            stream_->write(connect_);
            leave_.start(stays, [this] { stream_->close(); });
        }
    );
}

BrokerWorld::BrokerWorld(const BrokerScenarioOptions& options)
    : world_(options.seed), recorder_(world_), node_(world_, recorder_, options.broker),
      serving_(4 * (options.link.latency + options.link.jitter) + pay_max) { // QoS 2 is two round trips
    world_.links().set_default(options.link);
    node_.machine();
    for (const BrokerClientOptions& client : options.clients)
        clients_.push_back(std::make_unique<BrokerClient>(world_, recorder_, client));
    for (const char* later : {guest_machine, newcomer_name})
        world_.machine(later).env();
    world_.run_for(1s); // a machine is never asked at the very instant of its boot
    node_.start();
    for (const auto& client : clients_)
        client->start();
    watch();
}

BrokerWorld::~BrokerWorld() = default;

void BrokerWorld::watch() {
    node_.tick();
    world_.after(watch_every, [this] { watch(); });
}

bool BrokerWorld::is_settled() const {
    // A client whose peer lost power believes in its connection until keep-alive tells it otherwise.
    return node_.is_drained() && node_.connections() == clients_.size() &&
           std::ranges::all_of(clients_, [](const auto& client) { return client->is_settled(); });
}

bool BrokerWorld::settle(Duration at_most) {
    const auto is_over = [this] { return is_settled(); };
    if (world_.run_until(is_over, at_most))
        return true;
    // A window of one message and a long queue are the client's wish: that takes the time it takes.
    return world_.run_until(is_over, node_.queued() * serving_);
}

std::string BrokerWorld::state() const {
    std::string text = node_.state();
    for (const auto& client : clients_) {
        if (!client->is_settled())
            text += "; " + client->state();
    }
    return text;
}

void BrokerWorld::heal() {
    const std::string broker(broker_machine);
    node_.machine().disk().clear_faults();
    world_.links().refuse(broker, false);
    for (const auto& client : clients_) {
        world_.links().heal_both(client->options().name, broker);
        recorder_.lift(client->index());
        client->calm();
    }
}

std::size_t BrokerWorld::add_newcomer() {
    BrokerClientOptions options;
    options.name = newcomer_name;
    options.expiry_s = 0;
    options.receive_maximum = 100;
    options.is_steady = true;
    options.filters = {{"r/#", 2}};
    clients_.push_back(std::make_unique<BrokerClient>(world_, recorder_, options));
    clients_.back()->start();
    return clients_.back()->index();
}

void BrokerWorld::add_guest(std::size_t victim, Duration stays) {
    io::Env& env = world_.machine(guest_machine).env();
    env.loop().post([this, &env, victim, stays] {
        guests_.push_back(std::make_unique<BrokerGuest>(env, clients_[victim]->options(), stays));
    });
}

} // namespace brim::sim
