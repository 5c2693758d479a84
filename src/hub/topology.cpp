// Access: gateways, their sub-devices and the sub-devices' sessions (hub-protocol 3.7).

#include "hub/access.h"
#include "thing/sign.h"

namespace brim::hub {

using mqtt::Verdict;
using thing::TopicKind;

namespace {

thing::DeviceKey key_of(const Json& item) {
    return {std::string(item["productKey"].as_string()), std::string(item["deviceName"].as_string())};
}

Json key_json(const thing::DeviceKey& key) {
    return Json::object({{"deviceName", key.device_name}, {"productKey", key.product_key}});
}

/// Strings and numbers both occur for time stamps.
std::string text_of(const Json& value) {
    return value.is_int() ? std::to_string(value.as_int()) : std::string(value.as_string());
}

} // namespace

Verdict Access::refuse(const Inbound& in, int code, std::string_view text, const Json& data) {
    reply(in, code, text, data.is_null() ? Json::object() : data);
    return Verdict::consumed;
}

Verdict Access::on_topology(const Inbound& in, const thing::Request& request) {
    if (&in.device != &in.session || !in.session.product->is_gateway)
        return refuse(in, 6401, "only a gateway has sub-devices");
    switch (in.topic.kind) {
    case TopicKind::sub_register:
        on_sub_register(in, request);
        break;
    case TopicKind::topo_add:
        return on_topo_add(in, request);
    case TopicKind::sub_unregister:
    case TopicKind::topo_delete:
        return on_topo_delete(in, request);
    case TopicKind::topo_get: {
        Json list = Json::array();
        for (const DeviceId id : registry_.sub_devices(in.session.id)) {
            if (const Device* sub = registry_.device(id))
                list.push(key_json(sub->key()));
        }
        reply(in, 200, "success", list);
        break;
    }
    case TopicKind::list_found:
        reply(in, 200, "success", Json::object());
        break;
    case TopicKind::combine_login:
        return on_login(in, request, {request.params}, false);
    case TopicKind::combine_batch_login:
        return on_login(in, request, request.params["deviceList"].items(), true);
    case TopicKind::combine_logout:
        on_logout(in, {request.params}, false);
        break;
    case TopicKind::combine_batch_logout:
        on_logout(in, request.params.items(), true);
        break;
    default:
        break;
    }
    return Verdict::consumed;
}

bool Access::signed_by(const Device& device, const Json& claim) const {
    const Json* method_text = claim.find("signMethod");
    if (method_text == nullptr)
        method_text = claim.find("signmethod");
    const auto method =
        thing::parse_sign_method(method_text == nullptr ? "hmacmd5" : method_text->as_string());
    if (!method)
        return false;
    const std::string timestamp = text_of(claim["timestamp"]);
    const std::string expected =
        thing::sign(*method, device.secret, claim["clientId"].as_string(), device.key(), timestamp);
    return thing::verify(claim["sign"].as_string(), expected);
}

void Access::on_sub_register(const Inbound& in, const thing::Request& request) {
    // Names must exist and be bound to this gateway: a gateway cannot fetch the secrets of other devices.
    Json list = Json::array();
    for (const Json& item : request.params.items()) {
        const thing::DeviceKey key = key_of(item);
        const Device* device = registry_.device(key);
        if (device == nullptr || device->gateway != in.session.id) {
            return reply(in, 6619, "device " + key.text() + " is not bound to this gateway", Json::object());
        }
        Json entry = key_json(key);
        entry.set("iotId", std::to_string(device->id));
        entry.set("deviceSecret", device->secret.reveal());
        list.push(std::move(entry));
    }
    reply(in, 200, "success", list);
}

Verdict Access::on_topo_add(const Inbound& in, const thing::Request& request) {
    const Json::Array& items = request.params.items();
    if (items.empty() || items.size() > options_.logins_per_batch_max)
        return refuse(in, 460, "1 to " + std::to_string(options_.logins_per_batch_max) + " devices");
    Json list = Json::array();
    std::vector<Device*> added;
    for (const Json& item : items) {
        const thing::DeviceKey key = key_of(item);
        Device* device = registry_.device(key);
        if (device == nullptr)
            return refuse(in, 6100, "device " + key.text() + " not found");
        if (device == &in.session)
            return refuse(in, 6402, "a gateway cannot be added to itself");
        if (device->product->is_gateway)
            return refuse(in, 6402, "device " + key.text() + " is a gateway itself");
        if (!device->enabled)
            return refuse(in, 6204, "device " + key.text() + " is disabled");
        if (!signed_by(*device, item))
            return refuse(in, 401, "wrong sign of " + key.text());
        added.push_back(device);
        list.push(key_json(key));
    }
    if (!registry_.has_room(in.session, added))
        return refuse(in, 6400, "the gateway has its maximum of sub-devices");
    std::vector<std::pair<DeviceId, DeviceId>> moved; // device, and the gateway it leaves
    for (const Device* device : added) {
        if (device->gateway != 0 && device->gateway != in.session.id)
            moved.emplace_back(device->id, device->gateway);
    }
    auto stored = [this,
                   moved,
                   answered = answer_when_stored(in, request, std::move(list))](Result<void> result) mutable {
        for (const auto& [id, old] : moved) {
            Device* back = result ? nullptr : registry_.device(id);
            Device* gateway = registry_.device(old);
            if (back != nullptr && gateway != nullptr)
                on_bound(*back, *gateway);
        }
        answered(std::move(result));
    };
    registry_.bind(added, &in.session, std::move(stored));
    // The old gateway is told now, so that no device is in two sessions; told again if the disk refuses.
    for (const auto& [id, old] : moved) {
        if (Device* gateway = registry_.device(old))
            on_unbound(*registry_.device(id), *gateway);
    }
    return Verdict::pending;
}

Verdict Access::on_topo_delete(const Inbound& in, const thing::Request& request) {
    Json list = Json::array();
    std::vector<Device*> removed;
    for (const Json& item : request.params.items()) {
        const thing::DeviceKey key = key_of(item);
        Device* device = registry_.device(key);
        if (device == nullptr)
            return refuse(in, 6100, "device " + key.text() + " not found");
        if (device->gateway != in.session.id)
            return refuse(in, 6401, "device " + key.text() + " is not bound to this gateway");
        removed.push_back(device);
        list.push(key_json(key));
    }
    if (removed.empty())
        return refuse(in, 460, "no device named");
    for (Device* device : removed)
        log_out(sessions_[in.session.id], *device, "unbound");
    registry_.bind(removed, nullptr, answer_when_stored(in, request, std::move(list)));
    return Verdict::pending;
}

Registry::Done Access::answer_when_stored(const Inbound& in, const thing::Request& request, Json success) {
    return [this,
            token = in.token,
            session = in.session.id,
            topic = in.message->topic + "_reply",
            id = request.id,
            method = request.method,
            success = std::move(success)](const Result<void>& stored) {
        if (!stored)
            env().log().error("access", "a request was not stored", {{"cause", stored.error().text()}});
        const bool good = stored.has_value();
        // The reply goes first: MQTT 3.1.1 has no failing PUBACK, its connection ends instead.
        if (Device* still = registry_.device(session)) {
            const Json& data = good ? success : Json::object();
            answer(
                *still,
                topic,
                thing::make_reply(id, good ? 200 : 500, good ? "success" : "not stored", data, method)
            );
        }
        settle(token, stored);
    };
}

Verdict
Access::on_login(const Inbound& in, const thing::Request& request, const Json::Array& logins, bool batch) {
    if (logins.empty() || logins.size() > options_.logins_per_batch_max)
        return refuse(in, 460, "1 to " + std::to_string(options_.logins_per_batch_max) + " devices");
    Json list = Json::array();
    for (const Json& item : logins) { // all or nothing
        const thing::DeviceKey key = key_of(item);
        const Device* device = registry_.device(key);
        const auto no = [&](int code, std::string_view text) {
            return refuse(in, code, std::string(text) + ": " + key.text(), key_json(key));
        };
        if (device == nullptr)
            return no(521, "device does not exist");
        if (device->gateway != in.session.id)
            return no(6401, "not bound to this gateway");
        if (!device->enabled)
            return no(522, "device is disabled");
        if (!signed_by(*device, item))
            return no(6287, "wrong sign");
        list.push(key_json(key));
    }
    Session& session = sessions_[in.session.id];
    std::vector<DeviceId> activated;
    for (const Json& item : logins) {
        Device* device = registry_.device(key_of(item));
        if (!device->activated)
            activated.push_back(device->id);
        if (session.logged_in.contains(device->id))
            continue;
        // One session per device: its own connection ends when it comes through a gateway.
        if (sessions_.contains(device->id))
            kick(*device, mqtt::ReasonCode::session_taken_over, "takeover");
        carried_by_[device->id] = in.session.id;
        session.logged_in.insert(device->id);
        online(*device, ++epoch_, in.session.address);
    }
    Json success = batch ? std::move(list) : list.items().front();
    if (activated.empty()) {
        // A session lives in memory, as its connection does: nothing has to be stored.
        reply(in, 200, "success", success);
        return Verdict::consumed;
    }
    // The first login activates a device for good.
    auto stored = [this,
                   gateway = in.session.id,
                   activated = std::move(activated),
                   answered =
                       answer_when_stored(in, request, std::move(success))](Result<void> result) mutable {
        const auto still = sessions_.find(gateway);
        for (const DeviceId id : activated) {
            Device* device = result || still == sessions_.end() ? nullptr : registry_.device(id);
            if (device == nullptr)
                continue;
            log_out(still->second, *device, "not stored");
            device->activated = false;
        }
        answered(std::move(result));
    };
    registry_.save_status(std::move(stored));
    return Verdict::pending;
}

void Access::on_logout(const Inbound& in, const Json::Array& logouts, bool batch) {
    Json list = Json::array();
    for (const Json& item : logouts) {
        const thing::DeviceKey key = key_of(item);
        const Device* device = registry_.device(key);
        if (device == nullptr || !sessions_[in.session.id].logged_in.contains(device->id)) {
            return reply(in, 520, "device no session: " + key.text(), key_json(key));
        }
        list.push(key_json(key));
    }
    if (list.items().empty())
        return reply(in, 460, "no device named", Json::object());
    for (const Json& item : logouts)
        log_out(sessions_[in.session.id], *registry_.device(key_of(item)), "disconnect");
    reply(in, 200, "success", batch ? list : list.items().front());
}

void Access::log_out(Session& session, Device& device, std::string_view why) {
    if (session.logged_in.erase(device.id) == 0)
        return;
    carried_by_.erase(device.id);
    offline(device, why);
}

void Access::tell_session_error(
    Device& gateway, int code, std::string_view text, const thing::DeviceKey& device
) {
    Json payload = Json::object();
    payload.set("id", "0");
    payload.set("code", code);
    payload.set("message", text);
    payload.set("data", key_json(device));
    answer(gateway, "/ext/error/" + gateway.product->product_key + "/" + gateway.name, payload.text());
}

void Access::on_unbound(Device& device, Device& gateway) {
    const auto session = sessions_.find(gateway.id);
    if (session == sessions_.end())
        return;
    log_out(session->second, device, "unbound");
    const Json params = Json::object({{"status", 1}, {"subList", Json::array({key_json(device.key())})}});
    answer(
        gateway,
        thing::sys_topic(gateway.key(), "thing/topo/change"),
        thing::make_request(std::to_string(++next_notice_), "thing.topo.change", params)
    );
}

void Access::on_bound(Device& device, Device& gateway) {
    if (!sessions_.contains(gateway.id))
        return;
    const Json params = Json::object({{"status", 0}, {"subList", Json::array({key_json(device.key())})}});
    answer(
        gateway,
        thing::sys_topic(gateway.key(), "thing/topo/change"),
        thing::make_request(std::to_string(++next_notice_), "thing.topo.change", params)
    );
}

} // namespace brim::hub
