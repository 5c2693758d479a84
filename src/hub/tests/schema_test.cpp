#include "hub/api/schema.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::hub;

namespace {

Json json(std::string_view text) {
    auto parsed = Json::parse(text);
    REQUIRE_MESSAGE(parsed, text);
    return std::move(*parsed);
}

/// "pointer detail; ..." of what is wrong.
std::string problems(std::string_view schema, std::string_view value, std::string_view components = "{}") {
    const Json known = json(components);
    const Schemas schemas(known);
    std::string out;
    const Json parsed = json(schema);
    for (const SchemaProblem& each : schemas.check(parsed, json(value)))
        out += (out.empty() ? "" : "; ") + each.pointer + " " + each.detail;
    return out;
}

bool fits(std::string_view schema, std::string_view value) {
    return problems(schema, value).empty();
}

} // namespace

TEST_CASE("each type takes its values and no other") {
    const std::vector<std::pair<std::string, std::string>> samples{
        {"object", "{}"},
        {"array", "[]"},
        {"string", "\"\""},
        {"integer", "7"},
        {"boolean", "true"},
        {"null", "null"}
    };
    for (const auto& [type, unused] : samples) {
        for (const auto& [other, value] : samples) {
            CAPTURE(type);
            CAPTURE(value);
            CHECK(fits(R"({"type":")" + type + "\"}", value) == (type == other));
        }
    }
    CHECK(fits(R"({"type":"number"})", "7"));
    CHECK(fits(R"({"type":"number"})", "7.5"));
    CHECK_FALSE(fits(R"({"type":"integer"})", "7.5"));
    CHECK(fits(R"({"type":["string","null"]})", "null"));
    CHECK_FALSE(fits(R"({"type":["string","null"]})", "1"));
    CHECK_FALSE(fits(R"({"type":"strange"})", "1"));
}

TEST_CASE("bounds hold on both sides") {
    const auto range = R"({"type":"integer","minimum":1,"maximum":3})";
    CHECK_FALSE(fits(range, "0"));
    CHECK(fits(range, "1"));
    CHECK(fits(range, "3"));
    CHECK_FALSE(fits(range, "4"));
    const auto length = R"({"type":"string","minLength":2,"maxLength":3})";
    CHECK_FALSE(fits(length, R"("a")"));
    CHECK(fits(length, R"("ab")"));
    CHECK(fits(length, R"("äöü")")); // characters, not bytes
    CHECK_FALSE(fits(length, R"("äöüß")"));
    const auto members = R"({"type":"object","minProperties":1,"maxProperties":2})";
    CHECK_FALSE(fits(members, "{}"));
    CHECK(fits(members, R"({"a":1,"b":2})"));
    CHECK_FALSE(fits(members, R"({"a":1,"b":2,"c":3})"));
}

TEST_CASE("enum and pattern") {
    CHECK(fits(R"({"enum":["a",1]})", "1"));
    CHECK_FALSE(fits(R"({"enum":["a",1]})", "2"));
    CHECK(fits(R"({"pattern":"^[a-z]{2}$"})", R"("ab")"));
    CHECK_FALSE(fits(R"({"pattern":"^[a-z]{2}$"})", R"("abc")"));
    CHECK_FALSE(fits(R"({"pattern":"^[a-z]{2}$"})", R"("ab\n")"));
}

TEST_CASE("required and unknown members are named by pointer, also inside arrays and references") {
    const auto closed =
        R"({"type":"object","required":["a"],"properties":{"a":{}},"additionalProperties":false})";
    CHECK(problems(closed, R"({"a":1})") == "");
    CHECK(problems(closed, "{}") == R"( lacks "a")");
    CHECK(problems(closed, R"({"a":1,"x/y~z":2})") == "/x~1y~0z is not a known member");
    CHECK(fits(R"({"type":"object","additionalProperties":true})", R"({"x":2})"));
    const auto list = R"({"type":"array","items":{"$ref":"#/components/schemas/Item"}})";
    const auto item = R"({"Item":{"type":"object","properties":{"n":{"type":"integer"}}}})";
    CHECK(problems(list, R"([{"n":1},{"n":2}])", item) == "");
    CHECK(problems(list, R"([{"n":1},{"n":"x"}])", item) == "/1/n must be of type integer");
}

TEST_CASE("the list of problems has an end") {
    const Json none = json("{}");
    const Json schema = json(R"({"type":"array","items":{"type":"string"}})");
    Json many = Json::array();
    for (int i = 0; i < 1'000; ++i)
        many.push(i);
    CHECK(Schemas(none).check(schema, many).size() == 20);
}
