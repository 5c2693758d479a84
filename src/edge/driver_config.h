#pragma once
// What a driver is configured with: the gw_driverconfig JSON file, and the models of its products.

#include "edge/devices.h"
#include "edge/settings.h"
#include "io/disk.h"

#include <string>
#include <vector>

namespace brim::edge {

struct DriverConfigLimits {
    std::size_t file_bytes_max = 4'194'304;
    std::size_t model_bytes_max = 1'048'576;
    std::size_t custom_bytes_max = 65'536;
    std::size_t devices_max = 10'000;
};

/// Checked and ready: what [bus-2] publishes, and the devices behind it.
struct DriverConfig {
    std::string name;
    std::string published; ///< JSON with config, deviceList (without secrets), models, extensions
    std::vector<Device> devices;
};

/// Reads the files; blocking, used at start and on reload. Errors name the file, the place in it and the fix.
Result<DriverConfig>
load_driver_config(io::Disk& disk, const DriverSettings& settings, const DriverConfigLimits& limits = {});

} // namespace brim::edge
