#include "hub/downlink.h"

#include <algorithm>

namespace brim::hub {

namespace {

constexpr int code_offline = 109'001; ///< of a gateway: it cannot reach the device now

} // namespace

struct Downlink::Call {
    explicit Call(io::Loop& loop) : deadline(loop) {}

    DeviceId device = 0;
    std::uint64_t epoch = 0;                                   ///< of the device's session when it was sent
    std::vector<std::pair<PropertyId, std::int64_t>> desired;  ///< set: property and version it was sent for
    std::move_only_function<void(Result<ServiceResult>)> done; ///< service call
    io::Timer deadline;
};

Downlink::Downlink(
    io::Env& env, Registry& registry, DeviceChannel& channel, Feed& feed, DownlinkLimits limits
)
    : env_(env), registry_(registry), channel_(channel), feed_(feed), limits_(limits) {}

Downlink::~Downlink() = default;

std::string Downlink::next_id() {
    // Ids must fit 32 bits for old SDKs; they only have to differ among the calls that wait.
    std::string id;
    do {
        id = std::to_string(next_id_++ & 0xffff'ffffU);
    } while (calls_.contains(id));
    return id;
}

namespace {

std::string device_object(const Device& device) {
    return "device \"" + device.key().text() + "\"";
}

/// Checks all values; the error lists each bad one.
Result<std::vector<std::pair<PropertyId, thing::Value>>>
check_values(const Device& device, const Json& values) {
    const thing::Model& model = *device.product->model;
    std::vector<std::pair<PropertyId, thing::Value>> checked;
    std::string problems;
    for (const auto& [identifier, json] : values.members()) {
        const int index = model.property_index(identifier);
        std::string problem;
        if (index < 0) {
            problem = "the model has no property of this name";
        } else if (!model.properties()[static_cast<std::size_t>(index)].writable) {
            problem = "is read-only in the model";
        } else {
            auto value = thing::check_value(
                model.properties()[static_cast<std::size_t>(index)].type, json, identifier
            );
            if (auto* rejection = std::get_if<thing::Rejection>(&value)) {
                problem = rejection->message;
            } else {
                checked.emplace_back(
                    device.product->model_ids[static_cast<std::size_t>(index)],
                    std::get<thing::Value>(std::move(value))
                );
            }
        }
        if (!problem.empty())
            problems += (problems.empty() ? "" : "; ") + identifier + ": " + problem;
    }
    if (!problems.empty()) {
        return fail(
            Errc::invalid, device_object(device), problems, "send values that fit the product's thing model"
        );
    }
    if (checked.empty()) {
        return fail(Errc::invalid, device_object(device), "no values given", "send at least one property");
    }
    return checked;
}

} // namespace

void Downlink::set_properties(
    Device& device, const Json& values, std::move_only_function<void(Result<bool>)> done
) {
    auto checked = check_values(device, values);
    if (!checked)
        return done(fail(std::move(checked).error()));
    std::vector<PropertyId> properties;
    properties.reserve(checked->size());
    for (const auto& [property, value] : *checked)
        properties.push_back(property);
    const DeviceId id = device.id;
    auto stored = [this, id, properties, done = std::move(done)](Result<void> result) mutable {
        Device* still = registry_.device(id);
        if (!result) { // the value before is back, and nothing was sent while this one stood in its place
            if (still != nullptr)
                send_pending(*still);
            return done(fail(std::move(result).error()));
        }
        if (still == nullptr)
            return done(fail(Errc::not_found, "device", "it was deleted meanwhile"));
        for (const PropertyId property : properties) {
            if (const DesiredValue* desired = still->desired_value(property))
                publish_desired(*still, *desired);
        }
        done(send_set(*still, properties));
    };
    registry_.set_desired(device, std::move(*checked), env_.loop().clock().wall().ms, std::move(stored));
}

bool Downlink::send_set(Device& device, const std::vector<PropertyId>& properties) {
    if (!device.online || !device.enabled)
        return false;
    auto call = std::make_unique<Call>(env_.loop());
    call->device = device.id;
    call->epoch = device.epoch;
    std::string params = "{";
    for (const PropertyId property : properties) {
        const DesiredValue* desired = device.desired_value(property);
        if (desired == nullptr || !desired->is_stored) // a newer one is under way and sent after its commit
            continue;
        if (params.size() > 1)
            params += ',';
        json_append_string(params, device.product->properties[static_cast<std::size_t>(property)]);
        params += ':';
        desired->value.append_json(params);
        call->desired.emplace_back(property, desired->version);
    }
    params += '}';
    if (call->desired.empty())
        return false;
    const std::string id = next_id();
    std::string payload = R"({"id":")" + id + R"(","version":"1.0","params":)" + params +
                          R"(,"method":"thing.service.property.set"})";
    const std::string topic = thing::sys_topic(device.key(), "thing/service/property/set");
    if (!channel_.send(device, topic, std::move(payload), 1))
        return false;
    if (calls_.size() < limits_.calls_max) {
        // Without a reply the value simply stays pending: it is sent again when the device comes back.
        call->deadline.start(limits_.set_wait, [this, id] { calls_.erase(id); });
        calls_.emplace(id, std::move(call));
    }
    return true;
}

void Downlink::call_service(
    Device& device,
    std::string_view service,
    const Json& input,
    std::chrono::milliseconds wait,
    std::move_only_function<void(Result<ServiceResult>)> done
) {
    const thing::Service* known = device.product->model->service(service);
    const std::string object = "service \"" + std::string(service) + "\" of " + device_object(device);
    if (known == nullptr) {
        return done(fail(Errc::not_found, object, "the thing model has no such service", "see GET .../model")
        );
    }
    Json checked = Json::object();
    for (const thing::Field& field : known->inputs) {
        const Json* value = input.find(field.identifier);
        if (value == nullptr)
            continue;
        auto typed = thing::check_value(field.type, *value, field.identifier);
        if (auto* rejection = std::get_if<thing::Rejection>(&typed)) {
            return done(
                fail(Errc::invalid, object, rejection->message, "send an input that fits the thing model")
            );
        }
        checked.set(field.identifier, *value);
    }
    for (const auto& [name, value] : input.members()) {
        if (checked.find(name) == nullptr) {
            return done(fail(Errc::invalid, object, "it has no input \"" + name + "\"", "see the thing model")
            );
        }
    }
    std::size_t& waiting = calls_per_device_[device.id];
    if (calls_.size() >= limits_.calls_max || waiting >= limits_.calls_per_device_max) {
        return done(
            fail(Errc::busy, object, "too many calls wait for an answer", "try again in a few seconds")
        );
    }
    const std::string id = next_id();
    const std::string method = "thing.service." + std::string(service);
    const std::string topic = thing::sys_topic(device.key(), "thing/service/" + std::string(service));
    if (!channel_.send(device, topic, thing::make_request(id, method, checked), 1)) {
        return done(fail(Errc::unavailable, object, "the device is offline", "call again when it is back"));
    }
    auto call = std::make_unique<Call>(env_.loop());
    call->device = device.id;
    call->done = std::move(done);
    ++waiting;
    call->deadline.start(wait, [this, id, object] {
        auto node = calls_.extract(id);
        if (node.empty())
            return;
        --calls_per_device_[node.mapped()->device];
        node.mapped()->done(
            fail(Errc::timeout, object, "no answer in time", "raise timeoutMs, or look at the device")
        );
    });
    calls_.emplace(id, std::move(call));
}

void Downlink::send_pending(Device& device) {
    std::vector<PropertyId> pending;
    for (const DesiredValue& desired : device.desired) {
        if (desired.state == DesiredState::pending)
            pending.push_back(desired.property);
    }
    if (!pending.empty())
        send_set(device, pending);
}

void Downlink::on_reply(Device& device, std::string_view payload) {
    auto reply = thing::parse_reply(payload);
    if (!reply)
        return;
    std::string id = reply->id;
    std::erase(id, '"');
    const auto found = calls_.find(id);
    // A reply only counts from the device it was asked of: ids are easily guessed.
    if (found == calls_.end() || found->second->device != device.id)
        return;
    auto call = std::move(found->second);
    calls_.erase(found);
    if (call->done) {
        --calls_per_device_[device.id];
        Json output = reply->data.is_object() ? std::move(reply->data) : Json::object();
        return call->done(ServiceResult{reply->code, reply->message, std::move(output)});
    }
    if (reply->code == 200)
        return; // confirmed only by the report that follows
    if (reply->code == code_offline)
        return retry(device, std::move(call));
    for (const auto& [property, version] : call->desired) {
        DesiredValue* desired = device.desired_value(property);
        if (desired == nullptr || desired->version != version)
            continue;
        const std::string why = reply->message.empty() ? "no reason given" : reply->message;
        registry_.settle_desired(
            device, property, DesiredState::failed, "code " + std::to_string(reply->code) + ": " + why
        );
        if (const DesiredValue* settled = device.desired_value(property))
            publish_desired(device, *settled);
    }
}

void Downlink::retry(Device& device, std::unique_ptr<Call> call) {
    // Not a refusal: the value stays pending, and the login that ends the absence sends it.
    if (!device.online)
        return;
    // That login was faster than this reply: nothing else would send it.
    if (device.epoch != call->epoch)
        return send_again(device, *call);
    // No logout came: the absence may be too short for the gateway to tell us. Ask again in a while.
    if (calls_.size() >= limits_.calls_max)
        return;
    const std::string id = next_id();
    call->deadline.start(limits_.offline_wait, [this, id] {
        const auto node = calls_.extract(id);
        if (node.empty())
            return;
        const Call& waited = *node.mapped();
        Device* still = registry_.device(waited.device);
        if (still != nullptr && still->online && still->epoch == waited.epoch)
            send_again(*still, waited);
    });
    calls_.emplace(id, std::move(call));
}

void Downlink::send_again(Device& device, const Call& call) {
    std::vector<PropertyId> again;
    for (const auto& [property, version] : call.desired) {
        const DesiredValue* desired = device.desired_value(property);
        if (desired != nullptr && desired->version == version && desired->state == DesiredState::pending)
            again.push_back(property);
    }
    if (!again.empty())
        send_set(device, again);
}

void Downlink::on_reported(Device& device, PropertyId property, const thing::Value& value) {
    const DesiredValue* desired = device.desired_value(property);
    if (desired == nullptr || desired->state == DesiredState::confirmed || desired->value != value)
        return;
    registry_.settle_desired(device, property, DesiredState::confirmed, {});
    if (const DesiredValue* settled = device.desired_value(property))
        publish_desired(device, *settled);
}

void Downlink::publish_desired(Device& device, const DesiredValue& desired) {
    if (!feed_.wanted(FeedType::set))
        return;
    Json data = Json::object();
    data.set("productKey", device.product->product_key);
    data.set("deviceName", device.name);
    data.set("identifier", device.product->properties[static_cast<std::size_t>(desired.property)]);
    Json state = Json::object();
    state.set("value", desired.value.to_json());
    state.set("version", desired.version);
    state.set("time", to_rfc3339(WallTime{desired.time_ms}));
    state.set("state", desired_state_name(desired.state));
    if (!desired.message.empty())
        state.set("message", desired.message);
    data.set("desired", std::move(state));
    feed_.publish(FeedType::set, device.key().text(), data.text());
}

} // namespace brim::hub
