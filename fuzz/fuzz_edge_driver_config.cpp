// A driver's configuration file and the model and extension of its product, two lines and the rest. What is
// taken is published as JSON without any device's secret, with a model for each device that has one.
#include "edge/driver_config.h"
#include "fuzz/require.h"
#include "io/sim/sim_disk.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

using namespace brim;
using namespace brim::edge;

namespace {

using brim::fuzz::require;

std::string_view take_line(std::string_view& rest) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    return line;
}

void check(const DriverConfig& config, bool has_model) {
    const auto published = Json::parse(config.published, {.bytes_max = 1'048'576, .values_max = 100'000});
    require(published.has_value());
    const auto& list = (*published)["deviceList"].items();
    require(list.size() == config.devices.size());
    std::set<thing::DeviceKey> keys;
    for (std::size_t i = 0; i < list.size(); ++i) {
        const Device& device = config.devices[i];
        require(device.driver == "d" && keys.insert(device.key).second);
        require(list[i].find("deviceSecret") == nullptr);
        require(list[i]["deviceName"].as_string() == device.key.device_name);
        require((device.model != nullptr) == (has_model && device.key.product_key == "a1"));
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    static const DriverSettings settings = [] {
        DriverSettings made;
        made.name = "d";
        made.config_file = "/c/d.json";
        made.models_dir = "/m";
        return made;
    }();
    const std::string_view tsl = take_line(rest);
    const std::string_view extension = take_line(rest);
    io::SimDisk disk(1);
    require(disk.make_dir("/c").has_value() && disk.make_dir("/m").has_value());
    disk.put_file("/c/d.json", Bytes(rest));
    if (!tsl.empty())
        disk.put_file("/m/a1.json", Bytes(tsl));
    if (!extension.empty())
        disk.put_file("/m/a1.ext.json", Bytes(extension));
    const auto config = load_driver_config(disk, settings);
    if (!config) {
        require(!config.error().object.empty() && !config.error().cause.empty());
        return 0;
    }
    check(*config, !tsl.empty());
    return 0;
}
