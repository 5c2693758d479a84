// The gateway as a whole: bus rules, downlink, last values, a full buffer, stopping, and a clock of 1970.

#include "support_rig.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace brim;
using namespace brim::edge;
using namespace brim::edge::test;
using namespace std::chrono_literals;

namespace {

void start_all(Rig& rig) {
    rig.start_hub();
    rig.start_edge();
    rig.start_driver();
    REQUIRE(rig.ready(10s));
    REQUIRE(rig.world.run_until(
        [&] { return rig.edge->uplink().sessions().open_count() == rig.devices.size(); }, 30s
    ));
}

Json last_reply(Rig& rig, const std::string& topic) {
    for (auto at = rig.recorder.replies.rbegin(); at != rig.recorder.replies.rend(); ++at) {
        if (at->first != topic)
            continue;
        const auto json = Json::parse(at->second);
        return json ? *json : Json();
    }
    return {};
}

} // namespace

TEST_CASE("[bus-1] only the started driver with its token may connect") {
    Rig rig(1);
    rig.start_edge();
    rig.start_driver();
    REQUIRE(rig.ready(5s));
    rig.edge->dismiss_driver("pumps");
    rig.world.run_for(1s);
    CHECK_FALSE(rig.driver->ready());
    rig.edge->admit_driver("pumps", Secret("token-2"));
    rig.world.run_for(2s);
    CHECK_FALSE(rig.driver->link().up());
    rig.edge->admit_driver("pumps", Secret("token-1"));
    CHECK(rig.ready(5s));
}

TEST_CASE("[bus-2] a driver gets its configuration with models and without secrets") {
    Rig rig(2);
    rig.start_edge();
    rig.start_driver();
    REQUIRE(rig.ready(5s));
    const auto config = Json::parse(rig.driver->config);
    REQUIRE(config.has_value());
    CHECK((*config)["deviceList"].items().size() == 4);
    CHECK((*config)["models"]["a1PUMP"]["properties"].items().size() == 2);
    CHECK((*config)["config"]["kv"].as_int() == 1);
    CHECK(rig.driver->config.find("s3cret") == std::string::npos);
}

TEST_CASE("[bus-3] [bus-4] a driver may speak for its own online devices only") {
    Rig rig(3, 2);
    rig.start_edge();
    rig.start_driver();
    REQUIRE(rig.ready(5s));
    rig.driver->announce({"a1PUMP", "stranger"}, true);
    rig.world.run_for(100ms);
    CHECK(rig.driver->device_codes.back() == 109000);
    REQUIRE(rig.driver->report_from({"a1PUMP", "stranger"}, 5));
    rig.world.run_for(100ms);
    CHECK(rig.driver->refused[0x87] == 1);
    rig.driver->announce(rig.devices[0], false);
    rig.world.run_for(100ms);
    REQUIRE(rig.driver->report_from(rig.devices[0], 6));
    REQUIRE(rig.driver->report_from(rig.devices[1], 7));
    REQUIRE(rig.driver->report_from(rig.devices[1], -7)); // against the model
    rig.world.run_for(100ms);
    CHECK(rig.driver->refused[0x87] == 2);
    CHECK(rig.driver->refused[0x99] == 1);
    CHECK(rig.acked == std::set<std::int64_t>{7});
    CHECK(rig.edge->ledger().refused().at("denied") == 2);
    check_ledger(rig);
}

TEST_CASE("[bus-5] a request of the hub reaches the driver and its answer the hub, with the hub's id") {
    Rig rig(4, 2);
    start_all(rig);
    const std::string set = thing::sys_topic(rig.devices[0], "thing/service/property/set");
    rig.driver->answer_data = R"({"done":1})";
    rig.hub->ask(
        set, R"({"id":"4711","version":"1.0","params":{"Speed":7},"method":"thing.service.property.set"})"
    );
    rig.world.run_for(1s);
    CHECK(last_reply(rig, set + "_reply")["id"].as_string() == "4711");
    CHECK(last_reply(rig, set + "_reply")["code"].as_int() == 200);
    CHECK(last_reply(rig, set + "_reply")["data"]["done"].as_int() == 1);
    const auto code_of = [&](const std::string& topic, const std::string& params, Duration wait) {
        rig.hub->ask(topic, R"({"id":"1","version":"1.0","params":)" + params + R"(,"method":"m"})");
        rig.world.run_for(wait);
        return last_reply(rig, topic + "_reply")["code"].as_int();
    };
    CHECK(code_of(set, R"({"Nothing":7})", 1s) == 109002);
    CHECK(code_of(set, R"({"Temperature":7})", 1s) == 109003);
    CHECK(code_of(set, R"({"Speed":"x"})", 1s) == 460);
    const std::string flush = thing::sys_topic(rig.devices[1], "thing/service/flush");
    CHECK(code_of(flush, R"({"seconds":5})", 1s) == 200);
    CHECK(code_of(thing::sys_topic(rig.devices[1], "thing/service/unheard"), "{}", 1s) == 109005);
    CHECK(code_of(thing::sys_topic({"a1PUMP", "nobody"}, "thing/service/flush"), "{}", 1s) == 109000);
    rig.driver->answers = false;
    CHECK(code_of(flush, R"({"seconds":5})", 12s) == 100006);
    rig.hub->ask(flush, R"({"id":"9","params":{"seconds":5},"method":"m"})");
    rig.world.run_for(1s);
    rig.driver->announce(rig.devices[1], false);
    rig.world.run_for(1s);
    CHECK(last_reply(rig, flush + "_reply")["code"].as_int() == 109001);
    CHECK(code_of(flush, R"({"seconds":5})", 1s) == 109001);
}

TEST_CASE("a synchronous service comes as RRPC and is answered there") {
    Rig rig(5, 1);
    start_all(rig);
    const std::string device = "/sys/" + rig.devices[0].text();
    rig.hub->ask(
        device + "/rrpc/request/88", R"({"id":"88","params":{"seconds":5},"method":"thing.service.flush"})"
    );
    rig.hub->ask(
        "/ext/rrpc/89" + device + "/thing/service/flush",
        R"({"id":"89","params":{"seconds":5},"method":"thing.service.flush"})"
    );
    rig.world.run_for(1s);
    CHECK(last_reply(rig, device + "/rrpc/response/88")["id"].as_string() == "88");
    CHECK(last_reply(rig, "/ext/rrpc/89" + device + "/thing/service/flush")["id"].as_string() == "89");
}

TEST_CASE("last values are those acknowledged, also after a crash, a power cut and a restart") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Rig rig(seed, 1);
        rig.start_hub();
        rig.start_edge();
        for (int round = 0; round < 6; ++round) {
            if (!rig.driver)
                rig.start_driver();
            REQUIRE(rig.ready(10s));
            rig.load(10, std::chrono::milliseconds(rig.world.random().below(40'000)));
            if (round % 2 == 0)
                rig.crash_edge();
            else
                rig.power_cut();
            rig.start_edge();
            if (rig.acked.empty())
                continue;
            const auto* speed = rig.edge->twin().find(rig.devices[0], "Speed");
            REQUIRE(speed);
            CHECK(std::get<std::int64_t>(speed->value.data) >= *rig.acked.rbegin());
        }
    }
}

TEST_CASE("the last value of a device that spoke long ago survives a crash before the first snapshot") {
    Rig rig(20, 2);
    start_all(rig);
    REQUIRE(rig.driver->report_from(rig.devices[1], 777'777));
    for (int i = 0; i < 8'000; ++i) { // many log segments, all acknowledged by the hub, in less than 30 s
        REQUIRE(rig.driver->report_from(rig.devices[0], ++rig.next_value));
        rig.world.run_for(3ms);
    }
    REQUIRE(rig.drain_backlog(1s));
    rig.world.run_for(1s);
    rig.crash_edge();
    rig.start_edge();
    const auto* speed = rig.edge->twin().find(rig.devices[1], "Speed");
    REQUIRE(speed);
    CHECK(std::get<std::int64_t>(speed->value.data) == 777'777);
}

TEST_CASE("a full buffer drops the oldest and counts them exactly; what arrives and what is counted add up") {
    Rig rig(6);
    rig.config.buffer.bytes_max = 4 * 65'536;
    rig.start_hub();
    rig.world.links().partition_both("edge", "hub");
    rig.start_edge();
    rig.start_driver();
    REQUIRE(rig.ready(5s));
    rig.load(400, 10s);
    rig.world.run_for(1s);
    const std::uint64_t dropped = rig.edge->ledger().dropped().at("full");
    CHECK(dropped > 500);
    check_ledger(rig);
    rig.world.links().heal_both("edge", "hub");
    REQUIRE(rig.drain_backlog(5min));
    CHECK(rig.recorder.stored.size() + rig.edge->ledger().dropped().at("full") == rig.acked.size());
    rig.check_laws(rig.edge->ledger().dropped().at("full"));
    // Oldest first: what arrived is an unbroken run up to the newest.
    CHECK(
        rig.recorder.values.rbegin()->first - rig.recorder.values.begin()->first + 1 ==
        static_cast<std::int64_t>(rig.recorder.values.size())
    );
    check_ledger(rig);
}

TEST_CASE("a full buffer with the policy reject tells the driver and drops nothing") {
    Rig rig(7);
    rig.config.buffer.bytes_max = 4 * 65'536;
    rig.config.buffer.when_full = store::WhenFull::reject;
    rig.start_hub();
    rig.world.links().partition_both("edge", "hub");
    rig.start_edge();
    rig.start_driver();
    REQUIRE(rig.ready(5s));
    rig.load(400, 10s);
    rig.world.run_for(1s);
    CHECK(rig.driver->refused[0x97] > 500);
    CHECK(rig.edge->ledger().refused().at("full") == rig.driver->refused[0x97]);
    CHECK(rig.edge->ledger().dropped().empty());
    rig.world.links().heal_both("edge", "hub");
    REQUIRE(rig.drain_backlog(5min));
    rig.check_laws();
    CHECK(rig.recorder.stored.size() == rig.acked.size());
    rig.load(50, 1s); // room again
    CHECK(rig.drain_backlog(1min));
    rig.check_laws();
    check_ledger(rig);
}

TEST_CASE("[F-95] stopping under load syncs everything accepted, says goodbye and takes less than 10 s") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Rig rig(seed);
        start_all(rig);
        rig.hub->silent = seed % 2 == 0; // a hub that never answers must not hold it up
        rig.load(500, 2s);
        rig.slow_disk(30ms);
        rig.burst(50);
        rig.world.run_for(3ms);
        bool done = false;
        const Mono began = rig.world.now();
        std::uint64_t unsynced = 1;
        rig.edge->drain([&] {
            done = true;
            unsynced = rig.edge->forwarder().waiting_for_disk();
        });
        rig.load(500, 50ms);
        REQUIRE(rig.world.run_until([&] { return done; }, 10s));
        CHECK(rig.world.now() - began < 10s);
        rig.world.run_for(100ms);
        CHECK(rig.hub->broker().stats().connections == 0);
        CHECK(unsynced == 0);
        CHECK(rig.edge->ledger().accepted == rig.edge->ledger().stored);
        check_ledger(rig);
        rig.crash_edge();
        rig.hub->silent = false;
        rig.start_edge();
        REQUIRE(rig.ready(10s));
        REQUIRE(rig.drain_backlog(60s));
        rig.check_laws();
    }
}

TEST_CASE("a second stop at once loses nothing that was acknowledged") {
    Rig rig(14);
    start_all(rig);
    rig.load(500, 1s);
    rig.edge->drain([] {});
    rig.crash_edge(); // what main does on the second signal
    rig.start_edge();
    REQUIRE(rig.ready(10s));
    REQUIRE(rig.drain_backlog(60s));
    rig.check_laws();
}

TEST_CASE("[F-14] a second edge on the same data folder is refused, the first goes on") {
    Rig rig(15);
    start_all(rig);
    EdgeConfig other = rig.config;
    other.bus.host = "/run/other.sock";
    other.http.port = 9'998;
    const auto second = rig.prepare(other, "second");
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().code == Errc::busy);
    rig.load(20, 1s);
    CHECK(rig.drain_backlog(10s));
}

TEST_CASE("with a clock of 1970 after a reboot, stamps still grow") {
    Rig rig(16, 1);
    rig.start_edge();
    rig.start_driver();
    REQUIRE(rig.ready(5s));
    rig.load(5, 130s); // the floor was stored about every minute
    const auto before = rig.edge->twin().find(rig.devices[0], "Speed")->time_ms;
    rig.power_cut();
    rig.world.machine("edge").set_wall(WallTime{5'000});
    rig.start_edge();
    rig.start_driver();
    REQUIRE(rig.ready(5s));
    CHECK(rig.edge->clock_floor().clock_is_behind());
    rig.load(5, 70s);
    const auto after = rig.edge->twin().find(rig.devices[0], "Speed")->time_ms;
    CHECK(after > before);
    CHECK(after - before < 90'000);
}

TEST_CASE("a reload adds and removes devices without touching the connection of their driver") {
    Rig rig(17, 3);
    start_all(rig);
    io::Disk& disk = rig.world.machine("edge").env("main").disk();
    REQUIRE(io::write_file_atomically(
        disk,
        "/etc/pumps.json",
        R"({"deviceList":[{"productKey":"a1PUMP","deviceName":"pump-0","custom":"{}"},{"productKey":"a1PUMP","deviceName":"pump-9","custom":"{}"}]})"
    ));
    rig.edge->reload(source_of(rig.config));
    CHECK(rig.edge->reloading());
    rig.world.run_for(1s);
    CHECK_FALSE(rig.edge->config_state().error.has_value());
    CHECK(rig.driver->link().up());
    CHECK(rig.driver->config.find("pump-9") != std::string::npos);
    CHECK(rig.edge->devices().size() == 2);
    CHECK(rig.edge->devices().find({"a1PUMP", "pump-0"})->online);
    CHECK_FALSE(rig.edge->devices().find({"a1PUMP", "pump-9"})->online);
    REQUIRE(io::write_file_atomically(disk, "/etc/pumps.json", "{"));
    rig.edge->reload(source_of(rig.config));
    rig.world.run_for(1s);
    REQUIRE(rig.edge->config_state().error.has_value());
    CHECK(rig.edge->config_state().error->object == "/etc/pumps.json");
    CHECK(rig.edge->devices().size() == 2);
}

TEST_CASE("the status names what is wrong and holds no secret") {
    Rig rig(18, 2);
    start_all(rig);
    rig.load(20, 1s);
    rig.stop_hub();
    rig.world.run_for(10s);
    const std::string text = status_of(*rig.edge).text();
    const auto json = Json::parse(text);
    REQUIRE(json.has_value());
    CHECK((*json)["uplink"]["state"].as_string() == "down");
    CHECK_FALSE((*json)["uplink"]["error"]["fix"].as_string().empty());
    CHECK((*json)["devices"].items().size() == 2);
    CHECK((*json)["devices"].items()[0]["values"]["Speed"]["value"].is_int());
    for (const char* secret : {"gateway-secret", "s3cret", "token-1"})
        CHECK(text.find(secret) == std::string::npos);
    for (const ReadyCheck& check : ready_checks(*rig.edge))
        CHECK((check.ok || !check.critical));
    const std::string metrics = rig.world.machine("edge").env("main").metrics().text();
    CHECK(metrics.find("brim_edge_backlog_records") != std::string::npos);
}
