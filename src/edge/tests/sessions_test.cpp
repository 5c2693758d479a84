// The limits of the sub-devices' sessions, on both sides of each.

#include "edge/sessions.h"
#include "io/sim/sim_world.h"

#include <doctest/doctest.h>

#include <set>

using namespace brim;
using namespace brim::edge;
using namespace std::chrono_literals;

namespace {

struct Asked {
    std::string topic;
    std::string id;
    std::vector<std::string> devices;

    bool is(std::string_view what) const { return topic.find(what) != std::string::npos; }
};

/// The hub's end of it: requests lie in `asked` until the test answers.
struct SessionRig final : SessionPort {
    io::SimWorld world{1};
    io::Env& env = world.machine("edge").env();
    Devices devices;
    Secrets secrets{env.disk(), "/secrets.json"};
    std::vector<Asked> asked;
    std::set<std::string> open;
    Sessions sessions;

    explicit SessionRig(SessionLimits limits = {})
        : sessions(env, *this, {"a1GATE", "gate-1"}, devices, secrets, limits) {}

    ~SessionRig() override = default;

    void request(const std::string& topic, const std::string& payload) override {
        const auto read = thing::parse_request(payload);
        REQUIRE(read.has_value());
        Asked one{topic, read->id.substr(1, read->id.size() - 2), {}};
        const Json& list = read->params.is_array() ? read->params : read->params["deviceList"];
        for (const Json& entry : list.items())
            one.devices.emplace_back(entry["deviceName"].as_string());
        asked.push_back(std::move(one));
    }

    void on_open(const thing::DeviceKey& device) override { open.insert(device.device_name); }

    bool passed(store::Seq) override { return true; }

    WallTime wall() override { return env.loop().clock().wall(); }

    void add(unsigned count, bool with_secret) {
        for (unsigned i = 0; i < count; ++i) {
            Device device;
            device.key = {"a1PUMP", "pump-" + std::to_string(i)};
            if (with_secret)
                device.secret = Secret("s");
            sessions.want(devices.put(device).key);
        }
    }

    /// Answers the request `number` with `code`; a registration gets its secrets.
    void answer(std::size_t number, int code = 200) {
        const Asked one = asked[number];
        Json data = Json::array();
        for (const std::string& name : one.devices)
            data.push(Json::object({{"productKey", "a1PUMP"}, {"deviceName", name}, {"deviceSecret", "s"}}));
        const std::string reply = thing::make_reply("\"" + one.id + "\"", code, "as asked", data, "m");
        CHECK(sessions.reply(one.topic + "_reply", reply));
    }

    /// Answers all that comes until `count` devices are open.
    void open_all(std::size_t count) {
        for (std::size_t next = 0; next < asked.size(); ++next)
            answer(next);
        REQUIRE(open.size() == count);
    }

    SessionStep step(const char* name) { return sessions.view({"a1PUMP", name}).step; }
};

/// Devices in the requests of one kind, in order.
std::vector<std::size_t> sizes(const SessionRig& rig, std::string_view what) {
    std::vector<std::size_t> out;
    for (const Asked& one : rig.asked) {
        if (one.is(what))
            out.push_back(one.devices.size());
    }
    return out;
}

} // namespace

TEST_CASE("fifty devices are bound and logged in by one request, one more needs a second") {
    for (const unsigned count : {50U, 51U}) {
        SessionRig rig;
        rig.add(count, true);
        rig.sessions.up();
        rig.open_all(count);
        const std::vector<std::size_t> expected =
            count == 50 ? std::vector<std::size_t>{50} : std::vector<std::size_t>{50, 1};
        CHECK(sizes(rig, "/topo/add") == expected);
        CHECK(sizes(rig, "/batch_login") == expected);
    }
}

TEST_CASE("thirty devices are registered by one request, one more needs a second") {
    for (const unsigned count : {30U, 31U}) {
        SessionRig rig;
        rig.add(count, false);
        rig.sessions.up();
        rig.open_all(count);
        const std::vector<std::size_t> expected =
            count == 30 ? std::vector<std::size_t>{30} : std::vector<std::size_t>{30, 1};
        CHECK(sizes(rig, "/sub/register") == expected);
    }
}

TEST_CASE("four requests wait for answers, the fifth for one of them") {
    SessionRig rig;
    rig.add(250, true);
    rig.sessions.up();
    CHECK(rig.asked.size() == 4);
    rig.answer(0);
    CHECK(rig.asked.size() == 5);
    rig.world.run_for(5s);
    CHECK(rig.asked.size() == 5);
}

TEST_CASE("an answer within ten seconds counts, after them the device has failed and a late one is nothing") {
    SessionRig rig;
    rig.add(1, true);
    rig.sessions.up();
    rig.world.run_for(9'900ms);
    rig.answer(0);
    CHECK(rig.step("pump-0") == SessionStep::login);
    rig.world.run_for(11s);
    CHECK(rig.step("pump-0") == SessionStep::failed);
    CHECK(rig.sessions.settled());
    rig.answer(1);
    CHECK(rig.step("pump-0") == SessionStep::failed);
    CHECK(rig.sessions.view({"a1PUMP", "pump-0"}).failure->message.find("deadline") != std::string::npos);
}

TEST_CASE("a refused device waits between half of five seconds and five, growing to 300 and no more") {
    SessionRig rig;
    rig.add(1, true);
    rig.sessions.up();
    std::chrono::seconds ceiling = 5s;
    for (int round = 0; round < 10; ++round) {
        CAPTURE(round);
        const std::size_t before = rig.asked.size();
        rig.answer(before - 1, 429);
        REQUIRE(rig.step("pump-0") == SessionStep::failed);
        const Mono refused = rig.world.now();
        REQUIRE(rig.world.run_until([&] { return rig.asked.size() > before; }, 10min));
        const Duration waited = rig.world.now() - refused;
        CHECK(waited >= ceiling / 2);
        CHECK(waited <= ceiling + 1'010ms); // it is looked at every second
        ceiling = std::min<std::chrono::seconds>(ceiling * 2, 300s);
    }
    CHECK(ceiling == 300s);
}

TEST_CASE("a refused report is a doubt once a minute, and meant before that") {
    SessionRig rig;
    rig.add(1, true);
    rig.sessions.up();
    rig.open_all(1);
    rig.world.run_for(1s);
    const auto log_in_again = [&] {
        rig.answer(rig.asked.size() - 1);
        return rig.step("pump-0") == SessionStep::open;
    };
    CHECK(rig.sessions.doubt("a1PUMP/pump-0"));
    CHECK(rig.sessions.doubt("a1PUMP/pump-0")); // the next login decides
    REQUIRE(log_in_again());
    rig.world.run_for(60s - 1ms);
    CHECK_FALSE(rig.sessions.doubt("a1PUMP/pump-0"));
    CHECK(rig.step("pump-0") == SessionStep::open);
    rig.world.run_for(1ms);
    CHECK(rig.sessions.doubt("a1PUMP/pump-0"));
    CHECK(log_in_again());
    CHECK_FALSE(rig.sessions.doubt("a1PUMP/stranger"));
}
