#include "edge/intake.h"

#include <algorithm>

namespace brim::edge {

namespace {

Refused malformed(std::string text) {
    return {mqtt::ReasonCode::payload_format_invalid, "malformed", std::move(text)};
}

bool is_timed(const Json& value) {
    return value.is_object() && value.members().size() == 2 && value.find("value") &&
           value["time"].is_number();
}

std::string id_text(const Json& request) {
    const Json& id = request["id"];
    return id.is_string() || id.is_int() ? id.text() : "\"1\"";
}

void append_request(std::string& out, std::string_view id, std::string_view params, std::string_view method) {
    out.append("{\"id\":").append(id.empty() ? "\"1\"" : id);
    out.append(",\"version\":\"1.0\",\"sys\":{\"ack\":0},\"params\":").append(params);
    out.append(",\"method\":");
    json_append_string(out, method);
    out.append("}");
}

} // namespace

std::variant<Taken, Refused>
Intake::read(const Device& device, const thing::DeviceTopic& topic, ByteView payload, WallTime now) {
    using enum thing::TopicKind;
    if (payload.size() > payload_bytes_max) {
        return Refused{mqtt::ReasonCode::payload_format_invalid, "too_large", "the report is over 256 KiB"};
    }
    switch (topic.kind) {
    case property_post:
        return device.model ? read_properties(*device.model, payload, now) : stamp_properties(payload, now);
    case event_post:
        return read_event(device, topic.name, payload, now);
    case history_post:
    case batch_post:
        if (!Json::parse(payload))
            return malformed("the report is not JSON");
        return Taken{.kind = ReportKind::other, .payload = payload};
    case tags_update:
    case custom:
        return Taken{.kind = ReportKind::other, .payload = payload};
    default:
        return Refused{mqtt::ReasonCode::not_authorized, "denied", "a driver may not publish on this topic"};
    }
}

std::variant<Taken, Refused>
Intake::read_properties(const thing::Model& model, ByteView payload, WallTime now) {
    const thing::PostLimits limits{.bytes_max = payload_bytes_max};
    if (auto wrong = reader_.read(model, payload, now, limits, post_))
        return malformed(std::move(wrong->message));
    if (post_.samples.empty()) {
        const auto& rejected = post_.rejected;
        return Refused{
            mqtt::ReasonCode::payload_format_invalid,
            "model",
            rejected.empty() ? "the report holds no property" : rejected.front().second.message
        };
    }
    Taken taken{ReportKind::property, payload, &post_.samples, post_.rejected.size()};
    // A time equal to `now` was reported as such or not at all: writing it out is right in both cases.
    const bool untimed =
        std::ranges::any_of(post_.samples, [now](const auto& s) { return s.time_ms == now.ms; });
    if (taken.left_out == 0 && !untimed)
        return taken;
    std::string params = "{";
    for (const auto& sample : post_.samples) {
        if (params.size() > 1)
            params.push_back(',');
        json_append_string(params, model.properties()[static_cast<std::size_t>(sample.property)].identifier);
        params.append(":{\"value\":");
        sample.value.append_json(params);
        params.append(",\"time\":").append(std::to_string(sample.time_ms)).append("}");
    }
    params.push_back('}');
    rewritten_.clear();
    append_request(rewritten_, post_.id, params, "thing.event.property.post");
    taken.payload = rewritten_;
    return taken;
}

std::variant<Taken, Refused> Intake::stamp_properties(ByteView payload, WallTime now) {
    auto request = Json::parse(payload);
    if (!request || !(*request)["params"].is_object())
        return malformed("the report has no params object");
    const Json& params = (*request)["params"];
    if (std::ranges::all_of(params.members(), [](const auto& member) { return is_timed(member.second); })) {
        return Taken{.kind = ReportKind::property, .payload = payload};
    }
    Json::Object stamped;
    for (const auto& [name, value] : params.members()) {
        stamped.emplace_back(
            name, is_timed(value) ? value : Json::object({{"value", value}, {"time", now.ms}})
        );
    }
    rewritten_.clear();
    append_request(
        rewritten_, id_text(*request), Json(std::move(stamped)).text(), "thing.event.property.post"
    );
    return Taken{.kind = ReportKind::property, .payload = rewritten_};
}

std::variant<Taken, Refused>
Intake::read_event(const Device& device, std::string_view event, ByteView payload, WallTime now) {
    auto request = Json::parse(payload);
    if (!request || !(*request)["params"].is_object())
        return malformed("the report has no params object");
    const Json& params = (*request)["params"];
    const bool wrapped = params["value"].is_object(); // else the flat form: params are the outputs themselves
    const Json& outputs = wrapped ? params["value"] : params;
    std::uint64_t left_out = 0;
    Json::Object kept;
    if (device.model) {
        const thing::Event* known = device.model->event(event);
        if (!known) {
            return Refused{
                mqtt::ReasonCode::payload_format_invalid,
                "model",
                "the model has no event \"" + std::string(event) + "\""
            };
        }
        for (const auto& [name, value] : outputs.members()) {
            const auto field = std::ranges::find(known->outputs, name, &thing::Field::identifier);
            const bool good =
                field != known->outputs.end() &&
                std::holds_alternative<thing::Value>(thing::check_value(field->type, value, name));
            if (good)
                kept.emplace_back(name, value);
            else
                ++left_out;
        }
    } else {
        kept = outputs.members();
    }
    if (wrapped && params["time"].is_number() && left_out == 0) {
        return Taken{.kind = ReportKind::event, .payload = payload};
    }
    const std::int64_t time = wrapped && params["time"].is_number() ? params["time"].as_int(now.ms) : now.ms;
    const Json body = Json::object({{"value", std::move(kept)}, {"time", time}});
    rewritten_.clear();
    append_request(rewritten_, id_text(*request), body.text(), "thing.event." + std::string(event) + ".post");
    return Taken{.kind = ReportKind::event, .payload = rewritten_, .left_out = left_out};
}

} // namespace brim::edge
