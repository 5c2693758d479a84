// A device that is disabled is out at once, and nothing that was on its way to or from it goes on: at the
// door of devices, as service_test.cpp of the broker shows it for users.

#include "door_rig.h"

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;
using mqtt::ReasonCode;

namespace {

const std::string revoked_topics = "/a1/d1/user/#";

struct RevokeRig : DoorRig {
    RevokeRig() {
        product("gw", true);
        product("a1");
        device("gw", "g1");
        device("a1", "d1");
        device("a1", "d2");
    }

    /// Without ending its connection: the right alone is gone.
    void forbid(Device& device) {
        REQUIRE(wait<void>([&](auto done) { registry->set_enabled(device, false, std::move(done)); }));
    }

    /// As POST .../disable of the API does it.
    void disable(Device& device) {
        registry->set_enabled(device, false, [](const Result<void>& stored) { CHECK(stored); });
        access->kick(device, ReasonCode::administrative_action, "disabled");
    }

    void enable(Device& device) {
        REQUIRE(wait<void>([&](auto done) { registry->set_enabled(device, true, std::move(done)); }));
    }

    mqtt::BrokerStats stats() const { return access->broker().stats(); }
};

Message retained(const std::string& topic) {
    Message message;
    message.topic = topic;
    message.payload = "kept";
    message.qos = 1;
    message.retain = true;
    return message;
}

} // namespace

TEST_CASE("[B-40] the right of a disabled device counts at the next message, and its connection ends within "
          "a second") {
    RevokeRig rig;
    Client device(rig, "a1", "d1");
    REQUIRE(device.subscribe(revoked_topics) == ReasonCode::granted_qos1);
    REQUIRE(device.subscribe("/broadcast/a1/#") == ReasonCode::granted_qos1);
    rig.hub_says("/a1/d1/user/x", "before");
    REQUIRE(rig.world.run_until([&] { return device.received.size() == 1; }, 1s));
    rig.forbid(rig.at("a1", "d1"));
    rig.hub_says("/a1/d1/user/x", "after");
    rig.hub_says("/broadcast/a1/x", "to all");
    rig.world.run_for(2s);
    CHECK(device.received.size() == 1);
    CHECK(device.acknowledged(device.publish("/a1/d1/user/y", "z")) == ReasonCode::not_authorized);
    CHECK(device.subscribe("/a1/d1/user/other") == ReasonCode::not_authorized);
    rig.disable(rig.at("a1", "d1"));
    REQUIRE(rig.world.run_until([&] { return !device.link().up(); }, 1s));
    rig.world.run_for(5s);
    CHECK_FALSE(device.link().up()); // it tries, and is refused
    CHECK(rig.stats().connections == 0);
    CHECK(
        rig.machine().env().metrics().text().find(R"(result="refused",reason="disabled")") !=
        std::string::npos
    );
}

TEST_CASE("[B-40] what waits for a device that is away when it is disabled is gone, with its session") {
    RevokeRig rig;
    Client device(rig, "a1", "d1", mqtt::ProtocolVersion::v5, keep_session);
    REQUIRE(device.subscribe(revoked_topics) == ReasonCode::granted_qos1);
    device.link().stop();
    rig.world.run_for(1s);
    rig.hub_says("/a1/d1/user/x", "waits");
    REQUIRE(rig.stats().queued == 1);
    rig.disable(rig.at("a1", "d1"));
    rig.world.run_for(1s);
    CHECK(rig.stats().queued == 0);
    CHECK(rig.stats().sessions == 0);
    rig.enable(rig.at("a1", "d1"));
    device.link().start();
    REQUIRE(rig.world.run_until([&] { return device.link().up(); }, 60s));
    rig.world.run_for(2s);
    CHECK_FALSE(device.resumed);
    CHECK(device.received.empty());
}

TEST_CASE("[B-40] a message that a device had not acknowledged when it was disabled does not come again") {
    RevokeRig rig;
    Client device(rig, "a1", "d1", mqtt::ProtocolVersion::v5, keep_session);
    device.acknowledges = false;
    REQUIRE(device.subscribe(revoked_topics) == ReasonCode::granted_qos1);
    rig.hub_says("/a1/d1/user/x", "half");
    REQUIRE(rig.world.run_until([&] { return device.received.size() == 1; }, 1s));
    rig.disable(rig.at("a1", "d1"));
    REQUIRE(rig.world.run_until([&] { return !device.link().up(); }, 1s));
    rig.enable(rig.at("a1", "d1"));
    REQUIRE(rig.world.run_until([&] { return device.link().up(); }, 60s));
    rig.world.run_for(2s);
    CHECK_FALSE(device.resumed);
    CHECK(device.received.size() == 1);
}

TEST_CASE("[B-41] what a disabled sub-device left is withheld from its gateway: retained, live, subscriptions"
) {
    RevokeRig rig;
    Client gateway(rig, "gw", "g1");
    REQUIRE(rig.wait<void>([&](auto done) {
        rig.registry->bind(rig.at("a1", "d1"), &rig.at("gw", "g1"), std::move(done));
    }));
    const auto logged_in = gateway.login("login", claim("a1", "d1"));
    REQUIRE(gateway.acknowledged(logged_in) == ReasonCode::success);
    REQUIRE(rig.world.run_until([&] { return rig.at("a1", "d1").online; }, 10s));
    REQUIRE_FALSE(mqtt::is_failure(gateway.acknowledged(gateway.publish(retained("/a1/d1/user/kept")))));
    CHECK(rig.stats().retained == 1);
    REQUIRE(gateway.subscribe(revoked_topics) == ReasonCode::granted_qos1);
    REQUIRE(rig.world.run_until([&] { return gateway.count("/user/kept") == 1; }, 10s));
    rig.disable(rig.at("a1", "d1"));
    rig.hub_says("/a1/d1/user/x", "live");
    CHECK(gateway.subscribe(revoked_topics) == ReasonCode::not_authorized);
    CHECK(gateway.acknowledged(gateway.publish("/a1/d1/user/y", "z")) == ReasonCode::not_authorized);
    rig.world.run_for(2s);
    CHECK(gateway.count("/user/kept") == 1);
    CHECK(gateway.count("/user/x") == 0);
    CHECK(gateway.link().up());
}

TEST_CASE("[B-41] [B-43] a will is judged like any message when it is due, not when it was given") {
    RevokeRig rig;
    std::string topic = "/a1/d1/user/gone";
    std::size_t wanted = 0;
    bool is_disabled = false;
    SUBCASE("of a device that may") {
        wanted = 1;
    }
    SUBCASE("of a device that is disabled") {
        is_disabled = true;
    }
    SUBCASE("for another device's topic") {
        topic = "/a1/d2/user/gone";
    }
    SUBCASE("for what only the hub says") {
        topic = "/broadcast/a1/x";
    }
    Client device(rig, "a1", "d1", mqtt::ProtocolVersion::v5, [topic](mqtt::ClientOptions& options) {
        options.will = std::make_shared<const Message>(retained(topic));
    });
    if (is_disabled)
        rig.disable(rig.at("a1", "d1"));
    else
        rig.access->kick(rig.at("a1", "d1"), ReasonCode::administrative_action, "kicked");
    rig.world.run_for(2s);
    CHECK(rig.stats().retained == wanted);
}
