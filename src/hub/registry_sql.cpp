#include "hub/registry_sql.h"

namespace brim::hub::sql {

namespace {

std::string value_text(const thing::Value& value) {
    // The type tag keeps 1 and 1.0 and "1" apart.
    std::string text;
    if (std::holds_alternative<std::int64_t>(value.data))
        text = "i";
    else if (std::holds_alternative<double>(value.data))
        text = "d";
    else if (std::holds_alternative<std::string>(value.data))
        text = "s";
    else
        text = "j";
    value.append_json(text);
    return text;
}

thing::Value value_of(std::string_view text) {
    if (text.empty())
        return {};
    const auto json = Json::parse(text.substr(1));
    if (!json)
        return {};
    switch (text.front()) {
    case 'i':
        return {json->as_int()};
    case 'd':
        return {json->as_double()};
    case 's':
        return {std::string(json->as_string())};
    default:
        return {thing::Value::Composite{std::string(text.substr(1))}};
    }
}

} // namespace

DeviceRow device_row(const Device& device) {
    DeviceRow row;
    row.id = device.id;
    row.product = device.product->id;
    row.name = device.name;
    row.nickname = device.nickname;
    row.secret = device.secret;
    row.enabled = device.enabled;
    row.activated = device.activated;
    row.online = device.online;
    row.created_ms = device.created.ms;
    row.since_ms = device.since.ms;
    row.seen_ms = device.last_seen.ms;
    row.gateway = device.gateway;
    row.epoch = device.epoch;
    row.reason = device.reason;
    row.address = device.address;
    return row;
}

DesiredRow desired_row(const Device& device, const DesiredValue& desired) {
    return {
        device.id,
        desired.property,
        desired.value,
        desired.version,
        desired.time_ms,
        desired.state,
        desired.message
    };
}

namespace {

/// All rows of a query, each made by `read`.
template <class Row, class Read>
Result<std::vector<Row>> load_rows(store::Database& db, std::string_view literal, Read read) {
    auto select = db.prepare(literal);
    if (!select)
        return fail(std::move(select).error());
    std::vector<Row> rows;
    BRIM_TRY(store::each_row(*select, [&](const store::Statement& row) { rows.push_back(read(row)); }));
    return rows;
}

} // namespace

Result<std::vector<ProductRow>> load_products(store::Database& db) {
    auto products = load_rows<ProductRow>(
        db,
        "SELECT id, product_key, name, description, is_gateway, created_ms, model FROM product ORDER BY id",
        [](const store::Statement& row) {
            ProductRow made;
            made.id = row.integer(0);
            made.product_key = row.text(1);
            made.name = row.text(2);
            made.description = row.text(3);
            made.is_gateway = row.integer(4) != 0;
            made.created_ms = row.integer(5);
            made.model = row.text(6);
            return made;
        }
    );
    if (!products)
        return products;
    auto properties = db.prepare("SELECT identifier FROM product_property WHERE product = ?1 ORDER BY id");
    if (!properties)
        return fail(std::move(properties).error());
    for (ProductRow& product : *products) {
        properties->bind(1, product.id);
        BRIM_TRY(store::each_row(*properties, [&product](const store::Statement& row) {
            product.properties.emplace_back(row.text(0));
        }));
    }
    return products;
}

Result<std::vector<DeviceRow>> load_devices(store::Database& db) {
    return load_rows<DeviceRow>(
        db,
        "SELECT id, product, name, nickname, secret, enabled, activated, created_ms, gateway, online,"
        " since_ms, seen_ms, epoch, reason, address FROM device ORDER BY id",
        [](const store::Statement& row) {
            DeviceRow made;
            made.id = row.integer(0);
            made.product = row.integer(1);
            made.name = row.text(2);
            made.nickname = row.text(3);
            made.secret = Secret(std::string(row.text(4)));
            made.enabled = row.integer(5) != 0;
            made.activated = row.integer(6) != 0;
            made.created_ms = row.integer(7);
            made.gateway = row.integer(8);
            made.online = row.integer(9) != 0;
            made.since_ms = row.integer(10);
            made.seen_ms = row.integer(11);
            made.epoch = static_cast<std::uint64_t>(row.integer(12));
            made.reason = row.text(13);
            made.address = row.text(14);
            return made;
        }
    );
}

Result<std::vector<DesiredRow>> load_desired(store::Database& db) {
    return load_rows<DesiredRow>(
        db,
        "SELECT device, property, value, version, time_ms, state, message FROM desired"
        " ORDER BY device, property",
        [](const store::Statement& row) {
            DesiredRow made;
            made.device = row.integer(0);
            made.property = static_cast<PropertyId>(row.integer(1));
            made.value = value_of(row.text(2));
            made.version = row.integer(3);
            made.time_ms = row.integer(4);
            made.state = static_cast<DesiredState>(row.integer(5));
            made.message = row.text(6);
            return made;
        }
    );
}

Result<std::vector<std::pair<DeviceId, Tag>>> load_tags(store::Database& db) {
    return load_rows<std::pair<DeviceId, Tag>>(
        db,
        "SELECT device, system, key, value FROM device_tag ORDER BY device, system, key",
        [](const store::Statement& row) {
            return std::pair(
                row.integer(0), Tag{std::string(row.text(2)), std::string(row.text(3)), row.integer(1) != 0}
            );
        }
    );
}

Result<std::vector<DesiredRow>> load_desired_versions(store::Database& db) {
    return load_rows<DesiredRow>(
        db,
        "SELECT device, property, version FROM desired_version ORDER BY device, property",
        [](const store::Statement& row) {
            DesiredRow made;
            made.device = row.integer(0);
            made.property = static_cast<PropertyId>(row.integer(1));
            made.version = row.integer(2);
            return made;
        }
    );
}

Result<std::int64_t> load_counter(store::Database& db, std::string_view name) {
    auto select = db.prepare("SELECT value FROM meta WHERE name = ?1");
    if (!select)
        return fail(std::move(select).error());
    const auto row = select->bind(1, name).step();
    if (!row)
        return fail(row.error());
    return *row ? select->integer(0) : 0;
}

Result<std::int64_t> count_up(store::Database& db, std::string_view name) {
    auto update = db.prepare("UPDATE meta SET value = value + 1 WHERE name = ?1");
    if (!update)
        return fail(std::move(update).error());
    BRIM_TRY(update->bind(1, name).run());
    return load_counter(db, name);
}

namespace {

Result<void> save_counter(store::Database& db, std::string_view name, std::int64_t at_least) {
    auto update = db.prepare("UPDATE meta SET value = max(value, ?2) WHERE name = ?1");
    if (!update)
        return fail(std::move(update).error());
    return update->bind(1, name).bind(2, at_least).run();
}

Result<void> save_properties(store::Database& db, const ProductRow& row) {
    auto insert =
        db.prepare("INSERT OR IGNORE INTO product_property(product, id, identifier) VALUES(?1, ?2, ?3)");
    if (!insert)
        return fail(std::move(insert).error());
    for (std::size_t i = 0; i < row.properties.size(); ++i) {
        BRIM_TRY(
            insert->bind(1, row.id).bind(2, static_cast<std::int64_t>(i)).bind(3, row.properties[i]).run()
        );
    }
    return {};
}

} // namespace

Result<void> save_product(store::Database& db, const ProductRow& row) {
    auto insert =
        db.prepare("INSERT INTO product(id, product_key, name, description, is_gateway, created_ms, model)"
                   " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    if (!insert)
        return fail(std::move(insert).error());
    insert->bind(1, row.id).bind(2, row.product_key).bind(3, row.name).bind(4, row.description);
    BRIM_TRY(insert->bind(5, row.is_gateway ? 1 : 0).bind(6, row.created_ms).bind(7, row.model).run());
    BRIM_TRY(save_counter(db, "next_product", row.id + 1));
    return save_properties(db, row);
}

Result<void> save_model(store::Database& db, const ProductRow& row) {
    auto update = db.prepare("UPDATE product SET model = ?2 WHERE id = ?1");
    if (!update)
        return fail(std::move(update).error());
    BRIM_TRY(update->bind(1, row.id).bind(2, row.model).run());
    return save_properties(db, row);
}

Result<void> delete_product(store::Database& db, ProductId id) {
    auto remove = db.prepare("DELETE FROM product WHERE id = ?1");
    if (!remove)
        return fail(std::move(remove).error());
    return remove->bind(1, id).run();
}

Result<void> save_device(store::Database& db, const DeviceRow& row) {
    auto insert = db.prepare(
        "INSERT INTO device(id, product, name, nickname, secret, enabled, activated, created_ms, gateway, "
        "online, since_ms,"
        " seen_ms, epoch, reason, address) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL, 0, ?9, 0, 0, '', '')"
    );
    if (!insert)
        return fail(std::move(insert).error());
    insert->bind(1, row.id)
        .bind(2, row.product)
        .bind(3, row.name)
        .bind(4, row.nickname)
        .bind(5, row.secret.reveal());
    insert->bind(6, row.enabled ? 1 : 0).bind(7, row.activated ? 1 : 0).bind(8, row.created_ms);
    BRIM_TRY(insert->bind(9, row.since_ms).run());
    return save_counter(db, "next_device", row.id + 1);
}

Result<void> delete_device(store::Database& db, DeviceId id) {
    auto remove = db.prepare("DELETE FROM device WHERE id = ?1");
    if (!remove)
        return fail(std::move(remove).error());
    return remove->bind(1, id).run();
}

Result<void> save_enabled(store::Database& db, DeviceId id, bool enabled) {
    auto update = db.prepare("UPDATE device SET enabled = ?2 WHERE id = ?1");
    if (!update)
        return fail(std::move(update).error());
    return update->bind(1, id).bind(2, enabled ? 1 : 0).run();
}

Result<void> save_gateway(store::Database& db, DeviceId id, DeviceId gateway) {
    auto update = db.prepare("UPDATE device SET gateway = ?2 WHERE id = ?1");
    if (!update)
        return fail(std::move(update).error());
    update->bind(1, id);
    if (gateway == 0)
        update->bind_null(2);
    else
        update->bind(2, gateway);
    return update->run();
}

Result<void> save_desired(store::Database& db, const std::vector<DesiredRow>& rows) {
    auto put =
        db.prepare("INSERT OR REPLACE INTO desired(device, property, value, version, time_ms, state, message)"
                   " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    if (!put)
        return fail(std::move(put).error());
    for (const DesiredRow& row : rows) {
        put->bind(1, row.device).bind(2, row.property).bind(3, value_text(row.value)).bind(4, row.version);
        BRIM_TRY(put->bind(5, row.time_ms).bind(6, static_cast<int>(row.state)).bind(7, row.message).run());
    }
    return {};
}

Result<void> delete_desired(store::Database& db, DeviceId device, PropertyId property, std::int64_t version) {
    auto remember =
        db.prepare("INSERT OR REPLACE INTO desired_version(device, property, version) VALUES(?1, ?2, ?3)");
    if (!remember)
        return fail(std::move(remember).error());
    BRIM_TRY(remember->bind(1, device).bind(2, property).bind(3, version).run());
    auto remove = db.prepare("DELETE FROM desired WHERE device = ?1 AND property = ?2");
    if (!remove)
        return fail(std::move(remove).error());
    return remove->bind(1, device).bind(2, property).run();
}

Result<void> save_tags(
    store::Database& db, DeviceId device, const std::vector<Tag>& put, const std::vector<Tag>& removed
) {
    auto remove = db.prepare("DELETE FROM device_tag WHERE device = ?1 AND system = ?2 AND key = ?3");
    if (!remove)
        return fail(std::move(remove).error());
    for (const Tag& tag : removed)
        BRIM_TRY(remove->bind(1, device).bind(2, tag.system ? 1 : 0).bind(3, tag.key).run());
    auto replace =
        db.prepare("INSERT OR REPLACE INTO device_tag(device, system, key, value) VALUES(?1, ?2, ?3, ?4)");
    if (!replace)
        return fail(std::move(replace).error());
    for (const Tag& tag : put)
        BRIM_TRY(
            replace->bind(1, device).bind(2, tag.system ? 1 : 0).bind(3, tag.key).bind(4, tag.value).run()
        );
    return {};
}

Result<void> save_status(store::Database& db, const std::vector<StatusRow>& rows) {
    auto update =
        db.prepare("UPDATE device SET activated = ?2, online = ?3, since_ms = ?4, seen_ms = ?5, epoch = ?6,"
                   " reason = ?7, address = ?8 WHERE id = ?1");
    if (!update)
        return fail(std::move(update).error());
    auto settle = db.prepare(
        "UPDATE desired SET state = ?4, message = ?5 WHERE device = ?1 AND property = ?2 AND version = ?3"
    );
    if (!settle)
        return fail(std::move(settle).error());
    for (const StatusRow& row : rows) {
        update->bind(1, row.id)
            .bind(2, row.activated ? 1 : 0)
            .bind(3, row.online ? 1 : 0)
            .bind(4, row.since_ms);
        update->bind(5, row.seen_ms).bind(6, static_cast<std::int64_t>(row.epoch)).bind(7, row.reason);
        BRIM_TRY(update->bind(8, row.address).run());
        for (const DesiredRow& desired : row.desired) {
            settle->bind(1, desired.device).bind(2, desired.property).bind(3, desired.version);
            BRIM_TRY(settle->bind(4, static_cast<int>(desired.state)).bind(5, desired.message).run());
        }
    }
    return {};
}

} // namespace brim::hub::sql
