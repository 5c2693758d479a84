// [B-57] A remote broker that sends what no broker should.

#include "bridge_rig.h"

#include "mqtt/codec.h"

using namespace brim;
using namespace brim::broker;
using namespace brim::broker::rig;
using namespace std::chrono_literals;
using enum brim::broker::BridgeDirection;

namespace {

/// The remote broker: lets everyone in, says what the test tells it to.
struct Remote final : io::StreamHandler {
    explicit Remote(io::Env& env) : env_(env) {
        auto opened = env.net().listen(
            {io::Endpoint::Kind::tcp, "0.0.0.0", 1'883},
            [this](std::unique_ptr<io::Stream> accepted) {
                old.push_back(std::move(stream));
                stream = std::move(accepted);
                heard.clear();
                answered = false;
                ++connects;
                stream->start(*this);
            }
        );
        REQUIRE(opened.has_value());
        listener = std::move(*opened);
    }

    void on_data(ByteView bytes) override {
        heard += bytes;
        if (answered)
            return;
        answered = true;
        Bytes out;
        encode_connack(out, connack, version);
        stream->write(out);
    }

    void on_closed(const Error&) override {}

    void say(ByteView bytes) {
        if (stream)
            stream->write(bytes);
    }

    void publish(
        std::string_view topic, std::string_view payload, std::uint8_t qos = 1, std::string_view mark = {}
    ) {
        mqtt::Publish packet;
        packet.topic = topic;
        packet.payload = payload;
        packet.qos = qos;
        packet.packet_id = qos == 0 ? std::uint16_t{0} : ++id;
        if (!mark.empty())
            packet.user_properties.emplace_back(bridge_mark_name, mark);
        Bytes out;
        encode_publish(out, packet, version);
        say(out);
    }

    /// The SUBSCRIBE of the bridge gets these answers; its id is the first above those of publishes.
    void suback(std::vector<mqtt::ReasonCode> reasons, std::uint16_t packet_id = 32'769) {
        Bytes out;
        mqtt::Suback packet;
        packet.packet_id = packet_id;
        packet.reasons = std::move(reasons);
        encode_suback(out, packet, version);
        say(out);
    }

    io::Env& env_;
    std::unique_ptr<io::Listener> listener;
    std::vector<std::unique_ptr<io::Stream>> old;
    std::unique_ptr<io::Stream> stream;
    mqtt::Connack connack;
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5;
    Bytes heard;
    bool answered = false;
    unsigned connects = 0;
    std::uint16_t id = 0;
};

struct HostileRig {
    explicit HostileRig(std::vector<BridgeRule> rules, std::uint64_t seed = 57)
        : world(seed), remote(world.machine("b").env()), a(world.machine("a").env(), "a", at_a),
          near(world, "near", "a") {
        BridgeSettings wanted = settings("ab", "b", std::move(rules));
        wanted.keepalive_s = 3'600;
        auto added = a.bridges.add(wanted);
        REQUIRE_MESSAGE(added.has_value(), added.error().text());
        bridge = *added;
        a.bridges.start();
        up();
    }

    void up() {
        REQUIRE(world.run_until([&] { return bridge->stats().up && near.up(); }, 60s));
        world.run_for(20ms);
    }

    std::uint64_t dropped(const std::string& reason) {
        const auto stats = bridge->stats();
        return stats.dropped.contains(reason) ? stats.dropped.at(reason) : 0;
    }

    io::SimWorld world;
    Remote remote;
    Arrivals at_a;
    Site a;
    Publisher near;
    Bridge* bridge = nullptr;
};

} // namespace

TEST_CASE("[B-57] topics nobody asked for, or that would become '$' ones, are dropped and counted") {
    HostileRig rig({{in, "good/#", 1, "", ""}, {in, "#", 1, "", "pre/"}});
    rig.remote.suback({mqtt::ReasonCode::granted_qos1, mqtt::ReasonCode::granted_qos1});
    rig.remote.publish("good/x", "1");
    rig.remote.publish("other", "2");
    rig.remote.publish("pre/$SYS/x", "3");
    rig.remote.publish("pre/" + std::string(2'000, 'x'), "4");
    rig.remote.publish("pre/a" + std::string(200, '/'), "5");
    rig.remote.publish("pre/" + std::string(65'000, '/'), "6");
    rig.world.run_for(1s);
    CHECK(rig.bridge->stats().up);
    CHECK(rig.at_a.times.size() == 1);
    CHECK(rig.dropped("in_unmatched") == 4);
    CHECK(rig.dropped("in_unfit") == 1);
}

TEST_CASE("[B-57] topics that are none end the connection, and the bridge comes back") {
    for (const std::string_view topic : {"good/+", "good/#", "#", ""}) {
        HostileRig rig({{in, "good/#"}});
        rig.remote.publish(topic, "1");
        rig.world.run_for(1s);
        rig.up();
        CHECK(rig.remote.connects > 1);
        CHECK(rig.at_a.times.empty());
        CHECK(rig.bridge->stats().last_error.has_value());
    }
}

TEST_CASE("[B-57] answers nobody asked for and a SUBACK of the wrong size do no harm") {
    for (int kind = 0; kind < 6; ++kind) {
        CAPTURE(kind);
        HostileRig rig({{both, "#"}});
        Bytes out;
        switch (kind) {
        case 0:
            rig.remote.suback({});
            break;
        case 1:
            rig.remote.suback(std::vector<mqtt::ReasonCode>(100, mqtt::ReasonCode::success));
            break;
        case 2:
            rig.remote.suback({mqtt::ReasonCode::success}, 7);
            break;
        case 3:
            rig.remote.say(std::string("\x90\x02\x80\x01", 4)); // SUBACK without reason codes (3.1.1)
            break;
        case 4:
            for (std::uint16_t id = 1; id < 200; ++id) {
                mqtt::Ack ack;
                ack.packet_id = id;
                encode_ack(out, mqtt::PacketType::puback, ack, rig.remote.version);
            }
            rig.remote.say(out);
            break;
        default:
            rig.remote.say(Bytes("\xff\xff\xff\xff\xff", 5));
        }
        rig.world.run_for(2s);
        rig.up();
        REQUIRE(rig.near.publish("t"));
        rig.world.run_for(1s);
        CHECK(rig.near.acked.size() == 1); // stored, whatever the remote broker does
        CHECK(rig.bridge->stats().queued_records == 1);
    }
}

TEST_CASE("[B-57] a refused subscription is told, the rest goes on") {
    HostileRig rig({{in, "a/#"}, {in, "b/#"}});
    rig.remote.suback({mqtt::ReasonCode::not_authorized, mqtt::ReasonCode::granted_qos1});
    rig.remote.publish("b/x", "1");
    rig.world.run_for(1s);
    const auto stats = rig.bridge->stats();
    CHECK(stats.up);
    REQUIRE(stats.refused_filters.size() == 1);
    CHECK(stats.refused_filters.begin()->first == "a/#");
    CHECK(rig.at_a.times.size() == 1);
}

TEST_CASE("[B-57] a packet over the limit ends the connection, nothing of it is taken") {
    HostileRig rig({{in, "#"}});
    rig.remote.publish("big", std::string(400'000, 'x'));
    rig.world.run_for(1s);
    CHECK(rig.at_a.times.empty());
    rig.up();
    CHECK(rig.remote.connects > 1);
}

TEST_CASE("[B-57] forged marks: own id, broken ones and too long paths") {
    HostileRig rig({{in, "#"}});
    rig.remote.publish("t", "own", 1, "x,a;1");
    rig.remote.publish("t", "broken", 1, "no mark");
    rig.remote.publish("t", "far", 1, "1,2,3,4,5,6,7,8;1");
    rig.remote.publish("t", "good", 1, "x;1");
    rig.remote.publish("t", "again", 1, "x,y;1");
    rig.world.run_for(1s);
    CHECK(rig.at_a.times == std::map<std::string, unsigned>{{"far", 1}, {"good", 1}});
    CHECK(rig.bridge->stats().loops_cut == 2);
    CHECK(rig.a.bridges.bad_marks() == 1);
    CHECK(rig.a.bridges.too_far() == 1);
}

TEST_CASE("[B-57] random bytes and broken packets at random times never harm the bridge") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        HostileRig rig({{both, "#", 1, "l/", ""}}, seed);
        for (int n = 0; n < 60; ++n) {
            Random& random = rig.world.random();
            Bytes out;
            mqtt::Publish packet;
            const std::string topic = random.alnum(1 + random.below(20));
            packet.topic = topic;
            packet.qos = static_cast<std::uint8_t>(random.below(3));
            packet.packet_id =
                packet.qos == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(1 + random.below(9));
            encode_publish(out, packet, rig.remote.version);
            const auto kind = random.below(4);
            if (kind == 0)
                out[random.below(out.size())] = static_cast<char>(random.below(256));
            else if (kind == 1)
                for (char& c : out)
                    c = static_cast<char>(random.below(256));
            rig.remote.say(out);
            rig.near.publish("l/t", static_cast<std::uint8_t>(random.below(2)));
            rig.world.run_for(std::chrono::milliseconds(random.below(200)));
        }
        rig.up();
        CHECK(rig.bridge->stats().queued_records <= 60);
    }
}
