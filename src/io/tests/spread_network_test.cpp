#include "io/spread_network.h"

#include "loop_fixture.h"
#include "stream_recorder.h"

#include <algorithm>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

namespace brim::io {

using testing::LoopFixture;
using testing::pattern;
using testing::Recorder;

namespace {

/// The server's side is on a transport loop, the client's on the home loop.
struct Spread : LoopFixture {
    SpreadNetwork spread{loop, net, log, 2};
    std::unique_ptr<Listener> listener;
    std::vector<std::unique_ptr<Stream>> servers;
    std::vector<std::unique_ptr<Stream>> clients;

    explicit Spread(const std::string& address = "tcp:127.0.0.1:0") {
        auto listening = spread.listen(*Endpoint::parse(address), [this](auto stream) {
            servers.push_back(std::move(stream));
        });
        REQUIRE(listening.has_value());
        listener = std::move(*listening);
    }

    void dial(std::size_t count) {
        std::vector<std::unique_ptr<Connecting>> attempts;
        const std::size_t all = clients.size() + count;
        for (std::size_t i = 0; i < count; ++i)
            attempts.push_back(spread.connect(listener->local(), 5s, [this](auto stream) {
                REQUIRE(stream.has_value());
                clients.push_back(std::move(*stream));
            }));
        REQUIRE(until([&] { return servers.size() == all && clients.size() == all; }));
    }
};

struct SpreadPair : Spread {
    Recorder at_server, at_client;

    explicit SpreadPair(const std::string& address = "tcp:127.0.0.1:0") : Spread(address) {
        dial(1);
        server().start(at_server);
        client().start(at_client);
    }

    Stream& server() { return *servers.front(); }

    Stream& client() { return *clients.front(); }
};

} // namespace

TEST_CASE("spread: 10 MB go both ways at once and arrive whole, over TCP and over a unix socket") {
    for (const std::string& address :
         {std::string("tcp:127.0.0.1:0"), "unix:/tmp/brim-spread-" + std::to_string(::getpid())}) {
        SpreadPair pair(address);
        const Bytes up = pattern(10'000'000);
        Bytes down = up;
        std::reverse(down.begin(), down.end());
        pair.client().write(up);
        pair.server().write(down);
        CHECK(pair.until([&] {
            return pair.at_server.received.size() == up.size() &&
                   pair.at_client.received.size() == down.size();
        }));
        CHECK(pair.at_server.received == up);
        CHECK(pair.at_client.received == down);
        CHECK(pair.until([&] { return pair.server().queued() == 0; }));
        CHECK(pair.server().peer().address.starts_with(
            address.substr(0, 4) == "unix" ? "unix:pid=" : "127.0.0.1:"
        ));
    }
}

TEST_CASE("spread: four hundred streams on two loops keep their bytes apart, each in order") {
    constexpr std::size_t count = 400;
    constexpr int rounds = 25;
    Spread net;
    net.dial(count);
    std::vector<Recorder> at_servers(count), at_clients(count);
    for (std::size_t i = 0; i < count; ++i) {
        at_servers[i].then = [&net, i](ByteView bytes) { net.servers[i]->write(bytes); }; // an echo
        net.servers[i]->start(at_servers[i]);
        net.clients[i]->start(at_clients[i]);
    }
    std::vector<Bytes> sent(count);
    for (int round = 0; round < rounds; ++round) {
        for (std::size_t i = 0; i < count; ++i) {
            const Bytes piece = std::to_string(i) + ":" + std::to_string(round) + ";";
            net.clients[i]->write(piece);
            sent[i] += piece;
        }
        net.loop.turn(1ms);
    }
    CHECK(net.until([&] {
        return std::ranges::equal(
            at_clients, sent, {}, [](const Recorder& at) { return at.received.size(); }, &Bytes::size
        );
    }));
    CHECK(std::ranges::equal(at_clients, sent, {}, &Recorder::received));
}

TEST_CASE("spread: write() says stop above the high-water mark, and on_drained() says go") {
    SpreadPair pair;
    pair.client().pause_reading(true);
    CHECK(pair.server().write(Bytes(SpreadLimits::waiting_bytes_max, 'a')));
    CHECK_FALSE(pair.server().write("b"));
    std::size_t written = SpreadLimits::waiting_bytes_max + 1;
    while (written < 20'000'000) {
        pair.server().write(Bytes(1'000'000, 'c'));
        written += 1'000'000;
    }
    CHECK(pair.until([&] { return pair.server().queued() < written; })
    ); // the kernel took some, and that is known
    pair.settle(50ms);
    CHECK(pair.server().queued() > SocketLimits::high_water_bytes);
    CHECK(pair.at_server.drained == 0);
    pair.client().pause_reading(false);
    CHECK(pair.until([&] { return pair.at_client.received.size() == written; }));
    CHECK(pair.until([&] { return pair.at_server.drained == 1 && pair.server().queued() == 0; }));
}

TEST_CASE("spread: what the socket does not take counts from its own high-water mark on") {
    SpreadPair pair;
    pair.client().pause_reading(true);
    // A little at a time: the far side is asked before there is too much on the way.
    CHECK(pair.until([&] {
        if (pair.server().queued() <= SocketLimits::high_water_bytes)
            pair.server().write(Bytes(50'000, 'x'));
        return !pair.server().write({});
    }));
    CHECK(pair.server().queued() <= SpreadLimits::waiting_bytes_max);
    pair.client().pause_reading(false);
    CHECK(pair.until([&] { return pair.server().queued() == 0; }));
}

TEST_CASE("spread: a reader that takes a little at a time lets the writer go on, and the count comes down") {
    SpreadPair pair;
    pair.client().pause_reading(true);
    pair.server().write(Bytes(8'000'000, 'x'));
    pair.settle(50ms);
    const std::size_t before = pair.server().queued();
    REQUIRE(before > 1'000'000);
    pair.at_client.then = [&](ByteView) { pair.client().pause_reading(true); };
    CHECK(pair.until([&] {
        pair.client().pause_reading(false);
        return pair.server().queued() < before - 500'000;
    }));
}

TEST_CASE("spread: while reading is paused nothing is handed over, and then everything, the end last") {
    SpreadPair pair;
    pair.client().write("one ");
    REQUIRE(pair.until([&] { return pair.at_server.received == "one "; }));
    pair.client().write("two ");
    // In the middle of the way: the far loop has read it, this one has not.
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
    pair.loop.turn(0ms);
    pair.server().pause_reading(true);
    pair.client().write("three");
    pair.settle(30ms);
    const Bytes early = pair.at_server.received;
    pair.clients.front()->close();
    pair.settle(30ms);
    CHECK(pair.at_server.received == early);
    CHECK(pair.at_server.closed == 0);
    pair.server().pause_reading(false);
    CHECK(pair.at_server.received == early); // not from inside the call
    CHECK(pair.until([&] { return pair.at_server.closed == 1; }));
    CHECK(pair.at_server.received == "one two three");
    CHECK(pair.at_server.why.code == Errc::closed);
}

TEST_CASE("spread: what is held for a paused stream waits for its handler, which may pause, close or destroy"
) {
    // In on_data, reading is paused: the bytes that are in the same mail are held.
    Spread net;
    net.dial(2);
    std::vector<Recorder> at(2);
    for (std::size_t i = 0; i < 2; ++i)
        net.clients[i]->start(at[i]);
    Recorder first, second;
    first.then = [&](ByteView) { net.servers[1]->pause_reading(true); };
    second.then = [&](ByteView) { net.servers[0]->pause_reading(true); };
    net.servers[0]->start(first);
    net.servers[1]->start(second);
    net.settle(10ms);
    const auto both = [&](const char* text) {
        net.clients[0]->write(text);
        net.clients[1]->write(text);
        net.settle(30ms);
    };
    both("a");
    CHECK(
        first.received.size() + second.received.size() == 1
    ); // on one loop each, but one of them came first
    Recorder& late = first.received.empty() ? first : second;
    const std::size_t paused = &late == &first ? 0 : 1;
    SUBCASE("it is told when reading goes on") {
        late.then = [](ByteView) {};
        net.servers[paused]->pause_reading(false);
        CHECK(net.until([&] { return late.received == "a"; }));
    }
    SUBCASE("it is not told after close()") {
        net.servers[paused]->pause_reading(false);
        net.servers[paused]->close();
        net.settle(20ms);
        CHECK(late.received.empty());
        CHECK(net.until([&] { return at[paused].closed == 1; }));
    }
    SUBCASE("it is not told when the stream is destroyed, nor is the one that has its slot then") {
        net.servers[paused]->pause_reading(false);
        net.servers[paused].reset();
        net.dial(1);
        Recorder fresh;
        net.servers.back()->start(fresh);
        net.settle(20ms);
        CHECK(late.received.empty());
        CHECK(fresh.received.empty());
    }
    SUBCASE("the handler destroys the stream, with the end behind it") {
        net.clients[paused]->close();
        net.settle(30ms);
        late.then = [&](ByteView) { net.servers[paused].reset(); };
        net.servers[paused]->pause_reading(false);
        CHECK(net.until([&] { return late.received == "a"; }));
        net.settle(10ms);
        CHECK(late.closed == 0);
    }
}

TEST_CASE("spread: close() still delivers what was queued, also when the network goes right after") {
    LoopFixture fixture;
    const Bytes sent = pattern(60'000); // what the kernel takes at once
    std::unique_ptr<Stream> client;
    Recorder at_client;
    std::unique_ptr<Stream> server;
    {
        SpreadNetwork spread(fixture.loop, fixture.net, fixture.log, 1);
        const auto listener = spread.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [&](auto stream) {
            server = std::move(stream);
        });
        const auto attempt =
            fixture.net.connect((*listener)->local(), 5s, [&](auto stream) { client = std::move(*stream); });
        REQUIRE(fixture.until([&] { return server && client; }));
        client->start(at_client);
        server->write(sent);
        server->close();
        server.reset();
    }
    CHECK(fixture.until([&] { return at_client.closed == 1; }));
    CHECK(at_client.received == sent);
    CHECK(at_client.why.cause == "the peer closed the connection");
}

TEST_CASE("spread: a handler may destroy its stream or another inside any callback") {
    SUBCASE("itself in on_data, with output waiting") {
        SpreadPair pair;
        pair.at_server.then = [&](ByteView) {
            pair.server().write("unsent");
            pair.servers.front().reset();
        };
        pair.client().write("x");
        CHECK(pair.until([&] { return pair.at_client.closed == 1; }));
    }
    SUBCASE("itself in on_drained") {
        SpreadPair pair;
        pair.at_server.when_drained = [&] { pair.servers.front().reset(); };
        CHECK_FALSE(pair.server().write(Bytes(5'000'000, 'x')));
        CHECK(pair.until([&] { return pair.at_client.closed == 1; }));
    }
    SUBCASE("itself in on_closed") {
        SpreadPair pair;
        pair.at_server.when_closed = [&] { pair.servers.front().reset(); };
        pair.clients.front().reset();
        CHECK(pair.until([&] { return pair.servers.front() == nullptr; }));
    }
    SUBCASE("all others in on_data") {
        Spread net;
        net.dial(20);
        std::vector<Recorder> at(20);
        int heard = 0;
        for (std::size_t i = 0; i < 20; ++i) {
            at[i].then = [&, i](ByteView) {
                ++heard;
                for (std::size_t j = 0; j < 20; ++j)
                    if (j != i)
                        net.servers[j].reset();
            };
            net.servers[i]->start(at[i]);
        }
        for (const auto& client : net.clients)
            client->write("x");
        CHECK(net.until([&] { return heard != 0; }));
        net.settle(20ms);
        CHECK(heard == 1);
    }
}

TEST_CASE("spread: a reset by the peer is told once, as closed") {
    SpreadPair pair;
    pair.client().pause_reading(true);
    pair.server().write(Bytes(20'000'000, 'x'));
    pair.settle(20ms);
    pair.clients.front().reset(); // with bytes unread: a reset
    CHECK(pair.until([&] { return pair.at_server.closed == 1; }));
    CHECK(pair.at_server.why.code == Errc::closed);
    CHECK(pair.server().queued() == 0);
    pair.server().write("into the void");
    pair.settle(20ms);
    CHECK(pair.at_server.closed == 1);
}

TEST_CASE("spread: when the home loop stands still, what arrives has a bound, and none of it is lost") {
    constexpr std::size_t count = 16;
    constexpr std::size_t each = 4'000'000;
    Spread net;
    const Bytes sent = pattern(each);
    const std::uint16_t port = net.listener->local().port;
    std::vector<std::thread> writers; // the home loop is not theirs
    for (std::size_t i = 0; i < count; ++i)
        writers.emplace_back([&sent, port] {
            const Descriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            sockaddr_in address{};
            address.sin_family = AF_INET;
            address.sin_port = htons(port);
            address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            if (::connect(fd.value(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
                return;
            for (ByteView rest = sent; !rest.empty();) {
                const ssize_t gone = ::send(fd.value(), rest.data(), rest.size(), MSG_NOSIGNAL);
                if (gone <= 0)
                    return;
                rest.remove_prefix(static_cast<std::size_t>(gone));
            }
        });
    CHECK(net.until([&] { return net.servers.size() == count; }));
    std::vector<Recorder> at_servers(count);
    for (std::size_t i = 0; i < net.servers.size(); ++i)
        net.servers[i]->start(at_servers[i]);
    const auto received = [&] {
        std::size_t all = 0;
        for (const Recorder& at : at_servers)
            all += at.received.size();
        return all;
    };
    net.loop.turn(0ms);
    const std::size_t before = received();
    std::this_thread::sleep_for(std::chrono::milliseconds{300});
    net.loop.turn(10ms); // takes what both loops have read meanwhile
    const std::size_t most = 2 * SpreadLimits::arriving_bytes_max + count * SocketLimits::read_bytes_max;
    CHECK(received() - before <= most);
    CHECK(net.until([&] { return received() == count * each; }));
    CHECK(std::ranges::all_of(at_servers, [&](const Recorder& at) { return at.received == sent; }));
    for (std::thread& writer : writers)
        writer.join();
}

TEST_CASE("spread: connections come and go and leave no descriptor, watch or timer behind") {
    Spread net;
    constexpr int of_a_loop = 3; // epoll, its wake-up, a reserve
    const int before = testing::open_descriptors() + 2 * of_a_loop;
    for (int round = 0; round < 4; ++round) {
        net.dial(100);
        for (std::size_t i = 0; i < net.servers.size(); i += 2)
            net.servers[i]->close();
        net.servers.clear();
        net.clients.clear();
        CHECK(net.until([&] { return testing::open_descriptors() == before; }));
    }
    CHECK(net.loop.watches() == 1);
    CHECK(net.loop.timers() == 0);
}

} // namespace brim::io
