// What drivers report and what a hub answers about its clock. The first byte is the topic's kind and whether
// the device has a model; the rest is the payload. What is taken is JSON where it has to be, with every value
// fitting the model and a time on it.
#include "edge/hub_clock.h"
#include "edge/intake.h"
#include "fuzz/require.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

using namespace brim;
using namespace brim::edge;

namespace {

using brim::fuzz::require;

constexpr WallTime now{1'800'000'000'000};

constexpr std::string_view tsl = R"({"properties":[
{"identifier":"i","dataType":{"type":"int","specs":{"min":"0","max":"9"}}},
{"identifier":"f","dataType":{"type":"double","specs":{"min":"-5","max":"5"}}},
{"identifier":"t","dataType":{"type":"text","specs":{"length":"4"}}},
{"identifier":"s","dataType":{"type":"struct","specs":[{"identifier":"x","dataType":{"type":"int","specs":{}}}]}}],
"events":[{"identifier":"alarm","type":"alert","method":"thing.event.alarm.post","outputData":[
{"identifier":"code","dataType":{"type":"int","specs":{"min":"0","max":"100"}}}]}]})";

constexpr std::array<std::string_view, 6> topics{
    "/sys/a1/d1/thing/event/property/post",
    "/sys/a1/d1/thing/event/alarm/post",
    "/sys/a1/d1/thing/event/other/post",
    "/sys/a1/d1/thing/event/property/batch/post",
    "/sys/a1/d1/thing/deviceinfo/update",
    "/sys/a1/d1/thing/service/property/set"
};

Device device(bool has_model) {
    Device made;
    made.key = {"a1", "d1"};
    made.driver = "d";
    if (has_model) {
        auto model = thing::Model::parse_text(tsl);
        require(model.has_value());
        made.model = std::make_shared<const thing::Model>(std::move(*model)); // as edge::Device wants it
    }
    return made;
}

void try_report(const Device& from, std::string_view topic, ByteView payload) {
    static Intake intake;
    const auto outcome = intake.read(from, thing::parse_topic(topic), payload, now);
    if (const auto* refused = std::get_if<Refused>(&outcome))
        return require(!refused->label.empty() && !refused->text.empty());
    const Taken& taken = std::get<Taken>(outcome);
    if (taken.kind == ReportKind::other)
        return require(taken.payload == payload);
    const auto whole = Json::parse(taken.payload);
    require(whole || whole.error().cause.find("appears twice") != std::string::npos);
    if (taken.samples == nullptr)
        return;
    for (const thing::Sample& sample : *taken.samples) {
        const thing::Property& property =
            from.model->properties().at(static_cast<std::size_t>(sample.property));
        const auto again = thing::check_value(property.type, sample.value.to_json(), property.identifier);
        require(std::holds_alternative<thing::Value>(again) && sample.time_ms >= 0);
    }
    // Reading again what was made of it changes nothing: a replay means the same.
    const std::string first(taken.payload);
    const std::size_t count = taken.samples->size();
    const auto twice = intake.read(from, thing::parse_topic(topic), first, WallTime{now.ms + 1});
    const auto* again = std::get_if<Taken>(&twice);
    require(again != nullptr && again->left_out == 0 && again->samples->size() == count);
    require(again->payload == first);
}

void try_clock(std::string_view payload) {
    HubClock clock;
    const Mono begun{std::chrono::seconds{100}};
    (void)clock.ask(begun, now);
    const auto time = clock.answer(payload, begun + std::chrono::milliseconds{900});
    require(!time || time->ms > 0);
    require(!clock.answer(payload, begun + std::chrono::seconds{1}) || !time);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Device plain = device(false);
    static const Device modelled = device(true);
    if (size < 1 || size > 16'384)
        return 0;
    const std::string_view payload(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t choice = data[0] & 7;
    if (choice < topics.size())
        try_report((data[0] & 8) != 0 ? plain : modelled, topics[choice], payload);
    else
        try_clock(payload);
    return 0;
}
