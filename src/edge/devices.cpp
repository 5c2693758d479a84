#include "edge/devices.h"

namespace brim::edge {

Device* Devices::find(std::string_view product_key, std::string_view device_name) {
    const auto found = devices_.find(View{product_key, device_name});
    return found == devices_.end() ? nullptr : &found->second;
}

const Device* Devices::find(std::string_view product_key, std::string_view device_name) const {
    const auto found = devices_.find(View{product_key, device_name});
    return found == devices_.end() ? nullptr : &found->second;
}

Device& Devices::put(Device device) {
    const thing::DeviceKey key = device.key;
    const auto found = devices_.find(key);
    device.online = found != devices_.end() && found->second.online;
    return devices_.insert_or_assign(key, std::move(device)).first->second;
}

void Devices::remove(const thing::DeviceKey& key) {
    devices_.erase(key);
}

std::vector<thing::DeviceKey> Devices::of_driver(std::string_view driver) const {
    std::vector<thing::DeviceKey> keys;
    for (const auto& [key, device] : devices_) {
        if (device.driver == driver)
            keys.push_back(key);
    }
    return keys;
}

} // namespace brim::edge
