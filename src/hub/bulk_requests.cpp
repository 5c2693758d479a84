// Access: pack, batch and history posts (hub-protocol 3.1). All records of one post are durable before its
// PUBACK.

#include "hub/access.h"
#include "hub/bulk_post.h"

namespace brim::hub {

using mqtt::Verdict;
using thing::TopicKind;

namespace {

constexpr int too_many_properties = 6106;
constexpr int too_many_events = 6356;
constexpr int too_many_devices = 6357;
constexpr std::size_t samples_per_record_max = 1'000; // of an ingress record

/// Makes `parts` completions; when all have come, `done` gets the first error, or success.
std::function<Ingest::Done()> joined(std::size_t parts, Ingest::Done done) {
    struct Join {
        std::size_t left;
        Result<void> outcome;
        Ingest::Done done;
    };

    auto join = std::make_shared<Join>(Join{parts, {}, std::move(done)}); // shared by the parts
    return [join] {
        return [join](Result<void> result) {
            if (!result && join->outcome)
                join->outcome = std::move(result);
            if (--join->left == 0)
                join->done(std::move(join->outcome));
        };
    };
}

Json identity_json(const thing::DeviceKey& key) {
    return Json::object({{"productKey", key.product_key}, {"deviceName", key.device_name}});
}

} // namespace

struct Access::Bulk {
    struct Share {
        Device* device;
        BulkPost post;
    };

    std::vector<Share> shares;
    Json refused = Json::array(); ///< devices whose part was not taken
    int first_code = 200;
    std::string first_why;
};

Device* Access::spoken_for(const Inbound& in, const Json& identity, Bulk& bulk) {
    thing::DeviceKey key{
        std::string(identity["productKey"].as_string()), std::string(identity["deviceName"].as_string())
    };
    const bool own = (key.product_key.empty() && key.device_name.empty()) || key == in.device.key();
    if (own)
        return &in.device;
    const auto no = [&](int code, std::string_view why) {
        if (bulk.first_code == 200) {
            bulk.first_code = code;
            bulk.first_why = std::string(why) + ": " + key.text();
        }
        bulk.refused.push(Json::object({{"identity", identity_json(key)}, {"code", code}, {"message", why}}));
        denied_.add();
        return nullptr;
    };
    Device* device = registry_.device(key);
    if (device == nullptr)
        return no(6100, "device not found");
    if (&in.device != &in.session || device->gateway != in.session.id)
        return no(6401, "not bound to this gateway");
    if (!device->enabled)
        return no(6204, "device is disabled");
    const auto carried = carried_by_.find(device->id);
    if (carried == carried_by_.end() || carried->second != in.session.id)
        return no(520, "device no session");
    return device;
}

BulkPost* Access::share_of(const Inbound& in, const Json& identity, Bulk& bulk) {
    Device* device = spoken_for(in, identity, bulk);
    if (device == nullptr)
        return nullptr;
    for (Bulk::Share& each : bulk.shares) {
        if (each.device == device)
            return &each.post;
    }
    bulk.shares.push_back(
        {device, BulkPost(*device->product->model, in.received.ms, options_.post.future_ms_max)}
    );
    return &bulk.shares.back().post;
}

void Access::read_bulk(const Inbound& in, const Json& params, Bulk& bulk) {
    if (in.topic.kind == TopicKind::history_post) {
        for (const Json& item : params.items()) {
            BulkPost* post = share_of(in, item["identity"], bulk);
            if (post == nullptr)
                continue;
            for (const Json& map : item["properties"].items())
                post->add_properties(map);
            for (const Json& map : item["events"].items())
                post->add_events(map);
        }
        return;
    }
    BulkPost& own = *share_of(in, Json(), bulk);
    if (in.topic.kind == TopicKind::batch_post) {
        own.add_property_lists(params["properties"]);
        own.add_event_lists(params["events"]);
        return;
    }
    own.add_properties(params["properties"]);
    own.add_events(params["events"]);
    for (const Json& item : params["subDevices"].items()) {
        if (BulkPost* post = share_of(in, item["identity"], bulk)) {
            post->add_properties(item["properties"]);
            post->add_events(item["events"]);
        }
    }
}

Verdict Access::on_bulk_post(const Inbound& in) {
    const auto request = thing::parse_request(in.message->payload);
    if (!request)
        return refuse(in, 460, request.error().cause);
    const bool history = in.topic.kind == TopicKind::history_post;
    if (history ? !request->params.is_array() : !request->params.is_object())
        return refuse(in, 460, history ? "params is not an array" : "params is not an object");
    const std::size_t devices =
        history ? request->params.items().size() : request->params["subDevices"].items().size();
    if (devices > options_.bulk.devices_max)
        return refuse(
            in, too_many_devices, "more than " + std::to_string(options_.bulk.devices_max) + " devices"
        );
    Bulk bulk;
    bulk.shares.reserve(devices + 1);
    read_bulk(in, request->params, bulk);
    const std::size_t values_max = history ? options_.bulk.history_values_max : options_.post.properties_max;
    const std::size_t events_max = history ? options_.bulk.history_values_max : options_.bulk.events_max;
    for (const Bulk::Share& each : bulk.shares) {
        if (each.post.values_seen > values_max) {
            return refuse(
                in, too_many_properties, "more than " + std::to_string(values_max) + " values of one device"
            );
        }
        if (each.post.events_seen > events_max)
            return refuse(
                in, too_many_events, "more than " + std::to_string(events_max) + " events of one device"
            );
    }
    if (bulk.shares.empty() && bulk.first_code != 200)
        return refuse(in, bulk.first_code, bulk.first_why);
    return store_bulk(in, *request, bulk);
}

Verdict Access::store_bulk(const Inbound& in, const thing::Request& request, Bulk& bulk) {
    Json data = Json::object();
    std::size_t records = 0;
    for (const Bulk::Share& each : bulk.shares) {
        records += (each.post.samples.size() + samples_per_record_max - 1) / samples_per_record_max;
        records += each.post.events.size();
        if (each.post.rejected.members().empty())
            continue;
        if (each.device == &in.device) {
            for (const auto& [name, why] : each.post.rejected.members())
                data.set(name, why);
        } else {
            bulk.refused.push(
                Json::object({{"identity", identity_json(each.device->key())}, {"data", each.post.rejected}})
            );
        }
    }
    if (!bulk.refused.items().empty())
        data.set("devices", std::move(bulk.refused));
    if (records == 0) {
        reply(in, 200, "success", data);
        return Verdict::consumed;
    }
    std::string text;
    if (request.ack_wanted)
        text = thing::make_reply(request.id, 200, "success", data, request.method);
    auto stored = [this,
                   token = in.token,
                   session = in.session.id,
                   topic = in.message->topic + "_reply",
                   text = std::move(text)](const Result<void>& result) {
        settle(token, result);
        Device* still = registry_.device(session);
        if (result && still != nullptr && !text.empty())
            answer(*still, topic, text);
    };
    const auto part = joined(records, std::move(stored));
    const auto telling = in.topic.kind == TopicKind::history_post ? Telling::history : Telling::live;
    for (Bulk::Share& each : bulk.shares) {
        const std::vector<thing::Sample>& samples = each.post.samples;
        for (std::size_t at = 0; at < samples.size(); at += samples_per_record_max) {
            const auto first = samples.begin() + static_cast<std::ptrdiff_t>(at);
            const std::size_t count = std::min(samples_per_record_max, samples.size() - at);
            ingest_.report(
                *each.device,
                {first, first + static_cast<std::ptrdiff_t>(count)},
                std::nullopt,
                part(),
                telling
            );
        }
        for (EventReading& event : each.post.events) {
            ingest_.event(
                *each.device,
                std::move(event.identifier),
                std::move(event.output),
                event.time_ms,
                std::nullopt,
                part(),
                telling
            );
        }
    }
    return Verdict::pending;
}

} // namespace brim::hub
