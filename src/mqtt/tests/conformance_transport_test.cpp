// Conformance of what puts the cores on a transport: server.h and link.h, over the simulated network.

#include "mqtt/tests/conformance.h"

#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"
#include "mqtt/link.h"
#include "mqtt/server.h"

#include <memory>
#include <optional>

using namespace brim;
using namespace brim::mqtt;
using namespace brim::mqtt::bench;

namespace {

const io::Endpoint door{io::Endpoint::Kind::tcp, "hub", 1'883};

/// A broker that lets everyone do everything.
class OpenServer final : public Server {
public:
    explicit OpenServer(io::Env& env) : Server(env, {}) {}

    void on_connect(ConnId conn, const Connect& connect) override {
        Admission admission;
        admission.session_key = connect.client_id;
        broker().accept(conn, admission, env().loop().now());
    }

    bool authorise(const ConnView&, Action, std::string_view) override { return true; }

    Verdict on_publish(const ConnView&, const MessagePtr&, AckToken) override { return Verdict::route; }

    void on_up(const ConnView&) override {}

    void on_down(const ConnView&, Ended why) override { downs.push_back(why); }

    void on_dropped(std::string_view, std::string_view, std::uint64_t count) override { dropped += count; }

    std::vector<Ended> downs;
    std::uint64_t dropped = 0;
};

/// A program on a machine of its own with one link to the door.
struct Device final : LinkEvents {
    Device(io::SimWorld& world, std::string name, ProtocolVersion version)
        : link(world.machine(name).env(), *this, LinkOptions{.to = door}) {
        options.version = version;
        options.client_id = std::move(name);
    }

    ClientOptions login() override { return options; }

    void on_up(const Connack&) override { ++ups; }

    void on_down(const Error&, std::chrono::milliseconds) override { ++downs; }

    bool on_message(const MessagePtr& message, std::uint16_t) override {
        payloads.push_back(message->payload);
        return true;
    }

    void on_settled(PublishTag, ReasonCode) override { ++settled; }

    void on_subscribed(std::string_view, ReasonCode) override { ++subscribed; }

    ClientOptions options;
    Link link;
    int ups = 0;
    int downs = 0;
    int settled = 0;
    int subscribed = 0;
    std::vector<std::string> payloads;
};

/// A server's end that lets everyone in and writes down what it hears.
struct Ear final : io::StreamHandler {
    void on_data(ByteView data) override {
        bytes += data;
        if (is_answered)
            return;
        is_answered = true;
        Bytes answer;
        encode_connack(answer, Connack{}, version);
        stream->write(answer);
    }

    void on_closed(const Error&) override { is_closed = true; }

    ProtocolVersion version = ProtocolVersion::v5;
    std::unique_ptr<io::Stream> stream;
    Bytes bytes;
    bool is_answered = false;
    bool is_closed = false;
};

} // namespace

TEST_CASE("[MQTT-4.2.0-1] messages cross a stream in order, each once, whatever their size") {
    for (const ProtocolVersion version : both_versions) {
        io::SimWorld world(420);
        OpenServer server(world.machine("hub").env());
        REQUIRE(server.listen({io::Endpoint::Kind::tcp, "0.0.0.0", 1'883}, {}));
        Device reader(world, "reader", version);
        Device writer(world, "writer", version);
        reader.link.start();
        writer.link.start();
        REQUIRE(world.run_until([&] { return reader.ups == 1 && writer.ups == 1; }, std::chrono::seconds{30})
        );
        REQUIRE(reader.link.client().subscribe({{"a", 1}}, reader.link.now()).has_value());
        REQUIRE(world.run_until([&] { return reader.subscribed == 1; }, std::chrono::seconds{10}));
        std::vector<std::string> sent;
        for (std::size_t i = 0; i < 100; ++i) {
            Message message;
            message.topic = "a";
            message.payload = std::to_string(i) + std::string(i * i * 7, 'x');
            message.qos = 1;
            REQUIRE(writer.link.client().publish(message, i, writer.link.now()).has_value());
            sent.push_back(message.payload);
        }
        REQUIRE(world.run_until(
            [&] { return reader.payloads.size() >= 100 && writer.settled == 100; }, std::chrono::minutes{2}
        ));
        world.run_for(std::chrono::seconds{5});
        CHECK(reader.payloads == sent);
        CHECK(server.dropped == 0);
    }
}

TEST_CASE("[MQTT-3.14.4-2] [MQTT3-3.14.4-1] a link that stops sends DISCONNECT last and closes its connection"
) {
    for (const ProtocolVersion version : both_versions) {
        io::SimWorld world(3144);
        Ear ear;
        ear.version = version;
        auto listener = world.machine("hub").env().net().listen(
            {io::Endpoint::Kind::tcp, "0.0.0.0", 1'883},
            [&](std::unique_ptr<io::Stream> stream) {
                ear.stream = std::move(stream);
                ear.stream->start(ear);
            }
        );
        REQUIRE(listener.has_value());
        Device device(world, "device", version);
        device.link.start();
        REQUIRE(world.run_until([&] { return device.ups == 1; }, std::chrono::seconds{30}));
        CHECK_FALSE(ear.is_closed);
        device.link.stop();
        REQUIRE(world.run_until([&] { return ear.is_closed; }, std::chrono::seconds{30}));
        CHECK(ear.bytes.ends_with(ByteView("\xE0\x00", 2)));
        const std::size_t heard = ear.bytes.size();
        world.run_for(std::chrono::minutes{10}); // it stays away
        CHECK(ear.bytes.size() == heard);
        CHECK(device.ups == 1);
    }
}

TEST_CASE("[MQTT-4.13.2-1] a server that stops or refuses leaves no connection open") {
    for (const ProtocolVersion version : both_versions) {
        io::SimWorld world(4132);
        OpenServer server(world.machine("hub").env());
        REQUIRE(server.listen({io::Endpoint::Kind::tcp, "0.0.0.0", 1'883}, {}));
        Device device(world, "device", version);
        device.link.start();
        REQUIRE(world.run_until([&] { return device.ups == 1; }, std::chrono::seconds{30}));
        server.broker().kick("device", ReasonCode::administrative_action, false, world.now());
        REQUIRE(world.run_until([&] { return device.downs == 1; }, std::chrono::seconds{10}));
        REQUIRE(world.run_until([&] { return device.ups == 2; }, std::chrono::minutes{1}));
        device.link.stop();
        REQUIRE(world.run_until([&] { return server.downs.size() == 2; }, std::chrono::seconds{10}));
        CHECK(server.downs == std::vector<Ended>{Ended::kicked, Ended::disconnect});
        CHECK(server.broker().stats().connections == 0);
    }
}
