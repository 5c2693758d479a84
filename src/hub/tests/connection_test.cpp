// What an operator sees of a device's connection, and how they end it.

#include "door_rig.h"

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;
using mqtt::ReasonCode;

namespace {

struct ConnectionRig : DoorRig {
    ConnectionRig() {
        product("gw", true);
        product("a1");
        device("gw", "g1");
        device("a1", "d1");
    }

    std::optional<mqtt::SessionView> session_of(const char* key, const char* name) {
        std::optional<mqtt::SessionView> seen;
        access->visit_session(
            at(key, name),
            [&](const mqtt::SessionView& session, const std::optional<io::Peer>& peer) {
                CHECK(peer.has_value() == session.is_online);
                seen = session;
            }
        );
        return seen;
    }
};

} // namespace

TEST_CASE("a connection that an operator ends is gone at once; what waits for the device stays") {
    ConnectionRig rig;
    Device& device = rig.at("a1", "d1");
    CHECK_FALSE(rig.session_of("a1", "d1").has_value());
    CHECK_FALSE(rig.access->disconnect(device)); // it is not there
    Client client(rig, "a1", "d1", mqtt::ProtocolVersion::v5, keep_session);
    REQUIRE(client.subscribe("/a1/d1/user/#") == ReasonCode::granted_qos1);
    REQUIRE(rig.session_of("a1", "d1").has_value());
    CHECK(rig.session_of("a1", "d1")->is_online);
    CHECK(rig.access->carrier(device) == &device);

    CHECK(rig.access->disconnect(device));
    CHECK(rig.access->carrier(device) == nullptr);
    CHECK_FALSE(device.online);
    CHECK(device.reason == "ended");
    CHECK(rig.hub_says("/a1/d1/user/get", "waits") == 1);
    CHECK(rig.session_of("a1", "d1")->queued == 1);
    CHECK_FALSE(rig.session_of("a1", "d1")->is_online);
    CHECK_FALSE(rig.access->disconnect(device));
    // It is not forbidden to come back, and gets what waited.
    REQUIRE(rig.world.run_until([&] { return client.received.size() == 1; }, 30s));
    CHECK(client.resumed);
    CHECK(device.online);
}

TEST_CASE("a sub-device that an operator logs out is named to its gateway, whose own connection stays") {
    ConnectionRig rig;
    REQUIRE(rig.wait<void>([&](auto done) {
        rig.registry->bind(rig.at("a1", "d1"), &rig.at("gw", "g1"), std::move(done));
    }));
    Client gateway(rig, "gw", "g1");
    REQUIRE(gateway.acknowledged(gateway.login("login", claim("a1", "d1"))) == ReasonCode::success);
    Device& device = rig.at("a1", "d1");
    CHECK(rig.access->carrier(device) == &rig.at("gw", "g1"));
    CHECK_FALSE(rig.session_of("a1", "d1").has_value());

    CHECK(rig.access->disconnect(device));
    CHECK(rig.access->carrier(device) == nullptr);
    CHECK_FALSE(device.online);
    rig.world.run_for(1s);
    const Json told = gateway.last("/ext/error/gw/g1");
    CHECK(told["code"].as_int() == 520);
    CHECK(told["data"]["deviceName"].as_string() == "d1");
    CHECK(gateway.link().up());
    REQUIRE(gateway.acknowledged(gateway.login("login", claim("a1", "d1"))) == ReasonCode::success);
    CHECK(device.online);
}
