#pragma once
// The sub-devices this gateway is configured for: who they are, which driver serves them, and whether they
// are online.

#include "base/log.h"
#include "thing/envelope.h"
#include "thing/model.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brim::edge {

struct Device {
    thing::DeviceKey key;
    std::string driver;
    Secret secret; ///< from the driver's config file; empty when not given there
    std::shared_ptr<const thing::Model>
        model;           ///< shared by the product's devices; null: values pass unchecked
    bool online = false; ///< its driver said so and is connected
};

/// Lives on the loop. Pointers stay valid until the device is removed.
class Devices {
public:
    Device* find(std::string_view product_key, std::string_view device_name);
    const Device* find(std::string_view product_key, std::string_view device_name) const;

    const Device* find(const thing::DeviceKey& key) const { return find(key.product_key, key.device_name); }

    /// Adds it, or replaces all but `online`.
    Device& put(Device device);
    void remove(const thing::DeviceKey& key);

    auto begin() const { return devices_.begin(); }

    auto end() const { return devices_.end(); }

    std::size_t size() const { return devices_.size(); }

    /// Keys of one driver's devices.
    std::vector<thing::DeviceKey> of_driver(std::string_view driver) const;

private:
    struct View {
        std::string_view product_key, device_name;
    };

    struct Less {
        using is_transparent = void;

        static View view(const thing::DeviceKey& key) { return {key.product_key, key.device_name}; }

        static View view(const View& key) { return key; }

        bool operator()(const auto& a, const auto& b) const {
            const View left = view(a), right = view(b);
            const int product = left.product_key.compare(right.product_key);
            return product != 0 ? product < 0 : left.device_name < right.device_name;
        }
    };

    std::map<thing::DeviceKey, Device, Less> devices_;
};

} // namespace brim::edge
