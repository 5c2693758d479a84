#include "sample_model.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::thing;

namespace {

Json one_property(Json data_type, std::string_view identifier = "P") {
    Json property = Json::object({{"identifier", identifier}, {"name", "p"}, {"accessMode", "r"}});
    property.set("dataType", std::move(data_type));
    Json tsl = Json::object();
    tsl.set("properties", Json::array({property}));
    return tsl;
}

Result<Model> with_type(std::string_view data_type) {
    auto json = Json::parse(data_type);
    REQUIRE_MESSAGE(json.has_value(), data_type);
    return Model::parse(one_property(*json));
}

/// The document is refused with `code`, and the message names `path`.
void refused(const Result<Model>& model, Errc code, std::string_view path) {
    CAPTURE(path);
    REQUIRE_FALSE(model.has_value());
    CAPTURE(model.error().text());
    CHECK(model.error().code == code);
    CHECK(model.error().object.find(path) != std::string::npos);
    CHECK_FALSE(model.error().fix.empty());
}

Json repeated(std::string_view member, std::size_t count) {
    Json entry = Json::object({{"name", "n"}});
    entry.set("dataType", Json::object({{"type", "date"}}));
    Json list = Json::array();
    for (std::size_t i = 0; i < count; ++i) {
        entry.set("identifier", "i" + std::to_string(i));
        list.push(entry);
    }
    Json tsl = Json::object();
    tsl.set(member, std::move(list));
    return tsl;
}

} // namespace

TEST_CASE("[model-1] a model with every type is read into its parts") {
    const Model model = sample_model();
    REQUIRE(model.properties().size() == 11);
    const Property* count = model.property("Count");
    REQUIRE(count != nullptr);
    CHECK(count->writable);
    CHECK(count->required);
    CHECK(count->description == "pieces");
    CHECK(count->type.min == -10);
    CHECK(count->type.max == 100);
    CHECK(count->type.step == 1);
    CHECK(count->type.unit == "pcs");
    CHECK(model.property("Mode")->type.choices.front().first == -1);
    CHECK(model.property("Label")->type.text_bytes_max == 8);
    CHECK(model.property("Place")->type.fields.size() == 2);
    CHECK(model.property("Wave")->type.item->max == 5);
    CHECK(model.property("count") == nullptr);
    CHECK(model.property_index("Free") == 1);
    CHECK(model.property_index("") == -1);
    REQUIRE(model.events().size() == 1);
    CHECK(model.event("alarm")->level == "alert");
    CHECK(model.event("post") == nullptr);
    REQUIRE(model.services().size() == 1);
    CHECK(model.service("reboot")->synchronous);
    CHECK(model.service("set") == nullptr);
    CHECK(Model().property("x") == nullptr);
}

TEST_CASE("[model-2] an exported model reads back as itself") {
    const Model model = sample_model();
    const Json tsl = model.to_tsl("a1EXAMPLE01");
    const auto again = Model::parse(tsl);
    REQUIRE_MESSAGE(again.has_value(), (again ? std::string() : again.error().text()));
    CHECK(again->to_tsl("a1EXAMPLE01") == tsl);
    CHECK(again->property("Wave")->type.array_count_max == 3);
    CHECK(tsl["events"].items()[0]["identifier"].as_string() == "post");
    CHECK(tsl["services"].items()[1]["inputData"].items()[0].as_string() == "Count");
    CHECK(tsl["services"].items()[0]["inputData"].items().size() == 5); // the writable ones
    CHECK(tsl["profile"]["productKey"].as_string() == "a1EXAMPLE01");
}

TEST_CASE("[model-3] specs are numbers or texts of numbers") {
    CHECK(with_type(R"({"type":"int","specs":{"min":1,"max":"2"}})")->property("P")->type.max == 2);
    refused(
        with_type(R"({"type":"int","specs":{"min":"one","max":"2"}})"),
        Errc::invalid,
        "properties[0].dataType.specs.min"
    );
    refused(with_type(R"({"type":"int","specs":{"max":"2x"}})"), Errc::invalid, "specs.max");
    refused(with_type(R"({"type":"int","specs":{"max":""}})"), Errc::invalid, "specs.max");
    refused(with_type(R"({"type":"double","specs":{"max":"inf"}})"), Errc::invalid, "specs.max");
    refused(with_type(R"({"type":"double","specs":{"max":true}})"), Errc::invalid, "specs.max");
}

TEST_CASE("[model-4] a range lies inside its type and is not upside down") {
    CHECK(with_type(R"({"type":"int","specs":{"min":"-2147483648","max":"2147483647"}})").has_value());
    refused(
        with_type(R"({"type":"int","specs":{"min":"-2147483649","max":"0"}})"), Errc::invalid, "specs.min"
    );
    refused(
        with_type(R"({"type":"int","specs":{"min":"0","max":"2147483648"}})"), Errc::invalid, "specs.max"
    );
    refused(with_type(R"({"type":"float","specs":{"min":"0","max":"1e39"}})"), Errc::invalid, "specs.max");
    CHECK(with_type(R"({"type":"double","specs":{"min":"0","max":"1e39"}})").has_value());
    refused(with_type(R"({"type":"int","specs":{"min":"2","max":"1"}})"), Errc::invalid, "specs.max");
    refused(with_type(R"({"type":"int","specs":{"step":"-1"}})"), Errc::invalid, "specs.step");
}

TEST_CASE("[model-5] texts, arrays, structs and enums keep their limits on both sides") {
    CHECK(with_type(R"({"type":"text","specs":{"length":"10240"}})").has_value());
    refused(with_type(R"({"type":"text","specs":{"length":"10241"}})"), Errc::invalid, "specs.length");
    refused(with_type(R"({"type":"text","specs":{"length":"0"}})"), Errc::invalid, "specs.length");
    refused(with_type(R"({"type":"text","specs":{}})"), Errc::invalid, "specs.length");
    CHECK(with_type(R"({"type":"array","specs":{"size":"512","item":{"type":"text"}}})").has_value());
    refused(
        with_type(R"({"type":"array","specs":{"size":"513","item":{"type":"int"}}})"),
        Errc::invalid,
        "specs.size"
    );
    refused(
        with_type(R"({"type":"array","specs":{"size":"1.5","item":{"type":"int"}}})"),
        Errc::invalid,
        "specs.size"
    );
    refused(
        with_type(R"({"type":"array","specs":{"size":"1","item":{"type":"bool"}}})"),
        Errc::unsupported,
        "item.type"
    );
    refused(
        with_type(R"({"type":"array","specs":{"size":"1","item":{"type":"array"}}})"),
        Errc::unsupported,
        "item.type"
    );

    const auto members = [](std::size_t count) {
        Json type = Json::object({{"type", "struct"}});
        type.set("specs", repeated("m", count)["m"]);
        return Model::parse(one_property(std::move(type)));
    };
    CHECK(members(50).has_value());
    refused(members(51), Errc::too_large, "specs");
    refused(members(0), Errc::invalid, "specs");

    const auto choices = [](int count) {
        Json specs = Json::object();
        for (int i = 0; i < count; ++i)
            specs.set(std::to_string(i), "v");
        Json type = Json::object({{"type", "enum"}});
        type.set("specs", std::move(specs));
        return Model::parse(one_property(std::move(type)));
    };
    CHECK(choices(100).has_value());
    refused(choices(101), Errc::too_large, "specs");
    refused(choices(0), Errc::invalid, "specs");
    refused(with_type(R"({"type":"enum","specs":{"x":"v"}})"), Errc::invalid, "specs.x");
    refused(with_type(R"({"type":"enum","specs":{"1":"a","01":"b"}})"), Errc::invalid, "specs");
    refused(with_type(R"({"type":"bool","specs":{"2":"a"}})"), Errc::invalid, "specs.2");
    refused(with_type(R"({"type":"bool","specs":{"1":1}})"), Errc::invalid, "specs.1");
    CHECK(with_type(R"({"type":"bool","specs":{}})")->property("P")->type.choices.size() == 2);
}

TEST_CASE("[model-6] a struct holds no struct, and no member that a wrapped report could hide") {
    refused(
        with_type(
            R"({"type":"struct","specs":[{"identifier":"s","name":"s","dataType":{"type":"struct","specs":[]}}]})"
        ),
        Errc::unsupported,
        "specs[0].dataType.type"
    );
    for (const std::string_view reserved : {"value", "time"}) {
        const std::string text = R"({"type":"struct","specs":[{"identifier":")" + std::string(reserved) +
                                 R"(","name":"s","dataType":{"type":"date"}}]})";
        refused(with_type(text), Errc::invalid, "specs[0].identifier");
    }
    // The deepest there is: an array of structs with an array of scalars; one level more is refused.
    CHECK(
        with_type(
            R"({"type":"array","specs":{"size":"1","item":{"type":"struct","specs":[{"identifier":"a","name":"a","dataType":{"type":"array","specs":{"size":"1","item":{"type":"int"}}}}]}}})"
        )
            .has_value()
    );
    refused(
        with_type(
            R"({"type":"array","specs":{"size":"1","item":{"type":"struct","specs":[{"identifier":"a","name":"a","dataType":{"type":"array","specs":{"size":"1","item":{"type":"struct","specs":[]}}}}]}}})"
        ),
        Errc::unsupported,
        "item.type"
    );
}

TEST_CASE("[model-7] identifiers have an alphabet, a length, reserved words and no twins") {
    const Json date = Json::object({{"type", "date"}});
    CHECK(Model::parse(one_property(date, std::string(50, 'a'))).has_value());
    refused(
        Model::parse(one_property(date, std::string(51, 'a'))), Errc::invalid, "properties[0].identifier"
    );
    for (const std::string_view bad : {"", "a-b", "a b", "a:b", "\xc3\xa4", "set", "value", "time", "post"}) {
        CAPTURE(bad);
        refused(Model::parse(one_property(date, bad)), Errc::invalid, "properties[0].identifier");
    }
    Json twins = one_property(date);
    Json list = twins["properties"];
    list.push(list.items()[0]);
    twins.set("properties", list);
    refused(Model::parse(twins), Errc::exists, "properties");
}

TEST_CASE("[model-8] the number of functions and fields is bounded") {
    CHECK(Model::parse(repeated("properties", 303)).has_value());
    refused(Model::parse(repeated("properties", 304)), Errc::too_large, "document");
    const auto outputs = [](std::size_t count) {
        Json event = Json::object({{"identifier", "e"}, {"name", "e"}, {"type", "info"}});
        event.set("outputData", repeated("o", count)["o"]);
        Json tsl = Json::object();
        tsl.set("events", Json::array({event}));
        return Model::parse(tsl);
    };
    CHECK(outputs(100).has_value());
    refused(outputs(101), Errc::too_large, "events[0].outputData");
}

TEST_CASE("[model-9] documents of another shape are refused with their path") {
    refused(Model::parse_text("[]"), Errc::malformed, "document");
    CHECK_FALSE(Model::parse_text("{").has_value());
    refused(Model::parse_text(R"({"functionBlocks":[{"a":1}]})"), Errc::unsupported, "functionBlocks");
    CHECK(Model::parse_text(R"({"functionBlocks":[]})").has_value());
    refused(Model::parse_text(R"({"properties":{}})"), Errc::invalid, "properties");
    refused(Model::parse_text(R"({"properties":[1]})"), Errc::invalid, "properties[0].identifier");
    refused(
        Model::parse_text(R"({"events":[{"identifier":"e","type":"loud"}]})"), Errc::invalid, "events[0].type"
    );
    refused(
        Model::parse_text(R"({"services":[{"identifier":"s","callType":"x"}]})"),
        Errc::invalid,
        "services[0].callType"
    );
    refused(
        Model::parse_text(R"({"services":[{"identifier":"s","inputData":{}}]})"), Errc::invalid, "inputData"
    );
    refused(with_type(R"({"type":"integer"})"), Errc::invalid, "dataType.type");
    refused(with_type("null"), Errc::invalid, "dataType.type");
    Json access = one_property(Json::object({{"type", "date"}}));
    Json entry = access["properties"].items()[0];
    entry.set("accessMode", "w");
    access.set("properties", Json::array({entry}));
    refused(Model::parse(access), Errc::invalid, "properties[0].accessMode");
    entry.set("accessMode", "r");
    entry.set("name", std::string(129, 'n'));
    access.set("properties", Json::array({entry}));
    refused(Model::parse(access), Errc::too_large, "properties[0].name");
    entry.set("name", std::string(128, 'n'));
    access.set("properties", Json::array({entry}));
    CHECK(Model::parse(access).has_value());
}
