#pragma once
// A hub's door on a simulated machine, without HTTP: database, registry, ingress, access; and clients that
// speak MQTT to it from machines of their own.

#include "hub/access.h"
#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"
#include "mqtt/link.h"
#include "store/sqlite_vfs.h"
#include "thing/sign.h"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <optional>

namespace brim::hub::test {

inline constexpr const char* door_model = R"({"properties":[
 {"identifier":"level","name":"Level","accessMode":"rw","dataType":{"type":"int","specs":{"min":"0","max":"1000000"}}},
 {"identifier":"seen","name":"Seen","accessMode":"r","dataType":{"type":"int","specs":{"min":"0","max":"1000000"}}},
 {"identifier":"note","name":"Note","accessMode":"r","dataType":{"type":"text","specs":{"length":"64"}}}],
 "events":[{"identifier":"alarm","name":"Alarm","type":"alert","outputData":[{"identifier":"code","name":"Code",
 "dataType":{"type":"int","specs":{"min":"0","max":"9"}}}]}]})";

struct DoorRig {
    explicit DoorRig(RegistryLimits given = {}, AccessOptions options = {})
        : limits(given), access_options(std::move(options)) {
        REQUIRE(machine().disk().make_dir("/data"));
        open();
    }

    ~DoorRig() { close(); }

    io::SimMachine& machine() { return world.machine("hub"); }

    void open() {
        io::Env& env = machine().env();
        auto made = MetaDb::open(env, "/data/hub.db");
        REQUIRE_MESSAGE(made, (made ? "" : made.error().text()));
        db = std::move(*made);
        auto loaded = Registry::open(env, *db, limits);
        REQUIRE_MESSAGE(loaded, (loaded ? "" : loaded.error().text()));
        registry = std::move(*loaded);
        feed = std::make_unique<Feed>(registry->boot());
        auto opened = Ingest::open(env, *registry, *feed, ingest_options);
        REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().text()));
        ingest = std::move(*opened);
        auto sessions = mqtt::SessionLog::open(env, {.folder = "/data/sessions"});
        REQUIRE_MESSAGE(sessions, (sessions ? "" : sessions.error().text()));
        access =
            std::make_unique<Access>(env, *registry, *ingest, *feed, access_options, std::move(*sessions));
        REQUIRE(access->listen({io::Endpoint::Kind::tcp, "0.0.0.0", 1883}, {}));
    }

    void close(bool power_cut = false) {
        io::Disk& disk = machine().env().disk(); // of the process that ends here
        if (power_cut)
            machine().power_cut(io::CutMode::lose_all);
        else
            machine().crash();
        access.reset();
        ingest.reset();
        feed.reset();
        registry.reset();
        db.reset();
        store::unregister_vfs(disk);
    }

    /// kill -9 or a power cut, and the program again.
    void restart(bool power_cut = false) {
        close(power_cut);
        open();
    }

    template <class T, class Act> Result<T> wait(Act act) {
        std::optional<Result<T>> outcome;
        act([&outcome](Result<T> result) { outcome.emplace(std::move(result)); });
        REQUIRE(world.run_until([&outcome] { return outcome.has_value(); }, 60s));
        return std::move(*outcome);
    }

    void product(std::string key, bool gateway = false) {
        auto model = thing::Model::parse_text(door_model);
        REQUIRE_MESSAGE(model, (model ? "" : model.error().text()));
        ProductSpec spec{
            std::move(key), "name", "", gateway, std::make_shared<const thing::Model>(std::move(*model))
        };
        REQUIRE(wait<Product*>([&](auto done) { registry->create_product(std::move(spec), std::move(done)); })
        );
    }

    void device(std::string key, std::string name) {
        DeviceSpec spec{std::move(key), std::move(name), "", "secret0123456789"};
        REQUIRE(wait<Device*>([&](auto done) { registry->create_device(std::move(spec), std::move(done)); }));
    }

    Device& at(std::string_view key, std::string_view name) {
        Device* found = registry->device(key, name);
        REQUIRE(found != nullptr);
        return *found;
    }

    /// What the hub itself sends, as a rule or the API would. How many sessions it was for.
    std::size_t hub_says(const std::string& topic, const std::string& payload, bool retain = false) {
        auto message = std::make_shared<Message>();
        message->topic = topic;
        message->payload = payload;
        message->qos = 1;
        message->retain = retain;
        return access->broker().publish(message, machine().env().loop().now());
    }

    void fault(io::DiskFault::Kind kind, std::string path, Duration delay = {}) {
        io::DiskFault fault;
        fault.kind = kind;
        fault.path_part = std::move(path);
        fault.times = 1'000'000;
        fault.delay = delay;
        machine().disk().add_fault(fault);
    }

    io::SimWorld world{1};
    RegistryLimits limits;
    AccessOptions access_options;
    IngestOptions ingest_options{
        .folder = "/data/ingress", .log_bytes_max = 16'777'216, .segment_bytes = 65'536
    };
    std::unique_ptr<MetaDb> db;
    std::unique_ptr<Registry> registry;
    std::unique_ptr<Feed> feed;
    std::unique_ptr<Ingest> ingest;
    std::unique_ptr<Access> access;
};

/// For Client: its session outlives the connection by an hour.
inline void keep_session(mqtt::ClientOptions& options) {
    options.clean_start = false;
    options.session_expiry_s = 3'600;
}

/// A device or gateway with a connection of its own.
class Client final : private mqtt::LinkEvents {
public:
    using Adjust = std::function<void(mqtt::ClientOptions&)>;

    Client(
        DoorRig& rig,
        std::string key,
        std::string name,
        mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5,
        Adjust adjust = {}
    )
        : rig_(rig), key_{std::move(key), std::move(name)}, version_(version), adjust_(std::move(adjust)),
          env_(rig.world.machine("at-" + key_.device_name).env()),
          link_(
              env_,
              *this,
              {.to = {io::Endpoint::Kind::tcp, "hub", 1883}, .backoff_min = 50ms, .backoff_max = 1s}
          ) {
        link_.start();
        REQUIRE(rig_.world.run_until([this] { return link_.up(); }, 60s));
    }

    /// Publishes now; the number to ask settled() with.
    std::uint64_t publish(std::string topic, std::string payload) {
        Message message;
        message.topic = std::move(topic);
        message.payload = std::move(payload);
        message.qos = 1;
        return publish(std::move(message));
    }

    std::uint64_t publish(Message message) {
        const auto sent = link_.client().publish(message, ++last_, link_.now());
        REQUIRE_MESSAGE(sent, (sent ? "" : sent.error().text()));
        return last_;
    }

    /// A request on one of our own topics.
    std::uint64_t request(std::string_view rest, std::string_view params) {
        return publish(
            thing::sys_topic(key_, rest), R"({"id":"7","version":"1.0","params":)" + std::string(params) + "}"
        );
    }

    std::uint64_t login(std::string_view verb, const Json& params) {
        return publish(
            "/ext/session/" + key_.text() + "/combine/" + std::string(verb),
            R"({"id":"7","params":)" + params.text() + "}"
        );
    }

    std::optional<mqtt::ReasonCode> settled(std::uint64_t tag) const {
        const auto found = settled_.find(tag);
        return found == settled_.end() ? std::nullopt : std::optional(found->second);
    }

    /// Runs the world until that publish is acknowledged, and says with what.
    mqtt::ReasonCode acknowledged(std::uint64_t tag) {
        REQUIRE(rig_.world.run_until([&] { return settled(tag).has_value(); }, 60s));
        return *settled(tag);
    }

    /// The last payload on a topic that ends so; null JSON when there was none.
    Json last(std::string_view topic_end) const {
        for (auto each = received.rbegin(); each != received.rend(); ++each) {
            if (each->first.ends_with(topic_end))
                return Json::parse(each->second).value_or(Json());
        }
        return {};
    }

    std::size_t count(std::string_view topic_end) const {
        return static_cast<std::size_t>(std::count_if(
            received.begin(),
            received.end(),
            [&](const auto& each) { return each.first.ends_with(topic_end); }
        ));
    }

    mqtt::Link& link() { return link_; }

    /// Runs the world until the subscription is answered.
    mqtt::ReasonCode subscribe(const std::string& filter) {
        subscribed_.reset();
        REQUIRE(link_.client().subscribe({{filter, 1}}, link_.now()));
        REQUIRE(rig_.world.run_until([this] { return subscribed_.has_value(); }, 60s));
        return *subscribed_;
    }

    std::vector<std::pair<std::string, std::string>> received;
    bool acknowledges = true; ///< what comes
    bool resumed = false;     ///< the last connection found its session
    std::string down;         ///< why the last one ended

private:
    mqtt::ClientOptions login() override {
        const auto login =
            thing::make_login(key_, Secret("secret0123456789"), false, "client", env_.loop().clock().wall());
        mqtt::ClientOptions options;
        options.version = version_;
        options.client_id = login.client_id;
        options.username = login.username;
        options.password = login.password.reveal();
        if (adjust_)
            adjust_(options);
        return options;
    }

    void on_up(const mqtt::Connack& connack) override { resumed = connack.session_present; }

    void on_down(const Error& why, std::chrono::milliseconds) override { down = why.text(); }

    bool on_message(const MessagePtr& message, std::uint16_t) override {
        received.emplace_back(message->topic, message->payload);
        return acknowledges;
    }

    void on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) override { settled_[tag] = reason; }

    void on_subscribed(std::string_view, mqtt::ReasonCode reason) override { subscribed_ = reason; }

    DoorRig& rig_;
    thing::DeviceKey key_;
    mqtt::ProtocolVersion version_;
    Adjust adjust_;
    io::Env& env_;
    mqtt::Link link_;
    std::map<std::uint64_t, mqtt::ReasonCode> settled_;
    std::optional<mqtt::ReasonCode> subscribed_;
    std::uint64_t last_ = 0;
};

/// What a gateway signs for a device of the rig.
inline Json claim(std::string_view key, std::string_view name) {
    const thing::DeviceKey device{std::string(key), std::string(name)};
    return Json::object(
        {{"productKey", key},
         {"deviceName", name},
         {"clientId", "c"},
         {"timestamp", "1"},
         {"signMethod", "hmacsha256"},
         {"sign", thing::sign(Digest::sha256, Secret("secret0123456789"), "c", device, "1")}}
    );
}

} // namespace brim::hub::test
