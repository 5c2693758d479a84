#include "hub/registry.h"

#include "hub/registry_sql.h"

#include <algorithm>
#include <array>

namespace brim::hub {

namespace {

constexpr std::size_t name_bytes_max = 90;
constexpr std::size_t text_bytes_max = 1'024;

template <class Entry> auto find_sorted(std::vector<Entry>& entries, PropertyId property) {
    return std::lower_bound(
        entries.begin(),
        entries.end(),
        property,
        [](const Entry& entry, PropertyId wanted) { return entry.property < wanted; }
    );
}

sql::ProductRow product_row(const Product& product) {
    sql::ProductRow row;
    row.id = product.id;
    row.product_key = product.product_key;
    row.name = product.name;
    row.description = product.description;
    row.is_gateway = product.is_gateway;
    row.created_ms = product.created.ms;
    row.model = product.model->to_tsl(product.product_key).text();
    row.properties = product.properties;
    return row;
}

} // namespace

std::string_view status_name(Status status) noexcept {
    static constexpr std::array<std::string_view, 4> names{"unactivated", "online", "offline", "disabled"};
    return names[static_cast<std::size_t>(status)];
}

std::string_view desired_state_name(DesiredState state) noexcept {
    static constexpr std::array<std::string_view, 3> names{"pending", "confirmed", "failed"};
    return names[static_cast<std::size_t>(state)];
}

void Product::intern_properties() {
    model_ids.clear();
    for (const thing::Property& property : model->properties()) {
        PropertyId number = property_id(property.identifier);
        if (number < 0) {
            number = static_cast<PropertyId>(properties.size());
            properties.push_back(property.identifier);
        }
        model_ids.push_back(number);
    }
}

PropertyId Product::property_id(std::string_view identifier) const {
    const auto found = std::find(properties.begin(), properties.end(), identifier);
    return found == properties.end() ? -1 : static_cast<PropertyId>(found - properties.begin());
}

Status Device::status() const {
    if (!enabled)
        return Status::disabled;
    if (online)
        return Status::online;
    return activated ? Status::offline : Status::unactivated;
}

CurrentValue* Device::current_value(PropertyId property) {
    const auto found = find_sorted(current, property);
    return found == current.end() || found->property != property ? nullptr : &*found;
}

void Device::set_current(PropertyId property, thing::Value new_value, std::int64_t time_ms) {
    const auto place = find_sorted(current, property);
    if (place != current.end() && place->property == property) {
        place->value = std::move(new_value);
        place->time_ms = time_ms;
    } else {
        current.insert(place, {property, std::move(new_value), time_ms});
    }
}

DesiredValue* Device::desired_value(PropertyId property) {
    const auto found = find_sorted(desired, property);
    return found == desired.end() || found->property != property ? nullptr : &*found;
}

Registry::Registry(io::Env& env, MetaDb& db, RegistryLimits limits)
    : env_(env), db_(db), limits_(limits), save_timer_(env.loop()) {}

Registry::~Registry() = default;

Result<std::unique_ptr<Registry>> Registry::open(io::Env& env, MetaDb& db, RegistryLimits limits) {
    std::unique_ptr<Registry> registry(new Registry(env, db, limits));
    BRIM_TRY(registry->load());
    return registry;
}

Product* Registry::product(std::string_view product_key) {
    const auto found = products_by_key_.find(std::string(product_key));
    return found == products_by_key_.end() ? nullptr : found->second;
}

Device* Registry::device(std::string_view product_key, std::string_view device_name) {
    std::string key;
    key.reserve(product_key.size() + device_name.size() + 1);
    key.append(product_key).append(1, '/').append(device_name);
    const auto found = devices_by_key_.find(key);
    return found == devices_by_key_.end() ? nullptr : found->second;
}

Device* Registry::device(DeviceId id) {
    const auto found = devices_.find(id);
    return found == devices_.end() ? nullptr : found->second.get();
}

const std::vector<DeviceId>& Registry::sub_devices(DeviceId gateway) const {
    static const std::vector<DeviceId> none;
    const auto found = sub_devices_.find(gateway);
    return found == sub_devices_.end() ? none : found->second;
}

Device& Registry::add_device(std::unique_ptr<Device> device) {
    Device& added = *device;
    ++added.product->device_count;
    if (added.product->is_gateway)
        ++gateway_count_;
    if (added.gateway != 0)
        sub_devices_[added.gateway].push_back(added.id);
    devices_by_key_[added.key().text()] = &added;
    devices_[added.id] = std::move(device);
    return added;
}

void Registry::remove_device(DeviceId id) {
    const auto found = devices_.find(id);
    if (found == devices_.end())
        return;
    Device& gone = *found->second;
    if (gone.online)
        count_online(gone, -1);
    --gone.product->device_count;
    if (gone.product->is_gateway)
        --gateway_count_;
    if (gone.gateway != 0)
        std::erase(sub_devices_[gone.gateway], id);
    for (const DeviceId sub : sub_devices(id)) {
        if (Device* orphan = device(sub))
            orphan->gateway = 0;
    }
    sub_devices_.erase(id);
    devices_by_key_.erase(gone.key().text());
    // Freed at the end of the turn: callers up the stack may still hold it.
    std::shared_ptr<Device> keep = std::move(found->second); // shared with that work alone
    devices_.erase(found);
    env_.loop().at_turn_end([keep] {});
}

void Registry::create_product(ProductSpec spec, std::move_only_function<void(Result<Product*>)> done) {
    const std::string object = "product \"" + spec.name + "\"";
    if (spec.name.empty() || spec.name.size() > name_bytes_max || !is_utf8(spec.name)) {
        return done(fail(Errc::invalid, object, "the name is empty or too long", "use 1 to 30 characters"));
    }
    if (spec.description.size() > text_bytes_max) {
        return done(fail(Errc::too_large, object, "the description is too long", "use at most 1,024 bytes"));
    }
    if (products_.size() >= limits_.products_max) {
        return done(
            fail(Errc::full, object, "the hub holds its maximum of products", "delete unused products")
        );
    }
    if (spec.product_key.empty()) {
        do {
            spec.product_key = "a1" + env_.random().alnum(9);
        } while (product(spec.product_key) != nullptr);
    }
    if (!thing::valid_product_key(spec.product_key)) {
        return done(
            fail(Errc::invalid, object, "the product key is not valid", "use 1 to 20 letters and digits")
        );
    }
    if (product(spec.product_key) != nullptr) {
        return done(
            fail(Errc::exists, "product " + spec.product_key, "exists already", "choose another product key")
        );
    }
    auto made = std::make_unique<Product>();
    made->id = next_product_++;
    made->product_key = std::move(spec.product_key);
    made->name = std::move(spec.name);
    made->description = std::move(spec.description);
    made->is_gateway = spec.is_gateway;
    made->created = env_.loop().clock().wall();
    made->model = spec.model ? std::move(spec.model) : std::make_shared<const thing::Model>();
    made->intern_properties();
    const sql::ProductRow row = product_row(*made);
    products_by_key_[made->product_key] = made.get();
    products_[made->id] = std::move(made);
    auto saved = [this, id = row.id, done = std::move(done)](Result<void> result) mutable {
        const auto found = products_.find(id);
        if (found == products_.end())
            return done(fail(Errc::not_found, "product", "it was deleted meanwhile"));
        if (result)
            return done(found->second.get());
        products_by_key_.erase(found->second->product_key);
        products_.erase(found);
        done(fail(std::move(result).error()));
    };
    db_.write([row](store::Database& db) { return sql::save_product(db, row); }, std::move(saved));
}

void Registry::put_model(Product& product, std::shared_ptr<const thing::Model> model, Done done) {
    auto old = std::exchange(product.model, std::move(model));
    std::size_t fresh = 0;
    for (const thing::Property& property : product.model->properties()) {
        if (product.property_id(property.identifier) < 0)
            ++fresh;
    }
    if (product.properties.size() + fresh > limits_.properties_per_product_max) {
        product.model = std::move(old);
        return done(fail(
            Errc::full,
            "product " + product.product_key,
            "over its lifetime it used its maximum of property names",
            "reuse earlier names or create a new product"
        ));
    }
    product.intern_properties();
    const sql::ProductRow row = product_row(product);
    auto saved = [this, id = row.id, old = std::move(old), done = std::move(done)](Result<void> result
                 ) mutable {
        const auto found = products_.find(id);
        if (!result && found != products_.end()) {
            found->second->model = std::move(old);
            found->second->intern_properties();
        }
        done(std::move(result));
    };
    db_.write([row](store::Database& db) { return sql::save_model(db, row); }, std::move(saved));
}

void Registry::delete_product(Product& product, Done done) {
    if (product.device_count != 0) {
        return done(fail(
            Errc::conflict,
            "product " + product.product_key,
            "it still has " + std::to_string(product.device_count) + " devices",
            "delete its devices first"
        ));
    }
    const ProductId id = product.id;
    products_by_key_.erase(product.product_key);
    auto saved = [this, node = products_.extract(id), done = std::move(done)](Result<void> result) mutable {
        if (!result) {
            products_by_key_[node.mapped()->product_key] = node.mapped().get();
            products_.insert(std::move(node));
        }
        done(std::move(result));
    };
    db_.write([id](store::Database& db) { return sql::delete_product(db, id); }, std::move(saved));
}

void Registry::create_device(DeviceSpec spec, std::move_only_function<void(Result<Device*>)> done) {
    Product* owner = product(spec.product_key);
    if (owner == nullptr) {
        return done(fail(Errc::not_found, "product " + spec.product_key, "no such product", "create it first")
        );
    }
    if (spec.device_name.empty()) {
        do {
            spec.device_name = env_.random().alnum(20);
        } while (device(spec.product_key, spec.device_name) != nullptr);
    }
    const std::string object = "device \"" + spec.product_key + "/" + spec.device_name + "\"";
    if (!thing::valid_device_name(spec.device_name)) {
        return done(
            fail(Errc::invalid, object, "not a device name", "use 1 to 32 of letters, digits, - _ @ . :")
        );
    }
    if (device(spec.product_key, spec.device_name) != nullptr) {
        return done(fail(Errc::exists, object, "exists already", "choose another device name"));
    }
    if (devices_.size() >= limits_.devices_max) {
        return done(fail(Errc::full, object, "the hub holds its maximum of devices", "delete unused devices")
        );
    }
    if (spec.device_secret.empty())
        spec.device_secret = env_.random().alnum(32);
    auto made = std::make_unique<Device>();
    made->id = next_device_++;
    made->product = owner;
    made->name = std::move(spec.device_name);
    made->nickname = std::move(spec.nickname);
    made->secret = Secret(std::move(spec.device_secret));
    made->created = made->since = env_.loop().clock().wall();
    const sql::DeviceRow row = sql::device_row(add_device(std::move(made)));
    auto saved = [this, id = row.id, done = std::move(done)](Result<void> result) mutable {
        Device* added = device(id);
        if (added == nullptr)
            return done(fail(Errc::not_found, "device", "it was deleted meanwhile"));
        if (result)
            return done(added);
        remove_device(id);
        done(fail(std::move(result).error()));
    };
    db_.write([row](store::Database& db) { return sql::save_device(db, row); }, std::move(saved));
}

void Registry::delete_device(Device& device, Done done) {
    // Not undone when the disk refuses: it would come back at the next start, and the error says so.
    const DeviceId id = device.id;
    remove_device(id);
    db_.write([id](store::Database& db) { return sql::delete_device(db, id); }, std::move(done));
}

void Registry::set_enabled(Device& device, bool enabled, Done done) {
    const bool before = std::exchange(device.enabled, enabled);
    auto saved = [this, id = device.id, before, done = std::move(done)](Result<void> result) mutable {
        Device* still = this->device(id);
        if (!result && still != nullptr)
            still->enabled = before;
        done(std::move(result));
    };
    db_.write(
        [id = device.id, enabled](store::Database& db) { return sql::save_enabled(db, id, enabled); },
        std::move(saved)
    );
}

void Registry::bind(Device& device, Device* gateway, Done done) {
    bind(std::vector<Device*>{&device}, gateway, std::move(done));
}

bool Registry::has_room(const Device& gateway, const std::vector<Device*>& devices) const {
    const auto joins = std::count_if(devices.begin(), devices.end(), [&gateway](const Device* each) {
        return each->gateway != gateway.id;
    });
    return sub_devices(gateway.id).size() + static_cast<std::size_t>(joins) <= limits_.sub_devices_max;
}

void Registry::move(Device& device, DeviceId gateway) {
    if (device.gateway != 0)
        std::erase(sub_devices_[device.gateway], device.id);
    device.gateway = gateway;
    if (gateway != 0)
        sub_devices_[gateway].push_back(device.id);
}

void Registry::bind(const std::vector<Device*>& devices, Device* gateway, Done done) {
    for (const Device* device : devices) {
        if (gateway != nullptr && (!gateway->product->is_gateway || device->product->is_gateway)) {
            return done(fail(
                Errc::invalid,
                "device \"" + device->key().text() + "\"",
                "only a device can be bound, and only to a gateway",
                "check both products' node types"
            ));
        }
    }
    const DeviceId target = gateway == nullptr ? 0 : gateway->id;
    if (gateway != nullptr && !has_room(*gateway, devices)) {
        return done(fail(
            Errc::full,
            "device \"" + devices.front()->key().text() + "\"",
            "the gateway has its maximum of sub-devices",
            "bind it to another gateway"
        ));
    }
    std::vector<std::pair<DeviceId, DeviceId>> before; ///< device and the gateway it had
    for (Device* device : devices) {
        before.emplace_back(device->id, device->gateway);
        move(*device, target);
    }
    auto saved = [this, before, done = std::move(done)](Result<void> result) mutable {
        // Backwards: a device may have been named twice.
        for (auto each = before.rbegin(); !result && each != before.rend(); ++each) {
            if (Device* still = device(each->first))
                move(*still, device(each->second) == nullptr ? 0 : each->second);
        }
        done(std::move(result));
    };
    auto save = [before, target](store::Database& db) -> Result<void> {
        for (const auto& [id, old] : before)
            BRIM_TRY(sql::save_gateway(db, id, target));
        return {};
    };
    db_.write(std::move(save), std::move(saved));
}

} // namespace brim::hub
