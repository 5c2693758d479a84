// Pack, batch and history posts, and the marks an edge puts on them. The first byte says which; the rest is
// the JSON map of one device, or the user properties, one line each. What is kept fits the model; what is not
// is named.
#include "fuzz/require.h"
#include "hub/bulk_post.h"
#include "hub/uplink_mark.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace brim;
using namespace brim::hub;

namespace {

using brim::fuzz::require;

constexpr std::int64_t received_ms = 1'800'000'000'000;
constexpr std::int64_t future_ms_max = 600'000;

constexpr std::string_view tsl = R"({"properties":[
{"identifier":"i","dataType":{"type":"int","specs":{"min":"0","max":"9"}}},
{"identifier":"f","dataType":{"type":"float","specs":{}}},
{"identifier":"b","dataType":{"type":"bool","specs":{}}},
{"identifier":"t","dataType":{"type":"text","specs":{"length":"4"}}},
{"identifier":"d","dataType":{"type":"date","specs":{}}},
{"identifier":"s","dataType":{"type":"struct","specs":[{"identifier":"x","dataType":{"type":"double","specs":{}}}]}},
{"identifier":"a","dataType":{"type":"array","specs":{"size":"3","item":{"type":"int","specs":{}}}}}],
"events":[{"identifier":"e","type":"alert","method":"thing.event.e.post","outputData":[
{"identifier":"code","dataType":{"type":"int","specs":{"min":"0","max":"100"}}},
{"identifier":"text","dataType":{"type":"text","specs":{"length":"8"}}}]}]})";

void check(const thing::Model& model, const BulkPost& post) {
    require(post.samples.size() <= post.values_seen && post.events.size() <= post.events_seen);
    for (const thing::Sample& sample : post.samples) {
        const thing::Property& property = model.properties().at(static_cast<std::size_t>(sample.property));
        const auto again = thing::check_value(property.type, sample.value.to_json(), property.identifier);
        require(std::holds_alternative<thing::Value>(again));
        require(sample.time_ms >= 0 && sample.time_ms <= received_ms + future_ms_max);
    }
    for (const EventReading& event : post.events) {
        require(event.identifier == "e" && Json::parse(event.output).has_value());
        require(event.time_ms >= 0 && event.time_ms <= received_ms + future_ms_max);
    }
    require(Json::parse(post.rejected.text()).has_value());
}

void read_mark(std::string_view rest) {
    Message message;
    while (!rest.empty() && message.user_properties.size() < 16) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        const std::size_t mark = std::min(line.find('='), line.size());
        message.user_properties.emplace_back(
            line.substr(0, mark), line.substr(std::min(mark + 1, line.size()))
        );
    }
    const auto mark = read_uplink_mark(message, 7);
    if (!mark)
        return;
    require(mark->gateway == 7 && mark->store.size() == 32);
    require(mark->seq >= 1 && mark->seq <= UplinkMark::seq_max && mark->low <= mark->seq);
    require(mark->runs.empty() || mark->runs.newest().size() == EdgeRuns::name_bytes);
    require(mark->runs.empty() || mark->runs.first_after(mark->runs.newest()) == UINT64_MAX);
    require(mark->runs.empty() || mark->runs.first_after("nobody") >= 1);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto model = thing::Model::parse_text(tsl);
    require(model.has_value());
    if (size < 1)
        return 0;
    const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    if (data[0] % 5 == 4) {
        read_mark(rest);
        return 0;
    }
    const auto map = Json::parse(rest, {.bytes_max = 8'192, .depth_max = 32, .values_max = 4'096});
    if (!map)
        return 0;
    BulkPost post(*model, received_ms, future_ms_max);
    switch (data[0] % 5) {
    case 0:
        post.add_properties(*map);
        break;
    case 1:
        post.add_events(*map);
        break;
    case 2:
        post.add_property_lists(*map);
        break;
    default:
        post.add_event_lists(*map);
    }
    check(*model, post);
    return 0;
}
