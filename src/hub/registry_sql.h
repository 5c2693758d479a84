#pragma once
// The SQL behind Registry: rows in, rows out. Runs on MetaDb's worker (writes) or at start (loads).

#include "hub/registry.h"
#include "store/sqlite.h"

#include <string>
#include <vector>

namespace brim::hub::sql {

struct ProductRow {
    ProductId id = 0;
    std::string product_key, name, description, model;
    bool is_gateway = false;
    std::int64_t created_ms = 0;
    std::vector<std::string> properties;
};

struct DeviceRow {
    DeviceId id = 0;
    ProductId product = 0;
    std::string name, nickname;
    Secret secret;
    bool enabled = true, activated = false, online = false;
    std::int64_t created_ms = 0, since_ms = 0, seen_ms = 0;
    DeviceId gateway = 0;
    std::uint64_t epoch = 0;
    std::string reason, address;
};

struct DesiredRow {
    DeviceId device = 0;
    PropertyId property = 0;
    thing::Value value;
    std::int64_t version = 0, time_ms = 0;
    DesiredState state = DesiredState::pending;
    std::string message;
};

/// Status part of a device, saved lazily.
struct StatusRow {
    DeviceId id = 0;
    bool activated = false, online = false;
    std::int64_t since_ms = 0, seen_ms = 0;
    std::uint64_t epoch = 0;
    std::string reason, address;
    std::vector<DesiredRow> desired;
};

DeviceRow device_row(const Device& device);
DesiredRow desired_row(const Device& device, const DesiredValue& desired);

Result<std::vector<ProductRow>> load_products(store::Database& db);
Result<std::vector<DeviceRow>> load_devices(store::Database& db);
Result<std::vector<DesiredRow>> load_desired(store::Database& db);
/// Device, property and version of those deleted; value and state are empty.
Result<std::vector<DesiredRow>> load_desired_versions(store::Database& db);
/// In the order of Device::tags.
Result<std::vector<std::pair<DeviceId, Tag>>> load_tags(store::Database& db);
/// Counts `name` in table meta up by one and returns the new value.
Result<std::int64_t> count_up(store::Database& db, std::string_view name);
Result<std::int64_t> load_counter(store::Database& db, std::string_view name);

Result<void> save_product(store::Database& db, const ProductRow& row);
Result<void> save_model(store::Database& db, const ProductRow& row);
Result<void> delete_product(store::Database& db, ProductId id);
Result<void> save_device(store::Database& db, const DeviceRow& row);
Result<void> delete_device(store::Database& db, DeviceId id);
Result<void> save_enabled(store::Database& db, DeviceId id, bool enabled);
Result<void> save_gateway(store::Database& db, DeviceId id, DeviceId gateway);
Result<void> save_desired(store::Database& db, const std::vector<DesiredRow>& rows);
/// Remembers `version` as the last one of the property.
Result<void> delete_desired(store::Database& db, DeviceId device, PropertyId property, std::int64_t version);
Result<void>
save_tags(store::Database& db, DeviceId device, const std::vector<Tag>& put, const std::vector<Tag>& removed);
Result<void> save_status(store::Database& db, const std::vector<StatusRow>& rows);

} // namespace brim::hub::sql
