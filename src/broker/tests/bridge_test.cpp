// A bridge between two of our brokers over the simulated network: what it carries, and what it does not.

#include "bridge_rig.h"

using namespace brim;
using namespace brim::broker;
using namespace brim::broker::rig;
using namespace std::chrono_literals;
using enum brim::broker::BridgeDirection;

namespace {

/// Site "a" with one bridge to site "b", and a publisher at each.
struct Pair {
    explicit Pair(
        std::vector<BridgeRule> rules,
        std::function<void(BridgeSettings&)> change = {},
        std::uint64_t seed = 1
    )
        : world(seed), b(world.machine("b").env(), "b", at_b), a(world.machine("a").env(), "a", at_a),
          near(world, "near", "a"), far(world, "far", "b") {
        BridgeSettings wanted = settings("ab", "b", std::move(rules));
        if (change)
            change(wanted);
        auto added = a.bridges.add(wanted);
        REQUIRE_MESSAGE(added.has_value(), added.error().text());
        bridge = *added;
        a.bridges.start();
        REQUIRE(world.run_until([&] { return bridge->stats().up && near.up() && far.up(); }, 30s));
        world.run_for(1s);
    }

    void cut() {
        world.links().refuse("b", true);
        world.links().reset("a", "b");
        REQUIRE(world.run_until([&] { return !bridge->stats().up; }, 10s));
    }

    void heal() {
        world.links().refuse("b", false);
        REQUIRE(world.run_until([&] { return bridge->stats().up; }, 30s));
        world.run_for(2s);
    }

    std::uint64_t dropped(std::string_view reason) {
        const auto stats = bridge->stats();
        const auto place = stats.dropped.find(reason);
        return place == stats.dropped.end() ? 0 : place->second;
    }

    io::SimWorld world;
    Arrivals at_a;
    Arrivals at_b;
    Site b;
    Site a;
    Publisher near;
    Publisher far;
    Bridge* bridge = nullptr;
};

} // namespace

TEST_CASE("messages go out and come in under their mapped names, others stay") {
    Pair pair({{out, "up/#", 1, "", "site/"}, {in, "down/#", 1, "far/", ""}});
    REQUIRE(pair.near.publish("up/x"));
    REQUIRE(pair.near.publish("down/x"));
    REQUIRE(pair.far.publish("down/y"));
    REQUIRE(pair.far.publish("site/up/y"));
    pair.world.run_for(2s);
    CHECK(pair.at_b.first_order["site/up/x"].size() == 1);
    CHECK(pair.at_a.first_order["far/down/y"].size() == 1);
    CHECK(pair.at_b.times.size() == 3);
    CHECK(pair.at_a.times.size() == 3);
    CHECK(pair.near.acked.size() == 2);
    CHECK(pair.bridge->stats().acknowledged == 1);
    CHECK(pair.bridge->stats().queued_records == 0);
}

TEST_CASE("QoS 1 waits for the link in order, QoS 0 does not wait unless it was asked to") {
    for (const bool queued : {false, true}) {
        Pair pair({{out, "#"}}, [queued](BridgeSettings& s) { s.queue_qos0 = queued; });
        pair.cut();
        for (int i = 0; i < 50; ++i)
            REQUIRE(pair.near.publish("q1", 1));
        REQUIRE(pair.near.publish("q0", 0));
        pair.world.run_for(2s);
        CHECK(pair.near.acked.size() == 50); // on disk, so acknowledged
        CHECK(pair.at_b.times.empty());
        CHECK(pair.dropped("qos0_down") == (queued ? 0 : 1));
        pair.heal();
        CHECK(pair.at_b.first_order["q1"].size() == 50);
        CHECK(pair.at_b.first_order.contains("q0") == queued);
        check_order(pair.at_b);
        REQUIRE(pair.near.publish("q0", 0));
        pair.world.run_for(1s);
        CHECK(pair.at_b.first_order["q0"].size() == (queued ? 2 : 1));
    }
}

TEST_CASE("what is published at the far side while we are away waits there for us") {
    Pair pair({{in, "#"}});
    pair.cut();
    for (int i = 0; i < 30; ++i)
        REQUIRE(pair.far.publish("t"));
    pair.world.run_for(2s);
    CHECK(pair.at_a.times.empty());
    pair.heal();
    CHECK(pair.at_a.first_order["t"].size() == 30);
    check_order(pair.at_a);
}

TEST_CASE("a message the local broker could not keep is not acknowledged, and comes again") {
    Pair pair({{in, "#"}});
    pair.a.refuse_left = 3;
    for (int i = 0; i < 5; ++i)
        REQUIRE(pair.far.publish("t"));
    pair.world.run_for(20s);
    CHECK(pair.dropped("in_failed") >= 1);
    CHECK(pair.at_a.first_order["t"].size() == 5);
}

TEST_CASE("a rule for both directions sends nothing back, with MQTT 5 and with 3.1.1") {
    for (const auto version : {mqtt::ProtocolVersion::v5, mqtt::ProtocolVersion::v311}) {
        CAPTURE(static_cast<int>(version));
        Pair pair({{both, "#"}}, [version](BridgeSettings& s) { s.protocol = version; });
        for (int i = 0; i < 20; ++i) {
            REQUIRE(pair.near.publish("n"));
            REQUIRE(pair.far.publish("f"));
        }
        pair.world.run_for(5s);
        CHECK(pair.at_a.times.size() == 40);
        CHECK(pair.at_b.times.size() == 40);
        for (const Arrivals* side : {&pair.at_a, &pair.at_b}) {
            for (const auto& [payload, times] : side->times)
                CHECK_MESSAGE(times == 1, payload << " came " << times << " times");
        }
        CHECK(pair.bridge->stats().loops_cut == (version == mqtt::ProtocolVersion::v5 ? 0 : 20));
    }
}

TEST_CASE("in a ring of three brokers each message arrives once at each") {
    io::SimWorld world(3);
    const std::vector<std::string> names{"a", "b", "c"};
    std::map<std::string, Arrivals> arrivals;
    std::vector<std::unique_ptr<Site>> sites;
    std::vector<std::unique_ptr<Publisher>> publishers;
    for (const std::string& name : names)
        sites.push_back(std::make_unique<Site>(world.machine(name).env(), name, arrivals[name]));
    for (std::size_t i = 0; i < 3; ++i) {
        REQUIRE(sites[i]->bridges.add(settings("next", names[(i + 1) % 3], {{both, "#"}})));
        sites[i]->bridges.start();
        publishers.push_back(std::make_unique<Publisher>(world, "p" + names[i], names[i]));
    }
    world.run_for(5s);
    for (int n = 0; n < 20; ++n) {
        for (std::size_t i = 0; i < 3; ++i)
            REQUIRE(publishers[i]->publish("from/" + names[i]));
        world.run_for(100ms);
    }
    world.run_for(10s);
    for (const std::string& name : names) {
        CAPTURE(name);
        CHECK(arrivals[name].times.size() == 60);
        for (const auto& [payload, times] : arrivals[name].times)
            CHECK_MESSAGE(times == 1, payload << " came " << times << " times");
    }
    std::uint64_t cut = 0;
    for (const auto& site : sites)
        cut += site->bridges.loops_cut();
    CHECK(cut > 0);
}

TEST_CASE("a retained message is retained on the other side too, unless the bridge says no") {
    for (const bool retain : {true, false}) {
        Pair pair({{both, "#"}}, [retain](BridgeSettings& s) { s.retain = retain; });
        REQUIRE(pair.near.publish("n", 1, true));
        REQUIRE(pair.far.publish("f", 1, true));
        pair.world.run_for(2s);
        CHECK(pair.b.broker().stats().retained == (retain ? 2 : 1));
        CHECK(pair.a.broker().stats().retained == (retain ? 2 : 1));
    }
}

TEST_CASE("a full queue drops its oldest and counts them, or refuses the publisher") {
    for (const auto when_full : {store::WhenFull::drop_oldest, store::WhenFull::reject}) {
        Pair pair({{out, "#"}}, [when_full](BridgeSettings& s) {
            s.queue_bytes_max = 524'288;
            s.packet_bytes_max = 16'384;
            s.when_full = when_full;
        });
        pair.cut();
        unsigned published = 0;
        for (int i = 0; i < 400; ++i) {
            published += pair.near.publish("t/" + std::string(1'000, 'x')) ? 1 : 0;
            pair.world.run_for(10ms);
        }
        pair.world.run_for(2s);
        REQUIRE(published == 400);
        const auto stats = pair.bridge->stats();
        CHECK(stats.queued_bytes <= 524'288);
        CHECK(pair.dropped("full") > 0);
        const bool drops = when_full == store::WhenFull::drop_oldest;
        CHECK((pair.near.refused == 0) == drops);
        CHECK(pair.near.acked.size() + pair.near.refused == 400);
        if (drops)
            CHECK(stats.queued_records + pair.dropped("full") == 400);
        else
            CHECK(stats.queued_records == pair.near.acked.size());
        pair.heal();
        pair.world.run_for(5s);
        CHECK(pair.at_b.times.size() == stats.queued_records);
        CHECK(pair.bridge->stats().queued_records == 0);
    }
}

TEST_CASE("a setting that cannot work is refused by its name") {
    const BridgeSettings good = settings("n", "b", {{out, "#"}});
    CHECK(good.check().has_value());
    const auto refused = [&good](auto change) {
        BridgeSettings bad = good;
        change(bad);
        const auto result = bad.check();
        CHECK_FALSE(result.has_value());
        return result ? std::string() : result.error().text();
    };
    refused([](auto& s) { s.name = "a/b"; });
    refused([](auto& s) { s.to.host.clear(); });
    refused([](auto& s) { s.folder.clear(); });
    refused([](auto& s) { s.protocol = mqtt::ProtocolVersion::v31; });
    refused([](auto& s) { s.keepalive_s = 4; });
    refused([](auto& s) { s.backoff_min = s.backoff_max + 1ms; });
    refused([](auto& s) { s.packet_bytes_max = 1'023; });
    refused([](auto& s) { s.queue_bytes_max = 16ull * s.packet_bytes_max - 1; });
    refused([](auto& s) { s.inflight_max = 0; });
    const std::string text = refused([](auto& s) { s.rules.push_back({in, "#/a"}); });
    CHECK(text.find("bridge \"n\"") != std::string::npos);
    CHECK(text.find("bridge rule 2") != std::string::npos);
    const std::string loop = refused([](auto& s) {
        s.protocol = mqtt::ProtocolVersion::v311;
        s.rules = {{out, "a/#"}, {in, "#", 1, "a/", ""}};
    });
    CHECK(loop.find("bridge rule 1") != std::string::npos);
}
