// Devices and gateways: lists, life cycle, topology.

#include "hub/api/handlers.h"
#include "hub/api/shapes.h"

#include <charconv>

namespace brim::hub {

Device* device_of(Call& call, ApiContext& context) {
    Device* device = context.parts.registry.device(call.at("productKey"), call.at("deviceName"));
    if (device == nullptr) {
        const std::string name =
            std::string(call.at("productKey")) + "/" + std::string(call.at("deviceName"));
        call.answer({Errc::not_found, "device \"" + name + "\"", "no such device", "see GET /api/v1/devices"}
        );
    }
    return device;
}

void answer_devices(Call& call, ApiContext& context, const std::function<bool(const Device&)>& keep) {
    const auto position = read_cursor(call.text("cursor"));
    if (!position)
        return call.answer(position.error());
    DeviceId after = 0;
    std::from_chars(position->data(), position->data() + position->size(), after);
    const auto limit = static_cast<std::size_t>(call.integer("limit", 100));
    const auto values = call.query.find("values");
    const bool with_values = values == call.query.end() || values->second.as_bool(true);
    Registry& registry = context.parts.registry;
    Json items = Json::array();
    std::string next;
    std::size_t total = 0;
    DeviceId last = 0;
    for (const auto& [id, device] : registry.devices()) {
        if (!keep(*device))
            continue;
        ++total;
        if (id <= after)
            continue;
        if (items.items().size() == limit) {
            if (next.empty())
                next = make_cursor(std::to_string(last));
            continue;
        }
        items.push(device_json(registry, *device, with_values));
        last = id;
    }
    call.answer(200, page_json(std::move(items), next, total));
}

namespace {

bool matches_text(const Device& device, std::string_view wanted) {
    return wanted.empty() || contains_text(device.name, wanted) || contains_text(device.nickname, wanted) ||
           contains_text(device.product->name, wanted);
}

void list_devices(Call& call, ApiContext& context) {
    const std::string_view product = call.text("productKey");
    const std::string_view status = call.text("status");
    const std::string_view node = call.text("nodeType");
    const std::string_view wanted = call.text("q");
    DeviceId gateway = 0;
    if (const std::string_view name = call.text("gateway"); !name.empty()) {
        const auto key = thing::DeviceKey::parse(name);
        const Device* carrier = key ? context.parts.registry.device(*key) : nullptr;
        if (carrier == nullptr) {
            return call.answer(
                {Errc::not_found,
                 "gateway \"" + std::string(name) + "\"",
                 "no such device",
                 "use productKey/deviceName"}
            );
        }
        gateway = carrier->id;
    }
    answer_devices(call, context, [&](const Device& device) {
        return (product.empty() || device.product->product_key == product) &&
               (status.empty() || status_name(device.status()) == status) &&
               (node.empty() || device.product->is_gateway == (node == "gateway")) &&
               (gateway == 0 || device.gateway == gateway) && matches_text(device, wanted);
    });
}

void set_enabled(Call call, ApiContext& context, bool enabled) {
    Device* device = device_of(call, context);
    if (device == nullptr)
        return;
    const DeviceId id = device->id;
    auto done = [&context, id, call = std::move(call)](const Result<void>& stored) mutable {
        if (!stored)
            return call.answer(stored.error());
        Device* still = context.parts.registry.device(id);
        if (still == nullptr)
            return call.answer({Errc::not_found, "device", "it was deleted meanwhile", ""});
        call.answer(200, device_json(context.parts.registry, *still, true));
    };
    context.parts.registry.set_enabled(*device, enabled, std::move(done));
    // Not after the disk has it: a disabled device is out at once. "Banned" is a code of CONNACK alone,
    // clients take it for a protocol error in DISCONNECT (MQTT 5 section 3.14.2.1).
    if (!enabled)
        context.parts.access.kick(*device, mqtt::ReasonCode::administrative_action, "disabled");
}

void create_device(Call call, ApiContext& context) {
    DeviceSpec spec;
    spec.product_key = call.body["productKey"].as_string();
    spec.device_name = call.body["deviceName"].as_string();
    spec.nickname = call.body["nickname"].as_string();
    spec.device_secret = call.body["deviceSecret"].as_string();
    context.parts.registry.create_device(
        std::move(spec),
        [call = std::move(call)](const Result<Device*>& made) mutable {
            if (!made)
                return call.answer(made.error());
            const Device& device = **made;
            Json json = Json::object();
            json.set("productKey", device.product->product_key);
            json.set("deviceName", device.name);
            json.set("deviceSecret", device.secret.reveal());
            call.answer(201, json);
        }
    );
}

void delete_device(Call call, ApiContext& context) {
    Device* device = device_of(call, context);
    if (device == nullptr)
        return;
    const DeviceId id = device->id;
    context.parts.access.kick(*device, mqtt::ReasonCode::administrative_action, "deleted");
    context.parts.registry.delete_device(
        *device,
        [&context, id, call = std::move(call)](const Result<void>& gone) mutable {
            if (!gone)
                return call.answer(gone.error());
            context.parts.ingest.forget_device(
                id,
                [call = std::move(call)](const Result<void>& forgotten) mutable {
                    if (!forgotten)
                        return call.answer(forgotten.error());
                    call.answer_empty();
                }
            );
        }
    );
}

} // namespace

void add_device_handlers(Handlers& handlers, ApiContext& context) {
    handlers["listDevices"] = [&context](Call call) { list_devices(call, context); };
    handlers["createDevice"] = [&context](Call call) { create_device(std::move(call), context); };
    handlers["getDevice"] = [&context](Call call) {
        const Device* device = device_of(call, context);
        if (device == nullptr)
            return;
        Json json = device_json(context.parts.registry, *device, true);
        json.set("tags", tags_json(*device, false));
        json.set("deviceInfo", tags_json(*device, true));
        call.answer(200, json);
    };
    handlers["deleteDevice"] = [&context](Call call) { delete_device(std::move(call), context); };
    handlers["disableDevice"] = [&context](Call call) { set_enabled(std::move(call), context, false); };
    handlers["enableDevice"] = [&context](Call call) { set_enabled(std::move(call), context, true); };
}

void add_gateway_handlers(Handlers& handlers, ApiContext& context) {
    handlers["listGateways"] = [&context](Call call) {
        const std::string_view wanted = call.text("q");
        answer_devices(call, context, [wanted](const Device& device) {
            return device.product->is_gateway && matches_text(device, wanted);
        });
    };
    handlers["listSubDevices"] = [&context](Call call) {
        const Device* gateway = device_of(call, context);
        if (gateway == nullptr)
            return;
        answer_devices(call, context, [id = gateway->id](const Device& device) {
            return device.gateway == id;
        });
    };
    const auto rebind = [&context](Call call, Device& device, Device* gateway) {
        Device* before = device.gateway == 0 ? nullptr : context.parts.registry.device(device.gateway);
        const DeviceId id = device.id;
        const DeviceId to = gateway == nullptr ? 0 : gateway->id;
        auto done = [&context, id, to, call = std::move(call)](const Result<void>& stored) mutable {
            if (!stored)
                return call.answer(stored.error());
            Device* moved = context.parts.registry.device(id);
            Device* now_at = to == 0 ? nullptr : context.parts.registry.device(to);
            if (moved != nullptr && now_at != nullptr)
                context.parts.access.on_bound(*moved, *now_at);
            call.answer_empty();
        };
        context.parts.registry.bind(device, gateway, std::move(done));
        // Only when it really left: a refused binding changes nothing for the old gateway.
        if (before != nullptr && device.gateway != before->id)
            context.parts.access.on_unbound(device, *before);
    };
    handlers["addSubDevice"] = [&context, rebind](Call call) {
        Device* gateway = device_of(call, context);
        if (gateway == nullptr)
            return;
        const std::string_view key = call.body["productKey"].as_string();
        const std::string_view name = call.body["deviceName"].as_string();
        Device* device = context.parts.registry.device(key, name);
        if (device == nullptr) {
            const std::string text = std::string(key) + "/" + std::string(name);
            return call.answer(
                {Errc::not_found, "device \"" + text + "\"", "no such device", "create it first"}
            );
        }
        rebind(std::move(call), *device, gateway);
    };
    handlers["removeSubDevice"] = [&context, rebind](Call call) {
        const Device* gateway = device_of(call, context);
        if (gateway == nullptr)
            return;
        Device* device = context.parts.registry.device(call.at("subProductKey"), call.at("subDeviceName"));
        if (device == nullptr || device->gateway != gateway->id) {
            const std::string text =
                std::string(call.at("subProductKey")) + "/" + std::string(call.at("subDeviceName"));
            return call.answer(
                {Errc::not_found,
                 "device \"" + text + "\"",
                 "is not bound to this gateway",
                 "see the gateway's devices"}
            );
        }
        rebind(std::move(call), *device, nullptr);
    };
}

} // namespace brim::hub
