// Registry: desired values, each with a version of its own (hub-protocol 3.2).

#include "hub/registry.h"
#include "hub/registry_sql.h"

#include <algorithm>

namespace brim::hub {

namespace {

auto desired_place(std::vector<DesiredValue>& entries, PropertyId property) {
    return std::lower_bound(
        entries.begin(),
        entries.end(),
        property,
        [](const DesiredValue& entry, PropertyId wanted) { return entry.property < wanted; }
    );
}

void note_version(Device& device, PropertyId property, std::int64_t version) {
    for (auto& [known, last] : device.last_versions) {
        if (known == property) {
            last = std::max(last, version);
            return;
        }
    }
    device.last_versions.emplace_back(property, version);
}

} // namespace

std::int64_t Device::desired_version(PropertyId property) {
    const DesiredValue* present = desired_value(property);
    std::int64_t version = present == nullptr ? 0 : present->version;
    for (const auto& [known, last] : last_versions) {
        if (known == property)
            version = std::max(version, last);
    }
    return version;
}

void Registry::set_desired(
    Device& device, std::vector<std::pair<PropertyId, thing::Value>> values, std::int64_t time_ms, Done done
) {
    struct Before {
        PropertyId property;
        std::int64_t version; ///< of the change
        std::optional<DesiredValue> value;
    };

    std::vector<sql::DesiredRow> rows;
    std::vector<Before> before;
    for (auto& [property, value] : values) {
        const auto place = desired_place(device.desired, property);
        const bool known = place != device.desired.end() && place->property == property;
        const std::int64_t version = device.desired_version(property) + 1;
        DesiredValue fresh{property, std::move(value), version, time_ms, DesiredState::pending, {}, false};
        rows.push_back(sql::desired_row(device, fresh));
        before.push_back({property, version, known ? std::optional(std::move(*place)) : std::nullopt});
        if (known)
            *place = std::move(fresh);
        else
            device.desired.insert(place, std::move(fresh));
    }
    auto settled = [this, id = device.id, before = std::move(before), done = std::move(done)](
                       Result<void> stored
                   ) mutable {
        Device* still = this->device(id);
        for (Before& old : before) {
            DesiredValue* desired = still == nullptr ? nullptr : still->desired_value(old.property);
            if (desired == nullptr || desired->version != old.version)
                continue; // a newer change is under way
            if (!stored && old.value)
                *desired = std::move(*old.value);
            if (stored || old.value)
                desired->is_stored = true; // of an older one: its own commit is over by now
            else
                std::erase_if(still->desired, [&old](const auto& each) {
                    return each.property == old.property;
                });
        }
        done(std::move(stored));
    };
    db_.write(
        [rows = std::move(rows)](store::Database& db) { return sql::save_desired(db, rows); },
        std::move(settled)
    );
}

void Registry::clear_desired(
    Device& device, std::vector<std::pair<PropertyId, std::int64_t>> properties, Done done
) {
    std::vector<DesiredValue> before;
    for (const auto& [property, version] : properties) {
        const DesiredValue* desired = device.desired_value(property);
        if (desired == nullptr || (version != -1 && desired->version != version))
            continue;
        before.push_back(*desired);
        note_version(device, property, desired->version);
        std::erase_if(device.desired, [wanted = property](const DesiredValue& each) {
            return each.property == wanted;
        });
    }
    if (before.empty())
        return env_.loop().post([done = std::move(done)]() mutable { done({}); });
    auto remove = [id = device.id, before](store::Database& db) -> Result<void> {
        for (const DesiredValue& each : before)
            BRIM_TRY(sql::delete_desired(db, id, each.property, each.version));
        return {};
    };
    auto saved = [this, id = device.id, before, done = std::move(done)](Result<void> result) mutable {
        Device* still = result ? nullptr : this->device(id);
        for (const DesiredValue& old : before) {
            if (still != nullptr && still->desired_value(old.property) == nullptr)
                still->desired.insert(desired_place(still->desired, old.property), old);
        }
        done(std::move(result));
    };
    db_.write(std::move(remove), std::move(saved));
}

void Registry::settle_desired(Device& device, PropertyId property, DesiredState state, std::string message) {
    DesiredValue* desired = device.desired_value(property);
    if (desired == nullptr)
        return;
    desired->state = state;
    desired->message = std::move(message);
    touch(device);
}

} // namespace brim::hub
