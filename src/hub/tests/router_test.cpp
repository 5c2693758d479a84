#include "hub/api/router.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::hub;

namespace {

constexpr const char* document = R"({"paths":{
 "/api/v1/things":{"get":{"operationId":"list","x-brim-role":"viewer"},"post":{"operationId":"make","x-brim-role":"operator"}},
 "/api/v1/things/special":{"get":{"operationId":"special","x-brim-role":"public"}},
 "/api/v1/things/{name}":{"get":{"operationId":"one","x-brim-role":"admin","x-brim-body-bytes-max":7}}}})";

std::map<std::string, Router::Handler> handlers(std::initializer_list<const char*> names) {
    std::map<std::string, Router::Handler> made;
    for (const char* name : names)
        made[name] = [](const Call&) {};
    return made;
}

} // namespace

TEST_CASE("a document and its handlers belong together") {
    CHECK(Router::make(document, handlers({"list", "make", "special", "one"})));
    const auto lacks = Router::make(document, handlers({"list", "make", "special"}));
    REQUIRE_FALSE(lacks);
    CHECK(lacks.error().object == "operation one");
    const auto extra = Router::make(document, handlers({"list", "make", "special", "one", "two"}));
    REQUIRE_FALSE(extra);
    CHECK(extra.error().object == "handler two");
    CHECK_FALSE(Router::make("{", handlers({})));
    for (const char* role : {"", "root", "Viewer"}) {
        const std::string text =
            R"({"paths":{"/x":{"get":{"operationId":"x","x-brim-role":")" + std::string(role) + R"("}}}})";
        CHECK_FALSE(Router::make(text, handlers({"x"})));
    }
}

TEST_CASE("a path matches whole segments, the method decides last") {
    const auto router = Router::make(document, handlers({"list", "make", "special", "one"}));
    REQUIRE(router);
    const auto match = [&router](std::string_view method, std::string_view path) {
        std::map<std::string, std::string, std::less<>> parameters;
        std::string allowed;
        const Operation* found = (*router)->match(method, path, parameters, allowed);
        if (found == nullptr)
            return "none " + allowed;
        const auto name = parameters.find("name");
        return found->id + (name == parameters.end() ? "" : "=" + name->second);
    };
    CHECK(match("GET", "/api/v1/things") == "list");
    CHECK(match("POST", "/api/v1/things") == "make");
    CHECK(match("DELETE", "/api/v1/things") == "none GET, POST");
    CHECK(match("GET", "/api/v1/things/special") == "special");
    CHECK(match("GET", "/api/v1/things/x") == "one=x");
    CHECK(match("GET", "/api/v1/things/") == "none ");
    CHECK(match("GET", "/api/v1/things/x/y") == "none ");
    CHECK(match("GET", "/api/v1") == "none ");
    CHECK(match("GET", "") == "none ");
}

TEST_CASE("a problem document says the status it is sent with") {
    const Error error{Errc::unsupported, "x", "why", "do"};
    const auto plain = Json::parse(problem_text(error));
    const auto other = Json::parse(problem_text(error, {"urn:x", {{"/a", "bad"}}, 405, {}}));
    REQUIRE(plain);
    REQUIRE(other);
    CHECK((*plain)["status"].as_int() == 501);
    CHECK((*plain)["code"].as_string() == "unsupported");
    CHECK((*plain).find("errors") == nullptr);
    CHECK((*plain).find("instance") == nullptr);
    CHECK((*other)["instance"].as_string() == "urn:x");
    CHECK((*other)["type"].as_string() == "/docs/errors#unsupported");
    CHECK((*other)["status"].as_int() == 405);
    CHECK((*other)["errors"].items()[0]["pointer"].as_string() == "/a");
}
