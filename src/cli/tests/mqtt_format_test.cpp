#include "cli/mqtt_format.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::cli;

namespace {

Message sample() {
    Message message;
    message.topic = "a/b";
    message.payload = Bytes("1\xff", 2);
    message.qos = 1;
    message.retain = true;
    message.content_type = "x/y";
    message.expiry_s = 60;
    message.user_properties = {{"k", "v"}, {"k", "w"}};
    return message;
}

std::string printed(std::string_view format, const Message& message) {
    const auto made = MessageFormat::parse(format);
    if (!made)
        return "refused: " + made.error().cause;
    const auto line = made->print({message, 7, WallTime{1'500}});
    return line ? *line : "no line: " + line.error().cause;
}

} // namespace

TEST_CASE("[mqtt-cli] a format's letters print the message's parts") {
    CHECK(
        printed("%t|%x|%X|%l|%q|%r|%m|%C|%E|%P|%R|%%", sample()) == "a/b|31ff|31FF|2|1|1|7|x/y|60|k:v k:w||%"
    );
    CHECK(printed("%p", sample()) == Bytes("1\xff", 2));
    CHECK(printed("%U", sample()) == "1.500000000");
    CHECK(printed(R"(\n\t\\\0.)", sample()) == std::string("\n\t\\\0.", 5));
    CHECK(printed("", sample()).empty());
}

TEST_CASE("[mqtt-cli] a field has a width, a side, zeros and a longest length") {
    CHECK(printed("%5t|%-5t|%.2t|%05l|%5.1t|", sample()) == "  a/b|a/b  |a/|00002|    a|");
    CHECK(printed("%10000t", sample()).size() == 10'000);
    CHECK(printed("%10001t", sample()) == "refused: a field is wider than 10,000");
    CHECK(printed("%.10001t", sample()) == "refused: a field is wider than 10,000");
}

TEST_CASE("[mqtt-cli] a letter that stands for nothing is refused when the command starts") {
    CHECK(printed("%z", sample()) == "refused: %z stands for nothing here");
    CHECK(printed("a%", sample()) == "refused: a % stands at the end");
    CHECK(printed("%@", sample()).starts_with("refused"));
}

TEST_CASE("[mqtt-cli] %j holds any payload, %J only JSON") {
    Message message = sample();
    const auto binary = Json::parse(printed("%j", message));
    REQUIRE(binary);
    CHECK((*binary)["payloadHex"].as_string() == "31ff");
    CHECK((*binary)["mid"].as_int() == 7);
    CHECK((*binary)["properties"]["user-properties"].items().size() == 2);
    CHECK(printed("%J", message).starts_with("no line"));
    message.payload = R"({"a":[1]})";
    const auto json = Json::parse(printed("%J", message));
    REQUIRE(json);
    CHECK((*json)["payload"]["a"].items().size() == 1);
    CHECK((*Json::parse(printed("%j", message)))["payload"].as_string() == message.payload);
}
