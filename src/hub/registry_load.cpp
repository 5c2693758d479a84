// Registry: everything from the database, at start.

#include "hub/registry.h"
#include "hub/registry_sql.h"

namespace brim::hub {

Result<void> Registry::load() {
    store::Database& db = db_.at_start();
    auto products = sql::load_products(db);
    if (!products)
        return fail(std::move(products).error());
    for (sql::ProductRow& row : *products) {
        auto model = thing::Model::parse_text(row.model);
        if (!model)
            return fail(std::move(model).error());
        auto product = std::make_unique<Product>();
        product->id = row.id;
        product->product_key = std::move(row.product_key);
        product->name = std::move(row.name);
        product->description = std::move(row.description);
        product->is_gateway = row.is_gateway;
        product->created = {row.created_ms};
        product->model = std::make_shared<const thing::Model>(std::move(*model));
        product->properties = std::move(row.properties);
        product->intern_properties();
        products_by_key_[product->product_key] = product.get();
        products_[product->id] = std::move(product);
    }
    BRIM_TRY(load_devices());
    BRIM_TRY(load_desired());
    BRIM_TRY(load_tags());
    const auto boot = sql::count_up(db, "boot");
    if (!boot)
        return fail(boot.error());
    boot_ = static_cast<std::uint64_t>(*boot);
    const auto next_product = sql::load_counter(db, "next_product");
    if (!next_product)
        return fail(next_product.error());
    next_product_ = *next_product;
    const auto next_device = sql::load_counter(db, "next_device");
    if (!next_device)
        return fail(next_device.error());
    next_device_ = *next_device;
    return {};
}

Result<void> Registry::load_devices() {
    auto devices = sql::load_devices(db_.at_start());
    if (!devices)
        return fail(std::move(devices).error());
    const WallTime now = env_.loop().clock().wall();
    for (sql::DeviceRow& row : *devices) {
        auto device = std::make_unique<Device>();
        device->id = row.id;
        device->product = products_.at(row.product).get();
        device->name = std::move(row.name);
        device->nickname = std::move(row.nickname);
        device->secret = std::move(row.secret);
        device->enabled = row.enabled;
        device->activated = row.activated;
        device->created = {row.created_ms};
        device->gateway = row.gateway;
        device->epoch = row.epoch;
        // Whoever was online when we went down is offline since now at the latest.
        device->since = row.online ? now : WallTime{row.since_ms};
        device->reason = row.online ? "hub restart" : std::move(row.reason);
        device->last_seen = {row.seen_ms};
        device->address = std::move(row.address);
        const bool was_online = row.online;
        Device& added = add_device(std::move(device));
        if (was_online)
            touch(added);
    }
    return {};
}

Result<void> Registry::load_tags() {
    auto tags = sql::load_tags(db_.at_start());
    if (!tags)
        return fail(std::move(tags).error());
    for (auto& [id, tag] : *tags) {
        if (Device* owner = device(id))
            owner->tags.push_back(std::move(tag));
    }
    return {};
}

Result<void> Registry::load_desired() {
    store::Database& db = db_.at_start();
    auto desired = sql::load_desired(db);
    if (!desired)
        return fail(std::move(desired).error());
    for (sql::DesiredRow& row : *desired) {
        Device* owner = device(row.device);
        if (owner == nullptr)
            continue;
        owner->desired.push_back(
            {row.property, std::move(row.value), row.version, row.time_ms, row.state, std::move(row.message)}
        );
    }
    auto versions = sql::load_desired_versions(db);
    if (!versions)
        return fail(std::move(versions).error());
    for (const sql::DesiredRow& row : *versions) {
        if (Device* owner = device(row.device))
            owner->last_versions.emplace_back(row.property, row.version);
    }
    return {};
}

} // namespace brim::hub
