// The limits of a driver's files, on both sides of each.

#include "edge/driver_config.h"
#include "io/sim/sim_disk.h"

#include "support_model.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::edge;

namespace {

struct FilesRig {
    io::SimDisk disk{1};
    DriverSettings settings;

    FilesRig() {
        settings.name = "pumps";
        settings.config_file = "/pumps.json";
        settings.models_dir = "/models";
    }

    void put_devices(std::size_t count, const std::string& custom = "{}") {
        Json::Array list;
        for (std::size_t i = 0; i < count; ++i) {
            list.push_back(Json::object(
                {{"productKey", "a1PUMP"}, {"deviceName", "p-" + std::to_string(i)}, {"custom", custom}}
            ));
        }
        disk.put_file("/pumps.json", Json::object({{"deviceList", std::move(list)}}).text());
    }

    /// Pads the file with blanks to `size` bytes.
    void pad(const std::string& path, std::size_t size) {
        Bytes text = disk.content(path);
        REQUIRE(text.size() <= size);
        text.resize(size, ' ');
        disk.put_file(path, text);
    }

    Errc refusal() {
        const auto loaded = load_driver_config(disk, settings);
        REQUIRE_FALSE(loaded.has_value());
        return loaded.error().code;
    }

    bool loads() { return load_driver_config(disk, settings).has_value(); }
};

constexpr DriverConfigLimits limits;

} // namespace

TEST_CASE("ten thousand devices are a driver's, one more is too many") {
    FilesRig rig;
    rig.put_devices(limits.devices_max);
    CHECK(load_driver_config(rig.disk, rig.settings)->devices.size() == 10'000);
    rig.put_devices(limits.devices_max + 1);
    CHECK(rig.refusal() == Errc::too_large);
}

TEST_CASE("a driver's file has 4 MiB at most") {
    FilesRig rig;
    rig.put_devices(1);
    rig.pad("/pumps.json", limits.file_bytes_max);
    CHECK(rig.loads());
    rig.pad("/pumps.json", limits.file_bytes_max + 1);
    CHECK(rig.refusal() == Errc::too_large);
}

TEST_CASE("a device's custom has 64 KiB at most") {
    FilesRig rig;
    rig.put_devices(1, std::string(limits.custom_bytes_max, 'x'));
    CHECK(rig.loads());
    rig.put_devices(1, std::string(limits.custom_bytes_max + 1, 'x'));
    CHECK(rig.refusal() == Errc::too_large);
}

TEST_CASE("a model and its extension have 1 MiB at most each") {
    FilesRig rig;
    rig.put_devices(1);
    rig.disk.put_file("/models/a1PUMP.json", test::pump_tsl);
    rig.disk.put_file("/models/a1PUMP.ext.json", "{}");
    for (const char* path : {"/models/a1PUMP.json", "/models/a1PUMP.ext.json"}) {
        CAPTURE(path);
        const Bytes before = rig.disk.content(path);
        rig.pad(path, limits.model_bytes_max);
        CHECK(rig.loads());
        rig.pad(path, limits.model_bytes_max + 1);
        CHECK(rig.refusal() == Errc::too_large);
        rig.disk.put_file(path, before);
    }
}
