// The limits of requests that wait for a driver, on both sides.

#include "edge/downlink.h"
#include "io/sim/sim_world.h"

#include "support_model.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::edge;
using namespace std::chrono_literals;

namespace {

struct DownRig final : DownlinkPort {
    io::SimWorld world{1};
    Devices devices;
    std::vector<std::string> to_drivers; ///< ids, as the driver got them
    std::vector<int> codes;              ///< answers to the hub
    Downlink downlink{world.machine("edge").env(), *this, devices};
    const std::string topic = "/sys/a1PUMP/pump-1/thing/service/flush";

    DownRig() { devices.put(test::pump_device("pump-1")).online = true; }

    ~DownRig() override = default;

    bool to_driver(const Device&, const std::string&, const std::string& payload) override {
        to_drivers.push_back(thing::parse_request(payload)->id);
        return true;
    }

    void to_hub(const std::string&, const std::string& payload) override {
        codes.push_back(thing::parse_reply(payload)->code);
    }

    void ask() {
        CHECK(downlink.request(topic, R"({"id":"7","params":{"seconds":5},"method":"thing.service.flush"})"));
    }

    void answer(std::size_t number) {
        const Device& device = *devices.find("a1PUMP", "pump-1");
        downlink.reply(device, topic + "_reply", thing::make_reply(to_drivers[number], 200, "", {}, "m"));
    }
};

} // namespace

TEST_CASE("a thousand requests wait for their drivers, one more is told to come later") {
    DownRig rig;
    for (int i = 0; i < 1'000; ++i)
        rig.ask();
    CHECK(rig.downlink.pending() == 1'000);
    CHECK(rig.codes.empty());
    rig.ask();
    CHECK(rig.codes == std::vector{429});
    CHECK(rig.to_drivers.size() == 1'000);
    rig.answer(500);
    CHECK(rig.codes == std::vector{429, 200});
    rig.ask();
    CHECK(rig.codes.size() == 2);
    CHECK(rig.downlink.pending() == 1'000);
}

TEST_CASE(
    "[bus-5] an answer after 9.99 s is the driver's, at 10 s it is a timeout, and a later one is nothing"
) {
    DownRig rig;
    rig.ask();
    rig.world.run_for(9'990ms);
    rig.answer(0);
    CHECK(rig.codes == std::vector{200});
    rig.ask();
    rig.world.run_for(9'990ms);
    CHECK(rig.codes.size() == 1);
    rig.world.run_for(20ms);
    CHECK(rig.codes == std::vector{200, 100006});
    rig.answer(1);
    CHECK(rig.codes.size() == 2);
    CHECK(rig.downlink.pending() == 0);
}
