// Access: what devices ask for themselves (hub-protocol 3.1, 3.2, 3.9).

#include "hub/access.h"
#include "hub/bulk_post.h"
#include "hub/uplink_mark.h"

namespace brim::hub {

using mqtt::Verdict;
using thing::TopicKind;

namespace {

constexpr std::int64_t any_future_ms = 1'000'000'000'000'000; // 31,000 years: no limit, and no overflow

} // namespace

Verdict Access::dispatch(const Inbound& in) {
    switch (in.topic.kind) {
    case TopicKind::property_post:
        return on_property_post(in);
    case TopicKind::event_post:
        return on_event_post(in);
    case TopicKind::pack_post:
    case TopicKind::batch_post:
    case TopicKind::history_post:
        return on_bulk_post(in);
    case TopicKind::set_reply:
    case TopicKind::service_reply:
        downlink_.on_reply(in.device, in.message->payload);
        return Verdict::consumed;
    case TopicKind::ntp_request:
        on_ntp(in);
        return Verdict::consumed;
    case TopicKind::custom:
        return Verdict::route;
    default:
        return on_request(in);
    }
}

Verdict Access::on_property_post(const Inbound& in) {
    auto mark = read_uplink_mark(*in.message, in.session.id);
    thing::PostLimits limits = options_.post;
    // An edge has acknowledged the report and will delete it: when our clock is behind, its time may lie far
    // ahead, and refusing the value would lose it.
    if (mark)
        limits.future_ms_max = any_future_ms;
    const auto whole =
        post_reader_.read(*in.device.product->model, in.message->payload, in.received, limits, post_);
    if (whole) {
        auto text = thing::make_reply(
            post_.id, whole->code, whole->message, Json::object(), "thing.event.property.post"
        );
        return refuse_marked(in, std::move(mark), std::move(text));
    }
    std::string answer_text;
    if (post_.ack_wanted)
        answer_text = thing::make_post_reply(post_);
    auto done = [this,
                 token = in.token,
                 session = in.session.id,
                 topic = in.message->topic,
                 text = std::move(answer_text)](const Result<void>& result) mutable {
        settle(token, result);
        Device* still = registry_.device(session);
        if (result && still != nullptr && !text.empty())
            answer(*still, topic + "_reply", std::move(text));
    };
    if (!post_.samples.empty()) {
        ingest_.report(in.device, post_.samples, std::move(mark), std::move(done));
    } else if (mark) {
        ingest_.settle(std::move(*mark), std::move(done));
    } else {
        env().loop().post([done = std::move(done)]() mutable { done({}); });
    }
    return Verdict::pending;
}

// Acknowledged with success, a message of an edge is counted as delivered, whatever became of it: only then
// does the edge know that the hub knows its start.
Verdict Access::refuse_marked(const Inbound& in, std::optional<UplinkMark> mark, std::string text) {
    answer(in.session, in.message->topic + "_reply", std::move(text));
    if (!mark)
        return Verdict::consumed;
    ingest_.settle(std::move(*mark), [this, token = in.token](const Result<void>& result) {
        settle(token, result);
    });
    return Verdict::pending;
}

Verdict Access::on_event_post(const Inbound& in) {
    auto request = thing::parse_request(in.message->payload);
    auto mark = read_uplink_mark(*in.message, in.session.id);
    const std::string id = request ? request->id : std::string{};
    const std::string method = request ? request->method : std::string{};
    if (!request || !request->params.is_object()) {
        auto text = thing::make_reply(id, 460, "params is not an object", Json::object(), method);
        return refuse_marked(in, std::move(mark), std::move(text));
    }
    const thing::Event* event = in.device.product->model->event(in.topic.name);
    if (event == nullptr) {
        const std::string cause = "tsl parse: event not exist -> " + std::string(in.topic.name);
        auto text = thing::make_reply(id, 5160, cause, Json::object(), method);
        return refuse_marked(in, std::move(mark), std::move(text));
    }
    Ingest::Done done = [this, token = in.token](const Result<void>& result) { settle(token, result); };
    // Both shapes are in the field: {"value":{...},"time":n} and the flat map of outputs.
    Json rejected = Json::object();
    EventReading reading =
        read_event(*event, request->params, in.received.ms, options_.post.future_ms_max, rejected);
    if (request->ack_wanted) {
        auto text = thing::make_reply(request->id, 200, "success", rejected, request->method);
        done = [this,
                token = in.token,
                session = in.session.id,
                topic = in.message->topic,
                text = std::move(text)](const Result<void>& result) {
            settle(token, result);
            Device* still = registry_.device(session);
            if (result && still != nullptr)
                answer(*still, topic + "_reply", text);
        };
    }
    ingest_.event(
        in.device,
        std::move(reading.identifier),
        std::move(reading.output),
        reading.time_ms,
        std::move(mark),
        std::move(done)
    );
    return Verdict::pending;
}

Verdict Access::on_request(const Inbound& in) {
    auto request = thing::parse_request(in.message->payload);
    if (!request) {
        return refuse(in, 460, request.error().cause);
    }
    if (in.topic.kind >= TopicKind::sub_register && in.topic.kind <= TopicKind::combine_batch_logout)
        return on_topology(in, *request);
    switch (in.topic.kind) {
    case TopicKind::desired_get:
        on_desired_get(in, *request);
        break;
    case TopicKind::desired_delete:
        return on_desired_delete(in, *request);
    case TopicKind::tags_update:
        return on_tags_update(in, *request);
    case TopicKind::tags_delete:
        return on_tags_delete(in, *request);
    case TopicKind::model_get:
        reply(in, 200, "success", in.device.product->model->to_tsl(in.device.product->product_key));
        break;
    default:
        // Replies that need no reply end here too; a request gets told instead of waiting for nothing.
        if (!in.message->topic.ends_with("_reply")) {
            reply(in, 6203, "this hub does not serve " + in.message->topic, Json::object());
        }
    }
    return Verdict::consumed;
}

void Access::on_desired_get(const Inbound& in, const thing::Request& request) {
    Json data = Json::object();
    for (const Json& name : request.params.items()) {
        const PropertyId property = in.device.product->property_id(name.as_string());
        if (property < 0)
            continue;
        const DesiredValue* desired = in.device.desired_value(property);
        if (desired != nullptr && desired->is_stored) { // else it is sent once it is
            data.set(
                name.as_string(),
                Json::object({{"value", desired->value.to_json()}, {"version", desired->version}})
            );
        }
    }
    reply(in, 200, "success", data);
}

Verdict Access::on_desired_delete(const Inbound& in, const thing::Request& request) {
    std::vector<std::pair<PropertyId, std::int64_t>> cleared;
    for (const auto& [name, options] : request.params.members()) {
        if (const PropertyId property = in.device.product->property_id(name); property >= 0)
            cleared.emplace_back(property, options["version"].as_int(-1));
    }
    auto stored = answer_when_stored(in, request, Json::object());
    registry_.clear_desired(in.device, std::move(cleared), std::move(stored));
    return Verdict::pending;
}

void Access::on_ntp(const Inbound& in) {
    auto request = Json::parse(in.message->payload, {.bytes_max = 4'096, .depth_max = 8, .values_max = 64});
    Json data = Json::object();
    if (request)
        data.set("deviceSendTime", (*request)["deviceSendTime"]);
    data.set("serverRecvTime", std::to_string(in.received.ms));
    data.set("serverSendTime", std::to_string(env().loop().clock().wall().ms));
    const std::string topic =
        "/ext/ntp/" + in.device.product->product_key + "/" + in.device.name + "/response";
    answer(in.session, topic, data.text());
}

} // namespace brim::hub
