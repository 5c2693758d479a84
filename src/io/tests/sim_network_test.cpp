#include "io/sim/sim_world.h"

#include <doctest/doctest.h>
#include <optional>

using namespace brim;
using namespace brim::io;

namespace {

Endpoint at(const std::string& text) {
    return Endpoint::parse(text).value();
}

/// Collects what a stream brings.
struct Sink : StreamHandler {
    std::unique_ptr<Stream> stream;
    Bytes bytes;
    int calls = 0;
    int drained = 0;
    std::optional<Error> closed;
    bool echo = false;

    void adopt(std::unique_ptr<Stream> fresh) {
        stream = std::move(fresh);
        stream->start(*this);
    }

    void on_data(ByteView data) override {
        bytes += data;
        ++calls;
        if (echo)
            stream->write(data);
    }

    void on_drained() override { ++drained; }

    void on_closed(const Error& why) override { closed = why; }
};

/// A client on "edge" and a server on "hub", connected.
struct SimPair {
    SimWorld world;
    SimMachine& hub{world.machine("hub")};
    SimMachine& edge{world.machine("edge")};
    Sink server;
    Sink client;
    std::unique_ptr<Listener> listener;
    std::unique_ptr<Connecting> connecting;

    explicit SimPair(std::uint64_t seed = 1) : world(seed) {
        listener =
            hub.env().net().listen(
                               at("tcp:0.0.0.0:1883"), [this](auto s) { server.adopt(std::move(s)); }
            ).value();
        connect();
        REQUIRE(world.run_until([this] { return client.stream && server.stream; }, 10s));
    }

    void connect() {
        connecting = edge.env().net().connect(at("tcp:hub:1883"), 10s, [this](auto result) {
            if (result)
                client.adopt(std::move(*result));
            else
                client.closed = result.error();
        });
    }
};

Bytes noise(Random& random, std::size_t count) {
    Bytes bytes(count, '\0');
    for (auto& byte : bytes)
        byte = static_cast<char>(random.below(256));
    return bytes;
}

} // namespace

TEST_CASE("bytes arrive complete and in order, cut anywhere") {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        SimPair pair(seed);
        pair.server.echo = true;
        const auto sent = noise(pair.world.random(), 200'000);
        for (std::size_t i = 0; i < sent.size(); i += 10'000)
            pair.client.stream->write(ByteView(sent).substr(i, 10'000));
        CHECK(pair.world.run_until([&] { return pair.client.bytes.size() == sent.size(); }, 60s));
        CHECK(pair.client.bytes == sent);
        CHECK(pair.server.calls >= 4); // the window alone makes four
    }
}

TEST_CASE("peers see addresses, and unix peers see who it is") {
    SimPair pair;
    CHECK(pair.client.stream->peer().address == pair.hub.address() + ":1883");
    CHECK(pair.server.stream->peer().address.starts_with(pair.edge.address() + ":"));
    Sink near;
    Sink far;
    auto& driver = pair.edge.env("driver");
    auto bus =
        pair.edge.env().net().listen(at("unix:/run/bus.sock"), [&](auto s) { far.adopt(std::move(s)); });
    REQUIRE(bus.has_value());
    auto joining =
        driver.net().connect(at("unix:/run/bus.sock"), 1s, [&](auto s) { near.adopt(std::move(*s)); });
    REQUIRE(pair.world.run_until([&] { return near.stream && far.stream; }, 1s));
    CHECK(far.stream->peer().address == "unix:pid=2,uid=0");
    CHECK(far.stream->peer().uid == 0);
    // From another machine the same path leads nowhere.
    std::optional<Error> refused;
    auto strange =
        pair.hub.env().net().connect(at("unix:/run/bus.sock"), 1s, [&](auto s) { refused = s.error(); });
    REQUIRE(pair.world.run_until([&] { return refused.has_value(); }, 2s));
    CHECK(refused->code == Errc::unavailable);
}

TEST_CASE("a reader that pauses slows the writer down, and both go on when it resumes") {
    SimPair pair;
    pair.server.stream->pause_reading(true);
    const Bytes chunk(100'000, 'x');
    bool accepted = true;
    int written = 0;
    while (accepted) {
        accepted = pair.client.stream->write(chunk);
        ++written;
        pair.world.run_for(100ms);
        REQUIRE(written < 20);
    }
    CHECK(pair.client.stream->queued() > 256 * 1024);
    pair.world.run_for(10s);
    CHECK(pair.client.drained == 0);
    CHECK(pair.server.bytes.empty());
    pair.server.stream->pause_reading(false);
    CHECK(pair.world.run_until([&] { return pair.client.drained == 1; }, 10s));
    pair.world.run_for(1s);
    CHECK(pair.server.bytes.size() == static_cast<std::size_t>(written) * chunk.size());
}

TEST_CASE("close() sends what is queued first; destruction drops it") {
    SimPair pair;
    pair.client.stream->write(Bytes(300'000, 'x'));
    pair.client.stream->close();
    CHECK(pair.world.run_until([&] { return pair.server.closed.has_value(); }, 10s));
    CHECK(pair.server.bytes.size() == 300'000);
    CHECK(pair.server.closed->code == Errc::closed);
    CHECK_FALSE(pair.client.closed.has_value());

    SimPair other;
    other.client.stream->write(Bytes(300'000, 'x'));
    other.client.stream.reset();
    CHECK(other.world.run_until([&] { return other.server.closed.has_value(); }, 10s));
    CHECK(other.server.bytes.size() < 300'000);
}

TEST_CASE("a killed process' peer hears of it; a silent one's and a dead machine's peer does not") {
    SimPair pair;
    pair.hub.crash();
    CHECK(pair.world.run_until([&] { return pair.client.closed.has_value(); }, 1s));
    CHECK(pair.client.closed->code == Errc::closed);

    SimPair silent;
    silent.world.links().set_silent("hub", true);
    silent.hub.crash();
    silent.world.run_for(60s);
    CHECK_FALSE(silent.client.closed.has_value());
    silent.client.stream->write("anybody?"); // the kernel there knows no such connection
    CHECK(silent.world.run_until([&] { return silent.client.closed.has_value(); }, 1s));

    SimPair dark;
    dark.hub.power_cut();
    dark.client.stream->write("anybody?");
    dark.world.run_for(60s);
    CHECK_FALSE(dark.client.closed.has_value());
    dark.hub.env(); // back: it answers the retransmission with a reset
    CHECK(dark.world.run_until([&] { return dark.client.closed.has_value(); }, 5s));
}

TEST_CASE("a one-way partition is silent, and heals without loss") {
    SimPair pair;
    pair.world.links().partition("edge", "hub");
    pair.client.stream->write("late");
    pair.server.stream->write("still arrives");
    pair.world.run_for(60s);
    CHECK(pair.server.bytes.empty());
    CHECK(pair.client.bytes == "still arrives");
    pair.world.links().heal("edge", "hub");
    pair.client.stream->write(" but whole");
    CHECK(pair.world.run_until([&] { return pair.server.bytes == "late but whole"; }, 5s));
}

TEST_CASE("a partition that does not heal ends the sender's stream after a quarter of an hour") {
    SimPair pair;
    pair.world.links().partition_both("edge", "hub");
    pair.client.stream->write("x");
    pair.world.run_for(14min);
    CHECK_FALSE(pair.client.closed.has_value());
    pair.world.run_for(2min);
    REQUIRE(pair.client.closed.has_value());
    CHECK(pair.client.closed->code == Errc::timeout);
    CHECK_FALSE(pair.server.closed.has_value()); // it sent nothing and cannot know
}

TEST_CASE("a reset ends both ends at once") {
    SimPair pair;
    CHECK(pair.world.links().connections("hub", "edge") == 1);
    CHECK(pair.world.links().reset("hub", "edge") == 1);
    pair.world.run_for(10ms);
    CHECK(pair.client.closed.has_value());
    CHECK(pair.server.closed.has_value());
    CHECK(pair.world.links().connections("hub", "edge") == 0);
}

TEST_CASE("connecting fails as in life: refused, unknown, slow DNS, partitioned, powered off") {
    SimPair pair;
    auto& links = pair.world.links();
    const auto outcome = [&](const std::string& to) {
        std::optional<Error> error;
        auto handle = pair.edge.env().net().connect(at(to), 5s, [&](auto result) {
            error = result ? Error{Errc::exists, "connected", "", ""} : result.error();
        });
        CHECK_FALSE(error.has_value()); // never from inside connect()
        REQUIRE(pair.world.run_until([&] { return error.has_value(); }, 6s));
        return error->code;
    };
    CHECK(outcome("tcp:hub:1883") == Errc::exists);
    CHECK(outcome("tcp:hub:9") == Errc::unavailable);
    CHECK(outcome("tcp:nowhere:1883") == Errc::unavailable);
    links.add_host("hub.example", "hub");
    CHECK(outcome("tcp:hub.example:1883") == Errc::exists);
    links.slow_dns("hub.example", 30s);
    CHECK(outcome("tcp:hub.example:1883") == Errc::timeout);
    links.fail_dns("hub", true);
    CHECK(outcome("tcp:hub:1883") == Errc::unavailable);
    links.fail_dns("hub", false);
    links.partition("hub", "edge");
    CHECK(outcome("tcp:hub:1883") == Errc::timeout);
    links.heal("hub", "edge");
    links.refuse("hub", true);
    CHECK(outcome("tcp:hub:1883") == Errc::unavailable);
    links.refuse("hub", false);
    pair.hub.power_cut();
    CHECK(outcome("tcp:hub:1883") == Errc::timeout);
}

TEST_CASE("a dropped connection attempt is never told") {
    SimPair pair;
    int told = 0;
    auto handle = pair.edge.env().net().connect(at("tcp:hub:1883"), 5s, [&](const auto&) { ++told; });
    handle.reset();
    pair.world.run_for(10s);
    CHECK(told == 0);
}

TEST_CASE("an address is taken once, and a loopback listener is for its own machine") {
    SimPair pair;
    const auto again = pair.hub.env().net().listen(at("tcp:0.0.0.0:1883"), [](auto) {});
    REQUIRE_FALSE(again.has_value());
    CHECK(again.error().code == Errc::busy);
    const auto local = pair.hub.env().net().listen(at("tcp:127.0.0.1:8080"), [](auto) {});
    REQUIRE(local.has_value());
    std::optional<Error> refused;
    auto handle = pair.edge.env().net().connect(at("tcp:hub:8080"), 5s, [&](auto r) { refused = r.error(); });
    pair.world.run_for(1s);
    CHECK(refused.has_value());
    const auto any_port = pair.hub.env().net().listen(at("tcp:0.0.0.0:0"), [](auto) {});
    CHECK((*any_port)->local().port != 0);
}

TEST_CASE("bandwidth and latency take their time") {
    SimPair pair;
    pair.world.links().set_link("edge", "hub", {.latency = 100ms, .jitter = 0ns, .bytes_per_second = 10'000});
    const auto start = pair.world.now();
    pair.client.stream->write(Bytes(20'000, 'x'));
    REQUIRE(pair.world.run_until([&] { return pair.server.bytes.size() == 20'000; }, 60s));
    CHECK(pair.world.now() - start >= 1s);
    CHECK(pair.world.now() - start < 5s);
}
