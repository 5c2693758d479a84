// What a device asked to be kept outlives the hub's process.

#include "door_rig.h"

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;
using mqtt::ProtocolVersion;
using mqtt::ReasonCode;

namespace {

const std::string topics = "/a1/d1/user/#";

struct KeptRig : DoorRig {
    KeptRig() {
        product("a1");
        device("a1", "d1");
        device("a1", "d2");
    }
};

} // namespace

TEST_CASE("[F-05] a device's session, and what waits in it, is there after kill -9 and a power cut") {
    for (const ProtocolVersion version : {ProtocolVersion::v5, ProtocolVersion::v311}) {
        for (const bool power_cut : {false, true}) {
            CAPTURE(power_cut);
            KeptRig rig;
            {
                Client device(rig, "a1", "d1", version, keep_session);
                CHECK_FALSE(device.resumed);
                REQUIRE(device.subscribe(topics) == ReasonCode::granted_qos1);
                device.acknowledges = false;
                CHECK(rig.hub_says("/a1/d1/user/get", "not acknowledged") == 1);
                REQUIRE(rig.world.run_until([&] { return device.received.size() == 1; }, 5s));
            }
            rig.world.run_for(1s);
            CHECK(rig.hub_says("/a1/d1/user/get", "while it is away") == 1);
            rig.world.run_for(1s);
            rig.restart(power_cut);
            Client back(rig, "a1", "d1", version, keep_session);
            CHECK(back.resumed);
            REQUIRE(rig.world.run_until([&] { return back.received.size() == 2; }, 5s));
            CHECK(back.received[0].second == "not acknowledged");
            CHECK(back.received[1].second == "while it is away");
            // It reports and is answered as before: its session knows whose it is.
            CHECK(
                back.acknowledged(back.request("thing/event/property/post", R"({"level":1})")) ==
                ReasonCode::success
            );
        }
    }
}

TEST_CASE("[B-40] at a start the sessions of devices that are disabled or gone are dropped") {
    KeptRig rig;
    for (const char* name : {"d1", "d2"}) {
        Client device(rig, "a1", name, ProtocolVersion::v5, keep_session);
        REQUIRE(device.subscribe("/a1/" + std::string(name) + "/user/#") == ReasonCode::granted_qos1);
    }
    rig.world.run_for(1s);
    REQUIRE(rig.access->broker().stats().sessions == 2);
    // The hub dies before it can end the session.
    REQUIRE(rig.wait<void>([&](auto done) {
        rig.registry->set_enabled(rig.at("a1", "d1"), false, std::move(done));
    }));
    rig.restart();
    CHECK(rig.access->broker().stats().sessions == 1);
    CHECK(rig.access->broker().stats().subscriptions == 1);
    rig.world.run_for(1s);
    rig.restart(true); // and they do not come back
    CHECK(rig.access->broker().stats().sessions == 1);
}

TEST_CASE("a device that asks for nothing to be kept leaves nothing") {
    KeptRig rig;
    {
        Client device(rig, "a1", "d1", ProtocolVersion::v5, [](mqtt::ClientOptions& options) {
            options.clean_start = true;
            options.session_expiry_s = 0;
        });
        REQUIRE(device.subscribe(topics) == ReasonCode::granted_qos1);
    }
    rig.world.run_for(1s);
    rig.restart();
    CHECK(rig.access->broker().stats().sessions == 0);
}

TEST_CASE("[B-43] a device's will that was due while the hub was down is sent in its name") {
    KeptRig rig;
    Client witness(rig, "a1", "d2", ProtocolVersion::v5, keep_session);
    REQUIRE(witness.subscribe("/a1/d2/user/#") == ReasonCode::granted_qos1);
    auto will = std::make_shared<Message>();
    will->topic = "/sys/a1/d1/thing/event/property/post";
    will->payload = R"({"id":"1","version":"1.0","params":{"level":7}})";
    will->qos = 1;
    {
        Client device(rig, "a1", "d1", ProtocolVersion::v5, [&](mqtt::ClientOptions& options) {
            keep_session(options);
            options.will = will;
            options.will_delay_s = 5;
        });
        rig.world.run_for(1s);
        rig.restart();
    }
    rig.world.run_for(30s);
    CHECK(rig.at("a1", "d1").current.size() == 1);
}
