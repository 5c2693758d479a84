#include "base/json.h"

#include "base/bytes.h"
#include "base/internal/json_scan.h"

#include <bit>
#include <cmath>
#include <doctest/doctest.h>
#include <limits>
#include <rapidcheck.h>

using namespace brim;

namespace {

std::string nested(std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}

rc::Gen<std::string> utf8_text() {
    return rc::gen::map(
        rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
            "a",
            "\"",
            "\\",
            "\n",
            "\t",
            "\x01",
            "\x7F",
            " ",
            "/",
            "\xC3\xA4",
            "\xE2\x82\xAC",
            "\xF0\x9F\x98\x80",
            "\xE2\x80\xA8"
        )),
        [](const std::vector<std::string>& parts) {
            std::string out;
            for (const std::string& part : parts)
                out += part;
            return out;
        }
    );
}

Json random_json(int depth) {
    switch (*rc::gen::inRange(0, depth > 0 ? 7 : 5)) {
    case 0:
        return Json();
    case 1:
        return Json(*rc::gen::arbitrary<bool>());
    case 2:
        return Json(*rc::gen::arbitrary<std::int64_t>());
    case 3:
        return Json(*rc::gen::suchThat(rc::gen::arbitrary<double>(), [](double d) {
            return std::isfinite(d);
        }));
    case 4:
        return Json(*utf8_text());
    case 5: {
        Json out = Json::array();
        const int count = *rc::gen::inRange(0, 4);
        for (int i = 0; i < count; ++i)
            out.push(random_json(depth - 1));
        return out;
    }
    default: {
        Json out = Json::object();
        const int count = *rc::gen::inRange(0, 4);
        for (int i = 0; i < count; ++i)
            out.set(*utf8_text(), random_json(depth - 1));
        return out;
    }
    }
}

Errc refusal(std::string_view text, const JsonLimits& limits = {}) {
    const auto parsed = Json::parse(text, limits);
    REQUIRE_MESSAGE(!parsed, std::string(text));
    return parsed.error().code;
}

} // namespace

TEST_CASE("any JSON value survives being written and read, compact and pretty") {
    CHECK(rc::check([] {
        const Json value = random_json(4);
        const auto compact = Json::parse(value.text());
        const auto pretty = Json::parse(value.text(true));
        RC_ASSERT(compact);
        RC_ASSERT(pretty);
        RC_ASSERT(*compact == value);
        RC_ASSERT(*pretty == value);
        RC_ASSERT(compact->text() == value.text());
    }));
}

TEST_CASE("any double is written so that the same double is read") {
    CHECK(rc::check([](std::uint64_t bits) {
        const double value = std::bit_cast<double>(bits);
        RC_PRE(std::isfinite(value));
        std::string text;
        json_append_number(text, value);
        const auto back = Json::parse(text);
        RC_ASSERT(back);
        RC_ASSERT(!back->is_int());
        RC_ASSERT(back->as_double() == value);
    }));
}

TEST_CASE("numbers have the text forms that people expect") {
    CHECK(Json(1.0).text() == "1.0");
    CHECK(Json(1).text() == "1");
    CHECK(Json(100'000.0).text() == "100000.0");
    CHECK(Json(1e22).text() == "1e+22");
    CHECK(Json(0.1).text() == "0.1");
    CHECK(Json(-0.0).text() == "-0.0");
    CHECK(Json(5e-324).text() == "5e-324");
    CHECK(Json(1.7976931348623157e308).text() == "1.7976931348623157e+308");
    CHECK(Json(std::nan("")).text() == "null");
    CHECK(Json(std::numeric_limits<double>::infinity()).text() == "null");
    CHECK(Json(INT64_MIN).text() == "-9223372036854775808");
    CHECK(Json(UINT64_MAX).text() == "18446744073709551616.0"); // the nearest double
    CHECK(Json(std::uint64_t{INT64_MAX}).is_int());
}

TEST_CASE("integers beyond int64 become doubles, numbers beyond double are refused") {
    CHECK(Json::parse("9223372036854775807")->is_int());
    CHECK(Json::parse("-9223372036854775808")->is_int());
    for (const std::string text :
         {"9223372036854775808",
          "-9223372036854775809",
          "18446744073709551615",
          "18446744073709551616",
          "123456789012345678901234567890"}) {
        const auto parsed = Json::parse(text);
        REQUIRE(parsed);
        CHECK_FALSE(parsed->is_int());
        CHECK(parsed->as_double() == std::stod(text));
    }
    const auto several = Json::parse(
        "{\"a\":[123456789012345678901, 7, -99999999999999999999],\"b\":\"123456789012345678901\"}"
    );
    REQUIRE(several);
    CHECK((*several)["a"].items()[0].as_double() == 123456789012345678901.0);
    CHECK((*several)["a"].items()[1] == Json(7));
    CHECK((*several)["a"].items()[2].as_double() == -99999999999999999999.0);
    CHECK((*several)["b"].as_string() == "123456789012345678901");
    CHECK(refusal("1e999") == Errc::malformed);
    CHECK(refusal(std::string(400, '9')) == Errc::malformed);
    CHECK(Json::parse("1e-999")->as_double(1) == 0);
}

TEST_CASE("broken JSON is refused with the byte where it breaks") {
    struct Broken {
        std::string text;
        std::size_t offset;
    };

    const std::vector<Broken> all{
        {"", 0},
        {"   ", 3},
        {"{\"a\":1,}", 7},
        {"[1,]", 3},
        {"[1 2]", 3},
        {"{\"a\" 1}", 5},
        {"{a:1}", 1},
        {"[01]", 1},
        {"[1.]", 3},
        {"[1e]", 3},
        {"[+1]", 1},
        {"[-]", 1},
        {"tru", 0},
        {"nullx", 4},
        {"\"abc", 0},
        {"\"a\nb\"", 2},
        {"\"\\x\"", 1},
        {"\"\\u12g4\"", 1},
        {"\"\\ud800\"", 1},
        {"\"\\udc00\"", 1},
        {"\"\\ud800\\u0041\"", 1},
        {"\"\xFF\"", 1},
        {"\"\xED\xA0\x80\"", 1},
        {"{} {}", 3},
        {"[1}", 2},
        {"{\"a\":1]", 6},
        {"\xEF\xBB\xBF{}", 0},
        {"NaN", 0},
        {"[\"a\",", 5},
    };
    for (const Broken& broken : all) {
        CAPTURE(broken.text);
        const auto parsed = Json::parse(broken.text);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().code == Errc::malformed);
        const std::string place = "at byte " + std::to_string(broken.offset);
        CHECK_MESSAGE(parsed.error().cause.ends_with(place), parsed.error().cause);
    }
}

TEST_CASE("every cut of a document is refused") {
    const std::string whole = R"({"id":"7","params":{"t":[1,-2.5e3,true,false,null,"\ud83d\ude00"]},"e":{}})";
    REQUIRE(Json::parse(whole));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CHECK(refusal(std::string_view(whole).substr(0, size)) == Errc::malformed);
    }
}

TEST_CASE("simdjson and our scan agree on what JSON is") {
    const auto token = rc::gen::element<std::string>(
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "\"\\u00e4\"",
        "\"\\ud800\"",
        "1",
        "-1.5",
        "01",
        "1e5",
        "1.",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\xC3\xA4",
        "\xFF",
        "\"",
        "99999999999999999999",
        "1e999",
        "\"\xC3\""
    );
    int accepted = 0;
    CHECK(rc::check([&] {
        std::string text;
        const int size = *rc::gen::inRange(0, 9);
        for (int i = 0; i < size; ++i)
            text += *token;
        const auto parsed = Json::parse(text);
        const bool twice = !parsed && parsed.error().cause.find("appears twice") != std::string::npos;
        RC_ASSERT((parsed || twice) == !json_scan(text, 64).fault);
        if (parsed)
            ++accepted;
    }));
    CHECK(accepted > 0);
}

TEST_CASE("a member name may not repeat, in small objects and large ones, at any level") {
    CHECK(refusal(R"({"a":1,"a":1})") == Errc::malformed);
    CHECK(refusal(R"({"x":[{"a":1,"\u0061":2}]})") == Errc::malformed);
    CHECK(Json::parse(R"({"a":{"a":1},"b":{"a":1}})"));
    std::string large = "{";
    for (int i = 0; i < 1'000; ++i)
        large += "\"k" + std::to_string(i) + "\":0,";
    CHECK(Json::parse(large + "\"last\":0}")->members().size() == 1'001);
    CHECK(refusal(large + "\"k500\":0}") == Errc::malformed);
}

TEST_CASE("each JSON limit holds on both sides") {
    CHECK(Json::parse(nested(64)));
    CHECK(refusal(nested(65)) == Errc::too_large);
    CHECK(Json::parse(nested(3), {.depth_max = 3}));
    CHECK(Json::parse("[[[0]]]", {.depth_max = 3}));
    CHECK(refusal("[[[[0]]]]", {.depth_max = 3}) == Errc::too_large);
    CHECK(refusal("[[[{}]]]", {.depth_max = 3}) == Errc::too_large);
    CHECK(refusal("[[[[99999999999999999999]]]]", {.depth_max = 3}) == Errc::too_large);
    CHECK(refusal(nested(4), {.depth_max = 3}) == Errc::too_large);
    CHECK(Json::parse("7", {.depth_max = 1}));
    CHECK(Json::parse(nested(1'024), {.depth_max = 1'024}));
    CHECK(refusal(std::string(200'000, '['), {.depth_max = 1'024}) == Errc::too_large);
    CHECK(Json::parse("[1,2]", {.bytes_max = 5}));
    CHECK(refusal("[1,2]", {.bytes_max = 4}) == Errc::too_large);
    CHECK(Json::parse("[1,2]", {.values_max = 3}));
    CHECK(refusal("[1,2]", {.values_max = 2}) == Errc::too_large);
    CHECK(refusal(R"({"a":{"b":1}})", {.values_max = 2}) == Errc::too_large);
}

TEST_CASE("a document after a huge one, and after a refused one, reads as if it were the first") {
    const std::string huge = '"' + std::string(3'000'000, 'x') + '"';
    CHECK(Json::parse(huge, {.bytes_max = 4'000'000})->as_string().size() == 3'000'000);
    CHECK(Json::parse("[1]")->items().size() == 1);
    CHECK(refusal("[1") == Errc::malformed);
    CHECK(Json::parse("{\"a\":2}")->find("a")->as_int() == 2);
}

TEST_CASE("typed reads give the default for what is absent or of another type") {
    const Json value =
        Json::object({{"n", 5}, {"d", 2.5}, {"s", "text"}, {"b", true}, {"a", Json::array({1, "x"})}});
    CHECK(value["n"].as_int() == 5);
    CHECK(value["n"].as_double() == 5.0);
    CHECK(value["d"].as_int(-1) == -1);
    CHECK(value["s"].as_string() == "text");
    CHECK(value["s"].as_int(3) == 3);
    CHECK(value["b"].as_bool());
    CHECK(value["n"].as_bool(true));
    CHECK(value["a"].items().size() == 2);
    CHECK(value["none"].is_null());
    CHECK(value["none"]["deeper"].as_string("?") == "?");
    CHECK(value["s"].items().empty());
    CHECK(value["s"].members().empty());
    CHECK(value.find("none") == nullptr);
}

TEST_CASE("set replaces in place and chains; erase removes; push makes arrays") {
    Json value;
    value.set("a", 1).set("b", 2).set("a", 3);
    CHECK(value.text() == R"({"a":3,"b":2})");
    value.erase("a");
    value.erase("absent");
    CHECK(value.text() == R"({"b":2})");
    Json list;
    list.push("x");
    list.push(Json::array());
    CHECK(list.text() == R"(["x",[]])");
    CHECK(list.text(true) == "[\n  \"x\",\n  []\n]");
    std::string out = "=";
    list.append_to(out);
    CHECK(out == R"(=["x",[]])");
}

TEST_CASE("strings are escaped for JSON, and broken UTF-8 becomes U+FFFD") {
    std::string out;
    json_append_string(out, std::string_view("q\" b\\ \b\f\n\r\t \x01\x1f \0 \x7F \xC3\xA4", 21));
    CHECK(out == "\"q\\\" b\\\\ \\b\\f\\n\\r\\t \\u0001\\u001f \\u0000 \x7F \xC3\xA4\"");
    out.clear();
    json_append_string(out, "a\xFFz\xED\xA0\x80");
    CHECK(out == "\"a\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    CHECK(rc::check([](const std::string& bytes) {
        std::string text;
        json_append_string(text, bytes);
        const auto back = Json::parse(text);
        RC_ASSERT(back);
        if (is_utf8(bytes))
            RC_ASSERT(back->as_string() == bytes);
    }));
}
