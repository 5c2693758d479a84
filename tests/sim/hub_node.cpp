#include "sim/hub_node.h"

#include "base/assert.h"
#include "store/sqlite_vfs.h"

#include <cstdio>

namespace brim::sim {

using namespace std::chrono_literals;

const std::string_view sensor_tsl = R"({
 "profile":{"productKey":"a1SENSOR"},
 "properties":[
  {"identifier":"Speed","name":"Speed","accessMode":"r","required":false,"dataType":{"type":"int","specs":{"min":"0","max":"2000000000","step":"1"}}},
  {"identifier":"Target","name":"Target","accessMode":"rw","required":false,"dataType":{"type":"int","specs":{"min":"0","max":"2000000000","step":"1"}}}],
 "events":[],"services":[]})";

namespace {

constexpr Duration hub_restart_after = 500ms;
constexpr Duration set_up_max = 60s;

} // namespace

HubNode::HubNode(io::SimWorld& world, HistoryRecorder& recorder) : world_(world), recorder_(recorder) {
    config_.data_dir = "/hub";
    config_.ingest.folder = "/hub/ingress";
    config_.ingest.segment_bytes = 65'536;
    config_.ingest.log_bytes_max = 16'777'216;
    hub::ListenerConfig mqtt;
    mqtt.address = {io::Endpoint::Kind::tcp, "0.0.0.0", 1883};
    config_.listeners.push_back(mqtt);
}

HubNode::~HubNode() {
    bury();
}

bool HubNode::start() {
    bury();
    ++starts_;
    due_ = world_.now() + hub_restart_after;
    env_ = &machine().env();
    auto started = hub::Hub::start(*env_, config_);
    if (started) {
        hub_ = std::move(*started);
        return true;
    }
    ++failed_starts_;
    last_refusal_ = started.error().text();
    world_.note("hub", "start refused: " + last_refusal_);
    machine().crash();
    bury();
    return false;
}

// The program's objects go after its process is dead, as a killed program's memory does: nothing they do
// while they are destroyed reaches disk or network.
void HubNode::bury() {
    if (!env_)
        return;
    if (hub_)
        recorder_.hub_refused(hub_->ingest().stats().failed);
    if (machine().running() && &machine().env() == env_)
        machine().crash();
    hub_.reset();
    store::unregister_vfs(env_->disk());
    env_ = nullptr;
    draining_ = false;
    drained_ = false;
}

void HubNode::kill() {
    machine().crash();
    bury();
    due_ = world_.now() + hub_restart_after;
}

void HubNode::cut(io::CutMode mode) {
    machine().power_cut(mode);
    bury();
    due_ = world_.now() + hub_restart_after;
}

void HubNode::terminate() {
    draining_ = post([this] { hub_->drain([this] { drained_ = true; }); });
}

void HubNode::tick() {
    const bool dead = env_ && !(machine().powered() && machine().running());
    if (dead || drained_) {
        if (drained_)
            machine().crash();
        bury();
        due_ = world_.now() + hub_restart_after;
    }
    if (!env_ && world_.now() >= due_)
        start();
}

bool HubNode::post(io::Work work) {
    if (!hub_ || !machine().running() || draining_)
        return false;
    env_->loop().post(std::move(work));
    return true;
}

void HubNode::wait_for(const bool& done, std::string_view what) {
    const bool in_time = world_.run_until([&done] { return done; }, set_up_max);
    if (!in_time)
        std::fprintf(stderr, "%s\n%s\n", last_refusal_.c_str(), world_.log_text().c_str());
    BRIM_ASSERT(in_time, what.data());
}

void HubNode::create_products() {
    for (const std::string_view key : {sensor_product, gateway_product}) {
        hub::ProductSpec spec;
        spec.product_key = key;
        spec.name = key;
        spec.is_gateway = key == gateway_product;
        if (!spec.is_gateway) {
            auto model = thing::Model::parse_text(sensor_tsl);
            BRIM_ASSERT(model.has_value(), "the simulated sensor's model is valid");
            spec.model = std::make_shared<const thing::Model>(std::move(*model)); // shared by its devices
        }
        bool done = false;
        post([this, &spec, &done] {
            hub_->registry().create_product(std::move(spec), [&done](Result<hub::Product*> made) {
                BRIM_ASSERT(made.has_value(), "a product is created on a healthy hub");
                done = true;
            });
        });
        wait_for(done, "a product is created in time");
    }
}

void HubNode::create_device(std::string_view product, const DeviceIdentity& device) {
    hub::DeviceSpec spec;
    spec.product_key = product;
    spec.device_name = device.key.device_name;
    spec.device_secret = device.secret;
    bool done = false;
    post([this, &spec, &done] {
        hub_->registry().create_device(std::move(spec), [&done](Result<hub::Device*> made) {
            BRIM_ASSERT(made.has_value(), "a device is created on a healthy hub");
            done = true;
        });
    });
    wait_for(done, "a device is created in time");
}

void HubNode::bind(const thing::DeviceKey& device, const thing::DeviceKey& gateway) {
    bool done = false;
    post([this, &device, &gateway, &done] {
        hub::Registry& registry = hub_->registry();
        registry.bind(*registry.device(device), registry.device(gateway), [&done](Result<void> bound) {
            BRIM_ASSERT(bound.has_value(), "a device is bound on a healthy hub");
            done = true;
        });
    });
    wait_for(done, "a device is bound in time");
}

} // namespace brim::sim
