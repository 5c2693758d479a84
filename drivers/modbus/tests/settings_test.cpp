#include "bus.h"
#include "settings.h"
#include "thing/model.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

using namespace brim;
using namespace brim::modbus;

namespace {

constexpr std::string_view tcp =
    R"({"serverId":"s1","name":"line 1","protocol":"TCP","ip":"127.0.0.1","port":1502})";
constexpr std::string_view model =
    R"({"properties":[{"identifier":"T","accessMode":"rw","dataType":{"type":"double","specs":{}}},{"identifier":"B","accessMode":"r","dataType":{"type":"bool","specs":{}}}]})";
constexpr std::string_view point_t =
    R"({"identifier":"T","operateType":"holdingRegister","registerAddress":"0x03","originalDataType":{"type":"int16","specs":{"swap16":1,"reverseRegister":0}},"scaling":0.1,"pollingTime":250,"trigger":2})";

Settings
settings_of(std::string_view config, std::string_view devices, std::string_view extension = point_t) {
    const std::string text = R"({"config":)" + std::string(config) + R"(,"deviceList":)" +
                             std::string(devices) + R"(,"models":{"pk":)" + std::string(model) +
                             R"(},"extensions":{"pk":{"properties":[)" + std::string(extension) + "]}}}";
    auto settings = read_settings(text);
    REQUIRE_MESSAGE(settings.has_value(), text);
    return *std::move(settings);
}

std::string servers(std::string_view list) {
    return R"({"serverList":[)" + std::string(list) + "]}";
}

constexpr std::string_view device = R"([{"productKey":"pk","deviceName":"dn","serverId":"s1","slaveId":7}])";

} // namespace

TEST_CASE("[modbus-config-1] the channel list is found in each of its places") {
    const std::string list = "[" + std::string(tcp) + "]";
    for (const std::string& config : {
             R"({"serverList":)" + list + "}",
             R"({"json":{"serverList":)" + list + "}}",
             R"({"kv":[{"key":"serverList","value":)" + Json(list).text() + "}]}",
         }) {
        CAPTURE(config);
        const Settings settings = settings_of(config, device);
        REQUIRE(settings.channels.size() == 1);
        CHECK(std::get<TcpEndpoint>(settings.channels[0].endpoint) == TcpEndpoint{"127.0.0.1", 1502});
        CHECK(settings.channels[0].devices.size() == 1);
        CHECK(settings.complaints.empty());
    }
    CHECK_FALSE(read_settings("{").has_value());
}

TEST_CASE("[modbus-config-2] serverId and slaveId are found at each of their places") {
    for (const std::string_view place : {
             R"("serverId":"s1","slaveId":7)",
             R"("deviceConfig":{"serverId":"s1","slaveId":"7"})",
             R"("custom":"{\"serverId\":\"s1\",\"slaveId\":7}")",
             R"("custom":{"serverId":"s1","slaveId":7})",
             R"("serverId":"s1","custom":"{\"deviceConfig\":{\"slaveId\":7}}")",
         }) {
        CAPTURE(place);
        const Settings settings = settings_of(
            servers(tcp), R"([{"productKey":"pk","deviceName":"dn",)" + std::string(place) + "}]"
        );
        REQUIRE(settings.channels.at(0).devices.size() == 1);
        CHECK(settings.channels[0].devices[0].slave == 7);
    }
}

TEST_CASE("[modbus-config-3] a point carries all that the extension says") {
    const Settings settings = settings_of(servers(tcp), device);
    const Point& point = settings.channels.at(0).devices.at(0).points.at(0);
    CHECK(point.area == Area::holding);
    CHECK(point.address == 3);
    CHECK(point.encoding.type == RawType::int16);
    CHECK(point.encoding.swap_bytes);
    CHECK_FALSE(point.encoding.reverse_registers);
    CHECK(point.encoding.scaling == 0.1);
    CHECK(point.polling_ms == 250);
    CHECK(point.on_change);
    CHECK(point.writable);
    CHECK(point.kind == Kind::real);
    const Settings newer = settings_of(
        servers(tcp),
        R"([{"productKey":"pk","deviceName":"dn","serverId":"s1","slaveId":7,"pollingTime":500}])"
    );
    CHECK(newer.channels[0].devices[0].points[0].polling_ms == 500); // newer documents: the device decides
    const Settings bit = settings_of(
        servers(tcp),
        device,
        R"({"identifier":"B","operateType":"inputState","registerAddress":"10","originalDataType":{"type":"bool"}})"
    );
    CHECK(bit.channels[0].devices[0].points[0].area == Area::input_bit);
    CHECK(bit.channels[0].devices[0].points[0].address == 10);
    CHECK_FALSE(bit.channels[0].devices[0].points[0].writable);
}

TEST_CASE("[modbus-config-10] bits of a register and what is never written") {
    const auto point = [](const std::string& type, const std::string& specs, const std::string& more = "") {
        const Settings settings = settings_of(
            servers(tcp),
            device,
            R"({"identifier":"T","operateType":"holdingRegister","registerAddress":"1","originalDataType":{)" +
                type + R"("specs":)" + specs + "}" + more + "}"
        );
        const auto& points = settings.channels.at(0).devices.at(0).points;
        CHECK(settings.complaints.empty() == !points.empty());
        return points.empty() ? std::optional<Point>() : points.at(0);
    };
    const auto bit = point("", R"({"bitOffset":15})");
    REQUIRE(bit);
    CHECK(bit->encoding.type == RawType::uint16);
    CHECK(bit->encoding.bit_offset == 15);
    CHECK(bit->encoding.bit_count == 1);
    CHECK(bit->writable);
    const auto whole =
        point(R"("type":"uint16",)", R"({"bitOffset":0,"bitCount":16})", R"(,"readOnly":true)");
    REQUIRE(whole);
    CHECK(whole->encoding.bit_count == 16);
    CHECK_FALSE(whole->writable);
    CHECK(point(R"("type":"bool",)", R"({"bitOffset":3,"bitCount":1})"));
    CHECK_FALSE(point(R"("type":"bool",)", R"({"bitOffset":3,"bitCount":2})"));
    CHECK_FALSE(point(R"("type":"bool",)", R"({})"));
    CHECK_FALSE(point(R"("type":"int32",)", R"({"bitOffset":3})"));
    CHECK_FALSE(point("", R"({"bitOffset":16})"));
    CHECK_FALSE(point("", R"({"bitOffset":15,"bitCount":2})"));
    CHECK_FALSE(point("", R"({"bitOffset":0,"bitCount":17})"));
    CHECK_FALSE(point("", R"({"bitOffset":0,"bitCount":0})"));
}

TEST_CASE("[modbus-config-4] serial lines take parity as letters and as numbers") {
    const auto parity = [](std::string_view value) {
        const Settings settings = settings_of(
            servers(
                R"({"serverId":"s1","protocol":"RTU","serialPort":"/dev/ttyUSB0","baudRate":19200,"byteSize":8,"stopBits":2,"parity":)" +
                std::string(value) + "}"
            ),
            device
        );
        return std::get<SerialEndpoint>(settings.channels.at(0).endpoint).parity;
    };
    CHECK(parity("0") == 'N');
    CHECK(parity("1") == 'O');
    CHECK(parity("2") == 'E');
    CHECK(parity("\"E\"") == 'E');
    CHECK(parity("\"o\"") == 'O');
    CHECK(parity("null") == 'N');
}

TEST_CASE("[modbus-config-5] what is wrong is named and left out, the rest works") {
    const auto complaints = [](const Settings& settings) { return settings.complaints.size(); };
    CHECK(complaints(settings_of(servers(R"({"serverId":"s1","protocol":"TCP"})"), "[]")) == 1);
    CHECK(complaints(settings_of(servers(R"({"serverId":"s1","protocol":"LORA"})"), "[]")) == 1);
    CHECK(complaints(settings_of(servers(std::string(tcp) + "," + std::string(tcp)), "[]")) == 1);
    for (const std::string_view entry : {
             R"({"productKey":"pk","deviceName":"a","serverId":"nowhere","slaveId":1})",
             R"({"productKey":"pk","deviceName":"a","serverId":"s1"})",
             R"({"productKey":"pk","deviceName":"a","serverId":"s1","slaveId":248})",
             R"({"productKey":"pk","deviceName":"a","serverId":"s1","slaveId":7})",
         }) {
        CAPTURE(entry);
        const std::string list =
            "[" + std::string(device.substr(1, device.size() - 2)) + "," + std::string(entry) + "]";
        const Settings settings = settings_of(servers(tcp), list);
        CHECK(complaints(settings) >= 1);
        CHECK(settings.channels[0].devices.size() == 1);
    }
    for (const std::string_view bad : {
             R"({"identifier":"X","operateType":"holdingRegister","registerAddress":"0x03"})",
             R"({"identifier":"T","operateType":"register","registerAddress":"0x03"})",
             R"({"identifier":"T","operateType":"holdingRegister","registerAddress":"0x10000"})",
             R"({"identifier":"T","operateType":"holdingRegister","registerAddress":"03h"})",
             R"({"identifier":"T","operateType":"holdingRegister","registerAddress":"0xffff","originalDataType":{"type":"int32"}})",
             R"({"identifier":"T","operateType":"holdingRegister","registerAddress":"1","originalDataType":{"type":"string","specs":{}}})",
             R"({"identifier":"T","operateType":"holdingRegister","registerAddress":"1","originalDataType":{"type":"word"}})",
             R"({"identifier":"T","operateType":"coilStatus","registerAddress":"1","originalDataType":{"type":"int16"}})",
             R"({"identifier":"T","operateType":"holdingRegister","registerAddress":"1","scaling":0})",
         }) {
        CAPTURE(bad);
        const Settings settings =
            settings_of(servers(tcp), device, std::string(bad) + "," + std::string(point_t));
        CHECK(complaints(settings) == 1);
        CHECK(settings.channels[0].devices[0].points.size() == 1);
    }
}

TEST_CASE("[modbus-config-6] limits of a channel hold on both sides; outside of them stands the default") {
    const auto timeout = [](int value) {
        const Settings settings = settings_of(
            servers(
                R"({"serverId":"s1","protocol":"TCP","ip":"h","timeoutMs":)" + std::to_string(value) + "}"
            ),
            "[]"
        );
        return settings.complaints.empty() ? settings.channels[0].timeout_ms : 0;
    };
    CHECK(timeout(50) == 50);
    CHECK(timeout(49) == 0);
    CHECK(timeout(10'000) == 10'000);
    CHECK(timeout(10'001) == 0);
}

TEST_CASE("[modbus-config-7] a channel's signature changes with its devices and their points only") {
    const Settings one = settings_of(servers(tcp), device);
    CHECK(settings_of(servers(tcp), device).channels[0].signature == one.channels[0].signature);
    CHECK(settings_of(servers(tcp), "[]").channels[0].signature != one.channels[0].signature);
    const std::string other = R"({"serverId":"s2","protocol":"TCP","ip":"h"})";
    CHECK(
        settings_of(servers(std::string(tcp) + "," + other), device).channels[0].signature ==
        one.channels[0].signature
    );
}

TEST_CASE("[modbus-config-8] values to write come as numbers, texts and booleans") {
    Point number;
    CHECK(*value_to_write(number, Json(5)) == Value(std::int64_t{5}));
    CHECK(*value_to_write(number, Json("30.5")) == Value(30.5));
    CHECK(*value_to_write(number, Json("7")) == Value(std::int64_t{7}));
    CHECK(*value_to_write(number, Json(true)) == Value(std::int64_t{1}));
    CHECK_FALSE(value_to_write(number, Json("warm")).has_value());
    CHECK_FALSE(value_to_write(number, Json()).has_value());
    CHECK_FALSE(value_to_write(number, Json::array()).has_value());
    Point text;
    text.encoding.type = RawType::text;
    CHECK(*value_to_write(text, Json("7")) == Value(std::string("7")));
}

TEST_CASE("[modbus-config-9] the example's configuration is one without complaints") {
    std::ifstream in(std::string(BRIM_SOURCE_DIR) + "/drivers/modbus/example/config.json");
    std::stringstream text;
    text << in.rdbuf();
    const auto settings = read_settings(text.str());
    REQUIRE(settings.has_value());
    for (const std::string& complaint : settings->complaints)
        MESSAGE(complaint);
    CHECK(settings->complaints.empty());
    CHECK(settings->channels.at(0).devices.at(0).points.size() == 6);
    const auto parsed = thing::Model::parse((*Json::parse(text.str()))["models"]["modbusdemo"]);
    REQUIRE_MESSAGE(parsed.has_value(), (parsed ? std::string() : parsed.error().text()));
    CHECK(parsed->properties().size() == 6);
}
