// A device's properties, history, events and services.

#include "hub/api/conditional.h"
#include "hub/api/handlers.h"
#include "hub/api/shapes.h"

#include <algorithm>

namespace brim::hub {

namespace {

Json history_value(const store::HistoryValue& value) {
    if (const auto* json = std::get_if<store::JsonText>(&value)) {
        auto parsed = Json::parse(json->text);
        return parsed ? std::move(*parsed) : Json();
    }
    if (const auto* text = std::get_if<std::string>(&value))
        return *text;
    if (const auto* number = std::get_if<double>(&value))
        return *number;
    return std::get<std::int64_t>(value);
}

Json property_states(Device& device) {
    Json items = Json::array();
    const auto& properties = device.product->model->properties();
    for (std::size_t i = 0; i < properties.size(); ++i) {
        items.push(property_state_json(device, properties[i], device.product->model_ids[i]));
    }
    return items;
}

/// Of what a property set changes: the desired values. Reports do not change it.
std::string desired_tag(Device& device) {
    std::string content = std::to_string(device.id);
    for (const PropertyId id : device.product->model_ids) {
        const bool present = device.desired_value(id) != nullptr;
        content +=
            ';' + std::to_string(id) + (present ? '=' : '-') + std::to_string(device.desired_version(id));
    }
    return entity_tag(content);
}

void set_properties(Call call, ApiContext& context) {
    Device* device = device_of(call, context);
    if (device == nullptr)
        return;
    if (!may_change(call, desired_tag(*device), "desired values of device \"" + device->key().text() + '"'))
        return;
    const Json values = call.body["values"];
    const DeviceId id = device->id;
    auto done = [&context, id, values, call = std::move(call)](const Result<bool>& sent) mutable {
        if (!sent)
            return call.answer(sent.error());
        Device* still = context.parts.registry.device(id);
        if (still == nullptr)
            return call.answer({Errc::not_found, "device", "it was deleted meanwhile", ""});
        Json items = Json::array();
        for (const auto& [name, value] : values.members()) {
            const int index = still->product->model->property_index(name);
            if (index < 0)
                continue;
            const auto at = static_cast<std::size_t>(index);
            items.push(property_state_json(
                *still, still->product->model->properties()[at], still->product->model_ids[at]
            ));
        }
        call.etag = desired_tag(*still);
        call.answer(202, Json::object({{"delivered", *sent}, {"properties", std::move(items)}}));
    };
    context.parts.access.downlink().set_properties(*device, values, std::move(done));
}

Json point_json(const store::HistoryPoint& point) {
    Json json = Json::object();
    json.set("time", point.time_ms);
    json.set("value", history_value(point.value));
    json.set("received", point.received_ms);
    json.set("replayed", point.replayed);
    return json;
}

void answer_buckets(Call call, ApiContext& context, const Device& device, PropertyId property) {
    store::BucketQuery query;
    query.device = device.id;
    query.property = property;
    query.to_ms = call.integer("to", context.parts.env.loop().clock().wall().ms);
    query.from_ms = call.integer("from", query.to_ms - 3'600'000);
    query.buckets = static_cast<std::size_t>(call.integer("buckets", 500));
    if (query.from_ms >= query.to_ms) {
        return call.answer({Errc::invalid, "query", "`from` is not before `to`", "swap them"});
    }
    const std::string name(call.text("property"));
    auto done = [name,
                 call = std::move(call)](const Result<std::vector<store::HistoryBucket>>& found) mutable {
        if (!found)
            return call.answer(found.error());
        Json buckets = Json::array();
        for (const store::HistoryBucket& bucket : *found) {
            Json json = Json::object();
            json.set("time", bucket.time_ms);
            json.set("min", bucket.min);
            json.set("max", bucket.max);
            json.set("avg", bucket.avg);
            json.set("count", bucket.count);
            json.set("replayed", bucket.replayed);
            buckets.push(std::move(json));
        }
        call.answer(
            200, Json::object({{"property", name}, {"buckets", std::move(buckets)}, {"next", Json()}})
        );
    };
    context.parts.ingest.buckets(query, std::move(done));
}

void get_history(Call call, ApiContext& context) {
    const Device* device = device_of(call, context);
    if (device == nullptr)
        return;
    const std::string name(call.text("property"));
    const PropertyId property = device->product->property_id(name);
    if (property < 0) {
        return call.answer(
            {Errc::not_found, "property \"" + name + "\"", "the product never had it", "see GET .../model"}
        );
    }
    if (call.query.contains("buckets"))
        return answer_buckets(std::move(call), context, *device, property);
    store::HistoryQuery query;
    query.device = device->id;
    query.property = property;
    query.from_ms = call.integer("from", INT64_MIN);
    query.to_ms = call.integer("to", INT64_MAX);
    query.ascending = call.text("order") != "desc";
    query.limit = static_cast<std::size_t>(call.integer("limit", 1'000));
    query.cursor = call.text("cursor");
    auto done = [name, call = std::move(call)](const Result<store::HistoryPage>& page) mutable {
        if (!page)
            return call.answer(page.error());
        Json points = Json::array();
        for (const store::HistoryPoint& point : page->points)
            points.push(point_json(point));
        const Json next = page->next.empty() ? Json() : Json(page->next);
        call.answer(200, Json::object({{"property", name}, {"points", std::move(points)}, {"next", next}}));
    };
    context.parts.ingest.query(std::move(query), std::move(done));
}

void list_events(Call call, ApiContext& context) {
    const Device* device = device_of(call, context);
    if (device == nullptr)
        return;
    store::HistoryQuery query;
    query.device = device->id;
    query.property = event_column;
    query.ascending = false;
    query.limit = static_cast<std::size_t>(call.integer("limit", 100));
    query.cursor = call.text("cursor");
    auto done = [call = std::move(call)](const Result<store::HistoryPage>& page) mutable {
        if (!page)
            return call.answer(page.error());
        Json items = Json::array();
        for (const store::HistoryPoint& point : page->points) {
            const Json event = history_value(point.value);
            Json json = Json::object();
            json.set("identifier", event["identifier"]);
            json.set("time", point.time_ms);
            json.set("output", event["output"]);
            items.push(std::move(json));
        }
        const Json next = page->next.empty() ? Json() : Json(page->next);
        call.answer(200, Json::object({{"items", std::move(items)}, {"next", next}}));
    };
    context.parts.ingest.query(std::move(query), std::move(done));
}

void call_service(Call call, ApiContext& context) {
    Device* device = device_of(call, context);
    if (device == nullptr)
        return;
    const std::string service(call.at("service"));
    const Json input = call.body.find("input") == nullptr ? Json::object() : call.body["input"];
    const std::chrono::milliseconds wait{call.body["timeoutMs"].as_int(8'000)};
    auto done = [call = std::move(call)](Result<ServiceResult> result) mutable {
        if (!result)
            return call.answer(result.error());
        Json json = Json::object();
        json.set("code", result->code);
        json.set("output", std::move(result->output));
        json.set("message", result->message);
        call.answer(200, json);
    };
    context.parts.access.downlink().call_service(*device, service, input, wait, std::move(done));
}

} // namespace

void add_data_handlers(Handlers& handlers, ApiContext& context) {
    handlers["getProperties"] = [&context](Call call) {
        Device* device = device_of(call, context);
        if (device == nullptr)
            return;
        call.etag = desired_tag(*device);
        Json items = property_states(*device);
        const std::size_t total = items.items().size();
        call.answer(200, page_json(std::move(items), {}, total));
    };
    handlers["setProperties"] = [&context](Call call) { set_properties(std::move(call), context); };
    handlers["getHistory"] = [&context](Call call) { get_history(std::move(call), context); };
    handlers["listDeviceEvents"] = [&context](Call call) { list_events(std::move(call), context); };
    handlers["callService"] = [&context](Call call) { call_service(std::move(call), context); };
}

} // namespace brim::hub
