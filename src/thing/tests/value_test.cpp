#include "sample_model.h"
#include "thing/value.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::thing;

namespace {

struct ValueRow {
    std::string_view property, json;
    int code; ///< 0 = accepted
};

// Each limit from both sides, for all nine types.
constexpr ValueRow value_rows[] = {
    {"Count", "-10", 0},
    {"Count", "-11", 6306},
    {"Count", "100", 0},
    {"Count", "101", 6306},
    {"Count", "\"5\"", 6306},
    {"Count", "5.0", 6306},
    {"Count", "true", 6306},
    {"Count", "null", 6306},
    {"Free", "2147483647", 0},
    {"Free", "2147483648", 6306},
    {"Free", "-2147483648", 0},
    {"Free", "-2147483649", 6306},
    {"Free", "18446744073709551615", 6306},
    {"Temperature", "-40", 0},
    {"Temperature", "-40.1", 6307},
    {"Temperature", "85.5", 0},
    {"Temperature", "85.6", 6307},
    {"Temperature", "\"1\"", 6307},
    {"Temperature", "1e39", 6307},
    {"Temperature", "[]", 6307},
    {"Exact", "0", 0},
    {"Exact", "-1e-300", 6322},
    {"Exact", "1e300", 0},
    {"Exact", "1.1e300", 6322},
    {"Exact", "9007199254740993", 0},
    {"Exact", "\"0\"", 6322},
    {"Exact", "false", 6322},
    {"Switch", "0", 0},
    {"Switch", "1", 0},
    {"Switch", "2", 6308},
    {"Switch", "-1", 6308},
    {"Switch", "true", 6308},
    {"Switch", "\"1\"", 6308},
    {"Mode", "-1", 0},
    {"Mode", "0", 0},
    {"Mode", "2", 0},
    {"Mode", "1", 6309},
    {"Mode", "\"cool\"", 6309},
    {"Label", "\"\"", 0},
    {"Label", "\"12345678\"", 0},
    {"Label", "\"123456789\"", 6310},
    {"Label", "\"\\u00e4\\u00e4\\u00e4\\u00e4\"", 0},
    {"Label", "\"\\u00e4\\u00e4\\u00e4\\u00e4x\"", 6310},
    {"Label", "5", 6310},
    {"Since", "\"0\"", 0},
    {"Since", "\"1763690000000\"", 0},
    {"Since", "\"9999999999999999\"", 0},
    {"Since", "\"99999999999999999\"", 6311},
    {"Since", "\"\"", 6311},
    {"Since", "\"2026-11-21\"", 6311},
    {"Since", "1763690000000", 6311},
    {"Place", "{\"x\":9,\"note\":\"abcd\"}", 0},
    {"Place", "{\"x\":10}", 6306},
    {"Place", "{\"note\":\"abcde\"}", 6310},
    {"Place", "{\"y\":1}", 6304},
    {"Place", "{}", 0},
    {"Place", "[]", 6312},
    {"Place", "\"{}\"", 6312},
    {"Wave", "[]", 0},
    {"Wave", "[0,5,3]", 0},
    {"Wave", "[0,5,3,1]", 6324},
    {"Wave", "[6]", 6324},
    {"Wave", "[\"1\"]", 6324},
    {"Wave", "{}", 6328},
    {"Wave", "5", 6328},
    {"Points", "[{\"a\":1.5},{\"a\":2}]", 0},
    {"Points", "[{\"b\":1}]", 6324},
    {"Points", "[1]", 6324},
};

Json parsed(std::string_view text) {
    auto json = Json::parse(text);
    REQUIRE_MESSAGE(json.has_value(), text);
    return *std::move(json);
}

} // namespace

TEST_CASE("[value-1] every type takes what is inside its limits and refuses what is outside with its code") {
    const Model model = sample_model();
    PostReader reader;
    PropertyPost post;
    for (const ValueRow& row : value_rows) {
        CAPTURE(row.property);
        CAPTURE(row.json);
        const Property* property = model.property(row.property);
        REQUIRE(property != nullptr);
        const auto checked = check_value(property->type, parsed(row.json), row.property);
        const auto* rejection = std::get_if<Rejection>(&checked);
        CHECK((rejection == nullptr ? 0 : rejection->code) == row.code);

        // The streaming reader decides the same, in both shapes.
        const std::string name(row.property);
        for (const std::string& member :
             {std::string(row.json), R"({"time":7,"value":)" + std::string(row.json) + "}"}) {
            const std::string payload = R"({"id":"1","params":{")" + name + "\":" + member + "}}";
            CAPTURE(payload);
            REQUIRE_FALSE(reader.read(model, payload, WallTime{1'000}, {}, post).has_value());
            if (row.code == 0) {
                REQUIRE(post.samples.size() == 1);
                CHECK(post.rejected.empty());
                CHECK(post.samples[0].value == std::get<Value>(checked));
                CHECK(post.samples[0].time_ms == (member == row.json ? 1'000 : 7));
            } else {
                CHECK(post.samples.empty());
                REQUIRE(post.rejected.size() == 1);
                CHECK(post.rejected[0].first == name);
                CHECK(post.rejected[0].second.code == row.code);
                CHECK(post.rejected[0].second.message == rejection->message);
            }
        }
    }
}

TEST_CASE("[value-2] a rejection reads like the hub's") {
    const Model model = sample_model();
    const auto message = [&model](std::string_view property, std::string_view json) {
        return std::get<Rejection>(check_value(model.property(property)->type, parsed(json), property))
            .message;
    };
    CHECK(message("Count", "\"1\"") == "tsl parse: data type is not int -> Count");
    CHECK(message("Switch", "true") == "tsl parse: value of bool type must be int -> Switch");
    CHECK(message("Place", R"({"y":1})") == "tsl parse: field is not in struct -> y");
}

TEST_CASE("[value-3] composites are compact text in the model's order") {
    const Model model = sample_model();
    const auto value = std::get<Value>(
        check_value(model.property("Place")->type, parsed(R"({ "note" : "a\"b", "x" : 3 })"), "Place")
    );
    std::string text;
    value.append_json(text);
    CHECK(text == R"({"x":3,"note":"a\"b"})");
    CHECK(value.to_json()["x"].as_int() == 3);
    CHECK_FALSE(value.number().has_value());
    CHECK(Value{std::int64_t{5}}.number() == 5.0);
    CHECK(Value{2.5}.number() == 2.5);
    CHECK_FALSE(Value{std::string("5")}.number().has_value());
    CHECK(Value{2.5}.to_json() == Json(2.5));
    CHECK(Value{std::string("x")}.to_json() == Json("x"));
}
