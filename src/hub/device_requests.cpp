// Access: what devices ask for themselves (hub-protocol 3.1, 3.2, 3.9).

#include "hub/access.h"
#include "hub/bulk_post.h"

namespace brim::hub {

using mqtt::Verdict;
using thing::TopicKind;

namespace {

constexpr std::int64_t any_future_ms = 1'000'000'000'000'000; // 31,000 years: no limit, and no overflow

std::uint64_t mark_number(std::string_view text) {
    std::uint64_t value = 0;
    if (text.size() > 19)
        return 0;
    for (const char c : text) {
        if (c < '0' || c > '9')
            return 0;
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return value;
}

/// "<16 hex digits> <first number>". Anything else is as if it were absent.
void read_run(std::string_view text, UplinkMark& mark) {
    constexpr std::size_t digits = 16;
    if (text.size() <= digits || text[digits] != ' ')
        return;
    const std::string_view run = text.substr(0, digits);
    const std::uint64_t first = mark_number(text.substr(digits + 1));
    if (first == 0 || run.find_first_not_of("0123456789abcdef") != std::string_view::npos)
        return;
    mark.run = run;
    mark.run_first = first;
}

/// The user properties of the uplink extension; nothing when they are absent or not well-formed.
std::optional<UplinkMark> uplink_mark(const Message& message, DeviceId gateway) {
    UplinkMark mark;
    mark.gateway = gateway;
    for (const auto& [name, value] : message.user_properties) {
        if (name == "brim-store")
            mark.store = value;
        if (name == "brim-seq")
            mark.seq = mark_number(value);
        if (name == "brim-low")
            mark.low = mark_number(value);
        if (name == "brim-replay")
            mark.replay = value == "1";
        if (name == "brim-run")
            read_run(value, mark);
    }
    if (mark.seq == 0 || mark.store.size() != 32)
        return std::nullopt;
    return mark;
}

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
    auto mark = uplink_mark(*in.message, in.session.id);
    thing::PostLimits limits = options_.post;
    // An edge has acknowledged the report and will delete it: when our clock is behind, its time may lie far
    // ahead, and refusing the value would lose it.
    if (mark)
        limits.future_ms_max = any_future_ms;
    const auto whole =
        post_reader_.read(*in.device.product->model, in.message->payload, in.received, limits, post_);
    if (whole) {
        answer(
            in.session,
            in.message->topic + "_reply",
            thing::make_reply(
                post_.id, whole->code, whole->message, Json::object(), "thing.event.property.post"
            )
        );
        return Verdict::consumed;
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

Verdict Access::on_event_post(const Inbound& in) {
    auto request = thing::parse_request(in.message->payload);
    if (!request || !request->params.is_object()) {
        reply(in, 460, "params is not an object", Json::object());
        return Verdict::consumed;
    }
    const thing::Event* event = in.device.product->model->event(in.topic.name);
    auto mark = uplink_mark(*in.message, in.session.id);
    Ingest::Done done = [this, token = in.token](const Result<void>& result) { settle(token, result); };
    if (event == nullptr) {
        reply(in, 5160, "tsl parse: event not exist -> " + std::string(in.topic.name), Json::object());
        if (!mark)
            return Verdict::consumed;
        ingest_.settle(std::move(*mark), std::move(done));
        return Verdict::pending;
    }
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
        if (const DesiredValue* desired = in.device.desired_value(property)) {
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
