// What a gateway or device asks to be stored is acknowledged when it is, and only then.

#include "door_rig.h"

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;
using mqtt::ReasonCode;

namespace {

constexpr Duration slow_sync = 2s;

struct GatewayRig : DoorRig {
    explicit GatewayRig(RegistryLimits given = {}) : DoorRig(given) {
        product("gw", true);
        product("a1");
        for (const char* name : {"g1", "g2"})
            device("gw", name);
        for (const char* name : {"d1", "d2", "d3"})
            device("a1", name);
        world.run_for(5s); // what is saved lazily is saved
    }

    void slow_database() { fault(io::DiskFault::Kind::slow, "/data/hub.db", slow_sync); }

    void full_database() { fault(io::DiskFault::Kind::no_space, "/data/hub.db"); }

    void heal() { machine().disk().clear_faults(); }

    Result<void> bound(const char* name, const char* gateway) {
        return wait<void>([&](auto done) {
            registry->bind(at("a1", name), &at("gw", gateway), std::move(done));
        });
    }
};

std::string claims(std::initializer_list<const char*> names) {
    Json list = Json::array();
    for (const char* name : names)
        list.push(claim("a1", name));
    return list.text();
}

/// Nothing is acknowledged or answered while the database is busy with it; both come after the commit.
void check_waits(GatewayRig& rig, Client& client, std::uint64_t tag, const char* reply) {
    rig.world.run_for(1s);
    CHECK_FALSE(client.settled(tag));
    CHECK(client.last(reply).is_null());
    CHECK(client.acknowledged(tag) == ReasonCode::success);
    rig.world.run_for(100ms);
    CHECK(client.last(reply)["code"].as_int() == 200);
}

void check_refused(GatewayRig& rig, Client& client, std::uint64_t tag, const char* reply) {
    CHECK(client.acknowledged(tag) == ReasonCode::quota_exceeded);
    rig.world.run_for(100ms);
    CHECK(client.last(reply)["code"].as_int() == 500);
}

} // namespace

TEST_CASE("[ack-1.1] topology changes are acknowledged after their commit, all of one request in one") {
    GatewayRig rig;
    Client gateway(rig, "gw", "g1");
    rig.world.run_for(3s);
    rig.slow_database();
    check_waits(rig, gateway, gateway.request("thing/topo/add", claims({"d1", "d2"})), "/topo/add_reply");
    rig.heal();
    rig.restart(true);
    CHECK(rig.at("a1", "d1").gateway == rig.at("gw", "g1").id);
    CHECK(rig.at("a1", "d2").gateway == rig.at("gw", "g1").id);
    REQUIRE(rig.world.run_until([&] { return gateway.link().up(); }, 60s));
    rig.world.run_for(3s);
    rig.slow_database();
    check_waits(rig, gateway, gateway.request("thing/topo/delete", claims({"d1"})), "/topo/delete_reply");
    rig.heal();
    rig.restart(true);
    CHECK(rig.at("a1", "d1").gateway == 0);
    CHECK(rig.at("a1", "d2").gateway == rig.at("gw", "g1").id);
}

TEST_CASE(
    "[ack-1.2] a topology change the disk refuses has no PUBACK of success, an error reply, and no effect"
) {
    GatewayRig rig;
    REQUIRE(rig.bound("d1", "g2"));
    Client gateway(rig, "gw", "g1");
    Client old(rig, "gw", "g2");
    rig.world.run_for(3s);
    rig.full_database();
    check_refused(rig, gateway, gateway.request("thing/topo/add", claims({"d1", "d2"})), "/topo/add_reply");
    CHECK(rig.at("a1", "d1").gateway == rig.at("gw", "g2").id);
    CHECK(rig.at("a1", "d2").gateway == 0);
    CHECK(old.last("/topo/change")["params"]["status"].as_int(-1) == 0); // it has its device again
    check_refused(rig, old, old.request("thing/topo/delete", claims({"d1"})), "/topo/delete_reply");
    CHECK(rig.at("a1", "d1").gateway == rig.at("gw", "g2").id);
    rig.heal();
    CHECK(
        gateway.acknowledged(gateway.request("thing/topo/add", claims({"d1", "d2"}))) == ReasonCode::success
    );
    rig.restart(true);
    CHECK(rig.at("a1", "d1").gateway == rig.at("gw", "g1").id);
}

TEST_CASE(
    "[ack-1.3] a gateway holds its maximum of sub-devices and not one more, and is not thrown out for asking"
) {
    GatewayRig rig({.sub_devices_max = 2});
    Client gateway(rig, "gw", "g1", mqtt::ProtocolVersion::v311);
    CHECK(
        gateway.acknowledged(gateway.request("thing/topo/add", claims({"d1", "d2", "d3"}))) ==
        ReasonCode::success
    );
    rig.world.run_for(100ms);
    CHECK(gateway.last("/topo/add_reply")["code"].as_int() == 6400);
    CHECK(rig.at("a1", "d1").gateway == 0);
    CHECK(
        gateway.acknowledged(gateway.request("thing/topo/add", claims({"d1", "d2"}))) == ReasonCode::success
    );
    rig.world.run_for(100ms);
    CHECK(gateway.last("/topo/add_reply")["code"].as_int() == 200);
    // Those it has already need no room.
    CHECK(
        gateway.acknowledged(gateway.request("thing/topo/add", claims({"d2", "d1"}))) == ReasonCode::success
    );
    rig.world.run_for(100ms);
    CHECK(gateway.last("/topo/add_reply")["code"].as_int() == 200);
    CHECK(rig.at("gw", "g1").online);
}

TEST_CASE(
    "[ack-1.4] the login that activates a device is acknowledged when that is stored, later ones at once"
) {
    GatewayRig rig;
    REQUIRE(rig.bound("d1", "g1"));
    Client gateway(rig, "gw", "g1");
    rig.world.run_for(3s);
    rig.full_database();
    check_refused(rig, gateway, gateway.login("login", claim("a1", "d1")), "/combine/login_reply");
    CHECK(rig.at("a1", "d1").status() == Status::unactivated);
    rig.heal();
    gateway.received.clear();
    rig.slow_database();
    check_waits(rig, gateway, gateway.login("login", claim("a1", "d1")), "/combine/login_reply");
    CHECK(rig.at("a1", "d1").status() == Status::online);
    rig.heal();
    rig.restart(true);
    CHECK(rig.at("a1", "d1").activated);
    REQUIRE(rig.world.run_until([&] { return gateway.link().up(); }, 60s));
    rig.world.run_for(3s);
    rig.full_database();
    CHECK(gateway.acknowledged(gateway.login("login", claim("a1", "d1"))) == ReasonCode::success);
    CHECK(rig.at("a1", "d1").online);
}

TEST_CASE("[ack-1.5] deleting desired values is acknowledged after the commit") {
    GatewayRig rig;
    const auto set = [&] {
        return rig.wait<void>([&](auto done) {
            rig.registry->set_desired(rig.at("a1", "d1"), {{0, {std::int64_t{4}}}}, 1, std::move(done));
        });
    };
    REQUIRE(set());
    Client device(rig, "a1", "d1");
    rig.world.run_for(3s);
    rig.full_database();
    constexpr const char* reply = "/desired/delete_reply";
    check_refused(rig, device, device.request("thing/property/desired/delete", R"({"level":{}})"), reply);
    CHECK(rig.at("a1", "d1").desired_value(0) != nullptr);
    rig.heal();
    device.received.clear();
    rig.slow_database();
    check_waits(rig, device, device.request("thing/property/desired/delete", R"({"level":{}})"), reply);
    rig.heal();
    rig.restart(true);
    CHECK(rig.at("a1", "d1").desired_value(0) == nullptr);
}
