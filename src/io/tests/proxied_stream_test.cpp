#include "http_fixture.h"
#include "proxy_header_bytes.h"
#include "stream_recorder.h"

#include "io/proxied_stream.h"
#include "io/tls.h"

using namespace brim;
using namespace brim::io;
using namespace brim::io::testing;

namespace {

const Bytes line = "PROXY TCP4 192.0.2.7 198.51.100.1 51234 1883\r\n";

/// A listener on "hub" behind a proxy, and the proxy's connection in raw bytes.
struct Behind {
    explicit Behind(const std::string& door = "tcp:0.0.0.0:1883") {
        options.trusted = *AddressSet::parse({"10.0.0.0/8"});
        options.refused = [this](const Error& why) { refusals.push_back(why); };
        const Endpoint at = Endpoint::parse(door).value();
        listener = hub.net().listen(at, [this](auto stream) { accept(std::move(stream)); }).value();
        Endpoint to = at;
        if (at.kind == Endpoint::Kind::tcp)
            to.host = "hub";
        Env& from = at.kind == Endpoint::Kind::tcp ? world.machine("proxy").env() : hub;
        connecting = from.net().connect(to, 5s, [this](auto stream) { proxy = std::move(*stream); });
    }

    void accept(std::unique_ptr<Stream> stream) {
        own = stream->peer();
        if (untrusted)
            options.trusted = *AddressSet::parse({"192.0.2.0/24"});
        auto proxied = wrap_proxied(hub.loop(), std::move(stream), options);
        accepted = true;
        if (!proxied)
            return;
        if (!reads_first) {
            server = std::move(proxied);
            server->start(end);
            return;
        }
        waiting = std::move(proxied);
        waiting->read_header([this](const Result<void>& read) {
            outcome = read ? "read" : std::string(errc_name(read.error().code));
            server = std::move(waiting);
            if (!read)
                server.reset();
        });
    }

    Behind& connect() {
        REQUIRE(world.run_until([this] { return accepted && proxy; }, 5s));
        proxy->start(far);
        return *this;
    }

    Behind& send(ByteView bytes) {
        proxy->write(bytes);
        world.run_for(100ms);
        return *this;
    }

    SimWorld world{7};
    Env& hub{world.machine("hub").env()};
    ProxyOptions options;
    std::vector<Error> refusals;
    bool untrusted = false;
    bool reads_first = false;
    bool accepted = false;
    Peer own;
    std::string outcome;
    Recorder end;
    Recorder far;
    std::unique_ptr<Listener> listener;
    std::unique_ptr<Connecting> connecting;
    std::unique_ptr<ProxiedStream> waiting;
    std::unique_ptr<Stream> server;
    std::unique_ptr<Stream> proxy;
};

} // namespace

TEST_CASE("the header is read before anything is handed on, and names the client") {
    Behind behind;
    behind.connect();
    CHECK(behind.server->peer().address == behind.own.address);
    CHECK(behind.server->peer().via.empty());
    behind.send(line + "first").send("second");
    CHECK(behind.end.received == "firstsecond");
    CHECK(behind.server->peer().address == "192.0.2.7:51234");
    CHECK(behind.server->peer().via == behind.own.address);
    behind.server->write("answer");
    behind.world.run_for(100ms);
    CHECK(behind.far.received == "answer");
    behind.proxy->close();
    behind.world.run_for(1s);
    CHECK(behind.end.closed == 1);
    CHECK(behind.refusals.empty());
}

TEST_CASE("a header may come a byte at a time") {
    Behind behind;
    behind.connect();
    for (const char byte : line + "x")
        behind.send(Bytes(1, byte));
    CHECK(behind.end.received == "x");
    CHECK(behind.server->peer().address == "192.0.2.7:51234");
}

TEST_CASE("what begins with something else is closed unheard, and counted") {
    Behind behind;
    behind.connect().send("\x10\x0C\0\4MQTT");
    CHECK(behind.end.received.empty());
    CHECK(behind.end.closed == 1);
    CHECK(behind.end.why.code == Errc::malformed);
    CHECK(behind.end.why.object.find(behind.own.address) != std::string::npos);
    REQUIRE(behind.refusals.size() == 1);
    behind.world.run_for(1s);
    CHECK(behind.far.closed == 1);
}

TEST_CASE("only trusted proxies may connect; a unix socket is one") {
    Behind stranger;
    stranger.untrusted = true;
    stranger.connect();
    stranger.world.run_for(1s);
    CHECK(stranger.server == nullptr);
    CHECK(stranger.far.closed == 1);
    REQUIRE(stranger.refusals.size() == 1);
    CHECK(stranger.refusals[0].code == Errc::denied);
    Behind local("unix:/run/proxy.sock");
    local.untrusted = true;
    local.connect().send(line + "x");
    CHECK(local.end.received == "x");
    CHECK(local.own.uid == 0);
    CHECK(local.server->peer().address == "192.0.2.7:51234");
    CHECK(local.server->peer().uid == -1); // the proxy's, not the client's
    CHECK(local.server->peer().pid == -1);
}

TEST_CASE("[F-45] a header that does not come in 5 s ends the connection") {
    Behind behind;
    behind.connect().send(line.substr(0, 20));
    behind.world.run_for(4'500ms);
    CHECK(behind.end.closed == 0);
    behind.world.run_for(600ms);
    CHECK(behind.end.closed == 1);
    CHECK(behind.end.why.code == Errc::timeout);
    CHECK(behind.refusals.size() == 1);
    Behind good;
    good.connect().send(line);
    good.world.run_for(60s);
    CHECK(good.end.closed == 0);
}

TEST_CASE("a proxy that goes before its header is whole is told as such") {
    Behind behind;
    behind.connect().send(line.substr(0, 20));
    behind.proxy->close();
    behind.world.run_for(1s);
    CHECK(behind.end.closed == 1);
    CHECK(behind.end.why.cause.find("before its PROXY protocol header") != std::string::npos);
}

TEST_CASE("a proxy that speaks for itself, or cannot tell, keeps its own address") {
    for (const Bytes& header :
         {binary_header(0x20, 0, ""), binary_header(0x21, 0, ""), Bytes("PROXY UNKNOWN\r\n")}) {
        Behind behind;
        behind.connect().send(header + "x");
        CHECK(behind.end.received == "x");
        CHECK(behind.server->peer().address == behind.own.address);
        CHECK(behind.server->peer().via.empty());
    }
}

TEST_CASE("the proxy's word about a certificate counts only where it is trusted for that") {
    const Bytes header = binary_header(0x21, 0x21, tcp6_body + tls_extension(3, 0, name_part("pump-7")));
    for (const bool is_trusted : {false, true}) {
        Behind behind;
        behind.options.trust_certificate_name = is_trusted;
        behind.connect().send(header);
        CHECK(behind.server->peer().address == "[2001:db8::7]:51234");
        CHECK(behind.server->peer().certificate_name == (is_trusted ? "pump-7" : ""));
        CHECK(behind.server->peer().certificate_sha256.empty());
        CHECK_FALSE(behind.server->peer().encrypted);
    }
}

TEST_CASE("the header can be read before the stream is started, which loses nothing") {
    Behind behind;
    behind.reads_first = true;
    behind.connect().send(line + "first");
    CHECK(behind.outcome == "read");
    REQUIRE(behind.server);
    behind.send("second");
    CHECK(behind.end.received.empty());
    behind.server->start(behind.end);
    behind.world.run_for(100ms);
    CHECK(behind.end.received == "firstsecond");
    Behind wrong;
    wrong.reads_first = true;
    wrong.connect().send("x");
    CHECK(wrong.outcome == "malformed");
    wrong.world.run_for(1s);
    CHECK(wrong.far.closed == 1);
    Behind silent;
    silent.reads_first = true;
    silent.connect();
    silent.world.run_for(6s);
    CHECK(silent.outcome == "timeout");
}

TEST_CASE("reading that is paused stays so over the end of the header") {
    Behind behind;
    behind.connect();
    behind.server->pause_reading(true);
    behind.send(line + "first").send("second");
    CHECK(behind.end.received.empty());
    CHECK(behind.server->peer().address == "192.0.2.7:51234");
    behind.server->pause_reading(false);
    behind.world.run_for(100ms);
    CHECK(behind.end.received == "firstsecond");
}

TEST_CASE("a handler may destroy the stream from inside its first call") {
    Behind behind;
    behind.end.then = [&](ByteView) { behind.server.reset(); };
    behind.connect().send(line + "first").send("second");
    CHECK(behind.end.received == "first");
    Behind wrong;
    wrong.end.when_closed = [&] { wrong.server.reset(); };
    wrong.connect().send("x");
    CHECK(wrong.end.closed == 1);
}

TEST_CASE("TLS goes through a proxy, and shows the client's address once it is open") {
    SimWorld world(9);
    Env& hub = world.machine("hub").env();
    const WallTime now = hub.loop().clock().wall();
    REQUIRE(make_self_signed(hub.disk(), now, "/hub.crt", "/hub.key", {"hub"}, 30));
    const auto context =
        TlsContext::server(hub.disk(), {.certificate_file = "/hub.crt", .key_file = "/hub.key"});
    REQUIRE(context);
    const auto trust = TlsContext::client(hub.disk(), {.ca_file = "/hub.crt"});
    REQUIRE(trust);
    ProxyOptions options;
    options.trusted = *AddressSet::parse({"0.0.0.0/0"});
    Recorder server_end;
    Recorder client_end;
    std::unique_ptr<Stream> server;
    std::unique_ptr<Stream> client;
    const auto listener = hub.net().listen(Endpoint::parse("tcp:0.0.0.0:8883").value(), [&](auto stream) {
        server = wrap_server(hub.loop(), wrap_proxied(hub.loop(), std::move(stream), options), **context);
        server->start(server_end);
    });
    Env& from = world.machine("proxy").env();
    const auto connecting = from.net().connect(Endpoint::parse("tcp:hub:8883").value(), 5s, [&](auto stream) {
        (*stream)->write(line);
        client = wrap_client(from.loop(), std::move(*stream), **trust, "hub");
        client->start(client_end);
        client->write("hello");
    });
    world.run_for(5s);
    CHECK(server_end.received == "hello");
    REQUIRE(server);
    CHECK(server->peer().address == "192.0.2.7:51234");
    CHECK_FALSE(server->peer().via.empty());
    CHECK(server->peer().encrypted);
    CHECK(client_end.closed == 0);
}

TEST_CASE("a request and a WebSocket that came through a proxy know their client") {
    HttpFixture fixture;
    ProxyOptions options;
    options.trusted = *AddressSet::parse({"0.0.0.0/0"});
    const auto listener =
        fixture.env.net().listen(Endpoint::parse("tcp:0.0.0.0:8081").value(), [&](auto stream) {
            fixture.server.serve(wrap_proxied(fixture.env.loop(), std::move(stream), options));
        });
    std::unique_ptr<WebSocket> socket;
    fixture.answer = [&](const HttpRequest& request, HttpResponder responder) {
        socket = std::move(*responder.upgrade_websocket(request, {}));
    };
    Recorder far;
    std::unique_ptr<Stream> proxy;
    const auto connecting = fixture.world.machine("proxy").env().net().connect(
        Endpoint::parse("tcp:hub:8081").value(),
        5s,
        [&](auto stream) {
            proxy = std::move(*stream);
            proxy->start(far);
            proxy->write(
                line + "GET /mqtt HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
        }
    );
    fixture.world.run_for(2s);
    REQUIRE(socket);
    CHECK(socket->peer().address == "192.0.2.7:51234");
    CHECK_FALSE(socket->peer().via.empty());
}
