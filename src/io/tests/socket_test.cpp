#include "loop_fixture.h"
#include "stream_recorder.h"

#include <algorithm>
#include <arpa/inet.h>
#include <csignal>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace brim::io {

using testing::LoopFixture;
using testing::pattern;
using testing::Recorder;

namespace {

struct Pair : LoopFixture {
    std::unique_ptr<Listener> listener;
    std::unique_ptr<Stream> server, client;
    Recorder at_server, at_client;

    explicit Pair(const std::string& address = "tcp:127.0.0.1:0", bool start = true) {
        auto listening =
            net.listen(*Endpoint::parse(address), [this](auto stream) { server = std::move(stream); });
        REQUIRE_MESSAGE(listening.has_value(), (listening ? "" : listening.error().text()));
        listener = std::move(*listening);
        const auto attempt = net.connect(listener->local(), 5s, [this](auto stream) {
            REQUIRE(stream.has_value());
            client = std::move(*stream);
        });
        REQUIRE(until([this] { return server && client; }));
        if (!start)
            return;
        server->start(at_server);
        client->start(at_client);
    }
};

std::string unix_path(const char* name) {
    return "/tmp/brim-io-" + std::to_string(::getpid()) + "-" + name;
}

Error connect_failure(LoopFixture& fixture, const Endpoint& to, Duration timeout) {
    std::optional<Error> error;
    bool inside = true;
    const auto attempt = fixture.net.connect(to, timeout, [&](auto stream) {
        CHECK_FALSE(inside);
        REQUIRE_FALSE(stream.has_value());
        error = stream.error();
    });
    inside = false;
    REQUIRE(fixture.until([&] { return error.has_value(); }));
    return *error;
}

} // namespace

TEST_CASE("an address is read, written back and refused when wrong") {
    for (const char* text :
         {"tcp:127.0.0.1:1883", "tcp:[::1]:0", "tcp:hub.example:65535", "unix:/run/brim/bus.sock"}) {
        const auto parsed = Endpoint::parse(text);
        REQUIRE(parsed);
        CHECK(parsed->text() == text);
    }
    for (const char* text :
         {"",
          "tcp:",
          "tcp:host",
          "tcp:host:",
          "tcp:host:65536",
          "tcp:host:-1",
          "tcp:host:1x",
          "tcp::1",
          "tcp:::1:80",
          "tcp:[::1]",
          "tcp:[::1:80",
          "udp:host:1",
          "unix:",
          "tcp:a b:1",
          "tcp:host: 1"})
        CHECK_MESSAGE(!Endpoint::parse(text), text);
    CHECK(Endpoint::parse("tcp:" + std::string(253, 'a') + ":1"));
    CHECK_FALSE(Endpoint::parse("tcp:" + std::string(254, 'a') + ":1"));
    CHECK(Endpoint::parse("tcp:localhost:1")->is_local());
    CHECK(Endpoint::parse("tcp:127.9.0.1:1")->is_local());
    CHECK_FALSE(Endpoint::parse("tcp:127.evil.example:1")->is_local());
    CHECK_FALSE(Endpoint::parse("tcp:0.0.0.0:1")->is_local());
}

TEST_CASE("10 MB go both ways at once, over TCP and over a unix socket, and arrive whole") {
    for (const std::string& address :
         {std::string("tcp:127.0.0.1:0"), std::string("tcp:[::1]:0"), "unix:" + unix_path("echo")}) {
        Pair pair(address);
        const Bytes up = pattern(10'000'000);
        Bytes down = up;
        std::reverse(down.begin(), down.end());
        pair.client->write(up);
        pair.server->write(down);
        CHECK(pair.until([&] {
            return pair.at_server.received.size() == up.size() &&
                   pair.at_client.received.size() == down.size();
        }));
        CHECK(pair.at_server.received == up);
        CHECK(pair.at_client.received == down);
        CHECK(pair.client->queued() == 0);
    }
}

TEST_CASE(
    "write() says stop above the high-water mark, the peer's pause holds the bytes back, on_drained() says go"
) {
    Pair pair;
    pair.server->pause_reading(true);
    CHECK(pair.client->write(Bytes(SocketLimits::high_water_bytes, 'a')));
    CHECK_FALSE(pair.client->write("b"));
    pair.settle(20ms);
    const int before = pair.at_client.drained;
    std::size_t written = SocketLimits::high_water_bytes + 1;
    while (written < 20'000'000) { // far beyond what the kernel takes for a reader that sleeps
        pair.client->write(Bytes(1'000'000, 'c'));
        written += 1'000'000;
    }
    pair.settle(50ms);
    CHECK(pair.client->queued() > SocketLimits::high_water_bytes);
    CHECK(pair.at_server.received.empty());
    CHECK(pair.at_client.drained <= before + 1);
    const int paused = pair.at_client.drained;
    pair.server->pause_reading(false);
    CHECK(pair.until([&] { return pair.at_server.received.size() == written; }));
    CHECK(pair.at_client.drained == paused + 1);
}

TEST_CASE("what waits to be sent takes little more memory than its bytes") {
    OutputBuffer buffer;
    const Bytes piece = pattern(1'000);
    Bytes all;
    for (int i = 0; i < 300; ++i) {
        buffer.append(piece);
        all += piece;
        CHECK(buffer.capacity() <= std::max<std::size_t>(2 * all.size(), 65'536));
        CHECK(buffer.capacity() < all.size() + 70'000);
    }
    CHECK(buffer.view() == all);
    buffer.consume(100'000);
    all.erase(0, 100'000);
    for (int i = 0; i < 200; ++i) {
        buffer.append(piece);
        all += piece;
    }
    CHECK(buffer.view() == all);
    CHECK(buffer.size() == all.size());
}

TEST_CASE("close() still delivers what was queued, even when the stream object is destroyed at once") {
    Pair pair;
    const Bytes sent = pattern(3'000'000);
    pair.client->write(sent);
    pair.client->close();
    pair.client.reset();
    CHECK(pair.until([&] { return pair.at_server.closed == 1; }));
    CHECK(pair.at_server.received == sent);
    CHECK(pair.at_server.why.code == Errc::closed);
    CHECK(pair.at_client.closed == 0);
    pair.server.reset();
    CHECK(pair.until([&] { return pair.net.lingering() == 0; }));
}

TEST_CASE("close() is not undone by bytes the peer still sends: the last words arrive before the end") {
    Pair pair;
    pair.client->write(pattern(200'000)); // an upload the server does not want
    pair.server->pause_reading(true);
    pair.settle(20ms);
    pair.server->write("413 too large");
    pair.server->close();
    // Linux hides a reset behind the end on loopback, so the socket itself shows that it waits for the peer.
    CHECK(pair.net.lingering() == 1);
    CHECK(pair.until([&] { return pair.at_client.closed == 1; }));
    CHECK(pair.at_client.received == "413 too large");
    CHECK(
        pair.at_client.why.cause == "the peer closed the connection"
    ); // no reset, which could overtake the words
}

TEST_CASE("a peer that never reads is given up 5 s after close()") {
    Pair pair;
    pair.server->pause_reading(true);
    pair.client->write(Bytes(30'000'000, 'x'));
    pair.settle(20ms);
    const Mono begun = pair.clock.mono();
    pair.client->close();
    CHECK(pair.net.lingering() == 1);
    CHECK(pair.until([&] { return pair.net.lingering() == 0; }, 30s));
    CHECK(pair.clock.mono() - begun >= SocketLimits::close_wait_max - 50ms);
}

TEST_CASE("destroying a stream drops what is queued and ends the peer") {
    Pair pair;
    pair.client->write("never sent");
    pair.client.reset();
    CHECK(pair.until([&] { return pair.at_server.closed == 1; }));
    CHECK(pair.at_server.received.empty());
}

TEST_CASE("a handler may destroy its stream, its peer or the listener inside any callback") {
    SUBCASE("itself in on_data, with output waiting") {
        Pair pair;
        pair.at_server.then = [&](ByteView) {
            pair.server->write("unsent");
            pair.server.reset();
        };
        pair.client->write("x");
        CHECK(pair.until([&] { return pair.at_client.closed == 1; }));
        CHECK(pair.server == nullptr);
    }
    SUBCASE("both in on_data of one of two streams that are ready in the same turn") {
        Pair pair;
        pair.client->write("x");
        pair.server->write("y");
        const auto both = [&](ByteView) {
            pair.server.reset();
            pair.client.reset();
        };
        pair.at_server.then = pair.at_client.then = both;
        CHECK(pair.until([&] { return !pair.server && !pair.client; }));
    }
    SUBCASE("itself in on_drained") {
        Pair pair;
        pair.at_client.when_drained = [&] { pair.client.reset(); };
        CHECK_FALSE(pair.client->write(Bytes(5'000'000, 'x')));
        CHECK(pair.until([&] { return pair.client == nullptr; }));
        CHECK(pair.until([&] { return pair.at_server.closed == 1; }));
    }
    SUBCASE("the other stream in on_drained, while that one waits for its flush") {
        Pair pair;
        pair.at_client.when_drained = [&] { pair.server.reset(); };
        CHECK_FALSE(pair.client->write(Bytes(300'000, 'x')));
        pair.server->write("answer");
        CHECK(pair.until([&] { return pair.at_client.closed == 1; }));
    }
    SUBCASE("itself in on_closed") {
        Pair pair;
        pair.at_server.when_closed = [&] { pair.server.reset(); };
        pair.client.reset();
        CHECK(pair.until([&] { return pair.server == nullptr; }));
    }
    SUBCASE("close() in on_data and in on_drained") {
        Pair pair;
        pair.at_server.then = [&](ByteView) { pair.server->close(); };
        pair.at_client.when_drained = [&] { pair.client->close(); };
        CHECK_FALSE(pair.client->write(Bytes(300'000, 'x')));
        CHECK(pair.until([&] { return pair.at_client.closed + pair.at_client.drained > 0; }));
        pair.settle(20ms);
        CHECK(pair.at_server.closed == 0);
    }
    SUBCASE("the listener in its own callback") {
        LoopFixture fixture;
        std::unique_ptr<Listener> listener;
        std::unique_ptr<Stream> accepted;
        listener = std::move(*fixture.net.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [&](auto stream) {
            accepted = std::move(stream);
            listener.reset();
        }));
        const auto first = fixture.net.connect(listener->local(), 5s, [](auto) {});
        const auto second = fixture.net.connect(listener->local(), 5s, [](auto) {});
        CHECK(fixture.until([&] { return listener == nullptr; }));
    }
    SUBCASE("the attempt in its own callback, and an attempt before it ends") {
        Pair pair;
        std::unique_ptr<Connecting> attempt;
        bool done = false;
        attempt = pair.net.connect(pair.listener->local(), 5s, [&](auto) {
            attempt.reset();
            done = true;
        });
        bool never = false;
        pair.net.connect(pair.listener->local(), 5s, [&](auto) { never = true; }).reset();
        CHECK(pair.until([&] { return done; }));
        pair.settle(20ms);
        CHECK_FALSE(never);
    }
}

TEST_CASE("a reset by the peer is told once, as closed, also while reading is paused and output waits") {
    for (const bool paused : {false, true}) {
        Pair pair;
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(pair.listener->local().port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        Descriptor raw(::socket(AF_INET, SOCK_STREAM, 0));
        const std::unique_ptr<Stream> first = std::move(pair.server);
        REQUIRE(::connect(raw.value(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(pair.until([&] { return pair.server != nullptr; }));
        Recorder end;
        pair.server->start(end);
        pair.server->pause_reading(paused);
        pair.server->write(Bytes(20'000'000, 'x'));
        pair.settle(20ms);
        const linger reset{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(raw.value(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        raw.reset();
        CHECK(pair.until([&] { return end.closed > 0; }, 2s));
        CHECK(end.closed == 1);
        CHECK(end.why.code == Errc::closed);
        CHECK(pair.server->queued() == 0);
        pair.server->write("into the void");
        pair.settle(10ms);
        CHECK(end.closed == 1);
    }
}

TEST_CASE("a paused stream whose peer went away costs no turns, and tells the end when reading resumes") {
    Pair pair;
    pair.server->pause_reading(true);
    // With unread bytes at the peer its close is a reset, which epoll reports even when asked for nothing.
    bool reset = false;
    SUBCASE("by its end") {}
    SUBCASE("by a reset") {
        reset = true;
    }
    if (reset) {
        pair.client->pause_reading(true);
        pair.server->write("never read");
    } else {
        pair.client->write("last words");
    }
    pair.settle(10ms);
    pair.client.reset();
    pair.settle(20ms);
    int turns = 0;
    const Mono until = pair.clock.mono() + 100ms;
    while (pair.clock.mono() < until) {
        pair.loop.turn(100ms);
        ++turns;
    }
    CHECK(turns < 5);
    CHECK(pair.at_server.closed == 0);
    pair.server->pause_reading(false);
    CHECK(pair.until([&] { return pair.at_server.closed == 1; }));
    CHECK(pair.at_server.received == (reset ? "" : "last words"));
}

TEST_CASE("bytes written before start() go out, and a stream closed before start() never calls") {
    Pair pair("tcp:127.0.0.1:0", false);
    pair.client->write("early");
    pair.server->start(pair.at_server);
    CHECK(pair.until([&] { return pair.at_server.received == "early"; }));
    pair.client->close();
    pair.client->start(pair.at_client);
    pair.settle(10ms);
    CHECK(pair.at_client.closed == 0);
}

TEST_CASE("connecting to nobody, to a name that is none, and to a path without a socket names address, cause "
          "and fix") {
    LoopFixture fixture;
    std::uint16_t free_port = 0;
    {
        auto listener = fixture.net.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [](auto) {});
        free_port = (*listener)->local().port;
    }
    const Error refused = connect_failure(fixture, {Endpoint::Kind::tcp, "127.0.0.1", free_port}, 5s);
    CHECK(refused.code == Errc::unavailable);
    CHECK(refused.object.find(std::to_string(free_port)) != std::string::npos);
    CHECK_FALSE(refused.fix.empty());
    CHECK(connect_failure(fixture, {Endpoint::Kind::tcp, "no-such-host.invalid", 1}, 5s).code != Errc::io);
    CHECK(
        connect_failure(fixture, *Endpoint::parse("unix:/tmp/brim-no-such.sock"), 5s).code ==
        Errc::unavailable
    );
    CHECK(
        connect_failure(fixture, *Endpoint::parse("unix:/" + std::string(108, 'x')), 5s).code ==
        Errc::too_large
    );
}

TEST_CASE("a connection that nobody answers ends at its timeout") {
    LoopFixture fixture;
    // A full backlog drops SYNs: the nearest thing to a silent host on loopback.
    const Descriptor silent(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(silent.value(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(silent.value(), 0) == 0);
    REQUIRE(::getsockname(silent.value(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    const Endpoint to{Endpoint::Kind::tcp, "127.0.0.1", ntohs(address.sin_port)};
    std::vector<std::unique_ptr<Connecting>> fill;
    std::vector<std::unique_ptr<Stream>> filled;
    for (int i = 0; i < 4; ++i)
        fill.push_back(fixture.net.connect(to, 10s, [&](auto stream) {
            if (stream)
                filled.push_back(std::move(*stream));
        }));
    fixture.settle(50ms);
    const Mono begun = fixture.clock.mono();
    const Error late = connect_failure(fixture, to, 200ms);
    CHECK(late.code == Errc::timeout);
    CHECK(fixture.clock.mono() - begun >= 200ms);
    CHECK(fixture.clock.mono() - begun < 2s);
}

TEST_CASE("localhost is tried at each of its addresses") {
    Pair pair; // listens on 127.0.0.1 only; localhost may be ::1 first
    std::unique_ptr<Stream> made;
    const auto attempt = pair.net.connect(
        {Endpoint::Kind::tcp, "localhost", pair.listener->local().port},
        5s,
        [&](auto stream) {
            REQUIRE(stream.has_value());
            made = std::move(*stream);
        }
    );
    CHECK(pair.until([&] { return made != nullptr; }));
}

TEST_CASE("a port in use names the process that holds it") {
    Pair pair;
    const auto again = pair.net.listen(pair.listener->local(), [](auto) {});
    REQUIRE_FALSE(again.has_value());
    CHECK(again.error().code == Errc::busy);
    CHECK(again.error().cause.find("pid " + std::to_string(::getpid())) != std::string::npos);
    CHECK(again.error().object == pair.listener->local().text());
    CHECK(pair.net.listen(*Endpoint::parse("tcp:192.0.2.1:0"), [](auto) {}).error().code == Errc::invalid);
    CHECK(pair.net.listen(*Endpoint::parse("tcp:some.name:0"), [](auto) {}).error().code == Errc::invalid);
}

TEST_CASE("a unix socket knows its peer, is private, replaces a stale file and nothing else, and cleans up") {
    const std::string path = unix_path("sock");
    {
        const Descriptor stale(::socket(AF_UNIX, SOCK_STREAM, 0));
        sockaddr address_space[16] = {};
        auto* raw = reinterpret_cast<char*>(address_space);
        address_space[0].sa_family = AF_UNIX;
        std::copy(path.begin(), path.end(), raw + sizeof(sa_family_t));
        REQUIRE(
            ::bind(
                stale.value(), address_space, static_cast<socklen_t>(sizeof(sa_family_t) + path.size() + 1)
            ) == 0
        );
    }
    {
        Pair pair("unix:" + path);
        struct stat status{};
        REQUIRE(::stat(path.c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == 0600);
        CHECK(pair.server->peer().pid == ::getpid());
        CHECK(pair.server->peer().uid == static_cast<std::int64_t>(::geteuid()));
        CHECK(pair.client->peer().pid == ::getpid());
        const auto again = pair.net.listen(*Endpoint::parse("unix:" + path), [](auto) {});
        REQUIRE_FALSE(again.has_value());
        CHECK(again.error().code == Errc::busy);
        CHECK(again.error().cause.find(std::to_string(::getpid())) != std::string::npos);
    }
    CHECK(::access(path.c_str(), F_OK) != 0);
    const Descriptor file(::open(path.c_str(), O_CREAT | O_WRONLY, 0600));
    LoopFixture fixture;
    CHECK(fixture.net.listen(*Endpoint::parse("unix:" + path), [](auto) {}).error().code == Errc::exists);
    CHECK(::access(path.c_str(), F_OK) == 0);
    ::unlink(path.c_str());
}

TEST_CASE("without descriptors a listener refuses instead of spinning, and serves again afterwards") {
    Pair pair;
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &old) == 0);
    std::vector<Descriptor> clients;
    for (int i = 0; i < 5; ++i)
        clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    std::vector<Descriptor> hoard;
    const int top = clients.back().value() + 1;
    const rlimit tight{.rlim_cur = static_cast<rlim_t>(top), .rlim_max = old.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    for (;;) {
        Descriptor more(::open("/dev/null", O_RDONLY));
        if (!more)
            break;
        hoard.push_back(std::move(more));
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(pair.listener->local().port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const std::unique_ptr<Stream> kept = std::move(pair.server);
    for (auto& client : clients)
        static_cast<void>(::connect(client.value(), reinterpret_cast<sockaddr*>(&address), sizeof address));
    pair.settle(30ms);
    int turns = 0;
    const Mono until = pair.clock.mono() + 100ms;
    while (pair.clock.mono() < until) {
        pair.loop.turn(100ms);
        ++turns;
    }
    ::setrlimit(RLIMIT_NOFILE, &old);
    hoard.clear();
    CHECK(turns < 10);
    CHECK(pair.server == nullptr);
    for (auto& client : clients) {
        char byte = 0;
        CHECK(::recv(client.value(), &byte, 1, MSG_DONTWAIT) <= 0); // closed, not left waiting
    }
    clients.clear();
    std::unique_ptr<Stream> fresh;
    const auto attempt = pair.net.connect(pair.listener->local(), 5s, [&](auto stream) {
        REQUIRE(stream.has_value());
        fresh = std::move(*stream);
    });
    CHECK(pair.until([&] { return fresh && pair.server; }));
}

TEST_CASE("[F-89] connections leave descriptors to files, and are taken again when others are gone") {
    LoopFixture fixture;
    Metrics metrics;
    SocketNetwork net(fixture.loop, fixture.log, &metrics);
    std::vector<std::unique_ptr<Stream>> taken;
    auto listener = net.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [&](auto stream) {
        taken.push_back(std::move(stream));
    });
    REQUIRE(listener.has_value());
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &old) == 0);
    constexpr rlim_t limit = 200; // of which a quarter is kept
    const rlimit tight{.rlim_cur = limit, .rlim_max = old.rlim_max};
    std::vector<Descriptor> clients;
    for (int i = 0; i < 20; ++i)
        clients.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    std::vector<Descriptor> hoard;
    do
        hoard.emplace_back(::open("/dev/null", O_RDONLY));
    while (hoard.back().value() < 144);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons((*listener)->local().port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto dial = [&](const Descriptor& client) {
        static_cast<void>(::connect(client.value(), reinterpret_cast<sockaddr*>(&address), sizeof address));
    };
    for (auto& client : clients)
        dial(client);
    const auto refused = [&] {
        std::size_t count = 0;
        for (auto& client : clients) {
            char byte = 0;
            count += ::recv(client.value(), &byte, 1, MSG_DONTWAIT) == 0 ? 1 : 0;
        }
        return count;
    };
    CHECK(fixture.until([&] { return taken.size() == 5 && refused() == 15; }));
    std::vector<Descriptor> files;
    for (int i = 0; i < 45; ++i)
        files.emplace_back(::open("/dev/null", O_RDONLY));
    CHECK(std::ranges::all_of(files, [](const Descriptor& file) { return file.value() >= 0; }));
    files.clear();
    CHECK(metrics.text().find("brim_accept_failed_total{reason=\"descriptors\"} 15\n") != std::string::npos);
    taken.erase(taken.begin());
    clients.front() = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    dial(clients.front());
    CHECK(fixture.until([&] { return taken.size() == 5; }));
    ::setrlimit(RLIMIT_NOFILE, &old);
}

TEST_CASE("a thousand connections come and go and leave no descriptor, watch or timer behind") {
    LoopFixture fixture;
    std::vector<std::unique_ptr<Stream>> streams;
    auto listener = std::move(*fixture.net.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [&](auto stream) {
        streams.push_back(std::move(stream));
    }));
    const int before = testing::open_descriptors();
    for (int round = 0; round < 4; ++round) {
        std::vector<std::unique_ptr<Connecting>> attempts;
        for (int i = 0; i < 125; ++i)
            attempts.push_back(fixture.net.connect(listener->local(), 5s, [&](auto stream) {
                REQUIRE(stream.has_value());
                streams.push_back(std::move(*stream));
            }));
        CHECK(fixture.until([&] { return streams.size() == 250; }));
        for (auto& stream : streams)
            stream->close();
        streams.clear();
        CHECK(fixture.until([&] { return fixture.net.lingering() == 0; }));
    }
    CHECK(testing::open_descriptors() == before);
    CHECK(fixture.loop.watches() == 1);
    CHECK(fixture.loop.timers() == 0);
}

} // namespace brim::io
