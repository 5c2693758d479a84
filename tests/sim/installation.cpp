#include "sim/installation.h"

namespace brim::sim {

using namespace std::chrono_literals;

namespace {

constexpr Duration watch_every = 100ms; // the resolution of the supervisors

DeviceIdentity sensor(const std::string& name) {
    return {{std::string(sensor_product), name}, "secret-of-" + name};
}

} // namespace

Installation::Installation(InstallationOptions options)
    : options_(options), world_(options.seed), recorder_(world_) {
    world_.links().set_default(options_.link);
    hub_ = std::make_unique<HubNode>(world_, recorder_);
}

Installation::~Installation() {
    for (auto& direct : direct_)
        direct->speaker.reset();
    edges_.clear();
    hub_.reset();
}

void Installation::set_up() {
    hub_->start();
    hub_->create_products();
    std::vector<EdgeNodeOptions> edges(options_.edges);
    for (std::size_t e = 0; e < edges.size(); ++e) {
        EdgeNodeOptions& edge = edges[e];
        const std::string number = std::to_string(e);
        edge.machine = "edge-" + number;
        edge.gateway = {{std::string(gateway_product), "gate-" + number}, "secret-of-gate-" + number};
        edge.report_every = options_.report_every;
        edge.buffer_bytes_max = options_.buffer_bytes_max;
        edge.keepalive = options_.keepalive;
        edge.inflight = options_.inflight;
        edge.replay_rate = options_.replay_rate;
        hub_->create_device(gateway_product, edge.gateway);
        for (std::size_t d = 0; d < options_.drivers_per_edge; ++d) {
            edge.drivers.emplace_back();
            for (std::size_t i = 0; i < options_.devices_per_driver; ++i) {
                std::string name = "s";
                name.append(number)
                    .append("-")
                    .append(std::to_string(d))
                    .append("-")
                    .append(std::to_string(i));
                const DeviceIdentity device = sensor(name);
                hub_->create_device(sensor_product, device);
                if (!options_.bound_by_edge)
                    hub_->bind(device.key, edge.gateway.key);
                edge.drivers.back().push_back(device);
                devices_.push_back(device.key);
            }
        }
    }
    for (std::size_t i = 0; i < options_.direct_devices; ++i) {
        direct_.push_back(std::make_unique<Direct>());
        direct_.back()->identity = sensor("direct-" + std::to_string(i));
        hub_->create_device(sensor_product, direct_.back()->identity);
        devices_.push_back(direct_.back()->identity.key);
    }
    for (EdgeNodeOptions& edge : edges) {
        for (const auto& device : devices_) {
            const bool own = device.device_name.starts_with("s" + edge.machine.substr(5) + "-");
            if (!own)
                edge.foreign.push_back(device);
        }
        edges_.push_back(std::make_unique<EdgeNode>(world_, recorder_, std::move(edge)));
        edges_.back()->start();
    }
    watch();
    if (options_.set_every > Duration::zero())
        world_.after(options_.set_every, [this] { ask(); });
}

void Installation::watch() {
    hub_->tick();
    for (auto& edge : edges_)
        edge->tick();
    for (std::size_t i = 0; i < direct_.size(); ++i) {
        if (!direct_[i]->speaker && world_.now() >= direct_[i]->due)
            start_direct(i);
    }
    world_.after(watch_every, [this] { watch(); });
}

void Installation::start_direct(std::size_t number) {
    Direct& direct = *direct_[number];
    SpeakerOptions speaker;
    speaker.name = direct.identity.key.text();
    speaker.to = {io::Endpoint::Kind::tcp, std::string(hub_machine), 1883};
    speaker.devices = {direct.identity};
    for (const auto& device : devices_) {
        if (device != direct.identity.key)
            speaker.foreign.push_back(device);
    }
    speaker.report_every = options_.report_every;
    speaker.version = number % 2 == 0 ? mqtt::ProtocolVersion::v5 : mqtt::ProtocolVersion::v311;
    speaker.driver = false;
    direct.speaker = std::make_unique<Speaker>(
        world_.machine(direct_machine(number)).env(), std::move(speaker), recorder_, direct.targets
    );
    direct.speaker->set_mood(mood_);
}

void Installation::kill_direct(std::size_t number) {
    world_.machine(direct_machine(number)).crash();
    direct_[number]->speaker.reset();
    direct_[number]->due = world_.now() + 300ms;
}

void Installation::ask() {
    world_.after(options_.set_every, [this] { ask(); });
    if (mood_ != Mood::busy || !hub_->hub())
        return;
    const thing::DeviceKey key = devices_[world_.random().below(devices_.size())];
    hub_->post([this, key] {
        hub::Device* device = hub_->hub()->registry().device(key);
        if (!device) { // only when the registry lost it: the law checker tells
            return;
        }
        const std::int64_t value = recorder_.new_value();
        const std::size_t number = recorder_.set_asked(key.text(), value);
        hub_->hub()->access().downlink().set_properties(
            *device,
            Json::object({{"Target", value}}),
            [this, key, number](Result<bool> stored) {
                if (stored)
                    recorder_.set_stored(key.text(), number);
            }
        );
    });
}

void Installation::set_mood(Mood mood) {
    mood_ = mood;
    for (auto& edge : edges_)
        edge->set_mood(mood);
    for (auto& direct : direct_) {
        if (direct->speaker)
            direct->speaker->set_mood(mood);
    }
}

std::vector<std::string> Installation::machines() const {
    std::vector<std::string> names;
    for (const auto& edge : edges_)
        names.push_back(edge->options().machine);
    for (std::size_t i = 0; i < direct_.size(); ++i)
        names.push_back(direct_machine(i));
    return names;
}

void Installation::heal() {
    hub_->machine().disk().clear_faults();
    world_.links().refuse(std::string(hub_machine), false);
    for (const std::string& machine : machines()) {
        world_.links().heal_both(machine, std::string(hub_machine));
        world_.machine(machine).disk().clear_faults();
    }
}

std::int64_t Installation::applied(const thing::DeviceKey& device) const {
    const auto look = [&device](const std::map<std::string, std::int64_t>& in) {
        const auto found = in.find(device.text());
        return found == in.end() ? -1 : found->second;
    };
    std::int64_t value = -1;
    for (const auto& edge : edges_)
        value = std::max(value, look(edge->targets()));
    for (const auto& direct : direct_)
        value = std::max(value, look(direct->targets));
    return value;
}

std::string Installation::unsettled_set() {
    for (const auto& key : devices_) {
        const hub::Device* device = hub_->hub()->registry().device(key);
        if (!device)
            return "device " + key.text() + " is gone from the registry";
        if (!device->online)
            return "device " + key.text() + " is offline at the hub";
        for (const hub::DesiredValue& desired : device->desired) {
            if (desired.state == hub::DesiredState::pending)
                return "a set of " + key.text() + " is pending";
        }
    }
    return {};
}

std::string Installation::unsettled() {
    if (!hub_->hub() || hub_->draining())
        return "hub: not running: " + hub_->last_refusal();
    for (const auto& edge : edges_) {
        if (std::string why = edge->state(); !why.empty())
            return why;
    }
    for (const auto& direct : direct_) {
        if (!direct->speaker || !direct->speaker->ready())
            return direct->identity.key.text() + ": not connected";
    }
    return unsettled_set();
}

bool Installation::settle(Duration at_most) {
    return world_.run_until([this] { return unsettled().empty(); }, at_most);
}

} // namespace brim::sim
