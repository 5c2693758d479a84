// What a driver reports, against the model and the clock.

#include "edge/intake.h"

#include "support_model.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::edge;

namespace {

constexpr WallTime noon{1'763'690'000'000};

struct IntakeBench {
    Device device = test::pump_device("pump-1");
    Intake intake;

    std::variant<Taken, Refused> post(std::string_view payload) {
        const std::string topic = "/sys/" + device.key.text() + "/thing/event/property/post";
        return intake.read(device, thing::parse_topic(topic), payload, noon);
    }

    std::variant<Taken, Refused> event(std::string_view name, std::string_view payload) {
        const std::string topic = "/sys/" + device.key.text() + "/thing/event/" + std::string(name) + "/post";
        return intake.read(device, thing::parse_topic(topic), payload, noon);
    }
};

Json body(const std::variant<Taken, Refused>& read) {
    const auto* taken = std::get_if<Taken>(&read);
    REQUIRE(taken);
    const auto json = Json::parse(taken->payload);
    REQUIRE(json.has_value());
    return *json;
}

} // namespace

TEST_CASE("a report that carries its times is kept byte for byte") {
    IntakeBench bench;
    const std::string_view payload =
        R"({"id":"7","version":"1.0","sys":{"ack":0},"params":{"Speed":{"value":12,"time":1763689999000}},"method":"thing.event.property.post"})";
    const auto read = bench.post(payload);
    REQUIRE(std::holds_alternative<Taken>(read));
    CHECK(std::get<Taken>(read).payload == payload);
    REQUIRE(std::get<Taken>(read).samples);
    CHECK(std::get<Taken>(read).samples->size() == 1);
}

TEST_CASE("a value without a time is stamped with the time it came, others keep theirs") {
    IntakeBench bench;
    const Json json = body(
        bench.post(R"({"id":"7","params":{"Speed":12,"Temperature":{"value":21.5,"time":1763689990000}}})")
    );
    CHECK(json["id"].as_string() == "7");
    CHECK(json["params"]["Speed"]["value"].as_int() == 12);
    CHECK(json["params"]["Speed"]["time"].as_int() == noon.ms);
    CHECK(json["params"]["Temperature"]["time"].as_int() == 1'763'689'990'000);
    CHECK(json["method"].as_string() == "thing.event.property.post");
}

TEST_CASE("values that break the model are left out one by one, the rest is kept") {
    IntakeBench bench;
    const auto read = bench.post(R"({"id":"1","params":{"Speed":"fast","Temperature":20.0,"Unknown":1}})");
    const Json json = body(read);
    CHECK(std::get<Taken>(read).left_out == 2);
    CHECK(json["params"].members().size() == 1);
    CHECK(json["params"]["Temperature"]["value"].as_double() == 20.0);
}

TEST_CASE("a report with nothing usable is refused for good") {
    IntakeBench bench;
    for (std::string_view payload :
         {"",
          "{",
          "[]",
          R"({"id":"1"})",
          R"({"params":{}})",
          R"({"params":{"Speed":99999999}})",
          R"({"params":7})"}) {
        CAPTURE(payload);
        const auto read = bench.post(payload);
        REQUIRE(std::holds_alternative<Refused>(read));
        CHECK(std::get<Refused>(read).reason == mqtt::ReasonCode::payload_format_invalid);
    }
}

TEST_CASE("a report of 256 KiB is taken, one byte more is refused") {
    IntakeBench bench;
    bench.device.model.reset();
    std::string payload = R"({"params":{"Note":{"time":1,"value":")";
    const std::string tail = "\"}}}";
    payload.append(Intake::payload_bytes_max - payload.size() - tail.size(), 'x');
    CHECK(std::holds_alternative<Taken>(bench.post(payload + tail)));
    const auto read = bench.post(payload + "x" + tail);
    REQUIRE(std::holds_alternative<Refused>(read));
    CHECK(std::get<Refused>(read).label == "too_large");
}

TEST_CASE("without a model values pass unchecked and are stamped all the same") {
    IntakeBench bench;
    bench.device.model.reset();
    const Json json = body(bench.post(R"({"params":{"a":1,"b":{"value":2,"time":5},"c":{"x":1}}})"));
    CHECK(json["params"]["a"]["time"].as_int() == noon.ms);
    CHECK(json["params"]["b"]["time"].as_int() == 5);
    CHECK(json["params"]["c"]["value"]["x"].as_int() == 1);
}

TEST_CASE("an event is stamped in both shapes, and must be in the model") {
    IntakeBench bench;
    const Json wrapped = body(bench.event("alarm", R"({"id":"3","params":{"value":{"code":4},"time":17}})"));
    CHECK(wrapped["params"]["time"].as_int() == 17);
    const Json flat = body(bench.event("alarm", R"({"id":"3","params":{"code":4}})"));
    CHECK(flat["params"]["value"]["code"].as_int() == 4);
    CHECK(flat["params"]["time"].as_int() == noon.ms);
    const auto partly = bench.event("alarm", R"({"params":{"value":{"code":"x","more":1}}})");
    CHECK(std::get<Taken>(partly).left_out == 2);
    CHECK(std::holds_alternative<Refused>(bench.event("unheard", R"({"params":{"value":{}}})")));
}

TEST_CASE("a driver may not publish on topics that are no reports") {
    IntakeBench bench;
    for (std::string_view rest : {"thing/service/property/set", "thing/topo/add", "thing/sub/register"}) {
        const std::string topic = "/sys/" + bench.device.key.text() + "/" + std::string(rest);
        const auto read = bench.intake.read(bench.device, thing::parse_topic(topic), "{}", noon);
        REQUIRE(std::holds_alternative<Refused>(read));
        CHECK(std::get<Refused>(read).reason == mqtt::ReasonCode::not_authorized);
    }
}
