#include "edge/downlink.h"

#include "edge/codes.h"

#include <charconv>

namespace brim::edge {

namespace {

struct Objection {
    int code = 0;
    std::string message;
};

/// What the model says against a request; code 0 when nothing.
Objection check(const thing::Model& model, const thing::DeviceTopic& topic, const Json& params) {
    if (topic.kind == thing::TopicKind::property_set) {
        if (!params.is_object())
            return {code_bad_parameter, "params is not an object"};
        for (const auto& [name, value] : params.members()) {
            const auto* property = model.property(name);
            if (!property)
                return {code_no_property, "no property " + name};
            if (!property->writable)
                return {code_read_only, name + " is read-only"};
            const auto checked = thing::check_value(property->type, value, name);
            if (const auto* wrong = std::get_if<thing::Rejection>(&checked))
                return {code_bad_parameter, wrong->message};
        }
        return {};
    }
    if (topic.name == "property/get") {
        for (const Json& name : params.items()) {
            if (!model.property(name.as_string())) {
                return {code_no_property, "no property " + std::string(name.as_string())};
            }
        }
        return {};
    }
    if (!model.service(topic.name))
        return {code_no_service, "no service " + std::string(topic.name)};
    return {};
}

std::optional<std::uint64_t> number_of(std::string_view id) {
    if (id.size() >= 2 && id.front() == '"')
        id = id.substr(1, id.size() - 2);
    std::uint64_t number = 0;
    const auto [end, wrong] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (wrong != std::errc{} || end != id.data() + id.size())
        return std::nullopt;
    return number;
}

} // namespace

Downlink::Downlink(io::Env& env, DownlinkPort& port, Devices& devices, DownlinkLimits limits)
    : env_(env), port_(port), devices_(devices), limits_(limits), tick_(env.loop()) {}

bool Downlink::request(std::string_view topic, std::string_view payload) {
    // A synchronous service comes as RRPC (hub-protocol 3.8) and is answered there.
    std::string reply_topic = std::string(topic) + "_reply";
    std::string_view inner = topic;
    if (constexpr std::string_view rrpc = "/ext/rrpc/"; topic.starts_with(rrpc)) {
        const std::size_t slash = topic.find('/', rrpc.size());
        if (slash == std::string_view::npos)
            return false;
        inner = topic.substr(slash);
        reply_topic = topic;
    }
    auto parsed = thing::parse_topic(inner);
    const std::string base =
        "/sys/" + std::string(parsed.product_key) + "/" + std::string(parsed.device_name) + "/";
    const auto read = thing::parse_request(payload);
    std::string service(inner.starts_with(base) ? inner.substr(base.size()) : std::string_view{});
    if (service.starts_with("rrpc/request/") && read) {
        reply_topic = base + "rrpc/response/" + service.substr(13);
        if (!read->method.starts_with("thing.service."))
            return false;
        service = "thing/service/" + read->method.substr(14);
        if (service == "thing/service/property.set")
            service = "thing/service/property/set";
        if (service == "thing/service/property.get")
            service = "thing/service/property/get";
    }
    if (!service.starts_with("thing/service/") || service.ends_with("_reply"))
        return false;
    const thing::DeviceKey key{std::string(parsed.product_key), std::string(parsed.device_name)};
    const std::string driver_topic = base + service;
    parsed = thing::parse_topic(driver_topic);
    if (service == "thing/service/property/get")
        parsed.name = "property/get";

    Asked asked{
        key,
        std::move(reply_topic),
        read ? read->id : std::string(),
        read ? read->method : std::string(),
        {},
        {}
    };
    const Device* device = devices_.find(key);
    const auto refuse = [&](int code, std::string_view message) {
        answer(asked, code, message, Json::object());
        return true;
    };
    if (!read)
        return refuse(code_bad_parameter, read.error().cause);
    if (!device)
        return refuse(code_not_registered, "the device is not configured on this gateway");
    if (!device->online)
        return refuse(code_offline, "the device is offline");
    if (pending_.size() >= limits_.pending_max)
        return refuse(code_busy, "too many requests at a time");
    if (device->model) {
        const auto objection = check(*device->model, parsed, read->params);
        if (objection.code != 0)
            return refuse(objection.code, objection.message);
    }
    const std::uint64_t number = ++last_;
    if (!port_.to_driver(
            *device, driver_topic, thing::make_request(std::to_string(number), read->method, read->params)
        )) {
        return refuse(code_offline, "the device's driver is not connected");
    }
    asked.driver_topic = driver_topic + "_reply";
    asked.deadline = env_.loop().now() + limits_.answer_wait;
    pending_.emplace(number, std::move(asked));
    if (!tick_.running())
        tick_.start(limits_.answer_wait, [this] { tick(); });
    return true;
}

void Downlink::reply(const Device& device, std::string_view topic, std::string_view payload) {
    const auto read = thing::parse_reply(payload);
    const auto number = read ? number_of(read->id) : std::nullopt;
    const auto found = number ? pending_.find(*number) : pending_.end();
    if (found == pending_.end() || found->second.device != device.key ||
        found->second.driver_topic != topic) {
        env_.log().warn(
            "downlink", "an answer nobody waits for", {{"device", device.key.text()}, {"topic", topic}}
        );
        return;
    }
    const Asked asked = std::move(found->second);
    pending_.erase(found);
    answer(asked, read->code, read->message, read->data);
}

void Downlink::offline(const thing::DeviceKey& device) {
    for (auto at = pending_.begin(); at != pending_.end();) {
        if (at->second.device != device) {
            ++at;
            continue;
        }
        const Asked asked = std::move(at->second);
        at = pending_.erase(at);
        answer(asked, code_offline, "the device went offline", Json::object());
    }
}

void Downlink::answer(const Asked& asked, int code, std::string_view message, const Json& data) {
    port_.to_hub(asked.reply_topic, thing::make_reply(asked.id, code, message, data, asked.method));
}

void Downlink::tick() {
    const Mono now = env_.loop().now();
    while (!pending_.empty() && pending_.begin()->second.deadline <= now) {
        const Asked asked = std::move(pending_.begin()->second);
        pending_.erase(pending_.begin());
        answer(asked, code_timeout, "the driver did not answer within 10 s", Json::object());
    }
    if (!pending_.empty())
        tick_.start(pending_.begin()->second.deadline - now, [this] { tick(); });
}

} // namespace brim::edge
