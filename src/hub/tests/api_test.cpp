// What every answer of the API has in common.

#include "api_rig.h"

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;

namespace {

void check_problem(const HttpReply& reply, int status, std::string_view code) {
    CHECK(reply.status == status);
    CHECK(reply.header("content-type") == "application/problem+json");
    const Json problem = reply.json();
    CHECK(problem["status"].as_int() == status);
    CHECK(problem["code"].as_string() == code);
    CHECK(problem["type"].as_string() == "/docs/errors#" + std::string(code));
    CHECK(problem["instance"].as_string().starts_with("urn:brim:request:"));
    for (const char* member : {"title", "detail", "object", "cause", "fix"})
        CHECK_MESSAGE(!problem[member].as_string().empty(), member);
}

} // namespace

TEST_CASE(
    "[problem-1] each problem names its request and a page that exists, also for unknown paths and methods"
) {
    ApiRig rig;
    check_problem(rig.call("GET", "/api/v1/nothing"), 404, "not_found");
    check_problem(rig.call("GET", "/api/v1/devices/a/b"), 404, "not_found");
    check_problem(rig.call("GET", "/api/other"), 404, "not_found");
    check_problem(rig.call("GET", "/docs/other"), 404, "not_found");
    check_problem(rig.call("POST", "/docs/errors"), 405, "unsupported");
    const HttpReply method = rig.call("PATCH", "/api/v1/products");
    check_problem(method, 405, "unsupported");
    CHECK(method.header("allow") == "GET, POST");
    CHECK(rig.call("DELETE", "/").header("allow") == "GET, HEAD");
    check_problem(rig.call("POST", "/api/v1/products", "{"), 400, "malformed");
    check_problem(rig.call("POST", "/api/v1/products", R"({"nodeType":"device"})"), 422, "invalid");
    const std::string first(rig.call("GET", "/api/v1/nothing").json()["instance"].as_string());
    const std::string second(rig.call("GET", "/api/v1/nothing").json()["instance"].as_string());
    CHECK(first != second);
    rig.token.clear();
    check_problem(rig.call("GET", "/api/v1/devices"), 401, "unauthenticated");
}

TEST_CASE(
    "[problem-2] the page of error codes has an anchor, cause and fix for every code, and no markup of others"
) {
    ApiRig rig;
    const HttpReply page = rig.call("GET", "/docs/errors");
    CHECK(page.status == 200);
    CHECK(page.header("content-type") == "text/html; charset=utf-8");
    CHECK(page.header("content-security-policy").find("default-src 'self'") != std::string::npos);
    for (int code = 0; code <= static_cast<int>(Errc::io); ++code) {
        const std::string name(errc_name(static_cast<Errc>(code)));
        CAPTURE(name);
        const std::size_t at =
            page.body.find("<section id=\"" + name + "\"><h2><code>" + name + "</code></h2>");
        REQUIRE(at != std::string::npos);
        const std::string section = page.body.substr(at, page.body.find("</section>", at) - at);
        CHECK(section.find("<dt>meaning</dt><dd>") != std::string::npos);
        CHECK(section.find("<dt>what to do</dt><dd>") != std::string::npos);
    }
    CHECK(page.body.find("| ") == std::string::npos);
    CHECK(page.body.find("&lt;") == std::string::npos);
}

TEST_CASE("[system-1] the system page shows measured room and sync times") {
    ApiRig rig;
    rig.world.run_for(1min);
    const Json store = rig.call("GET", "/api/v1/system").json()["store"];
    REQUIRE(store["freeBytes"].is_int());
    CHECK(store["freeBytes"].as_int() > 1'000'000'000);
    CHECK(store["freeBytes"].as_int() < std::int64_t{1} << 40);
    CHECK(store["historyPoints"].as_int(-1) == 0);
    CHECK(store["historyBytes"].as_int() > 0);
    CHECK(store["historyBytesMax"].is_null());
    CHECK(store["historyDropped"].as_int(-1) == 0);
}
