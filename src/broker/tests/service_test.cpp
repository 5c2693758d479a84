// The broker service on a simulated machine: rules that change under it, restarts, administration.

#include "broker/service.h"

#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"
#include "mqtt/link.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace brim;
using namespace brim::broker;

namespace {

std::string users_text(const std::map<std::string, std::string>& passwords) {
    std::string text;
    for (const auto& [name, password] : passwords) {
        const auto next = set_user(text, name, password, "0123456789abcdef");
        REQUIRE(next);
        text = *next;
    }
    return text;
}

/// A client on a machine of its own; its password is its user's name.
class App final : public mqtt::LinkEvents {
public:
    App(io::SimWorld& world, const std::string& user, const std::string& client_id, std::uint32_t expiry_s = 0
    )
        : env_(world.machine("app-" + client_id).env()), world_(world),
          link_(env_, *this, {{io::Endpoint::Kind::tcp, "hub", 1'883}, 5s, 50ms, 50ms, 60s}) {
        options_.client_id = client_id;
        options_.username = user;
        options_.password = user;
        options_.clean_start = expiry_s == 0;
        options_.session_expiry_s = expiry_s;
        link_.start();
    }

    bool come_up() {
        return world_.run_until([this] { return link_.up() || !down_.empty(); }, 30s) && link_.up();
    }

    mqtt::ReasonCode subscribe(const std::string& filter, std::uint8_t qos = 1) {
        subscribed_.reset();
        REQUIRE(link_.client().subscribe({{filter, qos}}, env_.loop().now()));
        REQUIRE(world_.run_until([this] { return subscribed_.has_value(); }, 30s));
        return *subscribed_;
    }

    mqtt::ReasonCode
    publish(const std::string& topic, const std::string& payload, bool retain = false, std::uint8_t qos = 1) {
        Message message;
        message.topic = topic;
        message.payload = payload;
        message.qos = qos;
        message.retain = retain;
        settled_.reset();
        REQUIRE(link_.client().publish(message, ++tag_, env_.loop().now()));
        REQUIRE(world_.run_until([this] { return settled_.has_value(); }, 30s));
        return *settled_;
    }

    /// Sends a request of administration and returns its answer.
    Json ask(const std::string& command, const Json& wanted) {
        got.clear();
        (void)publish(std::string(Control::root) + command, wanted.text());
        REQUIRE(world_.run_until([this] { return !got.empty(); }, 30s));
        auto answer = Json::parse(got.front()->payload);
        REQUIRE(answer);
        return std::move(*answer);
    }

    bool waits_for(std::size_t count) {
        return world_.run_until([this, count] { return got.size() >= count; }, 10s);
    }

    mqtt::Link& link() { return link_; }

    const std::string& down() const { return down_; }

    std::vector<MessagePtr> got;

private:
    mqtt::ClientOptions login() override { return options_; }

    void on_up(const mqtt::Connack&) override {}

    void on_down(const Error& why, std::chrono::milliseconds) override { down_ = why.text(); }

    bool on_message(const MessagePtr& message, std::uint16_t) override {
        got.push_back(message);
        return true;
    }

    void on_settled(mqtt::PublishTag, mqtt::ReasonCode reason) override { settled_ = reason; }

    void on_subscribed(std::string_view, mqtt::ReasonCode reason) override { subscribed_ = reason; }

    io::Env& env_;
    io::SimWorld& world_;
    mqtt::ClientOptions options_;
    mqtt::Link link_;
    std::string down_;
    std::optional<mqtt::ReasonCode> settled_, subscribed_;
    mqtt::PublishTag tag_ = 0;
};

struct ServiceRig {
    ServiceRig() {
        settings.folder = "/data/broker";
        settings.tls_folder = "/data/tls";
        settings.sys_interval = std::chrono::seconds{0}; // its figures are retained messages too
        settings.policy.users_file = "/data/users";
        settings.policy.acl_file = "/data/acl";
        ListenerSettings listener;
        listener.address = {io::Endpoint::Kind::tcp, "0.0.0.0", 1'883};
        settings.listeners.push_back(listener);
        world.run_for(1s);
        REQUIRE(disk().make_dir("/data"));
        write("/data/users", users_text({{"ann", "ann"}, {"bob", "bob"}}));
        write("/data/acl", "pattern readwrite #\nuser ann\ntopic write $CONTROL/broker/v1/#\n");
    }

    ~ServiceRig() { stop(); }

    io::SimMachine& machine() { return world.machine("hub"); }

    io::Disk& disk() { return machine().env().disk(); }

    void write(const std::string& path, const std::string& text) {
        REQUIRE(io::write_file_atomically(disk(), path, text));
    }

    /// Changes a file and lets the service see it.
    void change(const std::string& path, const std::string& text) {
        write(path, text);
        world.run_for(1s);
    }

    void start() {
        auto opened = Service::open(machine().env(), settings);
        REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().text()));
        service = std::move(*opened);
    }

    void stop() {
        machine().crash();
        service.reset();
    }

    io::SimWorld world{1};
    Settings settings;
    std::unique_ptr<Service> service;
};

using mqtt::ReasonCode;

} // namespace

TEST_CASE("users get in with their password and do what they may") {
    ServiceRig rig;
    rig.write("/data/acl", "user ann\ntopic readwrite a/#\nuser bob\ntopic read a/#\n");
    rig.start();
    App ann(rig.world, "ann", "a");
    App bob(rig.world, "bob", "b");
    App eve(rig.world, "eve", "e");
    REQUIRE(ann.come_up());
    REQUIRE(bob.come_up());
    CHECK_FALSE(eve.come_up());
    CHECK(bob.subscribe("a/#") == ReasonCode::granted_qos1);
    CHECK(bob.subscribe("#") == ReasonCode::not_authorized);
    CHECK(bob.publish("a/1", "x") == ReasonCode::not_authorized);
    CHECK(ann.publish("a/1", "y") == ReasonCode::success);
    REQUIRE(bob.waits_for(1));
    CHECK(bob.got[0]->payload == "y");
}

TEST_CASE("[B-40] a right that is taken away counts within a second, and one that comes back does too") {
    ServiceRig rig;
    rig.start();
    App ann(rig.world, "ann", "a");
    App bob(rig.world, "bob", "b", 3'600);
    REQUIRE((ann.come_up() && bob.come_up()));
    REQUIRE(bob.subscribe("t/#", 2) == ReasonCode::granted_qos2);
    bob.link().stop();
    rig.world.run_for(1s);
    CHECK(ann.publish("t/1", "queued") == ReasonCode::success);
    rig.change("/data/acl", "user ann\ntopic readwrite #\nuser bob\ntopic read o/#\n");
    bob.link().start();
    REQUIRE(bob.come_up());
    CHECK(ann.publish("t/2", "live", true) == ReasonCode::success);
    rig.world.run_for(2s);
    CHECK(bob.got.empty());
    rig.change("/data/acl", "user ann\ntopic readwrite #\nuser bob\ntopic read t/#\n");
    CHECK(ann.publish("t/3", "again") == ReasonCode::success);
    REQUIRE(bob.waits_for(1));
    CHECK(bob.got[0]->payload == "again");
}

TEST_CASE(
    "[B-41] a user who is gone loses connection, session, will and retained messages, also over a restart"
) {
    ServiceRig rig;
    rig.start();
    App bob(rig.world, "bob", "b", 3'600);
    REQUIRE(bob.come_up());
    REQUIRE(bob.subscribe("t/#") == ReasonCode::granted_qos1);
    CHECK(bob.publish("t/kept", "bob's", true) == ReasonCode::success);
    SUBCASE("while it runs") {
        rig.change("/data/users", users_text({{"ann", "ann"}}));
        CHECK_FALSE(bob.down().empty());
    }
    SUBCASE("while it is away") {
        rig.world.run_for(1s);
        rig.stop();
        rig.write("/data/users", users_text({{"ann", "ann"}}));
        rig.start();
    }
    CHECK(rig.service->broker().stats().sessions == 0);
    CHECK(rig.service->broker().stats().retained == 0);
    // Back as another person of the same name.
    rig.change("/data/users", users_text({{"ann", "ann"}, {"bob", "bob"}}));
    App ann(rig.world, "ann", "a");
    REQUIRE(ann.come_up());
    CHECK(ann.publish("t/1", "x") == ReasonCode::no_matching_subscribers);
}

TEST_CASE("a changed password ends what was opened with the old one and keeps the session") {
    ServiceRig rig;
    rig.start();
    App ann(rig.world, "ann", "a");
    App bob(rig.world, "bob", "b", 3'600);
    REQUIRE((ann.come_up() && bob.come_up()));
    REQUIRE(bob.subscribe("t") == ReasonCode::granted_qos1);
    rig.change("/data/users", users_text({{"ann", "ann"}, {"bob", "other"}}));
    CHECK_FALSE(bob.down().empty());
    CHECK(ann.link().up());
    CHECK(ann.publish("t", "x") == ReasonCode::success);
}

TEST_CASE("[B-44] rules that cannot be read deny, rules with a mistake change nothing") {
    ServiceRig rig;
    rig.start();
    App ann(rig.world, "ann", "a");
    REQUIRE(ann.come_up());
    rig.change("/data/acl", "user ann\ntopic all #\n");
    CHECK(ann.publish("t", "x") != ReasonCode::not_authorized);
    REQUIRE(rig.disk().remove("/data/acl"));
    rig.world.run_for(1s);
    CHECK(ann.publish("t", "x") == ReasonCode::not_authorized);
    rig.change("/data/acl", "user ann\ntopic all #\n"); // a mistake after nothing is nothing
    CHECK(ann.publish("t", "x") == ReasonCode::not_authorized);
    rig.change("/data/acl", "user ann\ntopic #\n");
    CHECK(ann.publish("t", "x") != ReasonCode::not_authorized);
    rig.change("/data/users", "ann\n");
    App late(rig.world, "bob", "late");
    CHECK(late.come_up()); // the users of before the mistake
    REQUIRE(rig.disk().remove("/data/users"));
    rig.world.run_for(1s);
    CHECK_FALSE(ann.link().up());
}

TEST_CASE("one client id of two users is two sessions") {
    ServiceRig rig;
    rig.start();
    App ann(rig.world, "ann", "same");
    REQUIRE(ann.come_up());
    App bob(rig.world, "bob", "same");
    REQUIRE(bob.come_up());
    rig.world.run_for(1s);
    CHECK(ann.link().up());
    CHECK(ann.down().empty());
}

TEST_CASE("[B-43] a will, and $SYS, and $CONTROL pass through the same permission") {
    ServiceRig rig;
    rig.start();
    App bob(rig.world, "bob", "b");
    REQUIRE(bob.come_up());
    CHECK(bob.publish("$SYS/broker/uptime", "x") == ReasonCode::not_authorized);
    CHECK(bob.publish("$CONTROL/broker/v1/kick", "{}") == ReasonCode::not_authorized);
    CHECK(bob.publish("$CONTROL/other", "{}") == ReasonCode::not_authorized);
    CHECK(bob.subscribe("$SYS/#") == ReasonCode::not_authorized);
    App ann(rig.world, "ann", "a");
    REQUIRE(ann.come_up());
    CHECK(ann.publish("$CONTROL/broker/v2/kick", "{}") == ReasonCode::not_authorized);
}

TEST_CASE("administration lists, shows and kicks, and says what is wrong with a request") {
    ServiceRig rig;
    rig.start();
    App ann(rig.world, "ann", "a");
    App bob(rig.world, "bob", "b", 60);
    REQUIRE((ann.come_up() && bob.come_up()));
    REQUIRE(bob.subscribe("t/#") == ReasonCode::granted_qos1);
    Json answer = ann.ask("sessions", Json::object());
    CHECK(answer["sessions"].items().size() == 2);
    CHECK(answer.find("next") == nullptr);
    answer = ann.ask("sessions", Json::object({{"limit", 1}}));
    CHECK(answer["sessions"].items().size() == 1);
    answer = ann.ask("sessions", Json::object({{"limit", 1}, {"from", answer["next"].as_int()}}));
    CHECK(answer["sessions"].items().size() == 1);
    answer = ann.ask("session", Json::object({{"clientId", "b"}}));
    CHECK(answer["user"].as_string() == "bob");
    CHECK(answer["subscribedTo"].items().size() == 1);
    for (const char* wrong : {"nothing", "session", "kick", "trace"})
        CHECK(ann.ask(wrong, Json::object())["error"].is_object());
    CHECK(ann.ask("kick", Json::object({{"clientId", "a"}}))["error"]["code"].as_string() == "invalid");
    CHECK(ann.ask("kick", Json::object({{"clientId", "b"}, {"forget", true}}))["kicked"].as_string() == "b");
    rig.world.run_for(20ms);
    CHECK_FALSE(bob.down().empty());
    CHECK(ann.ask("stats", Json::object())["connects"].as_int() >= 2);
    ann.got.clear();
    (void)ann.publish("$CONTROL/broker/v1/stats", "no json");
    REQUIRE(ann.waits_for(1));
    CHECK(ann.got[0]->payload.find("malformed") != std::string::npos);
}

TEST_CASE("what is refused at login, closed at the door or slow shows with its reason") {
    ServiceRig rig;
    rig.settings.listeners[0].connections.connections_per_address_max = 1;
    rig.start();
    App ann(rig.world, "ann", "a");
    REQUIRE(ann.come_up());
    App wrong(rig.world, "nobody", "n");
    CHECK_FALSE(wrong.come_up());
    wrong.link().stop();
    rig.world.run_for(1s);
    bool is_closed = false;
    io::Env& far = rig.world.machine("app-a").env(); // the address that has its one connection

    struct Ear final : io::StreamHandler {
        explicit Ear(bool& flag) : is_closed(flag) {}

        void on_data(ByteView) override {}

        void on_closed(const Error&) override { is_closed = true; }

        bool& is_closed;
    } ear(is_closed);

    std::unique_ptr<io::Stream> second;
    const auto dialled = far.net().connect(
        {io::Endpoint::Kind::tcp, "hub", 1'883},
        5s,
        [&](Result<std::unique_ptr<io::Stream>> stream) {
            REQUIRE(stream);
            second = std::move(*stream);
            second->start(ear);
        }
    );
    REQUIRE(rig.world.run_until([&] { return is_closed; }, 10s));
    const Json stats = ann.ask("stats", Json::object());
    CHECK(stats["refused"].as_int() == stats["refusedBy"]["password"].as_int());
    CHECK(stats["refused"].as_int() >= 1);
    CHECK(stats["rejected"]["address_full"].as_int() == 1);
    CHECK(stats["shed"]["publish"].as_int() == 0);
    CHECK(stats["slow"].as_int() == 0);
    const std::string metrics = rig.machine().env().metrics().text();
    CHECK(metrics.find(R"(brim_broker_connects_total{result="refused",reason="password"})") != metrics.npos);
    CHECK(metrics.find("brim_broker_slow 0") != metrics.npos);
}

TEST_CASE("two administrators who trace each other come to an end") {
    ServiceRig rig;
    rig.write("/data/acl", "pattern readwrite #\npattern write $CONTROL/broker/v1/#\n");
    rig.start();
    App ann(rig.world, "ann", "a");
    App bob(rig.world, "bob", "b");
    REQUIRE((ann.come_up() && bob.come_up()));
    CHECK(ann.ask("trace", Json::object({{"clientId", "b"}, {"seconds", 3}}))["tracing"].as_string() == "b");
    CHECK(bob.ask("trace", Json::object({{"clientId", "a"}, {"seconds", 3}}))["tracing"].as_string() == "a");
    rig.world.run_for(5s);
    CHECK(ann.got.size() < 20);
    CHECK(ann.got.back()->payload.find("\"end\"") != std::string::npos);
}

TEST_CASE("[L1] what was acknowledged is there after a power cut") {
    ServiceRig rig;
    rig.start();
    App bob(rig.world, "bob", "b", 3'600);
    App ann(rig.world, "ann", "a");
    REQUIRE((ann.come_up() && bob.come_up()));
    REQUIRE(bob.subscribe("t/#", 2) == ReasonCode::granted_qos2);
    bob.link().stop();
    rig.world.run_for(1s);
    for (int i = 0; i < 50; ++i)
        CHECK(
            ann.publish("t/1", std::to_string(i), i == 49, static_cast<std::uint8_t>(1 + i % 2)) ==
            ReasonCode::success
        );
    rig.machine().power_cut(io::CutMode::lose_all);
    rig.service.reset();
    rig.start();
    bob.link().start();
    REQUIRE(bob.come_up());
    REQUIRE(bob.waits_for(50));
    for (int i = 0; i < 50; ++i)
        CHECK(bob.got[static_cast<std::size_t>(i)]->payload == std::to_string(i));
    CHECK(rig.service->broker().stats().retained == 1);
}
