#pragma once
// One model with every data type, used by several tests.

#include "thing/model.h"

#include <doctest/doctest.h>

namespace brim::thing {

inline constexpr std::string_view sample_tsl = R"({
"schema":"https://iotx-tsl.oss-ap-southeast-1.aliyuncs.com/schema.json",
"profile":{"version":"1.0","productKey":"a1EXAMPLE01"},
"properties":[
 {"identifier":"Count","name":"count","accessMode":"rw","required":true,"desc":"pieces","dataType":{"type":"int","specs":{"min":"-10","max":"100","step":"1","unit":"pcs","unitName":"pieces"}}},
 {"identifier":"Free","name":"free","accessMode":"r","required":false,"dataType":{"type":"int","specs":{}}},
 {"identifier":"Temperature","name":"t","accessMode":"r","required":false,"dataType":{"type":"float","specs":{"min":"-40","max":"85.5","unit":"\u00b0C"}}},
 {"identifier":"Exact","name":"e","accessMode":"rw","required":false,"dataType":{"type":"double","specs":{"min":"0","max":"1e300"}}},
 {"identifier":"Switch","name":"s","accessMode":"rw","required":false,"dataType":{"type":"bool","specs":{"0":"off","1":"on"}}},
 {"identifier":"Mode","name":"m","accessMode":"rw","required":false,"dataType":{"type":"enum","specs":{"0":"auto","2":"cool","-1":"error"}}},
 {"identifier":"Label","name":"l","accessMode":"rw","required":false,"dataType":{"type":"text","specs":{"length":"8"}}},
 {"identifier":"Since","name":"d","accessMode":"r","required":false,"dataType":{"type":"date","specs":{}}},
 {"identifier":"Place","name":"p","accessMode":"r","required":false,"dataType":{"type":"struct","specs":[
   {"identifier":"x","name":"x","dataType":{"type":"int","specs":{"min":"0","max":"9"}}},
   {"identifier":"note","name":"n","dataType":{"type":"text","specs":{"length":"4"}}}]}},
 {"identifier":"Wave","name":"w","accessMode":"r","required":false,"dataType":{"type":"array","specs":{"size":"3","item":{"type":"int","specs":{"min":"0","max":"5"}}}}},
 {"identifier":"Points","name":"pts","accessMode":"r","required":false,"dataType":{"type":"array","specs":{"size":"2","item":{"type":"struct","specs":[
   {"identifier":"a","name":"a","dataType":{"type":"double","specs":{}}}]}}}}
],
"events":[
 {"identifier":"post","name":"post","type":"info","required":true,"method":"thing.event.property.post","outputData":[]},
 {"identifier":"alarm","name":"Alarm","type":"alert","required":false,"method":"thing.event.alarm.post","outputData":[
   {"identifier":"level","name":"Level","dataType":{"type":"int","specs":{"min":"1","max":"3"}}}]}
],
"services":[
 {"identifier":"set","name":"set","required":true,"callType":"async","method":"thing.service.property.set","inputData":[],"outputData":[]},
 {"identifier":"get","name":"get","required":true,"callType":"async","method":"thing.service.property.get","inputData":["Count"],"outputData":[]},
 {"identifier":"reboot","name":"Reboot","required":false,"callType":"sync","method":"thing.service.reboot","inputData":[
   {"identifier":"delay","name":"Delay","dataType":{"type":"int","specs":{}}}],"outputData":[]}
]})";

inline Model sample_model() {
    auto model = Model::parse_text(sample_tsl);
    REQUIRE_MESSAGE(model.has_value(), (model ? std::string() : model.error().text()));
    return *std::move(model);
}

} // namespace brim::thing
