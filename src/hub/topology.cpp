// Access: gateways, their sub-devices and the sub-devices' sessions (hub-protocol 3.7).

#include "hub/access.h"
#include "thing/sign.h"

namespace brim::hub {

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

bool Access::on_topology(const Inbound& in, const thing::Request& request) {
    const TopicKind kind = in.topic.kind;
    const bool concerns_gateway = kind >= TopicKind::sub_register && kind <= TopicKind::combine_batch_logout;
    if (!concerns_gateway)
        return false;
    if (&in.device != &in.session || !in.session.product->is_gateway) {
        reply(in, 6401, "only a gateway has sub-devices", Json::object());
        return true;
    }
    switch (kind) {
    case TopicKind::sub_register:
        on_sub_register(in, request);
        break;
    case TopicKind::topo_add:
        on_topo_add(in, request);
        break;
    case TopicKind::sub_unregister:
    case TopicKind::topo_delete:
        on_topo_delete(in, request);
        break;
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
        on_login(in, request, {request.params}, false);
        break;
    case TopicKind::combine_batch_login:
        on_login(in, request, request.params["deviceList"].items(), true);
        break;
    case TopicKind::combine_logout:
        on_logout(in, request, {request.params}, false);
        break;
    case TopicKind::combine_batch_logout:
        on_logout(in, request, request.params.items(), true);
        break;
    default:
        break;
    }
    return true;
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

void Access::on_topo_add(const Inbound& in, const thing::Request& request) {
    Json list = Json::array();
    std::vector<DeviceId> added;
    if (request.params.items().empty() || request.params.items().size() > options_.logins_per_batch_max) {
        return reply(
            in, 460, "1 to " + std::to_string(options_.logins_per_batch_max) + " devices", Json::object()
        );
    }
    for (const Json& item : request.params.items()) {
        const thing::DeviceKey key = key_of(item);
        const Device* device = registry_.device(key);
        if (device == nullptr)
            return reply(in, 6100, "device " + key.text() + " not found", Json::object());
        if (device == &in.session)
            return reply(in, 6402, "a gateway cannot be added to itself", Json::object());
        if (device->product->is_gateway)
            return reply(in, 6402, "device " + key.text() + " is a gateway itself", Json::object());
        if (!device->enabled)
            return reply(in, 6204, "device " + key.text() + " is disabled", Json::object());
        if (!signed_by(*device, item))
            return reply(in, 401, "wrong sign of " + key.text(), Json::object());
        added.push_back(device->id);
        list.push(key_json(key));
    }
    // Answered when the last binding is durable; all were checked before the first was made.
    const auto stored = answer_when_stored(in, request, added.size(), list);
    for (const DeviceId id : added) {
        Device* device = registry_.device(id);
        Device* old = device->gateway == 0 || device->gateway == in.session.id
                          ? nullptr
                          : registry_.device(device->gateway);
        registry_.bind(*device, &in.session, stored);
        if (old != nullptr && device->gateway != old->id)
            on_unbound(*device, *old);
    }
}

void Access::on_topo_delete(const Inbound& in, const thing::Request& request) {
    Json list = Json::array();
    for (const Json& item : request.params.items()) {
        const thing::DeviceKey key = key_of(item);
        Device* device = registry_.device(key);
        if (device == nullptr)
            return reply(in, 6100, "device " + key.text() + " not found", Json::object());
        if (device->gateway != in.session.id) {
            return reply(in, 6401, "device " + key.text() + " is not bound to this gateway", Json::object());
        }
        list.push(key_json(key));
    }
    if (list.items().empty())
        return reply(in, 460, "no device named", Json::object());
    const auto stored = answer_when_stored(in, request, list.items().size(), list);
    for (const Json& item : request.params.items()) {
        Device* device = registry_.device(key_of(item));
        log_out(sessions_[in.session.id], *device, "unbound");
        registry_.bind(*device, nullptr, stored);
    }
}

std::function<void(const Result<void>&)> Access::answer_when_stored(
    const Inbound& in, const thing::Request& request, std::size_t writes, const Json& success
) {
    struct Progress {
        std::size_t left;
        int code = 200;
    };

    auto progress = std::make_shared<Progress>(Progress{writes}); // shared by the writes under way
    return [this,
            progress,
            session = in.session.id,
            topic = in.message->topic + "_reply",
            id = request.id,
            method = request.method,
            success](const Result<void>& stored) {
        if (!stored) {
            env().log().error("access", "a request was not stored", {{"cause", stored.error().text()}});
            constexpr int too_many = 6400;
            progress->code = stored.error().code == Errc::full ? too_many : 500;
        }
        Device* still = registry_.device(session);
        if (--progress->left != 0 || still == nullptr)
            return;
        const bool good = progress->code == 200;
        answer(
            *still,
            topic,
            thing::make_reply(
                id, progress->code, good ? "success" : "not stored", good ? success : Json::object(), method
            )
        );
    };
}

void Access::on_login(
    const Inbound& in, const thing::Request& request, const Json::Array& logins, bool batch
) {
    (void)request;
    if (logins.empty() || logins.size() > options_.logins_per_batch_max) {
        return reply(
            in, 460, "1 to " + std::to_string(options_.logins_per_batch_max) + " devices", Json::object()
        );
    }
    Json list = Json::array();
    for (const Json& item : logins) { // all or nothing
        const thing::DeviceKey key = key_of(item);
        const Device* device = registry_.device(key);
        const auto refuse = [&](int code, std::string_view text) {
            reply(in, code, std::string(text) + ": " + key.text(), key_json(key));
        };
        if (device == nullptr)
            return refuse(521, "device does not exist");
        if (device->gateway != in.session.id)
            return refuse(6401, "not bound to this gateway");
        if (!device->enabled)
            return refuse(522, "device is disabled");
        if (!signed_by(*device, item))
            return refuse(6287, "wrong sign");
        list.push(key_json(key));
    }
    Session& session = sessions_[in.session.id];
    for (const Json& item : logins) {
        Device* device = registry_.device(key_of(item));
        if (session.logged_in.contains(device->id))
            continue;
        // One session per device: its own connection ends when it comes through a gateway.
        if (sessions_.contains(device->id))
            kick(*device, mqtt::ReasonCode::session_taken_over, "takeover");
        carried_by_[device->id] = in.session.id;
        session.logged_in.insert(device->id);
        online(*device, ++epoch_, in.session.address);
    }
    reply(in, 200, "success", batch ? list : list.items().front());
}

void Access::on_logout(
    const Inbound& in, const thing::Request& request, const Json::Array& logouts, bool batch
) {
    (void)request;
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
