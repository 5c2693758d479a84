#include "hub/current_notes.h"

#include "hub/ingress_record.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace brim::hub {

namespace {

constexpr std::string_view current_prefix = "current/";

std::string current_note_name(DeviceId device, PropertyId property) {
    return std::string(current_prefix) + std::to_string(device) + "/" + std::to_string(property);
}

std::optional<std::pair<DeviceId, PropertyId>> key_of(std::string_view name) {
    name.remove_prefix(current_prefix.size());
    std::pair<DeviceId, PropertyId> key;
    const char* const begin = name.data();
    const char* const end = begin + name.size();
    const auto device = std::from_chars(begin, end, key.first);
    if (device.ec != std::errc{} || device.ptr == end || *device.ptr != '/')
        return std::nullopt;
    const auto property = std::from_chars(device.ptr + 1, end, key.second);
    if (property.ec != std::errc{} || property.ptr != end)
        return std::nullopt;
    return key;
}

} // namespace

bool CurrentNotes::take(Device& device, PropertyId property, const Arrival& arrival) {
    const CurrentValue* current = device.current_value(property);
    const bool older = current != nullptr && current->time_ms > arrival.time_ms;
    const bool ahead = older && current->time_ms > arrival.received_ms;
    const bool becomes_current = !arrival.history && (!older || (ahead && !arrival.replay));

    const Key key{device.id, property};
    const auto known = newest_.find(key);
    std::int64_t newest = current == nullptr ? std::numeric_limits<std::int64_t>::min() : current->time_ms;
    if (known != newest_.end())
        newest = known->second;
    const bool is_newest = arrival.time_ms >= newest;
    if (becomes_current && is_newest) {
        if (newest_.erase(key) != 0)
            changed_.insert(key);
    } else if (becomes_current || is_newest) {
        newest_[key] = std::max(newest, arrival.time_ms);
        changed_.insert(key);
    }
    return becomes_current;
}

bool CurrentNotes::restore(Registry& registry, const store::HistoryNote& note) {
    if (!note.name.starts_with(current_prefix))
        return false;
    const auto key = key_of(note.name);
    if (!key)
        return true;
    Device* device = registry.device(key->first);
    auto record = decode_record(note.body);
    const CurrentValue* stored = device == nullptr ? nullptr : device->current_value(key->second);
    if (!record || record->samples.size() > 1 || stored == nullptr) {
        changed_.insert(*key); // of a device that is gone, or unreadable: the newest value stands
        return true;
    }
    newest_[*key] = stored->time_ms;
    if (record->samples.empty()) {
        std::erase_if(device->current, [&key](const auto& each) { return each.property == key->second; });
    } else {
        IngressSample& shown = record->samples.front();
        device->set_current(key->second, std::move(shown.value), shown.time_ms);
    }
    return true;
}

std::vector<store::HistoryNote> CurrentNotes::take_changed(Registry& registry) {
    std::vector<store::HistoryNote> notes;
    for (const Key& key : std::exchange(changed_, {})) {
        store::HistoryNote note{current_note_name(key.first, key.second), {}};
        Device* device = newest_.contains(key) ? registry.device(key.first) : nullptr;
        if (device != nullptr) {
            IngressRecord record;
            record.device = key.first;
            if (const CurrentValue* current = device->current_value(key.second))
                record.samples.push_back({key.second, current->time_ms, current->value});
            encode_record(record, note.body);
        }
        notes.push_back(std::move(note));
    }
    return notes;
}

void CurrentNotes::give_back(const std::vector<store::HistoryNote>& notes) {
    for (const store::HistoryNote& note : notes) {
        const auto key = note.name.starts_with(current_prefix) ? key_of(note.name) : std::nullopt;
        if (key)
            changed_.insert(*key);
    }
}

void CurrentNotes::forget(DeviceId device) {
    const auto first = newest_.lower_bound({device, std::numeric_limits<PropertyId>::min()});
    const auto last = newest_.lower_bound({device + 1, std::numeric_limits<PropertyId>::min()});
    for (auto each = first; each != last; ++each)
        changed_.insert(each->first);
    newest_.erase(first, last);
}

} // namespace brim::hub
