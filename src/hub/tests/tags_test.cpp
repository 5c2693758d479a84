#include "door_rig.h"

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;
using mqtt::ReasonCode;

namespace {

struct TagRig : DoorRig {
    explicit TagRig(RegistryLimits given = {}) : DoorRig(given) {
        product("a1");
        device("a1", "d1");
    }

    std::int64_t ask(Client& client, const char* verb, const std::string& params) {
        client.received.clear();
        const std::string rest = std::string("thing/deviceinfo/") + verb;
        CHECK(client.acknowledged(client.request(rest, params)) == ReasonCode::success);
        world.run_for(100ms);
        return client.last(rest + "_reply")["code"].as_int();
    }

    std::vector<Tag> tags() { return at("a1", "d1").tags; }
};

std::string tag(const std::string& key, const std::string& value) {
    return R"({"attrKey":")" + key + R"(","attrValue":")" + value + "\"}";
}

} // namespace

TEST_CASE(
    "[tag-1.1] tags are set, replaced and deleted, SYSTEM ones kept apart, and all of it outlives a power cut"
) {
    TagRig rig;
    Client client(rig, "a1", "d1");
    CHECK(
        rig.ask(
            client,
            "update",
            "[" + tag("b", "1") + "," + tag("a", "2") + R"(,{"attrKey":"n","attrValue":3.5}])"
        ) == 200
    );
    CHECK(rig.ask(client, "update", R"([{"attrKey":"a","attrValue":"sdk","domain":"SYSTEM"}])") == 200);
    CHECK(rig.ask(client, "update", "[" + tag("a", "4") + "]") == 200);
    const std::vector<Tag> all{{"a", "4", false}, {"b", "1", false}, {"n", "3.5", false}, {"a", "sdk", true}};
    CHECK(rig.tags() == all);
    rig.restart(true);
    CHECK(rig.tags() == all);
    REQUIRE(rig.world.run_until([&] { return client.link().up(); }, 60s));
    CHECK(rig.ask(client, "delete", R"([{"attrKey":"a"},{"attrKey":"none"}])") == 200);
    CHECK(rig.ask(client, "delete", R"([{"attrKey":"a"}])") == 200);
    const std::vector<Tag> left{{"b", "1", false}, {"n", "3.5", false}, {"a", "sdk", true}};
    CHECK(rig.tags() == left);
    rig.restart(true);
    CHECK(rig.tags() == left);
}

TEST_CASE("[tag-1.2] a tag over a limit is refused, one on it is not, and a refused request changes nothing"
) {
    TagRig rig({.tags_max = 2});
    Client client(rig, "a1", "d1");
    const std::string three = "\xe4\xb8\xad"; // one character
    std::string long_key, long_value;
    for (int at = 0; at < 30; ++at)
        long_key += three;
    for (int at = 0; at < 128; ++at)
        long_value += three;
    CHECK(rig.ask(client, "update", "[" + tag(long_key, long_value) + "]") == 200);
    CHECK(rig.ask(client, "update", "[" + tag(long_key + "x", "") + "]") == 460);
    CHECK(rig.ask(client, "update", "[" + tag("k", long_value + "x") + "]") == 460);
    CHECK(rig.ask(client, "update", "[" + tag("", "x") + "]") == 460);
    CHECK(rig.ask(client, "update", R"([{"attrKey":"k"}])") == 460);
    CHECK(rig.ask(client, "update", R"([{"attrKey":"k\n","attrValue":""}])") == 460);
    CHECK(rig.ask(client, "update", "{}") == 460);
    CHECK(rig.ask(client, "delete", "{}") == 460);
    CHECK(rig.ask(client, "update", "[" + tag("k", "1") + "," + tag("l", "1") + "]") == 460);
    CHECK(rig.tags().size() == 1);
    CHECK(rig.ask(client, "update", "[" + tag("k", "") + "]") == 200);
    CHECK(rig.ask(client, "update", R"([{"attrKey":"l","attrValue":"1","domain":"SYSTEM"}])") == 200);
    CHECK(rig.ask(client, "update", "[" + tag("k", "new") + "]") == 200);
}

TEST_CASE("[tag-1.3] tags are acknowledged after the commit; what the disk refuses is undone") {
    TagRig rig;
    Client client(rig, "a1", "d1");
    CHECK(rig.ask(client, "update", "[" + tag("a", "1") + "]") == 200);
    rig.world.run_for(3s);
    const std::vector<Tag> before = rig.tags();
    rig.fault(io::DiskFault::Kind::no_space, "/data/hub.db");
    const std::string both = "[" + tag("a", "2") + "," + tag("b", "2") + "]";
    CHECK(client.acknowledged(client.request("thing/deviceinfo/update", both)) == ReasonCode::quota_exceeded);
    CHECK(rig.tags() == before);
    CHECK(client.acknowledged(client.request("thing/deviceinfo/delete", both)) == ReasonCode::quota_exceeded);
    CHECK(rig.tags() == before);
    rig.machine().disk().clear_faults();
    rig.fault(io::DiskFault::Kind::slow, "/data/hub.db", 2s);
    const auto slow = client.request("thing/deviceinfo/update", both);
    rig.world.run_for(1s);
    CHECK_FALSE(client.settled(slow));
    CHECK(client.acknowledged(slow) == ReasonCode::success);
    rig.machine().disk().clear_faults();
    rig.restart(true);
    CHECK(rig.tags().size() == 2);
}
