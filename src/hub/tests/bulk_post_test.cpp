// What one device says in a bulk post, checked without a hub.

#include "hub/bulk_post.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::hub;

namespace {

thing::Model model() {
    auto made = thing::Model::parse_text(R"({"properties":[
 {"identifier":"level","dataType":{"type":"int","specs":{"min":"0","max":"9"}}}],
"events":[{"identifier":"alarm","type":"alert","method":"thing.event.alarm.post","outputData":[
 {"identifier":"code","dataType":{"type":"int","specs":{"min":"0","max":"100"}}}]}]})");
    REQUIRE(made);
    return std::move(*made);
}

/// As many names as a message of 256 KiB has room for. Each of them looked up among all was 10 s of a hub's
/// loop.
Json many_names() {
    Json::Object names;
    for (int i = 0; i < 26'000; ++i)
        names.emplace_back("n" + std::to_string(i), 1);
    return Json(std::move(names));
}

} // namespace

TEST_CASE("a post of many unknown names is counted, and told in part") {
    const thing::Model pump = model();
    const Json names = many_names();
    BulkPost post(pump, 1'000, 0);
    post.add_properties(names);
    CHECK(post.values_seen == 26'000);
    CHECK(post.samples.empty());
    CHECK(post.rejected.members().size() == rejected_names_max);

    Json rejected = Json::object();
    const EventReading reading = read_event(*pump.event("alarm"), names, 1'000, 0, rejected);
    CHECK(reading.output == "{}");
    CHECK(rejected.members().size() == rejected_names_max);
}

TEST_CASE("what fits behind many wrong names is kept") {
    const thing::Model pump = model();
    Json names = many_names();
    names.set("level", 3);
    BulkPost post(pump, 1'000, 0);
    post.add_properties(names);
    REQUIRE(post.samples.size() == 1);
    CHECK(post.samples.front().time_ms == 1'000);
}
