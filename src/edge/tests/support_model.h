#pragma once
// A small pump: what the edge's tests model.

#include "edge/devices.h"

#include <doctest/doctest.h>

namespace brim::edge::test {

inline constexpr std::string_view pump_tsl = R"({
 "profile":{"productKey":"a1PUMP"},
 "properties":[
  {"identifier":"Speed","name":"Speed","accessMode":"rw","required":false,"dataType":{"type":"int","specs":{"min":"0","max":"1000000","step":"1"}}},
  {"identifier":"Temperature","name":"Temperature","accessMode":"r","required":false,"dataType":{"type":"double","specs":{"min":"-50","max":"200","step":"0.1"}}}],
 "events":[{"identifier":"alarm","name":"Alarm","type":"alert","required":false,"method":"thing.event.alarm.post",
  "outputData":[{"identifier":"code","name":"Code","dataType":{"type":"int","specs":{"min":"0","max":"100","step":"1"}}}]}],
 "services":[{"identifier":"flush","name":"Flush","callType":"async","required":false,"method":"thing.service.flush",
  "inputData":[{"identifier":"seconds","name":"Seconds","dataType":{"type":"int","specs":{"min":"1","max":"60","step":"1"}}}],"outputData":[]}]
})";

inline std::shared_ptr<const thing::Model> pump_model() {
    auto model = thing::Model::parse_text(pump_tsl);
    if (!model)
        FAIL(model.error().text());
    return std::make_shared<const thing::Model>(std::move(*model)); // shared by the test's devices
}

inline Device pump_device(std::string name) {
    Device device;
    device.key = {"a1PUMP", std::move(name)};
    device.driver = "pumps";
    device.model = pump_model();
    return device;
}

} // namespace brim::edge::test
