// Registry and Downlink over a simulated machine: what the disk refuses is undone, what it took is there
// again.

#include "hub/downlink.h"
#include "hub/registry.h"
#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::hub;
using namespace std::chrono_literals;

namespace {

constexpr const char* model_text = R"({"properties":[
 {"identifier":"level","name":"Level","accessMode":"rw","dataType":{"type":"int","specs":{"min":"0","max":"9"}}},
 {"identifier":"seen","name":"Seen","accessMode":"r","dataType":{"type":"int","specs":{"min":"0","max":"9"}}}],
 "services":[{"identifier":"stop","name":"Stop","callType":"async","inputData":[{"identifier":"after","name":"After",
 "dataType":{"type":"int","specs":{"min":"0","max":"9"}}}],"outputData":[]}]})";

struct RegistryRig {
    RegistryRig() {
        REQUIRE(machine().disk().make_dir("/data"));
        open();
    }

    io::SimMachine& machine() { return world.machine("hub"); }

    io::Env& env() { return machine().env(); }

    void open() {
        auto made = MetaDb::open(env(), "/data/hub.db");
        REQUIRE_MESSAGE(made, (made ? "" : made.error().text()));
        db = std::move(*made);
        auto loaded = Registry::open(env(), *db);
        REQUIRE_MESSAGE(loaded, (loaded ? "" : loaded.error().text()));
        registry = std::move(*loaded);
    }

    void reopen() {
        world.run_for(5s);
        registry.reset();
        db.reset();
        open();
    }

    /// Runs `act` with a completion and the world until that was called.
    template <class T, class Act> Result<T> wait(Act act) {
        std::optional<Result<T>> outcome;
        act([&outcome](Result<T> result) { outcome.emplace(std::move(result)); });
        REQUIRE(world.run_until([&outcome] { return outcome.has_value(); }, 60s));
        return std::move(*outcome);
    }

    Result<Product*> product(std::string key, bool gateway = false) {
        auto model = thing::Model::parse_text(model_text);
        REQUIRE_MESSAGE(model, (model ? "" : model.error().text()));
        ProductSpec spec{
            std::move(key), "name", "", gateway, std::make_shared<const thing::Model>(std::move(*model))
        };
        return wait<Product*>([&](auto done) { registry->create_product(std::move(spec), std::move(done)); });
    }

    Result<Device*> device(std::string key, std::string name) {
        DeviceSpec spec{std::move(key), std::move(name), "", ""};
        return wait<Device*>([&](auto done) { registry->create_device(std::move(spec), std::move(done)); });
    }

    void fill_disk() {
        io::DiskFault fault;
        fault.kind = io::DiskFault::Kind::no_space;
        fault.times = 1'000'000;
        machine().disk().add_fault(fault);
    }

    void free_disk() { machine().disk().clear_faults(); }

    io::SimWorld world{1};
    std::unique_ptr<MetaDb> db;
    std::unique_ptr<Registry> registry;
};

struct Channel final : DeviceChannel {
    bool send(Device&, const std::string& topic, std::string payload, std::uint8_t) override {
        if (up)
            sent.emplace_back(topic, std::move(payload));
        return up;
    }

    std::string id_of(std::size_t index) const {
        const auto parsed = Json::parse(sent.at(index).second);
        REQUIRE(parsed);
        return std::string((*parsed)["id"].as_string());
    }

    bool up = true;
    std::vector<std::pair<std::string, std::string>> sent;
};

thing::Value number(std::int64_t value) {
    return {value};
}

} // namespace

TEST_CASE("what was stored is there again after a restart, and ids and boots never repeat") {
    RegistryRig rig;
    REQUIRE(rig.product("a1"));
    REQUIRE(rig.product("gw", true));
    const auto made = rig.device("a1", "d1");
    REQUIRE(made);
    const DeviceId first = (*made)->id;
    const std::string secret((*made)->secret.reveal());
    CHECK(secret.size() == 32);
    const auto gateway = rig.device("gw", "g1");
    REQUIRE(gateway);
    REQUIRE(rig.wait<void>([&](auto done) { rig.registry->bind(**made, *gateway, std::move(done)); }));
    REQUIRE(rig.wait<void>([&](auto done) {
        rig.registry->set_desired(**made, {{0, number(4)}}, 1, std::move(done));
    }));
    REQUIRE(rig.wait<void>([&](auto done) { rig.registry->set_enabled(**made, false, std::move(done)); }));
    const std::uint64_t boot = rig.registry->boot();
    rig.reopen();
    CHECK(rig.registry->boot() > boot);
    Device* again = rig.registry->device("a1", "d1");
    REQUIRE(again != nullptr);
    CHECK(again->secret.reveal() == secret);
    CHECK_FALSE(again->enabled);
    CHECK(rig.registry->device(again->gateway)->name == "g1");
    REQUIRE(again->desired_value(0) != nullptr);
    CHECK(again->desired_value(0)->version == 1);
    REQUIRE(rig.wait<void>([&](auto done) { rig.registry->delete_device(*again, std::move(done)); }));
    rig.reopen();
    CHECK(rig.registry->device("a1", "d1") == nullptr);
    const auto reborn = rig.device("a1", "d1");
    REQUIRE(reborn);
    CHECK((*reborn)->id > first);
}

TEST_CASE("a change the disk refuses is undone and the caller is told") {
    RegistryRig rig;
    REQUIRE(rig.product("a1"));
    REQUIRE(rig.product("gw", true));
    Device* device = *rig.device("a1", "d1");
    Device* gateway = *rig.device("gw", "g1");
    rig.fill_disk();
    CHECK(rig.product("a2").error().code == Errc::full);
    CHECK(rig.registry->product("a2") == nullptr);
    CHECK(rig.device("a1", "d2").error().code == Errc::full);
    CHECK(rig.registry->device("a1", "d2") == nullptr);
    CHECK(rig.registry->product("a1")->device_count == 1);
    CHECK_FALSE(rig.wait<void>([&](auto done) { rig.registry->bind(*device, gateway, std::move(done)); }));
    CHECK(device->gateway == 0);
    CHECK(rig.registry->sub_devices(gateway->id).empty());
    CHECK_FALSE(rig.wait<void>([&](auto done) { rig.registry->set_enabled(*device, false, std::move(done)); })
    );
    CHECK(device->enabled);
    CHECK_FALSE(rig.wait<void>([&](auto done) {
        rig.registry->put_model(*device->product, std::make_shared<const thing::Model>(), std::move(done));
    }));
    CHECK(device->product->model->properties().size() == 2);
    const auto set = [&](std::int64_t value) {
        return rig.wait<void>([&](auto done) {
            rig.registry->set_desired(*device, {{0, number(value)}}, 1, std::move(done));
        });
    };
    CHECK_FALSE(set(1));
    CHECK(device->desired.empty());
    rig.free_disk();
    REQUIRE(set(2));
    rig.fill_disk();
    CHECK_FALSE(set(3));
    CHECK_FALSE(rig.wait<void>([&](auto done) {
        rig.registry->clear_desired(*device, {{0, -1}}, std::move(done));
    }));
    REQUIRE(device->desired.size() == 1);
    CHECK(device->desired[0].value == number(2));
    CHECK(device->desired[0].version == 1);
    rig.free_disk();
    CHECK(rig.device("a1", "d2"));
    CHECK(rig.product("a2"));
}

TEST_CASE("names, keys, limits and topology are checked") {
    RegistryRig rig;
    REQUIRE(rig.product("a1"));
    REQUIRE(rig.product("gw", true));
    CHECK(rig.product("a1").error().code == Errc::exists);
    CHECK(rig.product("a-1").error().code == Errc::invalid);
    CHECK(rig.product(std::string(21, 'x')).error().code == Errc::invalid);
    CHECK(rig.product(std::string(20, 'x')));
    CHECK(rig.device("nope", "d").error().code == Errc::not_found);
    CHECK(rig.device("a1", "has blank").error().code == Errc::invalid);
    CHECK(rig.device("a1", std::string(33, 'x')).error().code == Errc::invalid);
    CHECK(rig.device("a1", std::string(32, 'x')));
    Device* device = *rig.device("a1", "d1");
    CHECK(rig.device("a1", "d1").error().code == Errc::exists);
    Device* other = *rig.device("a1", "d2");
    Device* gateway = *rig.device("gw", "g1");
    Device* second = *rig.device("gw", "g2");
    const auto bind = [&rig](Device* what, Device* where) {
        return rig.wait<void>([&](auto done) { rig.registry->bind(*what, where, std::move(done)); });
    };
    CHECK(bind(device, other).error().code == Errc::invalid);
    CHECK(bind(second, gateway).error().code == Errc::invalid);
    CHECK(bind(device, gateway));
    CHECK(bind(device, second));
    CHECK(rig.registry->sub_devices(gateway->id).empty());
    const auto remove =
        rig.wait<void>([&](auto done) { rig.registry->delete_product(*device->product, std::move(done)); });
    CHECK(remove.error().code == Errc::conflict);
    REQUIRE(rig.wait<void>([&](auto done) { rig.registry->delete_device(*second, std::move(done)); }));
    CHECK(device->gateway == 0);
}

TEST_CASE("a set waits as pending, is confirmed by the report and failed by the refusal") {
    RegistryRig rig;
    REQUIRE(rig.product("a1"));
    Device* device = *rig.device("a1", "d1");
    Channel channel;
    Feed feed(1);
    Downlink downlink(rig.env(), *rig.registry, channel, feed);
    const auto set = [&](const char* text) {
        return rig.wait<bool>([&](auto done) {
            downlink.set_properties(*device, *Json::parse(text), std::move(done));
        });
    };
    CHECK(set(R"({"level":10})").error().code == Errc::invalid);
    CHECK(set(R"({"seen":1})").error().code == Errc::invalid);
    CHECK(set(R"({"nothing":1})").error().code == Errc::invalid);
    CHECK(set("{}").error().code == Errc::invalid);
    CHECK(device->desired.empty());
    CHECK(*set(R"({"level":4})") == false); // offline: kept
    rig.registry->mark_online(*device, 1, "here");
    downlink.send_pending(*device);
    REQUIRE(channel.sent.size() == 1);
    downlink.on_reported(*device, 0, number(5));
    CHECK(device->desired_value(0)->state == DesiredState::pending);
    downlink.on_reported(*device, 0, number(4));
    CHECK(device->desired_value(0)->state == DesiredState::confirmed);
    CHECK(*set(R"({"level":6})") == true);
    downlink.on_reply(*device, R"({"id":"4000000","code":460,"data":{}})"); // not an id of ours
    CHECK(device->desired_value(0)->state == DesiredState::pending);
    downlink.on_reply(*device, R"({"id":")" + channel.id_of(1) + R"(","code":460,"message":"no","data":{}})");
    CHECK(device->desired_value(0)->state == DesiredState::failed);
    CHECK(device->desired_value(0)->message == "code 460: no");
}

TEST_CASE("no device hears of a desired value before its commit, whatever else happens meanwhile") {
    RegistryRig rig;
    REQUIRE(rig.product("a1"));
    Device* device = *rig.device("a1", "d1");
    Channel channel;
    Feed feed(1);
    Downlink downlink(rig.env(), *rig.registry, channel, feed);
    unsigned done = 0;
    const auto set = [&](const char* text) {
        downlink.set_properties(*device, *Json::parse(text), [&done](const Result<bool>&) { ++done; });
    };
    const auto until = [&](unsigned count) {
        (void)rig.wait<void>([&](auto ended) {
            rig.registry->set_desired(*device, {}, 0, std::move(ended)); // behind the others
        });
        CHECK(done == count);
    };
    rig.registry->mark_online(*device, 1, "here");
    set(R"({"level":4})");
    downlink.send_pending(*device); // it connects now
    CHECK(channel.sent.empty());
    until(1);
    REQUIRE(channel.sent.size() == 1);
    CHECK(device->desired_value(0)->is_stored);
    // Of two in a row only what is stored is sent: the first commit finds the second value in its place.
    set(R"({"level":5})");
    set(R"({"level":6})");
    downlink.send_pending(*device);
    CHECK(channel.sent.size() == 1);
    until(3);
    REQUIRE(channel.sent.size() == 2);
    CHECK(device->desired_value(0)->value == number(6));
}

TEST_CASE("a service call ends with the device's answer, a time limit, or at once when it cannot begin") {
    RegistryRig rig;
    REQUIRE(rig.product("a1"));
    Device* device = *rig.device("a1", "d1");
    Device* other = *rig.device("a1", "d2");
    Channel channel;
    Feed feed(1);
    Downlink downlink(rig.env(), *rig.registry, channel, feed, {.calls_per_device_max = 2});
    std::vector<Result<ServiceResult>> ended;
    const auto call = [&](const char* service, const char* input) {
        downlink
            .call_service(*device, service, *Json::parse(input), 1s, [&ended](Result<ServiceResult> result) {
                ended.push_back(std::move(result));
            });
    };
    call("fly", "{}");
    call("stop", R"({"after":10})");
    call("stop", R"({"before":1})");
    channel.up = false;
    call("stop", "{}");
    channel.up = true;
    REQUIRE(ended.size() == 4);
    CHECK(ended[0].error().code == Errc::not_found);
    CHECK(ended[1].error().code == Errc::invalid);
    CHECK(ended[2].error().code == Errc::invalid);
    CHECK(ended[3].error().code == Errc::unavailable);
    call("stop", R"({"after":3})");
    call("stop", "{}");
    call("stop", "{}");
    REQUIRE(ended.size() == 5);
    CHECK(ended[4].error().code == Errc::busy);
    const std::string reply = R"({"id":")" + channel.id_of(0) + R"(","code":200,"data":{"x":1}})";
    downlink.on_reply(*other, reply); // ids are easily guessed
    CHECK(ended.size() == 5);
    downlink.on_reply(*device, reply);
    REQUIRE(ended.size() == 6);
    CHECK(ended[5]->output["x"].as_int() == 1);
    rig.world.run_for(2s);
    REQUIRE(ended.size() == 7);
    CHECK(ended[6].error().code == Errc::timeout);
    call("stop", "{}"); // room again
    CHECK(channel.sent.size() == 3);
}
