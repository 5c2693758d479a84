#pragma once
// Products, devices and topology: kept in memory, written through to MetaDb. Loop thread only.
// A change is checked and visible at once; `done` comes after it is durable. When the disk refuses, the
// change is undone and `done` gets the error.

#include "base/log.h"
#include "base/time.h"
#include "hub/meta_db.h"
#include "thing/envelope.h"
#include "thing/model.h"
#include "thing/value.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace brim::hub {

using DeviceId = std::int64_t; ///< from 1, never reused
using ProductId = std::int64_t;
using PropertyId = int; ///< per product, from 0, kept for an identifier through all versions of the model

/// Events share one history column of their device: {"identifier":..,"output":{..}}.
inline constexpr PropertyId event_column = 1'000'000;

struct Product {
    ProductId id = 0;
    std::string product_key;
    std::string name;
    std::string description;
    bool is_gateway = false;
    WallTime created;
    std::shared_ptr<const thing::Model>
        model;                           ///< never null; shared with readers of an older version under way
    std::vector<std::string> properties; ///< identifier by PropertyId, in order of first appearance
    std::vector<PropertyId> model_ids;   ///< PropertyId by index in model->properties()
    std::size_t device_count = 0;

    PropertyId property_id(std::string_view identifier) const; ///< -1 when the product never had it
    /// Gives every property of the model its lasting number; after the model was set.
    void intern_properties();

    bool is_event_column(PropertyId property) const { return property == event_column; }
};

enum class Status : std::uint8_t { unactivated, online, offline, disabled };
std::string_view status_name(Status status) noexcept;

enum class DesiredState : std::uint8_t { pending, confirmed, failed };
std::string_view desired_state_name(DesiredState state) noexcept;

struct CurrentValue {
    PropertyId property = 0;
    thing::Value value;
    std::int64_t time_ms = 0;
};

struct DesiredValue {
    PropertyId property = 0;
    thing::Value value;
    std::int64_t version = 0;
    std::int64_t time_ms = 0;
    DesiredState state = DesiredState::pending;
    std::string message;   ///< why it failed
    bool is_stored = true; ///< false until its commit: no device hears of what a power cut may take back
};

/// A device's own label. The SYSTEM domain is what SDKs tell about themselves.
struct Tag {
    std::string key, value;
    bool system = false;
    bool operator==(const Tag&) const = default;
};

struct Device {
    DeviceId id = 0;
    Product* product = nullptr; ///< owned by the registry, outlives its devices
    std::string name;
    std::string nickname;
    Secret secret;
    bool enabled = true;
    bool activated = false; ///< was online once
    WallTime created;
    DeviceId gateway = 0; ///< bound to; 0 = none

    // Runtime state; since and last_seen are saved lazily.
    bool online = false;
    std::uint64_t epoch = 0; ///< of the current or last connection; grows over restarts
    WallTime since;          ///< of the present status
    WallTime last_seen;      ///< zero = never
    std::string reason;      ///< why offline
    std::string address;
    std::vector<CurrentValue> current; ///< sorted by property
    std::vector<DesiredValue> desired; ///< sorted by property
    /// Properties without a desired value that once had one, and its last version: versions never start
    /// again.
    std::vector<std::pair<PropertyId, std::int64_t>> last_versions;
    std::vector<Tag> tags; ///< sorted: those of the device, then SYSTEM; by key

    thing::DeviceKey key() const { return {product->product_key, name}; }

    Status status() const;
    void set_current(PropertyId property, thing::Value new_value, std::int64_t time_ms);
    CurrentValue* current_value(PropertyId property);
    DesiredValue* desired_value(PropertyId property);
    /// Of the desired value that is there or was there last; 0 when there never was one.
    std::int64_t desired_version(PropertyId property);
};

struct ProductSpec {
    std::string product_key; ///< empty = make one
    std::string name;
    std::string description;
    bool is_gateway = false;
    std::shared_ptr<const thing::Model> model; ///< null = empty model
};

struct DeviceSpec {
    std::string product_key;
    std::string device_name; ///< empty = make one
    std::string nickname;
    std::string device_secret; ///< empty = make one (32 alphanumeric characters, 190 bits)
};

struct RegistryLimits {
    std::size_t products_max = 10'000;
    std::size_t devices_max = 1'000'000;
    std::size_t sub_devices_max = 10'000;           ///< per gateway
    std::size_t properties_per_product_max = 1'000; ///< identifiers ever used
    std::size_t tags_max = 100;                     ///< per device, and as many SYSTEM ones
};

class Registry {
public:
    using Done = std::move_only_function<void(Result<void>)>;

    static Result<std::unique_ptr<Registry>> open(io::Env& env, MetaDb& db, RegistryLimits limits = {});
    ~Registry();

    Product* product(std::string_view product_key);
    Device* device(std::string_view product_key, std::string_view device_name);

    Device* device(const thing::DeviceKey& key) { return device(key.product_key, key.device_name); }

    Device* device(DeviceId id);

    /// In order of id. Pointers stay valid until the object is deleted (never within the same loop turn).
    const std::map<ProductId, std::unique_ptr<Product>>& products() const { return products_; }

    const std::map<DeviceId, std::unique_ptr<Device>>& devices() const { return devices_; }

    const std::vector<DeviceId>& sub_devices(DeviceId gateway) const; ///< in order of binding

    /// Errors: invalid (name, key), exists, full. The pointer handed to `done` is valid during the call.
    void create_product(ProductSpec spec, std::move_only_function<void(Result<Product*>)> done);
    void put_model(Product& product, std::shared_ptr<const thing::Model> model, Done done);
    /// Errc::conflict while it has devices.
    void delete_product(Product& product, Done done);
    void create_device(DeviceSpec spec, std::move_only_function<void(Result<Device*>)> done);
    /// Unbinds its sub-devices too. The caller has ended its connection before.
    void delete_device(Device& device, Done done);
    void set_enabled(Device& device, bool enabled, Done done);
    /// Binds `device` to `gateway` (null = unbinds). Errc::invalid for a gateway bound to a gateway, or to
    /// itself.
    void bind(Device& device, Device* gateway, Done done);
    /// The same for several devices in one transaction: all or none. Errc::full when the gateway has no room
    /// for those that are new to it.
    void bind(const std::vector<Device*>& devices, Device* gateway, Done done);
    /// False when binding `devices` would exceed RegistryLimits::sub_devices_max.
    bool has_room(const Device& gateway, const std::vector<Device*>& devices) const;
    /// Stores desired values, each with the next version of its property, counted from 1 for the life of the
    /// device. Values are already validated.
    void set_desired(
        Device& device,
        std::vector<std::pair<PropertyId, thing::Value>> values,
        std::int64_t time_ms,
        Done done
    );
    /// Removes desired values, each only of its version when that is not -1, in one transaction.
    void
    clear_desired(Device& device, std::vector<std::pair<PropertyId, std::int64_t>> properties, Done done);
    /// Sets or replaces tags. Errc::full above RegistryLimits::tags_max; has_room() asks before.
    void put_tags(Device& device, const std::vector<Tag>& tags, Done done);
    bool has_room(const Device& device, const std::vector<Tag>& tags) const;
    /// Removes the device's own tags of these keys; unknown ones are no error.
    void delete_tags(Device& device, const std::vector<std::string>& keys, Done done);
    /// Notes the outcome of a desired value; saved lazily.
    void settle_desired(Device& device, PropertyId property, DesiredState state, std::string message);

    /// Runtime status, saved lazily (within a second, in one transaction).
    void mark_online(Device& device, std::uint64_t epoch, std::string address);
    void mark_offline(Device& device, std::string reason);
    void mark_seen(Device& device);
    /// Saves it now: `done` comes when what mark_online() and the others noted so far is durable. Callers
    /// that come while a save is under way share the next one.
    void save_status(Done done);

    /// The number that makes epochs grow over restarts: counted up and stored at each open().
    std::uint64_t boot() const { return boot_; }

    std::size_t online_devices() const { return online_devices_; }

    std::size_t online_gateways() const { return online_gateways_; }

    std::size_t gateway_count() const { return gateway_count_; }

private:
    Registry(io::Env& env, MetaDb& db, RegistryLimits limits);
    Result<void> load();
    Result<void> load_devices();
    Result<void> load_desired();
    Result<void> load_tags();
    void touch(Device& device);
    void save_touched();
    void status_saved(std::vector<DeviceId> devices, std::vector<Done> waiting, const Result<void>& result);
    Device& add_device(std::unique_ptr<Device> device);
    void remove_device(DeviceId id);
    void move(Device& device, DeviceId gateway);
    void change_tags(Device& device, std::vector<Tag> wanted, Done done);
    void count_online(const Device& device, int change);

    io::Env& env_;
    MetaDb& db_;
    RegistryLimits limits_;
    std::map<ProductId, std::unique_ptr<Product>> products_;
    std::map<DeviceId, std::unique_ptr<Device>> devices_;
    std::unordered_map<std::string, Product*> products_by_key_;
    std::unordered_map<std::string, Device*> devices_by_key_; ///< "{pk}/{dn}"
    std::unordered_map<DeviceId, std::vector<DeviceId>> sub_devices_;
    std::vector<DeviceId> touched_;
    std::vector<Done> status_waiters_; ///< of save_status(), for the next save
    bool saving_status_ = false;
    io::Timer save_timer_;
    ProductId next_product_ = 1;
    DeviceId next_device_ = 1;
    std::uint64_t boot_ = 0;
    std::size_t online_devices_ = 0, online_gateways_ = 0, gateway_count_ = 0;
};

} // namespace brim::hub
