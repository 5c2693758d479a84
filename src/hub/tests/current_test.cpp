// Which value is shown as the current one, also over restarts; desired values that outlive an absence.

#include "door_rig.h"
#include "store/sqlite_history.h"

using namespace brim;
using namespace brim::hub;
using namespace brim::hub::test;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t minute_ms = 60'000;

struct CurrentRig : DoorRig {
    CurrentRig() {
        product("a1");
        device("a1", "d1");
    }

    std::int64_t now() { return machine().wall().ms; }

    /// Reports "level" with a time of its own.
    void report(Client& client, std::int64_t value, std::int64_t time_ms) {
        const std::string params =
            R"({"level":{"value":)" + std::to_string(value) + R"(,"time":)" + std::to_string(time_ms) + "}}";
        CHECK(
            client.acknowledged(client.request("thing/event/property/post", params)) ==
            mqtt::ReasonCode::success
        );
    }

    /// A report out of an edge's backlog.
    void replay(std::int64_t value, std::int64_t time_ms) {
        UplinkMark mark{at("a1", "d1").id, std::string(32, 'a'), ++replayed, 1, true, {}};
        REQUIRE(wait<void>([&](auto done) {
            ingest->report(at("a1", "d1"), {{0, {value}, time_ms}}, std::move(mark), std::move(done));
        }));
    }

    std::int64_t shown() {
        const CurrentValue* current = at("a1", "d1").current_value(0);
        return current == nullptr ? -1 : std::get<std::int64_t>(current->value.data);
    }

    /// What is shown before and after the program ends: at once, and after history has all.
    void check_shown(std::int64_t value) {
        CHECK(shown() == value);
        restart();
        CHECK_MESSAGE(shown() == value, "from the log");
        world.run_for(2s);
        restart();
        CHECK_MESSAGE(shown() == value, "from history");
    }

    std::uint64_t replayed = 0;
};

} // namespace

TEST_CASE("[current-1.1] a value stamped ahead of the hub's clock gives way to what comes after it") {
    CurrentRig rig;
    Client client(rig, "a1", "d1");
    rig.report(client, 1, rig.now() + 5 * minute_ms);
    CHECK(rig.shown() == 1);
    rig.report(client, 2, rig.now());
    rig.check_shown(2);
    REQUIRE(rig.world.run_until([&] { return client.link().up(); }, 60s));
    rig.world.run_for(10s);
    rig.report(client, 3, rig.now());
    rig.check_shown(3);
    rig.world.run_for(6min);
    REQUIRE(rig.world.run_until([&] { return client.link().up(); }, 60s));
    rig.report(client, 4, rig.now()); // newer than the one ahead: nothing special any more
    rig.check_shown(4);
    CHECK(rig.world.log_text().find("unreadable") == std::string::npos);
}

TEST_CASE(
    "[current-1.2] an older value does not replace a newer one whose time has come, nor a replayed one any"
) {
    CurrentRig rig;
    Client client(rig, "a1", "d1");
    const std::int64_t begin = rig.now();
    rig.report(client, 1, begin);
    rig.report(client, 2, begin - minute_ms);
    CHECK(rig.shown() == 1);
    rig.report(client, 3, rig.now() + minute_ms);
    rig.replay(4, begin - minute_ms);
    CHECK(rig.shown() == 3);
    rig.check_shown(3);
    rig.world.run_for(2min);
    REQUIRE(rig.world.run_until([&] { return client.link().up(); }, 60s));
    rig.report(client, 5, begin + minute_ms / 2);
    rig.check_shown(3);
}

TEST_CASE("[current-1.3] a hub whose clock is set back an hour goes on showing new values") {
    CurrentRig rig;
    Client client(rig, "a1", "d1");
    rig.report(client, 1, rig.now());
    const std::int64_t device_clock = rig.now();
    rig.machine().jump_wall(-5min);
    rig.report(client, 2, device_clock + 1'000);
    rig.report(client, 3, device_clock + 2'000);
    rig.check_shown(3);
}

TEST_CASE("[current-1.4] a forgotten device leaves no note behind") {
    CurrentRig rig;
    {
        Client client(rig, "a1", "d1");
        rig.report(client, 1, rig.now() + 5 * minute_ms);
        rig.report(client, 2, rig.now());
        rig.world.run_for(2s);
    }
    const DeviceId id = rig.at("a1", "d1").id;
    rig.access->kick(rig.at("a1", "d1"), mqtt::ReasonCode::administrative_action, "deleted");
    REQUIRE(rig.wait<void>([&](auto done) {
        rig.registry->delete_device(rig.at("a1", "d1"), std::move(done));
    }));
    REQUIRE(rig.wait<void>([&](auto done) { rig.ingest->forget_device(id, std::move(done)); }));
    rig.device("a1", "d2");
    Client other(rig, "a1", "d2");
    rig.report(other, 1, rig.now());
    rig.world.run_for(2s);
    rig.close();
    auto history = store::open_sqlite_history(rig.machine().env().disk(), "/data/history.db");
    REQUIRE(history);
    const auto notes = (*history)->notes();
    REQUIRE(notes);
    for (const store::HistoryNote& note : *notes)
        CHECK_FALSE(note.name.starts_with("current/"));
    CHECK(*(*history)->point_count() == 1);
}

TEST_CASE("[desired-1.1] a set that the gateway answers with 109001 stays pending and goes out again") {
    CurrentRig rig;
    rig.product("gw", true);
    rig.device("gw", "g1");
    REQUIRE(rig.wait<void>([&](auto done) {
        rig.registry->bind(rig.at("a1", "d1"), &rig.at("gw", "g1"), std::move(done));
    }));
    Client gateway(rig, "gw", "g1");
    const auto login = [&] {
        CHECK(gateway.acknowledged(gateway.login("login", claim("a1", "d1"))) == mqtt::ReasonCode::success);
    };
    const auto refuse = [&](const Json& request, int code) {
        gateway.publish(
            "/sys/a1/d1/thing/service/property/set_reply",
            R"({"id":")" + std::string(request["id"].as_string()) + R"(","code":)" + std::to_string(code) +
                R"(,"data":{}})"
        );
        rig.world.run_for(1s);
    };
    constexpr const char* topic = "/property/set";
    login();
    REQUIRE(rig.wait<bool>([&](auto done) {
        rig.access->downlink().set_properties(
            rig.at("a1", "d1"), *Json::parse(R"({"level":4})"), std::move(done)
        );
    }));
    rig.world.run_for(1s);
    REQUIRE(gateway.count(topic) == 1);
    refuse(gateway.last(topic), 109'001);
    CHECK(rig.at("a1", "d1").desired_value(0)->state == DesiredState::pending);
    CHECK(gateway.count(topic) == 1);
    gateway.login("logout", claim("a1", "d1"));
    login();
    rig.world.run_for(1s);
    REQUIRE(gateway.count(topic) == 2);
    CHECK(gateway.last(topic)["params"]["level"].as_int() == 4);
    // The device was gone and is back before the gateway's answer arrives.
    const Json late = gateway.last(topic);
    gateway.login("logout", claim("a1", "d1"));
    login();
    rig.world.run_for(1s);
    REQUIRE(gateway.count(topic) == 3);
    refuse(late, 109'001);
    CHECK(gateway.count(topic) == 4);
    // Gone and back without a login in between: only time tells.
    refuse(gateway.last(topic), 109'001);
    CHECK(gateway.count(topic) == 4);
    rig.world.run_for(5s);
    CHECK(gateway.count(topic) == 5);
    refuse(gateway.last(topic), 460);
    rig.world.run_for(10s);
    CHECK(gateway.count(topic) == 5);
    CHECK(rig.at("a1", "d1").desired_value(0)->state == DesiredState::failed);
}

TEST_CASE("[desired-1.2] the version of a desired value goes on after it was deleted, also over restarts") {
    CurrentRig rig;
    const auto set = [&] {
        REQUIRE(rig.wait<void>([&](auto done) {
            rig.registry->set_desired(rig.at("a1", "d1"), {{0, {std::int64_t{4}}}}, 1, std::move(done));
        }));
        return rig.at("a1", "d1").desired_value(0)->version;
    };
    const auto clear = [&](std::int64_t version) {
        REQUIRE(rig.wait<void>([&](auto done) {
            rig.registry->clear_desired(rig.at("a1", "d1"), {{0, version}}, std::move(done));
        }));
        return rig.at("a1", "d1").desired_value(0) == nullptr;
    };
    CHECK(set() == 1);
    CHECK(set() == 2);
    CHECK_FALSE(clear(1));
    CHECK(clear(2));
    CHECK(set() == 3);
    CHECK(clear(-1));
    rig.restart(true);
    CHECK(set() == 4);
    rig.restart(true);
    CHECK(clear(4));
    rig.restart(true);
    CHECK(clear(-1));
    CHECK(set() == 5);
}
