#include "hub/bulk_post.h"

#include <algorithm>

namespace brim::hub {

namespace {

constexpr std::string_view bad_time = "time is not UTC milliseconds";

/// {"value":..} or {"value":..,"time":..}. A struct may have a field of that name: there the time tells.
bool is_wrapped(const Json& entry, const thing::DataType& type) {
    if (!entry.is_object() || entry.find("value") == nullptr)
        return false;
    if (type.type == thing::Type::structure && entry.find("time") == nullptr)
        return false;
    return std::all_of(entry.members().begin(), entry.members().end(), [](const Json::Member& each) {
        return each.first == "value" || each.first == "time";
    });
}

bool time_fits(const Json& time, std::int64_t received_ms, std::int64_t future_ms_max) {
    return time.is_int() && time.as_int() >= 0 && time.as_int() <= received_ms + future_ms_max;
}

/// Looking for a name takes as long as there are names: a post of many would stop the loop for seconds.
void tell(Json& rejected, std::string_view name, std::string_view why) {
    if (rejected.members().size() < rejected_names_max && rejected.find(name) == nullptr)
        rejected.set(name, why);
}

} // namespace

EventReading read_event(
    const thing::Event& event,
    const Json& given,
    std::int64_t received_ms,
    std::int64_t future_ms_max,
    Json& rejected
) {
    EventReading reading{event.identifier, {}, received_ms};
    const Json* nested = given.find("value");
    const bool wrapped = nested != nullptr && nested->is_object();
    const Json* time = wrapped ? given.find("time") : nullptr;
    // The event counts even when the device's clock does not.
    if (time != nullptr && time_fits(*time, received_ms, future_ms_max))
        reading.time_ms = time->as_int();
    else if (time != nullptr)
        tell(rejected, "time", bad_time);
    Json outputs = Json::object();
    for (const auto& [name, value] : (wrapped ? *nested : given).members()) {
        const auto field = std::find_if(
            event.outputs.begin(),
            event.outputs.end(),
            [&wanted = name](const thing::Field& each) { return each.identifier == wanted; }
        );
        if (field == event.outputs.end()) {
            tell(rejected, name, "tsl parse: params not exist");
            continue;
        }
        const auto checked = thing::check_value(field->type, value, name);
        if (const auto* rejection = std::get_if<thing::Rejection>(&checked))
            tell(rejected, name, rejection->message);
        else
            outputs.set(name, value);
    }
    reading.output = outputs.text();
    return reading;
}

void BulkPost::reject(std::string_view name, std::string_view why) {
    tell(rejected, name, why);
}

void BulkPost::add_property(const std::string& name, const Json& entry) {
    ++values_seen;
    const int index = model_.property_index(name);
    if (index < 0)
        return reject(name, "tsl parse: params not exist");
    const thing::DataType& type = model_.properties()[static_cast<std::size_t>(index)].type;
    const bool wrapped = is_wrapped(entry, type);
    const Json* time = wrapped ? entry.find("time") : nullptr;
    if (time != nullptr && !time_fits(*time, received_ms_, future_ms_max_))
        return reject(name, bad_time);
    auto checked = thing::check_value(type, wrapped ? entry["value"] : entry, name);
    if (const auto* rejection = std::get_if<thing::Rejection>(&checked))
        return reject(name, rejection->message);
    samples.push_back(
        {index, std::get<thing::Value>(std::move(checked)), time == nullptr ? received_ms_ : time->as_int()}
    );
}

void BulkPost::add_event(const std::string& name, const Json& entry) {
    ++events_seen;
    const thing::Event* event = model_.event(name);
    if (event == nullptr)
        return reject(name, "tsl parse: event not exist");
    Json wrong = Json::object();
    events.push_back(read_event(*event, entry, received_ms_, future_ms_max_, wrong));
    if (!wrong.members().empty())
        reject(
            name,
            wrong.members().front().first + ": " + std::string(wrong.members().front().second.as_string())
        );
}

void BulkPost::add_properties(const Json& map) {
    for (const auto& [name, entry] : map.members())
        add_property(name, entry);
}

void BulkPost::add_events(const Json& map) {
    for (const auto& [name, entry] : map.members())
        add_event(name, entry);
}

void BulkPost::add_property_lists(const Json& map) {
    for (const auto& [name, entries] : map.members()) {
        for (const Json& entry : entries.items())
            add_property(name, entry);
    }
}

void BulkPost::add_event_lists(const Json& map) {
    for (const auto& [name, entries] : map.members()) {
        for (const Json& entry : entries.items())
            add_event(name, entry);
    }
}

} // namespace brim::hub
