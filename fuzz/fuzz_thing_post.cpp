// A property report from anybody: never crashes, and what it accepts is JSON whose samples fit the model
// again. Names may repeat there (the later value counts), which Json does not allow.

#include "base/json.h"
#include "thing/envelope.h"
#include "thing/value.h"

#include <cstdint>
#include <cstdlib>

namespace {

using namespace brim;
using namespace brim::thing;

constexpr std::string_view tsl = R"({"properties":[
{"identifier":"i","dataType":{"type":"int","specs":{"min":"0","max":"9"}}},
{"identifier":"f","dataType":{"type":"float","specs":{}}},
{"identifier":"b","dataType":{"type":"bool","specs":{}}},
{"identifier":"t","dataType":{"type":"text","specs":{"length":"4"}}},
{"identifier":"d","dataType":{"type":"date","specs":{}}},
{"identifier":"s","dataType":{"type":"struct","specs":[{"identifier":"x","dataType":{"type":"double","specs":{}}}]}},
{"identifier":"a","dataType":{"type":"array","specs":{"size":"3","item":{"type":"int","specs":{}}}}}]})";

void require(bool ok) {
    if (!ok)
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto model = Model::parse_text(tsl);
    static PostReader reader;
    static PropertyPost post;
    require(model.has_value());
    const std::string_view payload(reinterpret_cast<const char*>(data), size);
    if (reader.read(*model, payload, WallTime{1'000'000}, {.bytes_max = 4'096}, post)) {
        require(post.samples.empty());
        return 0;
    }
    const auto whole = Json::parse(payload);
    require(whole || whole.error().cause.find("appears twice") != std::string::npos);
    for (const Sample& sample : post.samples) {
        const Property& property = model->properties().at(static_cast<std::size_t>(sample.property));
        const auto again = check_value(property.type, sample.value.to_json(), property.identifier);
        require(std::holds_alternative<Value>(again));
        require(sample.time_ms >= 0);
    }
    require(Json::parse(make_post_reply(post)).has_value());
    return 0;
}
