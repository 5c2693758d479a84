#include "edge/twin.h"

namespace brim::edge {

Twin::State& Twin::state(const Device& device) {
    State& state = states_[device.key];
    if (state.model == device.model)
        return state;
    // A new model: keep what it still has, by identifier, when it fits its type.
    State next{
        device.model, std::vector<std::optional<Entry>>(device.model ? device.model->properties().size() : 0)
    };
    for (std::size_t i = 0; state.model && i < state.entries.size(); ++i) {
        const std::optional<Entry>& entry = state.entries[i];
        if (!entry)
            continue;
        const std::string& name = state.model->properties()[i].identifier;
        const int at = device.model ? device.model->property_index(name) : -1;
        if (at < 0)
            continue;
        const auto index = static_cast<std::size_t>(at);
        auto value = thing::check_value(device.model->properties()[index].type, entry->value.to_json(), name);
        if (auto* good = std::get_if<thing::Value>(&value)) {
            next.entries[index] = Entry{std::move(*good), entry->time_ms};
        }
    }
    state = std::move(next);
    return state;
}

void Twin::apply(const Device& device, const std::vector<thing::Sample>& samples) {
    if (!device.model)
        return;
    State& at = state(device);
    for (const auto& sample : samples) {
        auto& entry = at.entries[static_cast<std::size_t>(sample.property)];
        if (!entry || sample.time_ms >= entry->time_ms)
            entry = Entry{sample.value, sample.time_ms};
    }
    changed_ = true;
}

const Twin::Entry* Twin::find(const thing::DeviceKey& device, std::string_view property) const {
    const auto found = states_.find(device);
    if (found == states_.end() || !found->second.model)
        return nullptr;
    const int index = found->second.model->property_index(property);
    if (index < 0)
        return nullptr;
    const auto& entry = found->second.entries[static_cast<std::size_t>(index)];
    return entry ? &*entry : nullptr;
}

Json Twin::values(const Device& device) const {
    Json out = Json::object();
    const auto found = states_.find(device.key);
    if (found == states_.end() || !found->second.model)
        return out;
    const auto& properties = found->second.model->properties();
    for (std::size_t i = 0; i < properties.size(); ++i) {
        const auto& entry = found->second.entries[i];
        if (!entry)
            continue;
        out.set(
            properties[i].identifier,
            Json::object({{"value", entry->value.to_json()}, {"time", entry->time_ms}})
        );
    }
    return out;
}

std::string Twin::snapshot(const Devices& devices, const std::string& store_id, store::Seq durable) const {
    Json::Object all;
    for (const auto& [key, device] : devices)
        all.emplace_back(key.text(), values(device));
    return Json::object(
               {{"version", 1}, {"store", store_id}, {"seq", durable}, {"devices", Json(std::move(all))}}
    ).text();
}

Result<store::Seq> Twin::read_snapshot(
    io::Disk& disk, const std::string& path, const Devices& devices, const std::string& store_id
) {
    if (!disk.exists(path))
        return store::Seq{0};
    const auto text = io::read_file(disk, path, file_bytes_max);
    if (!text)
        return fail(text.error());
    const auto json = Json::parse(*text, {.bytes_max = file_bytes_max, .values_max = 10'000'000});
    if (!json || (*json)["version"].as_int() != 1) {
        (void)disk.rename(path, path + ".quarantine");
        return fail(Errc::corrupt, path, "is damaged; set aside", "values come back as devices report them");
    }
    for (const auto& [name, values] : (*json)["devices"].members()) {
        const auto key = thing::DeviceKey::parse(name);
        const Device* device = key ? devices.find(*key) : nullptr;
        if (!device || !device->model)
            continue;
        State& at = state(*device);
        for (const auto& [identifier, entry] : values.members()) {
            const int index = device->model->property_index(identifier);
            if (index < 0)
                continue;
            const auto& type = device->model->properties()[static_cast<std::size_t>(index)].type;
            auto value = thing::check_value(type, entry["value"], identifier);
            auto* good = std::get_if<thing::Value>(&value);
            if (good)
                at.entries[static_cast<std::size_t>(index)] = Entry{std::move(*good), entry["time"].as_int()};
        }
    }
    // Another log counts anew: then all of it is newer than the snapshot.
    if ((*json)["store"].as_string() != store_id)
        return store::Seq{0};
    return static_cast<store::Seq>((*json)["seq"].as_int());
}

Result<void> Twin::restore(io::Disk& disk, const std::string& path, const Devices& devices, store::Log& log) {
    const auto snapshot = read_snapshot(disk, path, devices, log.store_id());
    const auto reader = log.read_from((snapshot ? *snapshot : 0) + 1);
    thing::PostReader posts;
    thing::PropertyPost post;
    store::Record record;
    for (;;) {
        const auto more = reader->next(record);
        if (!more)
            return fail(more.error());
        if (!*more)
            break;
        const auto report = decode_report(record.body);
        if (!report || report->kind != ReportKind::property)
            continue;
        const Device* device = devices.find(report->product_key, report->device_name);
        if (!device || !device->model)
            continue;
        const auto wrong = posts.read(*device->model, report->payload, report->time, {}, post);
        if (!wrong)
            apply(*device, post.samples);
    }
    if (!snapshot)
        return fail(snapshot.error());
    return {};
}

} // namespace brim::edge
