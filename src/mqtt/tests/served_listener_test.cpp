// A listener in front of another protocol than MQTT: what it bears is counted at the accept, and until the
// stream ends, whatever becomes of it.

#include "mqtt/server.h"

#include "io/sim/sim_machine.h"
#include "io/sim/sim_world.h"
#include "mqtt/codec.h"

#include <doctest/doctest.h>
#include <memory>
#include <vector>

using namespace brim;
using namespace brim::mqtt;
using namespace std::chrono_literals;

namespace {

class RatedServer final : public Server {
public:
    explicit RatedServer(io::Env& env) : Server(env, {}) {}

    void on_connect(ConnId conn, const Connect& connect) override {
        last.session_key = connect.client_id;
        limit_rates(conn, last);
        broker().accept(conn, last, env().loop().now());
    }

    bool authorise(const ConnView&, Action, std::string_view) override { return true; }

    Verdict on_publish(const ConnView&, const MessagePtr&, AckToken) override { return Verdict::consumed; }

    void on_up(const ConnView&) override {}

    void on_down(const ConnView&, Ended) override {}

    void on_dropped(std::string_view, std::string_view, std::uint64_t) override {}

    Admission last;
};

/// An end of a connection that hears what comes.
struct End final : io::StreamHandler {
    void on_data(ByteView bytes) override { heard += bytes; }

    void on_closed(const Error&) override { is_closed = true; }

    std::unique_ptr<io::Stream> stream;
    std::unique_ptr<io::Connecting> connecting;
    Bytes heard;
    bool is_closed = false;
};

struct ServedRig {
    explicit ServedRig(ListenerOptions options) {
        options.serve = [this](std::unique_ptr<io::Stream> stream) {
            if (is_mqtt)
                return server.adopt(std::move(stream), within);
            near.push_back(std::make_unique<End>());
            near.back()->stream = std::move(stream);
            near.back()->stream->start(*near.back());
        };
        REQUIRE(server.listen({io::Endpoint::Kind::tcp, "0.0.0.0", 8'080}, std::move(options)));
    }

    End& come(const std::string& from, ByteView bytes) {
        far.push_back(std::make_unique<End>());
        End& end = *far.back();
        end.connecting = world.machine(from).env().net().connect(
            {io::Endpoint::Kind::tcp, "hub", 8'080},
            5s,
            [&end, sent = Bytes(bytes)](Result<std::unique_ptr<io::Stream>> stream) {
                REQUIRE(stream);
                end.stream = std::move(*stream);
                end.stream->start(end);
                end.stream->write(sent);
            }
        );
        world.run_for(50ms);
        return end;
    }

    bool counted(const std::string& reason) {
        return hub.metrics().text().find("brim_mqtt_rejected_total{reason=\"" + reason + "\"}") !=
               std::string::npos;
    }

    io::SimWorld world{846};
    io::Env& hub{world.machine("hub").env()};
    RatedServer server{hub};
    EntranceId within{server.add_entrance({.tag = 3, .publish_rate_max = 5, .publish_bytes_rate_max = 900})};
    bool is_mqtt = false;
    std::vector<std::unique_ptr<End>> near, far;
};

Bytes login(const std::string& name) {
    Connect packet;
    packet.version = ProtocolVersion::v311;
    packet.client_id = name;
    Bytes bytes;
    encode_connect(bytes, packet);
    return bytes;
}

} // namespace

TEST_CASE("[F-45] a served stream has its place from the accept until either end closes it, or it is gone") {
    ServedRig rig({.limits = {.connections_max = 1}});
    End& first = rig.come("a", "one");
    REQUIRE(rig.near.size() == 1);
    CHECK(rig.near[0]->heard == "one");
    CHECK(rig.come("b", "two").is_closed);
    CHECK(rig.counted("listener_full"));
    first.stream->close();
    rig.world.run_for(1s);
    CHECK(rig.near[0]->is_closed);
    CHECK_FALSE(rig.come("b", "three").is_closed);
    CHECK(rig.come("c", "four").is_closed);
    rig.near[1]->stream->close();
    CHECK_FALSE(rig.come("c", "five").is_closed);
    rig.near[2]->stream.reset();
    CHECK_FALSE(rig.come("d", "six").is_closed);
    CHECK(rig.near.size() == 4);
}

TEST_CASE("[B-85] addresses are counted before anything is said, and through a proxy they are the clients'") {
    ListenerOptions options;
    options.proxy.emplace();
    options.proxy->trusted = *io::AddressSet::parse({"10.0.0.0/8"});
    options.limits.connections_per_address_max = 1;
    ServedRig rig(std::move(options));
    const auto header = [](const std::string& client) {
        return "PROXY TCP4 " + client + " 198.51.100.1 51234 8080\r\n";
    };
    CHECK_FALSE(rig.come("proxy", header("192.0.2.1") + "GET").is_closed);
    CHECK_FALSE(rig.come("proxy", header("192.0.2.2") + "GET").is_closed);
    CHECK(rig.come("proxy", header("192.0.2.1") + "GET").is_closed);
    CHECK(rig.counted("address_full"));
    CHECK(rig.come("proxy", "GET / HTTP/1.1\r\n\r\n").is_closed);
    CHECK(rig.counted("proxy_header"));
    REQUIRE(rig.near.size() == 2);
    CHECK(rig.near[0]->stream->peer().address == "192.0.2.1:51234");
    CHECK(rig.near[0]->heard == "GET");
}

TEST_CASE("what a served listener hands on to MQTT has one place, and the rates of its entrance") {
    ServedRig rig({.limits = {.connections_max = 1}});
    rig.is_mqtt = true;
    End& first = rig.come("a", login("one"));
    CHECK_FALSE(first.is_closed);
    CHECK(rig.server.broker().stats().connections == 1);
    CHECK(rig.server.last.publish_rate_max == 5);
    CHECK(rig.server.last.publish_bytes_rate_max == 900);
    CHECK(rig.come("b", login("two")).is_closed);
    first.stream->close();
    rig.world.run_for(1s);
    CHECK_FALSE(rig.come("b", login("two")).is_closed);
    CHECK(rig.server.broker().stats().connections == 1);
}
