#include "thing/envelope.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::thing;

TEST_CASE("[envelope-1] a request survives everything that real devices leave out") {
    const auto full = parse_request(
        R"({"id":"123","version":"1.0","sys":{"ack":0},"params":["a"],"method":"thing.property.desired.get"})"
    );
    REQUIRE(full.has_value());
    CHECK(full->id == "\"123\"");
    CHECK(full->method == "thing.property.desired.get");
    CHECK(full->params.items().size() == 1);
    CHECK_FALSE(full->ack_wanted);
    for (const std::string_view text :
         {"{}", R"({"params":"{}"})", R"({"params":null,"method":""})", R"({"params":""})"}) {
        CAPTURE(text);
        const auto request = parse_request(text);
        REQUIRE(request.has_value());
        CHECK(request->id.empty());
        CHECK(request->method.empty());
        CHECK(request->params == Json::object());
        CHECK(request->ack_wanted);
    }
    for (const std::string_view text : {"", "[]", "5", "{\"id\":}", "{} {}"}) {
        CHECK_FALSE(parse_request(text).has_value());
    }
    const std::string small = R"({"id":1})";
    CHECK(parse_request(small, small.size()).has_value());
    CHECK(parse_request(small, small.size() - 1).error().code == Errc::too_large);
}

TEST_CASE("[envelope-2] ids are echoed with their type, digit for digit") {
    for (const std::string_view id : {
             "\"1\"",
             "1",
             "0",
             "-3",
             "4294967296",
             "18446744073709551615",
             "1.50",
             "\"\"",
             "\"1|exp-topic|/sys/pk/dn/thing/event/property/post_reply\"",
         }) {
        CAPTURE(id);
        const auto request = parse_request(R"({"id":)" + std::string(id) + R"(,"params":{}})");
        REQUIRE(request.has_value());
        CHECK(request->id == id);
        const std::string reply = make_reply(request->id, 200, "success", Json(), "m");
        CHECK(reply.find("\"id\":" + std::string(id) + ",") != std::string::npos);
        CHECK(Json::parse(reply).has_value());
    }
    CHECK(parse_request(R"({"id":[1],"params":{}})")->id.empty());
}

TEST_CASE("[envelope-3] a reply always carries its six members") {
    CHECK(
        make_reply("", 460, "no \"x\"", Json(), "thing.topo.add") ==
        R"({"code":460,"data":{},"id":"","message":"no \"x\"","method":"thing.topo.add","version":"1.0"})"
    );
    CHECK(
        make_reply("7", 200, "success", Json::array({1, 2}), "") ==
        R"({"code":200,"data":[1,2],"id":7,"message":"success","method":"","version":"1.0"})"
    );
}

TEST_CASE("[envelope-4] a request that we make is one that devices can parse") {
    const std::string text =
        make_request("18446744073709551615", "thing.service.property.set", Json::object({{"a", 1}}));
    CHECK(
        text ==
        R"({"id":"18446744073709551615","version":"1.0","params":{"a":1},"method":"thing.service.property.set"})"
    );
    CHECK(parse_request(text)->id == "\"18446744073709551615\"");
}

TEST_CASE("[envelope-5] replies of devices are read with their oddities") {
    const auto plain = parse_reply(R"({"id":"5","code":200,"data":{"a":1}})");
    REQUIRE(plain.has_value());
    CHECK(plain->id == "\"5\"");
    CHECK(plain->code == 200);
    CHECK(plain->message == "success");
    CHECK(plain->data["a"].as_int() == 1);
    CHECK(parse_reply(R"({"id":5,"code":"460","message":"bad","data":"{}"})")->code == 460);
    CHECK(parse_reply(R"({"code":100001,"data":null})")->data == Json::object());
    CHECK(parse_reply(R"({"code":0})")->code == 0);
    for (const std::string_view text :
         {"{}", R"({"code":null})", R"({"code":-1})", R"({"code":"x"})", R"({"code":2000000000})"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_reply(text).has_value());
    }
}

TEST_CASE("[envelope-6] a report without faults gets an empty data object") {
    PropertyPost post;
    post.id = "\"1\"";
    CHECK(
        make_post_reply(post) ==
        R"({"code":200,"data":{},"id":"1","message":"success","method":"thing.event.property.post","version":"1.0"})"
    );
}
