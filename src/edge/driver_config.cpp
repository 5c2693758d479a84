#include "edge/driver_config.h"

#include <map>
#include <set>

namespace brim::edge {

namespace {

Result<Json> read_json(io::Disk& disk, const std::string& path, std::size_t bytes_max) {
    const auto text = io::read_file(disk, path, bytes_max);
    if (!text)
        return fail(text.error());
    auto json = Json::parse(*text, {.bytes_max = bytes_max});
    if (!json)
        return fail(json.error().code, path, json.error().cause, "correct the file");
    return json;
}

struct Product {
    std::shared_ptr<const thing::Model> model;
    Json tsl;
    Json extension;
};

Result<Product> read_product(
    io::Disk& disk,
    const DriverSettings& settings,
    const std::string& product_key,
    const DriverConfigLimits& limits
) {
    Product product;
    if (settings.models_dir.empty())
        return product;
    const std::string base = settings.models_dir + "/" + product_key;
    if (disk.exists(base + ".json")) {
        auto tsl = read_json(disk, base + ".json", limits.model_bytes_max);
        if (!tsl)
            return fail(tsl.error());
        auto model = thing::Model::parse(*tsl);
        if (!model) {
            return fail(
                model.error().code,
                base + ".json: " + model.error().object,
                model.error().cause,
                model.error().fix
            );
        }
        product.model = std::make_shared<const thing::Model>(std::move(*model));
        product.tsl = std::move(*tsl);
    }
    if (disk.exists(base + ".ext.json")) {
        auto extension = read_json(disk, base + ".ext.json", limits.model_bytes_max);
        if (!extension)
            return fail(extension.error());
        product.extension = std::move(*extension);
    }
    return product;
}

Result<Device> read_device(const Json& entry, const std::string& where, const DriverConfigLimits& limits) {
    Device device;
    device.key = {std::string(entry["productKey"].as_string()), std::string(entry["deviceName"].as_string())};
    if (!thing::valid_product_key(device.key.product_key)) {
        return fail(
            Errc::invalid,
            where + ".productKey",
            "is missing or no product key",
            "use 1 to 20 letters and digits"
        );
    }
    if (!thing::valid_device_name(device.key.device_name)) {
        return fail(
            Errc::invalid,
            where + ".deviceName",
            "is missing or no device name",
            "use 1 to 32 of a-z 0-9 - _ @ . :"
        );
    }
    const Json& custom = entry["custom"];
    if (!custom.is_null() && !custom.is_string()) {
        return fail(
            Errc::invalid, where + ".custom", "is not a text", "write the JSON of the device as a quoted text"
        );
    }
    if (custom.as_string().size() > limits.custom_bytes_max) {
        return fail(Errc::too_large, where + ".custom", "is over 64 KiB", "shorten it");
    }
    device.secret = Secret(std::string(entry["deviceSecret"].as_string()));
    return device;
}

} // namespace

Result<DriverConfig>
load_driver_config(io::Disk& disk, const DriverSettings& settings, const DriverConfigLimits& limits) {
    auto file = read_json(disk, settings.config_file, limits.file_bytes_max);
    if (!file)
        return fail(file.error());
    const Json& list = (*file)["deviceList"];
    if (!file->is_object() || (!list.is_null() && !list.is_array())) {
        return fail(
            Errc::invalid,
            settings.config_file,
            "is not an object with a deviceList array",
            "see docs/spec/bus.md"
        );
    }
    if (list.items().size() > limits.devices_max) {
        return fail(
            Errc::too_large,
            settings.config_file + ": deviceList",
            "has over 10,000 devices",
            "split the driver"
        );
    }
    DriverConfig out;
    out.name = settings.name;
    Json::Array devices;
    std::map<std::string, Product> products;
    std::set<thing::DeviceKey> seen;
    for (std::size_t i = 0; i < list.items().size(); ++i) {
        const std::string where = settings.config_file + ": deviceList[" + std::to_string(i) + "]";
        auto device = read_device(list.items()[i], where, limits);
        if (!device)
            return fail(device.error());
        if (!seen.insert(device->key).second) {
            return fail(Errc::exists, where, device->key.text() + " is listed twice", "remove one");
        }
        auto product = products.find(device->key.product_key);
        if (product == products.end()) {
            auto read = read_product(disk, settings, device->key.product_key, limits);
            if (!read)
                return fail(read.error());
            product = products.emplace(device->key.product_key, std::move(*read)).first;
        }
        device->driver = settings.name;
        device->model = product->second.model;
        out.devices.push_back(std::move(*device));
        Json entry = list.items()[i];
        entry.erase("deviceSecret");
        devices.push_back(std::move(entry));
    }
    Json models = Json::object();
    Json extensions = Json::object();
    for (auto& [key, product] : products) {
        if (!product.tsl.is_null())
            models.set(key, std::move(product.tsl));
        if (!product.extension.is_null())
            extensions.set(key, std::move(product.extension));
    }
    const Json& config = (*file)["config"];
    out.published = Json::object({
                                     {"config", config.is_null() ? Json::object() : config},
                                     {"deviceList", std::move(devices)},
                                     {"models", std::move(models)},
                                     {"extensions", std::move(extensions)},
                                 })
                        .text();
    return out;
}

} // namespace brim::edge
