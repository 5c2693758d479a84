// What a listener bears: connections in all and from one address, at once and in a second, also through a
// proxy.

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

/// Lets everyone in, and remembers who it was.
class RecordingServer final : public Server {
public:
    explicit RecordingServer(io::Env& env) : Server(env, {}) {}

    void on_connect(ConnId conn, const Connect& connect) override {
        peers.push_back(*peer(conn));
        tags.push_back(listener_tag(conn));
        Admission admission;
        admission.session_key = connect.client_id;
        admission.publish_rate_max = publish_rate_max;
        broker().accept(conn, admission, env().loop().now());
    }

    bool authorise(const ConnView&, Action, std::string_view) override { return true; }

    Verdict on_publish(const ConnView&, const MessagePtr&, AckToken) override {
        ++published;
        return Verdict::consumed;
    }

    void on_up(const ConnView&) override {}

    void on_down(const ConnView&, Ended) override {}

    void on_dropped(std::string_view, std::string_view, std::uint64_t) override {}

    std::vector<io::Peer> peers;
    std::vector<unsigned> tags;
    std::uint32_t publish_rate_max = 0;
    std::size_t published = 0;
};

struct Far final : io::StreamHandler {
    void on_data(ByteView bytes) override { received += bytes; }

    void on_closed(const Error&) override { is_closed = true; }

    std::unique_ptr<io::Stream> stream;
    std::unique_ptr<io::Connecting> connecting;
    Bytes received;
    bool is_closed = false;
};

/// A server on "hub" and any number of raw connections to it.
struct Rig {
    explicit Rig(ListenerOptions options) {
        options.tag = 7;
        REQUIRE(server.listen({io::Endpoint::Kind::tcp, "0.0.0.0", 1'883}, std::move(options)));
    }

    /// Connects from a machine and sends `bytes`.
    Far& come(const std::string& from, ByteView bytes = {}) {
        fars.push_back(std::make_unique<Far>());
        Far& far = *fars.back();
        far.connecting = world.machine(from).env().net().connect(
            {io::Endpoint::Kind::tcp, "hub", 1'883},
            5s,
            [&far, sent = Bytes(bytes)](Result<std::unique_ptr<io::Stream>> stream) {
                REQUIRE(stream);
                far.stream = std::move(*stream);
                far.stream->start(far);
                far.stream->write(sent);
            }
        );
        world.run_for(50ms);
        return far;
    }

    std::string count_of(const std::string& reason) {
        const std::string text = hub.metrics().text();
        const std::string name = "brim_mqtt_rejected_total{reason=\"" + reason + "\"} ";
        const std::size_t at = text.find(name);
        return at == std::string::npos
                   ? "0"
                   : text.substr(at + name.size(), text.find('\n', at) - at - name.size());
    }

    io::SimWorld world{845};
    io::Env& hub{world.machine("hub").env()};
    RecordingServer server{hub};
    std::vector<std::unique_ptr<Far>> fars;
};

Bytes connect_bytes(const std::string& name) {
    Connect packet;
    packet.version = ProtocolVersion::v311;
    packet.client_id = name;
    Bytes bytes;
    encode_connect(bytes, packet);
    return bytes;
}

ListenerOptions behind_proxy(const std::string& trusted, ConnectionLimits limits = {}) {
    ListenerOptions options;
    options.proxy.emplace();
    options.proxy->trusted = *io::AddressSet::parse({trusted});
    options.limits = limits;
    return options;
}

Bytes header(const std::string& client) {
    return "PROXY TCP4 " + client + " 198.51.100.1 51234 1883\r\n";
}

} // namespace

TEST_CASE("[F-45] connections above a listener's number are closed unheard until one has gone") {
    Rig rig({.limits = {.connections_max = 2}});
    Far& first = rig.come("a", connect_bytes("one"));
    rig.come("b", connect_bytes("two"));
    CHECK(rig.come("c", connect_bytes("three")).is_closed);
    CHECK(rig.server.peers.size() == 2);
    CHECK(rig.server.tags == std::vector<unsigned>{7, 7});
    CHECK(rig.count_of("listener_full") == "1");
    first.stream->close();
    rig.world.run_for(1s);
    CHECK_FALSE(rig.come("c", connect_bytes("three")).is_closed);
    CHECK(rig.come("d", connect_bytes("four")).is_closed);
    CHECK(rig.server.peers.size() == 3);
    CHECK(rig.count_of("listener_full") == "2");
}

TEST_CASE("[B-85] an address has its share of a listener, whoever else comes") {
    Rig rig({.limits = {.connections_per_address_max = 2}});
    rig.come("a");
    rig.come("a");
    CHECK(rig.come("a").is_closed);
    CHECK_FALSE(rig.come("b").is_closed);
    CHECK(rig.count_of("address_full") == "1");
    rig.world.run_for(6s); // who says nothing in 5 s has gone
    CHECK_FALSE(rig.come("a").is_closed);
}

TEST_CASE("[B-84] connects are taken at a rate, in all and from each address") {
    Rig rig({.limits = {.connects_per_second = 5, .connects_per_address_per_second = 4}});
    int open = 0;
    for (int i = 0; i < 6; ++i)
        open += rig.come("a").is_closed ? 0 : 1;
    CHECK(open >= 4); // at once, and one more at most within the 300 ms all this took
    CHECK(open <= 5);
    CHECK(rig.count_of("address_rate") != "0");
    for (int i = 0; i < 6; ++i)
        rig.come("b");
    CHECK(rig.count_of("rate") != "0");
}

TEST_CASE("through a proxy the clients are counted, not the proxy") {
    Rig rig(behind_proxy("10.0.0.0/8", {.connections_per_address_max = 1}));
    CHECK_FALSE(rig.come("proxy", header("192.0.2.1") + connect_bytes("one")).is_closed);
    CHECK_FALSE(rig.come("proxy", header("192.0.2.2") + connect_bytes("two")).is_closed);
    CHECK(rig.come("proxy", header("192.0.2.1") + connect_bytes("three")).is_closed);
    CHECK(rig.count_of("address_full") == "1");
    REQUIRE(rig.server.peers.size() == 2);
    CHECK(rig.server.peers[0].address == "192.0.2.1:51234");
    CHECK(rig.server.peers[1].address == "192.0.2.2:51234");
    CHECK(rig.server.peers[0].via.starts_with("10."));
}

TEST_CASE(
    "a listener for proxies closes who is none, and whose header is bad or late; all give back their place"
) {
    Rig stranger(behind_proxy("192.0.2.0/24", {.connections_max = 1}));
    CHECK(stranger.come("a", header("192.0.2.1") + connect_bytes("one")).is_closed);
    CHECK(stranger.come("a", header("192.0.2.1") + connect_bytes("one")).is_closed);
    CHECK(stranger.count_of("proxy_untrusted") == "2");
    CHECK(stranger.count_of("listener_full") == "0");
    Rig rig(behind_proxy("10.0.0.0/8", {.connections_max = 1}));
    CHECK(rig.come("a", connect_bytes("one")).is_closed);
    CHECK(rig.come("a", connect_bytes("one")).is_closed);
    Far& silent = rig.come("a");
    CHECK(rig.come("a", header("192.0.2.1")).is_closed); // the silent one has the place
    CHECK(rig.count_of("listener_full") == "1");
    rig.world.run_for(6s);
    CHECK(silent.is_closed);
    CHECK(rig.count_of("proxy_header") == "3");
    CHECK_FALSE(rig.come("a", header("192.0.2.1") + connect_bytes("one")).is_closed);
    CHECK(rig.server.peers.size() == 1);
}

TEST_CASE("a stream that comes another way is counted at its entrance") {
    Rig rig({});
    const EntranceId by = rig.server.add_entrance({.tag = 9, .limits = {.connections_max = 1}});
    const auto listener = rig.hub.net().listen({io::Endpoint::Kind::tcp, "0.0.0.0", 8'080}, [&](auto stream) {
        rig.server.adopt(std::move(stream), by);
    });
    std::vector<std::unique_ptr<Far>> fars;
    for (int i = 0; i < 2; ++i) {
        fars.push_back(std::make_unique<Far>());
        Far& far = *fars.back();
        far.connecting = rig.world.machine("a").env().net().connect(
            {io::Endpoint::Kind::tcp, "hub", 8'080},
            5s,
            [&far](auto stream) {
                far.stream = std::move(*stream);
                far.stream->start(far);
                far.stream->write(connect_bytes("one"));
            }
        );
        rig.world.run_for(100ms);
    }
    CHECK_FALSE(fars[0]->is_closed);
    CHECK(fars[1]->is_closed);
    CHECK(rig.server.tags == std::vector<unsigned>{9});
}

TEST_CASE("a server stopped while headers are read closes these connections") {
    Rig rig(behind_proxy("10.0.0.0/8"));
    Far& silent = rig.come("a");
    CHECK_FALSE(silent.is_closed);
    rig.server.stop();
    rig.world.run_for(1s);
    CHECK(silent.is_closed);
}

TEST_CASE("a client above its publishing rate is read from at its rate, over a real stream too") {
    Rig rig({});
    rig.server.publish_rate_max = 20;
    Far& far = rig.come("a", connect_bytes("one"));
    Bytes wire;
    for (int i = 0; i < 200; ++i) {
        Publish packet;
        packet.topic = "t";
        packet.payload = "x";
        encode_publish(wire, packet, ProtocolVersion::v311);
    }
    wire += Bytes("\xC0\0", 2);
    far.received.clear();
    far.stream->write(wire);
    rig.world.run_for(10ms);
    const std::size_t at_once = rig.server.published;
    CHECK(at_once <= 20);
    rig.world.run_for(5s);
    CHECK(rig.server.published >= 115);
    CHECK(rig.server.published <= 121);
    CHECK(far.received.empty());
    rig.world.run_for(5s);
    CHECK(rig.server.published == 200);
    CHECK(far.received == Bytes("\xD0\0", 2));
    CHECK_FALSE(far.is_closed);
}
