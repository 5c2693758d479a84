#include "hub/api/shapes.h"

#include <algorithm>

namespace brim::hub {

Json time_or_null(WallTime time) {
    return time.ms == 0 ? Json() : Json(to_rfc3339(time));
}

Json product_json(const Product& product) {
    Json json = Json::object();
    json.set("productKey", product.product_key);
    json.set("name", product.name);
    json.set("nodeType", product.is_gateway ? "gateway" : "device");
    json.set("description", product.description);
    json.set("createdAt", to_rfc3339(product.created));
    json.set("deviceCount", product.device_count);
    json.set("propertyCount", product.model->properties().size());
    return json;
}

Json device_ref_json(const Device* device) {
    if (device == nullptr)
        return {};
    return Json::object({{"productKey", device->product->product_key}, {"deviceName", device->name}});
}

Json device_json(Registry& registry, const Device& device, bool with_values) {
    Json json = Json::object();
    json.set("productKey", device.product->product_key);
    json.set("deviceName", device.name);
    json.set("nickname", device.nickname);
    json.set("productName", device.product->name);
    json.set("nodeType", device.product->is_gateway ? "gateway" : "device");
    json.set("status", status_name(device.status()));
    json.set("statusSince", to_rfc3339(device.since));
    json.set("statusReason", device.reason);
    json.set("epoch", device.epoch);
    json.set("lastSeen", time_or_null(device.last_seen));
    json.set("createdAt", to_rfc3339(device.created));
    json.set("address", device.address);
    const Device* gateway = device.gateway == 0 ? nullptr : registry.device(device.gateway);
    json.set("gateway", device_ref_json(gateway));
    if (!with_values)
        return json;
    Json values = Json::object();
    for (const CurrentValue& current : device.current) {
        const Json time = to_rfc3339(WallTime{current.time_ms});
        values.set(
            device.product->properties[static_cast<std::size_t>(current.property)],
            Json::object({{"value", current.value.to_json()}, {"time", time}})
        );
    }
    json.set("properties", std::move(values));
    return json;
}

Json tags_json(const Device& device, bool system) {
    Json json = Json::object();
    for (const Tag& tag : device.tags) {
        if (tag.system == system)
            json.set(tag.key, tag.value);
    }
    return json;
}

Json desired_json(const DesiredValue& desired) {
    Json json = Json::object();
    json.set("value", desired.value.to_json());
    json.set("version", desired.version);
    json.set("time", to_rfc3339(WallTime{desired.time_ms}));
    json.set("state", desired_state_name(desired.state));
    if (!desired.message.empty())
        json.set("message", desired.message);
    return json;
}

Json property_state_json(Device& device, const thing::Property& property, PropertyId id) {
    Json json = Json::object();
    json.set("identifier", property.identifier);
    json.set("name", property.name);
    json.set("type", thing::type_name(property.type.type));
    json.set("unit", property.type.unit);
    json.set("writable", property.writable);
    const CurrentValue* current = device.current_value(id);
    json.set("value", current == nullptr ? Json() : current->value.to_json());
    json.set("time", current == nullptr ? Json() : Json(to_rfc3339(WallTime{current->time_ms})));
    const DesiredValue* desired = device.desired_value(id);
    json.set("desired", desired == nullptr ? Json() : desired_json(*desired));
    return json;
}

Json account_json(const Account& account) {
    return Json::object(
        {{"name", account.name},
         {"role", role_name(account.role)},
         {"createdAt", to_rfc3339({account.created_ms})}}
    );
}

Json token_json(const ApiToken& token) {
    Json json = Json::object();
    json.set("id", token.id);
    json.set("name", token.name);
    json.set("role", role_name(token.role));
    json.set("user", token.account);
    json.set("createdAt", to_rfc3339({token.created_ms}));
    json.set("expiresAt", time_or_null({token.expires_ms}));
    json.set("lastUsed", time_or_null({token.used_ms}));
    return json;
}

Json page_json(Json items, const std::string& next, std::size_t total) {
    Json json = Json::object();
    json.set("items", std::move(items));
    json.set("next", next.empty() ? Json() : Json(next));
    json.set("total", total);
    return json;
}

std::string make_cursor(std::string_view position) {
    return to_hex("c" + std::string(position));
}

Result<std::string> read_cursor(std::string_view cursor) {
    if (cursor.empty())
        return std::string{};
    auto text = from_hex(cursor);
    if (!text || text->empty() || text->front() != 'c') {
        return fail(
            Errc::malformed, "cursor", "is not one of this hub's", "take it from `next` of the page before"
        );
    }
    return text->substr(1);
}

bool contains_text(std::string_view text, std::string_view part) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::search(text.begin(), text.end(), part.begin(), part.end(), [&lower](char a, char b) {
               return lower(a) == lower(b);
           }) != text.end();
}

} // namespace brim::hub
