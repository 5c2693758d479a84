extern "C" {
#include "envelope.h"
}

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace {

std::pair<int, std::string> properties(const std::vector<brim_value>& values, std::int64_t now = 5) {
    brim_bytes out{};
    const int code = envelope_properties(&out, 3, values.data(), values.size(), now);
    std::string text(reinterpret_cast<const char*>(out.data), out.size);
    brim_bytes_free(&out);
    return {code, text};
}

std::string value_text(const brim_value& value) {
    const auto [code, text] = properties({value});
    REQUIRE(code == BRIM_OK);
    const std::string head = R"("params":{"v":{"value":)";
    const auto at = text.find(head) + head.size();
    return text.substr(at, text.find(",\"time\":") - at);
}

} // namespace

TEST_CASE("[sdk-envelope-1] a report has the shape of the bus") {
    const auto [code, text] =
        properties({brim_double("Temperature", 21.5), brim_at(brim_int("Count", 7), 99)});
    CHECK(code == BRIM_OK);
    CHECK(
        text ==
        R"({"id":"3","version":"1.0","sys":{"ack":0},"params":{"Temperature":{"value":21.5,"time":5},"Count":{"value":7,"time":99}},"method":"thing.event.property.post"})"
    );
    brim_bytes out{};
    const brim_value level = brim_int("level", 2);
    CHECK(envelope_event(&out, 4, "alarm", &level, 1, 8) == BRIM_OK);
    CHECK(
        std::string(reinterpret_cast<const char*>(out.data), out.size) ==
        R"({"id":"4","version":"1.0","sys":{"ack":0},"params":{"value":{"level":2},"time":8},"method":"thing.event.alarm.post"})"
    );
    brim_bytes_free(&out);
    CHECK(envelope_answer(&out, "\"9\"", 0, &level, 1) == BRIM_OK);
    CHECK(
        std::string(reinterpret_cast<const char*>(out.data), out.size) ==
        R"({"id":"9","code":200,"data":{"level":2}})"
    );
    brim_bytes_free(&out);
    CHECK(envelope_answer(&out, "9", BRIM_E_READ_ONLY, nullptr, 0) == BRIM_OK);
    CHECK(
        std::string(reinterpret_cast<const char*>(out.data), out.size) ==
        R"({"id":9,"code":109003,"data":{},"message":"property can only be read"})"
    );
    brim_bytes_free(&out);
}

TEST_CASE("[sdk-envelope-2] numbers are written so that they read back the same") {
    CHECK(value_text(brim_int("v", std::numeric_limits<std::int64_t>::min())) == "-9223372036854775808");
    CHECK(value_text(brim_double("v", 0.1)) == "0.1");
    CHECK(value_text(brim_double("v", 1e300)) == "1e+300");
    for (const double number : {1.0 / 3, 5e-324, 123456789.123456789, -0.0}) {
        CHECK(std::strtod(value_text(brim_double("v", number)).c_str(), nullptr) == number);
    }
    CHECK(properties({brim_double("v", std::nan(""))}).first == BRIM_E_PARAM);
    CHECK(properties({brim_double("v", HUGE_VAL)}).first == BRIM_E_PARAM);
}

TEST_CASE("[sdk-envelope-3] texts are escaped, and bytes that are no UTF-8 are refused") {
    CHECK(value_text(brim_text("v", "a\"b\\\n\x01")) == R"("a\"b\\\u000a\u0001")");
    CHECK(value_text(brim_text("v", "\xc3\xa4\xf0\x9f\x98\x80")) == "\"\xc3\xa4\xf0\x9f\x98\x80\"");
    for (const char* bad :
         {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80", "a\x80"}) {
        CHECK(properties({brim_text("v", bad)}).first == BRIM_E_PARAM);
    }
    CHECK(properties({brim_text("v", nullptr)}).first == BRIM_E_PARAM);
}

TEST_CASE("[sdk-envelope-4] raw JSON must be JSON, and only that") {
    CHECK(value_text(brim_json("v", R"({"x":[1,2]})")) == R"({"x":[1,2]})");
    for (const char* bad : {"", "{", "1 2", "{}}", "nope"})
        CHECK(properties({brim_json("v", bad)}).first == BRIM_E_JSON);
}

TEST_CASE("[sdk-envelope-5] identifiers are checked before they become topics and names") {
    CHECK(envelope_identifier_fits("Temperature_1"));
    CHECK(envelope_identifier_fits("block:Temperature"));
    CHECK(envelope_identifier_fits(std::string(101, 'a').c_str()));
    CHECK_FALSE(envelope_identifier_fits(std::string(102, 'a').c_str()));
    for (const char* bad : {"", "a/b", "a\"", "a b", "+", "#"}) {
        CHECK_FALSE(envelope_identifier_fits(bad));
        CHECK(properties({brim_int(bad, 1)}).first == BRIM_E_PARAM);
    }
    CHECK_FALSE(envelope_identifier_fits(nullptr));
    CHECK(properties({}).first == BRIM_E_PARAM);
}
