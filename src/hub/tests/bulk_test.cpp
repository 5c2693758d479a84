// Pack, batch and history posts.

#include "door_rig.h"

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;
using mqtt::ReasonCode;

namespace {

constexpr const char* batch = "thing/event/property/batch/post";
constexpr const char* pack = "thing/event/property/pack/post";
constexpr const char* history = "thing/event/property/history/post";

struct BulkRig : DoorRig {
    BulkRig() {
        product("gw", true);
        product("a1");
        device("gw", "g1");
        for (const char* name : {"d1", "d2", "d3"}) {
            device("a1", name);
            if (std::string_view(name) != "d3")
                REQUIRE(wait<void>([&](auto done) {
                    registry->bind(at("a1", name), &at("gw", "g1"), std::move(done));
                }));
        }
    }

    std::vector<store::HistoryPoint> points(const char* key, const char* name, int property = 0) {
        store::HistoryQuery query;
        query.device = at(key, name).id;
        query.property = property;
        query.limit = 10'000;
        auto page = wait<store::HistoryPage>([&](auto done) { ingest->query(query, std::move(done)); });
        REQUIRE(page);
        return page->points;
    }

    std::int64_t shown(const char* name) {
        const CurrentValue* current = at("a1", name).current_value(0);
        return current == nullptr ? -1 : std::get<std::int64_t>(current->value.data);
    }

    /// Publishes, wants success for PUBACK, and gives the reply.
    Json ask(Client& client, const char* rest, const std::string& params) {
        client.received.clear();
        CHECK(client.acknowledged(client.request(rest, params)) == ReasonCode::success);
        world.run_for(100ms);
        return client.last(std::string(rest) + "_reply");
    }

    std::int64_t now() { return machine().wall().ms; }
};

std::string value(std::int64_t value, std::int64_t time_ms) {
    return R"({"value":)" + std::to_string(value) + R"(,"time":)" + std::to_string(time_ms) + "}";
}

std::string identity(const char* key, const char* name) {
    return std::string(R"("identity":{"productKey":")") + key + R"(","deviceName":")" + name + "\"}";
}

std::string repeated(const std::string& text, std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i)
        out += (i == 0 ? "" : ",") + text;
    return out;
}

} // namespace

TEST_CASE("[bulk-1.1] a batch keeps every value with its time, shows the newest, and lists what does not fit"
) {
    BulkRig rig;
    Client client(rig, "a1", "d1");
    const std::int64_t t = rig.now();
    const Json reply = rig.ask(
        client,
        batch,
        R"({"properties":{"level":[)" + value(3, t - 10) + "," + value(2, t - 20) +
            R"(,{"value":"x","time":1}],"none":[)" + value(1, 1) +
            R"(],"seen":[5,{"value":6,"time":-1}]},"events":{"alarm":[{"value":{"code":3},"time":)" +
            std::to_string(t - 5) + R"(},{"code":4},{"value":{"code":99}}],"noevent":[{"value":{}}]}})"
    );
    CHECK(reply["code"].as_int() == 200);
    CHECK(reply["data"]["none"].as_string() == "tsl parse: params not exist");
    CHECK(reply["data"]["seen"].as_string() == "time is not UTC milliseconds");
    CHECK(reply["data"]["level"].as_string().find("not int") != std::string_view::npos);
    CHECK(reply["data"]["noevent"].as_string() == "tsl parse: event not exist");
    CHECK(reply["data"]["alarm"].as_string().starts_with("code: "));
    const auto level = rig.points("a1", "d1");
    REQUIRE(level.size() == 2);
    CHECK(level[0].time_ms == t - 20);
    CHECK_FALSE(level[0].replayed);
    CHECK(rig.points("a1", "d1", 1).size() == 1);
    CHECK(rig.points("a1", "d1", event_column).size() == 3);
    CHECK(rig.shown("d1") == 3);
    CHECK(rig.ask(client, batch, "[]")["code"].as_int() == 460);
    CHECK(
        rig.ask(client, batch, R"({"properties":{"level":[)" + repeated(value(1, t), 200) + "]}}")["code"]
            .as_int() == 200
    );
    CHECK(
        rig.ask(client, batch, R"({"properties":{"level":[)" + repeated(value(1, t), 201) + "]}}")["code"]
            .as_int() == 6106
    );
    CHECK(
        rig.ask(client, batch, R"({"events":{"alarm":[)" + repeated(R"({"code":1})", 20) + "]}}")["code"]
            .as_int() == 200
    );
    CHECK(
        rig.ask(client, batch, R"({"events":{"alarm":[)" + repeated(R"({"code":1})", 21) + "]}}")["code"]
            .as_int() == 6356
    );
    CHECK(rig.points("a1", "d1").size() == 202);
}

TEST_CASE("[bulk-1.2] a pack speaks for sub-devices that are logged in; others are named and cost nobody else"
) {
    BulkRig rig;
    Client gateway(rig, "gw", "g1");
    const auto sub = [](const char* key, const char* name, int level) {
        return "{" + identity(key, name) + R"(,"properties":{"level":)" + std::to_string(level) + "}}";
    };
    CHECK(gateway.acknowledged(gateway.login("login", claim("a1", "d1"))) == ReasonCode::success);
    const Json reply = rig.ask(
        gateway,
        pack,
        R"({"properties":{"level":1},"events":{"alarm":{"value":{"code":1},"time":5}},"subDevices":[)" +
            sub("a1", "d1", 11) + "," + sub("a1", "d2", 12) + "," + sub("a1", "d3", 13) + "," +
            sub("a1", "d9", 14) + R"(,{)" + identity("a1", "d1") +
            R"(,"properties":{"seen":"x","note":"y"}}]})"
    );
    CHECK(reply["code"].as_int() == 200);
    const auto& devices = reply["data"]["devices"].items();
    REQUIRE(devices.size() == 4);
    CHECK(devices[0]["code"].as_int() == 520);
    CHECK(devices[0]["identity"]["deviceName"].as_string() == "d2");
    CHECK(devices[1]["code"].as_int() == 6401);
    CHECK(devices[2]["code"].as_int() == 6100);
    CHECK(devices[3]["data"]["seen"].as_string().find("not int") != std::string_view::npos);
    CHECK(rig.points("gw", "g1").size() == 1);
    CHECK(rig.points("gw", "g1", event_column).at(0).time_ms == 5);
    CHECK(rig.shown("d1") == 11);
    CHECK(rig.points("a1", "d1", 2).size() == 1);
    CHECK(rig.points("a1", "d2").empty());
    CHECK(rig.points("a1", "d3").empty());
    const std::string entry = sub("a1", "d1", 15);
    CHECK(rig.ask(gateway, pack, R"({"subDevices":[)" + repeated(entry, 20) + "]}")["code"].as_int() == 200);
    CHECK(rig.ask(gateway, pack, R"({"subDevices":[)" + repeated(entry, 21) + "]}")["code"].as_int() == 6357);
    CHECK(rig.points("a1", "d1").size() == 21);
    Client other(rig, "a1", "d3"); // a device speaks for nobody
    CHECK(
        rig.ask(other, pack, R"({"subDevices":[)" + entry + "]}")["data"]["devices"]
            .items()[0]["code"]
            .as_int() == 6401
    );
    CHECK(rig.points("a1", "d1").size() == 21);
}

TEST_CASE(
    "[bulk-1.3] history is stored and shown as history, never as the current value, also after a restart"
) {
    BulkRig rig;
    Client client(rig, "a1", "d1");
    const std::int64_t t = rig.now();
    const auto entry = [](const std::string& who, const std::string& what) {
        return "[{" + who + what + "}]";
    };
    const std::string first = R"("properties":[{"level":)" + value(1, t - 50) + R"(},{"level":)" +
                              value(2, t) +
                              R"(,"seen":4}],"events":[{"alarm":{"value":{"code":1},"time":7}}])";
    const Json reply = rig.ask(client, history, entry(identity("", "") + ",", first));
    CHECK(reply["code"].as_int() == 200);
    CHECK(rig.shown("d1") == -1);
    REQUIRE(rig.points("a1", "d1").size() == 2);
    CHECK(rig.points("a1", "d1")[0].replayed);
    rig.restart();
    CHECK(rig.shown("d1") == -1);
    REQUIRE(rig.world.run_until([&] { return client.link().up(); }, 60s));
    client.request("thing/event/property/post", R"({"level":)" + value(9, t - 20) + "}");
    rig.world.run_for(2s);
    CHECK(rig.shown("d1") == 9); // though history holds a newer one
    rig.restart();
    CHECK(rig.shown("d1") == 9);
    REQUIRE(rig.wait<void>([&](auto done) {
        rig.registry->set_desired(rig.at("a1", "d1"), {{0, {std::int64_t{5}}}}, 1, std::move(done));
    }));
    REQUIRE(rig.world.run_until([&] { return client.link().up(); }, 60s));
    rig.ask(client, history, entry("", R"("properties":[{"level":)" + value(5, t) + "}]"));
    CHECK(rig.at("a1", "d1").desired_value(0)->state == DesiredState::pending);
    CHECK(rig.ask(client, history, entry(identity("a1", "d2") + ",", first))["code"].as_int() == 6401);
    CHECK(rig.ask(client, history, "{}")["code"].as_int() == 460);
    const auto many = [&](std::size_t count) {
        return entry("", R"("properties":[)" + repeated(R"({"level":)" + value(1, t) + "}", count) + "]");
    };
    CHECK(rig.ask(client, history, many(5'000))["code"].as_int() == 200);
    CHECK(rig.ask(client, history, many(5'001))["code"].as_int() == 6106);
    CHECK(rig.points("a1", "d1").size() == 5'004);
}

TEST_CASE("[bulk-1.4] a post is acknowledged when the last of its records is durable, and with none lost") {
    BulkRig rig;
    Client gateway(rig, "gw", "g1");
    Json logins = Json::array();
    logins.push(claim("a1", "d1"));
    logins.push(claim("a1", "d2"));
    REQUIRE(
        gateway.acknowledged(gateway.login("batch_login", Json::object({{"deviceList", logins}}))) ==
        ReasonCode::success
    );
    rig.world.run_for(3s);
    const std::string params = R"({"properties":{"level":1},"subDevices":[{)" + identity("a1", "d1") +
                               R"(,"properties":{"level":2}},{)" + identity("a1", "d2") +
                               R"(,"events":{"alarm":{"code":3}}}]})";
    rig.fault(io::DiskFault::Kind::slow, "/data/ingress/seg", 2s);
    const auto slow = gateway.request(pack, params);
    rig.world.run_for(1s);
    CHECK_FALSE(gateway.settled(slow));
    CHECK(gateway.last("/pack/post_reply").is_null());
    CHECK(gateway.acknowledged(slow) == ReasonCode::success);
    rig.machine().disk().clear_faults();
    rig.restart(true);
    CHECK(rig.points("gw", "g1").size() == 1);
    CHECK(rig.points("a1", "d1").size() == 1);
    CHECK(rig.points("a1", "d2", event_column).size() == 1);
    REQUIRE(rig.world.run_until([&] { return gateway.link().up(); }, 60s));
    gateway.login("batch_login", Json::object({{"deviceList", logins}}));
    rig.world.run_for(3s);
    gateway.received.clear();
    rig.fault(io::DiskFault::Kind::no_space, "/data/ingress/");
    CHECK(gateway.acknowledged(gateway.request(pack, params)) == ReasonCode::quota_exceeded);
    rig.world.run_for(1s);
    CHECK(gateway.last("/pack/post_reply").is_null());
}
