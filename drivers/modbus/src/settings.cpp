#include "settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace brim::modbus {

namespace {

/// Collects complaints while it reads; what is wrong is left out, the rest goes on.
class SettingsReader {
public:
    explicit SettingsReader(const Json& root) : root_(root) {}

    Settings read() {
        const Json servers = server_list();
        for (const Json& server : servers.items())
            read_channel(server);
        for (const Json& device : root_["deviceList"].items())
            read_device(device);
        return std::move(out_);
    }

private:
    Json server_list();
    void read_channel(const Json& server);
    std::optional<std::variant<TcpEndpoint, SerialEndpoint>>
    read_endpoint(const Json& server, const std::string& object);
    void read_device(const Json& entry);
    std::optional<Point> read_point(const Json& extension, const Json& model, const std::string& device);
    bool read_encoding(const Json& extension, Point& point, const std::string& object);
    bool read_range(const Json& specs, RawType type, Encoding& encoding, const std::string& object);

    void complain(std::string object, std::string cause, std::string fix) {
        out_.complaints.push_back(object + ": " + cause + "; " + fix);
    }

    /// A number or a text that is one, inside of its limits; else `otherwise`, with a complaint when it is
    /// there.
    double number(const Json& value, double low, double high, double otherwise, const std::string& object);

    const Json& root_;
    Settings out_;
};

std::optional<double> as_number(const Json& value) {
    if (value.is_number())
        return value.is_int() ? static_cast<double>(value.as_int()) : value.as_double();
    const std::string_view text = value.as_string();
    double number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size())
        return std::nullopt;
    return number;
}

/// serverId and the like may be numbers or texts.
std::string as_text(const Json& value) {
    if (value.is_string())
        return std::string(value.as_string());
    return value.is_int() ? value.text() : std::string();
}

const Json* entry_of(const Json& list, std::string_view identifier) {
    for (const Json& entry : list.items()) {
        if (entry["identifier"].as_string() == identifier)
            return &entry;
    }
    return nullptr;
}

std::optional<Area> parse_area(std::string_view name) {
    if (name == "coilStatus" || name == "coilState")
        return Area::coil;
    if (name == "inputStatus" || name == "inputState")
        return Area::input_bit;
    if (name == "holdingRegister")
        return Area::holding;
    if (name == "inputRegister")
        return Area::input;
    return std::nullopt;
}

/// "0x03", "3" or 3.
std::optional<std::uint16_t> parse_address(const Json& value) {
    if (value.is_int()) {
        return value.as_int() >= 0 && value.as_int() <= 65'535
                   ? std::optional(static_cast<std::uint16_t>(value.as_int()))
                   : std::nullopt;
    }
    std::string_view text = value.as_string();
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    if (hex)
        text.remove_prefix(2);
    std::uint16_t address = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), address, hex ? 16 : 10);
    if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size())
        return std::nullopt;
    return address;
}

/// A member at the entry's top level, in deviceConfig, or in custom (an object or the text of one).
Json device_member(const Json& entry, std::string_view name) {
    if (const Json* found = entry.find(name))
        return *found;
    if (const Json* found = entry["deviceConfig"].find(name))
        return *found;
    const Json& custom = entry["custom"];
    if (custom.is_object()) {
        return custom.find(name) != nullptr ? custom[name] : custom["deviceConfig"][name];
    }
    if (custom.as_string().empty())
        return {};
    const auto parsed =
        Json::parse(custom.as_string(), {.bytes_max = 65'536, .depth_max = 16, .values_max = 1'000});
    if (!parsed)
        return {};
    return parsed->find(name) != nullptr ? (*parsed)[name] : (*parsed)["deviceConfig"][name];
}

double SettingsReader::number(
    const Json& value, double low, double high, double otherwise, const std::string& object
) {
    if (value.is_null())
        return otherwise;
    const auto found = as_number(value);
    if (found && *found >= low && *found <= high && *found == std::floor(*found))
        return *found;
    complain(
        object,
        value.text() + " is outside of its limits",
        "write a whole number from " + Json(low).text() + " to " + Json(high).text()
    );
    return otherwise;
}

Json SettingsReader::server_list() {
    const Json& config = root_["config"];
    for (const Json* place : {&config, &config["json"]}) {
        if (place->find("serverList") != nullptr)
            return (*place)["serverList"];
    }
    for (const Json& pair : config["kv"].items()) {
        if (pair["key"].as_string() != "serverList")
            continue;
        auto parsed = Json::parse(pair["value"].as_string());
        if (parsed)
            return *std::move(parsed);
        complain("config.kv serverList", "is not JSON", "give the array of channels as JSON text");
    }
    return Json::array();
}

std::optional<std::variant<TcpEndpoint, SerialEndpoint>>
SettingsReader::read_endpoint(const Json& server, const std::string& object) {
    const std::string_view protocol = server["protocol"].as_string("TCP");
    if (protocol == "TCP" || protocol == "tcp") {
        TcpEndpoint tcp;
        tcp.host = std::string(server["ip"].as_string());
        tcp.port = static_cast<std::uint16_t>(number(server["port"], 1, 65'535, 502, object + " port"));
        if (!tcp.host.empty())
            return tcp;
        complain(object, "has no ip", "set \"ip\" to the slave's address");
        return std::nullopt;
    }
    if (protocol != "RTU" && protocol != "rtu") {
        complain(object, "protocol \"" + std::string(protocol) + "\" is not known", "use TCP or RTU");
        return std::nullopt;
    }
    SerialEndpoint serial;
    serial.path = std::string(server["serialPort"].as_string());
    serial.baud = static_cast<int>(number(server["baudRate"], 50, 4'000'000, 9'600, object + " baudRate"));
    serial.data_bits = static_cast<int>(number(server["byteSize"], 7, 8, 8, object + " byteSize"));
    serial.stop_bits = static_cast<int>(number(server["stopBits"], 1, 2, 1, object + " stopBits"));
    const std::string parity = as_text(server["parity"]); // letters in one document, numbers in another
    if (parity == "1" || parity == "O" || parity == "o")
        serial.parity = 'O';
    else if (parity == "2" || parity == "E" || parity == "e")
        serial.parity = 'E';
    else if (!parity.empty() && parity != "0" && parity != "N" && parity != "n") {
        complain(object + " parity", "\"" + parity + "\" is not known", "use N, O, E or 0, 1, 2");
    }
    if (!serial.path.empty() && serial.path.size() <= 64)
        return serial;
    complain(
        object, "has no serialPort of 1 to 64 bytes", "set \"serialPort\" to a path such as /dev/ttyUSB0"
    );
    return std::nullopt;
}

void SettingsReader::read_channel(const Json& server) {
    ChannelSettings channel;
    channel.id = as_text(server["serverId"]);
    channel.name = as_text(server["name"]);
    const std::string object = "channel \"" + channel.id + "\"";
    const bool twice =
        std::ranges::find(out_.channels, channel.id, &ChannelSettings::id) != out_.channels.end();
    if (channel.id.empty() || twice || out_.channels.size() == SettingsLimits::channels_max) {
        complain(object, "has no serverId of its own", "give each of at most 64 channels another serverId");
        return;
    }
    const auto endpoint = read_endpoint(server, object);
    if (!endpoint)
        return;
    channel.endpoint = *endpoint;
    using Limits = SettingsLimits;
    channel.timeout_ms = static_cast<std::uint32_t>(number(
        server["timeoutMs"], Limits::timeout_ms_min, Limits::timeout_ms_max, 1'000, object + " timeoutMs"
    ));
    channel.retries =
        static_cast<unsigned>(number(server["retries"], 0, Limits::retries_max, 1, object + " retries"));
    channel.reads.gap_max =
        static_cast<std::uint16_t>(number(server["mergeGap"], 0, Limits::gap_max, 0, object + " mergeGap"));
    channel.signature = server.text();
    out_.channels.push_back(std::move(channel));
}

bool SettingsReader::read_range(
    const Json& specs, RawType type, Encoding& encoding, const std::string& object
) {
    const double offset = number(specs["bitOffset"], 0, 15, -1, object + " bitOffset");
    const double count =
        number(specs["bitCount"], 1, 16, specs["bitCount"].is_null() ? 1 : -1, object + " bitCount");
    if (offset < 0 || count < 0)
        return false;
    if (offset + count > 16 || (type == RawType::boolean && count != 1)) {
        complain(
            object,
            "its bits do not lie inside of one register, or are too many for a bool",
            "set bitOffset 0 to 15 and bitCount so that they end at bit 15 at most; 1 for a bool"
        );
        return false;
    }
    encoding.bit_offset = static_cast<std::uint8_t>(offset);
    encoding.bit_count = static_cast<std::uint8_t>(count);
    return true;
}

bool SettingsReader::read_encoding(const Json& extension, Point& point, const std::string& object) {
    const Json& original = extension["originalDataType"];
    const Json& specs = original["specs"];
    const bool is_range = !specs["bitOffset"].is_null() && !is_bits(point.area);
    const std::string_view otherwise = is_bits(point.area) ? "bool" : is_range ? "uint16" : "int16";
    const std::string_view type_name = original["type"].as_string(otherwise);
    const auto type = parse_raw_type(type_name);
    const bool fits = type && (is_range ? *type == RawType::boolean || *type == RawType::uint16
                                        : is_bits(point.area) == (*type == RawType::boolean));
    if (!fits) {
        complain(
            object,
            "type \"" + std::string(type_name) + "\" does not fit the area",
            "use bool for bits, bool or uint16 for bits of a register (bitOffset), else a register type"
        );
        return false;
    }
    Encoding& encoding = point.encoding;
    if (is_range && !read_range(specs, *type, encoding, object))
        return false;
    encoding.type = *type;
    encoding.register_count = register_count_of(*type);
    if (encoding.register_count == 0) {
        encoding.register_count =
            static_cast<std::uint16_t>(number(specs["registerCount"], 1, 125, 0, object + " registerCount"));
        if (encoding.register_count == 0) {
            complain(object, "has no registerCount", "set originalDataType.specs.registerCount to 1 to 125");
            return false;
        }
    }
    if (std::uint32_t{point.address} + encoding.register_count > 65'536) {
        complain(object, "ends behind the last register", "correct registerAddress");
        return false;
    }
    encoding.swap_bytes = number(specs["swap16"], 0, 1, 0, object + " swap16") == 1;
    encoding.reverse_registers = number(specs["reverseRegister"], 0, 1, 0, object + " reverseRegister") == 1;
    if (!extension["scaling"].is_null()) {
        const auto scaling = as_number(extension["scaling"]);
        if (!scaling || *scaling == 0 || !std::isfinite(*scaling)) {
            complain(
                object + " scaling",
                extension["scaling"].text() + " is no factor",
                "write a number other than 0"
            );
            return false;
        }
        encoding.scaling = *scaling;
    }
    return true;
}

std::optional<Point>
SettingsReader::read_point(const Json& extension, const Json& model, const std::string& device) {
    Point point;
    point.identifier = std::string(extension["identifier"].as_string());
    const std::string object = device + " property \"" + point.identifier + "\"";
    const Json* property = entry_of(model["properties"], point.identifier);
    if (property == nullptr) {
        complain(object, "is not in the model", "remove it from the extension or add it to the model");
        return std::nullopt;
    }
    const auto area = parse_area(extension["operateType"].as_string());
    const auto address = parse_address(extension["registerAddress"]);
    if (!area || !address) {
        complain(
            object, "has no usable operateType and registerAddress", "use e.g. holdingRegister and \"0x03\""
        );
        return std::nullopt;
    }
    point.area = *area;
    point.address = *address;
    if (!read_encoding(extension, point, object))
        return std::nullopt;
    const std::string_view type = (*property)["dataType"]["type"].as_string();
    if (type == "float" || type == "double")
        point.kind = Kind::real;
    else if (type == "text" || type == "date")
        point.kind = Kind::text;
    else
        point.kind = Kind::whole;
    const bool read_only = extension["readOnly"].as_bool() || as_text(extension["readOnly"]) == "1";
    point.writable = is_writable(*area) && !read_only && (*property)["accessMode"].as_string() == "rw";
    point.on_change = as_text(extension["trigger"]) == "2";
    using Limits = SettingsLimits;
    point.polling_ms = static_cast<std::uint32_t>(number(
        extension["pollingTime"],
        Limits::polling_ms_min,
        Limits::polling_ms_max,
        1'000,
        object + " pollingTime"
    ));
    return point;
}

void SettingsReader::read_device(const Json& entry) {
    DeviceSettings device;
    device.product_key = std::string(entry["productKey"].as_string());
    device.device_name = std::string(entry["deviceName"].as_string());
    const std::string object = "device \"" + device.product_key + "/" + device.device_name + "\"";
    const std::string server = as_text(device_member(entry, "serverId"));
    const auto channel = std::ranges::find(out_.channels, server, &ChannelSettings::id);
    if (channel == out_.channels.end()) {
        complain(
            object, "its serverId \"" + server + "\" names no channel", "set serverId to one of serverList"
        );
        return;
    }
    device.slave = static_cast<int>(number(device_member(entry, "slaveId"), 1, 247, 0, object + " slaveId"));
    const bool taken =
        std::ranges::find(channel->devices, device.slave, &DeviceSettings::slave) != channel->devices.end();
    if (device.slave == 0 || taken) {
        complain(object, "has no slaveId of its own on the channel", "set slaveId to 1 to 247, once each");
        return;
    }
    const Json& model = root_["models"][device.product_key];
    const Json& extension = root_["extensions"][device.product_key];
    using Limits = SettingsLimits;
    const auto polling = static_cast<std::uint32_t>(number(
        device_member(entry, "pollingTime"),
        Limits::polling_ms_min,
        Limits::polling_ms_max,
        0,
        object + " pollingTime"
    ));
    for (const Json& item : extension["properties"].items()) {
        auto point = read_point(item, model, object);
        if (!point)
            continue;
        if (polling != 0)
            point->polling_ms = polling;
        device.points.push_back(*std::move(point));
    }
    if (device.points.empty())
        complain(object, "has no points", "give its product an extension");
    channel->signature += entry.text() + model.text() + extension.text();
    channel->devices.push_back(std::move(device));
}

} // namespace

Result<Settings> read_settings(std::string_view text) {
    const auto root = Json::parse(text, {.bytes_max = 4'194'304, .depth_max = 32, .values_max = 1'000'000});
    if (!root)
        return fail(root.error());
    return SettingsReader(*root).read();
}

} // namespace brim::modbus
