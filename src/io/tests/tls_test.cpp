#include "loop_fixture.h"
#include "stream_recorder.h"

#include "io/posix_disk.h"
#include "io/tls.h"

#include <algorithm>
#include <filesystem>

namespace brim::io {

using testing::LoopFixture;
using testing::pattern;
using testing::Recorder;

namespace {

/// Forwards a stream's bytes in pieces of `piece`, each in a turn of its own.
class SlowStream final : public Stream, private StreamHandler {
public:
    SlowStream(Loop& loop, std::unique_ptr<Stream> inner, std::size_t piece)
        : inner_(std::move(inner)), piece_(piece), timer_(loop) {}

    void start(StreamHandler& handler) override {
        handler_ = &handler;
        inner_->start(*this);
    }

    bool write(ByteView bytes) override { return inner_->write(bytes); }

    std::size_t queued() const override { return inner_->queued(); }

    void pause_reading(bool paused) override { inner_->pause_reading(paused); }

    void close() override { inner_->close(); }

    Peer peer() const override { return inner_->peer(); }

private:
    void on_data(ByteView bytes) override {
        waiting_.append(bytes);
        deliver();
    }

    void on_drained() override { handler_->on_drained(); }

    void on_closed(const Error& why) override {
        timer_.stop();
        handler_->on_closed(why);
    }

    void deliver() {
        if (waiting_.empty())
            return;
        const Bytes piece = waiting_.substr(0, piece_);
        waiting_.erase(0, piece.size());
        timer_.start(Duration::zero(), [this] { deliver(); });
        handler_->on_data(piece);
    }

    std::unique_ptr<Stream> inner_;
    std::size_t piece_;
    Timer timer_;
    StreamHandler* handler_ = nullptr;
    Bytes waiting_;
};

struct TlsFixture : LoopFixture {
    std::string folder = "/tmp/brim-tls-" + std::to_string(::getpid());
    PosixDisk disk;
    std::unique_ptr<TlsContext> server_context, client_context;
    std::unique_ptr<Listener> listener;
    std::unique_ptr<Stream> server, client;
    Recorder at_server, at_client;

    explicit TlsFixture(
        const std::vector<std::string>& names = {"hub.test", "127.0.0.1"},
        Duration made_ago = 0ms,
        int days = 30
    ) {
        REQUIRE(disk.make_dir(folder).has_value());
        make(names, made_ago, days);
        server_context =
            std::move(*TlsContext::server(disk, {.certificate_file = at("cert"), .key_file = at("key")}));
        client_context = std::move(*TlsContext::client(disk, {.ca_file = at("cert")}));
    }

    ~TlsFixture() { std::filesystem::remove_all(folder); }

    std::string at(const std::string& name) const { return folder + "/" + name; }

    void
    make(const std::vector<std::string>& names, Duration made_ago, int days, const std::string& prefix = "") {
        const WallTime now{
            clock.wall().ms - std::chrono::duration_cast<std::chrono::milliseconds>(made_ago).count()
        };
        const auto made = make_self_signed(disk, now, at(prefix + "cert"), at(prefix + "key"), names, days);
        REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().text()));
    }

    /// Plain streams on both sides.
    void connect() {
        listener = std::move(*net.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [this](auto stream) {
            server = std::move(stream);
        }));
        const auto attempt =
            net.connect(listener->local(), 5s, [this](auto stream) { client = std::move(*stream); });
        REQUIRE(until([this] { return server && client; }));
    }

    void wrap(const std::string& host, std::size_t piece = 0) {
        if (piece != 0) {
            server = std::make_unique<SlowStream>(loop, std::move(server), piece);
            client = std::make_unique<SlowStream>(loop, std::move(client), piece);
        }
        server = wrap_server(loop, std::move(server), *server_context);
        client = wrap_client(loop, std::move(client), *client_context, host);
        server->start(at_server);
        client->start(at_client);
    }

    Error client_failure(const std::string& host = "hub.test") {
        connect();
        wrap(host);
        client->write("secret");
        REQUIRE(until([&] { return at_client.closed == 1 && at_server.closed == 1; }));
        CHECK(at_server.received.empty());
        CHECK(at_client.received.empty());
        return at_client.why;
    }
};

} // namespace

TEST_CASE("TLS carries bytes both ways, what was written before the handshake too, and ends in order") {
    TlsFixture fixture;
    fixture.connect();
    fixture.wrap("hub.test");
    const Bytes up = pattern(3'000'000);
    fixture.client->write(up);
    fixture.server->write("hello from the server");
    CHECK(fixture.until([&] { return fixture.at_server.received.size() == up.size(); }));
    CHECK(fixture.at_server.received == up);
    CHECK(fixture.until([&] { return fixture.at_client.received == "hello from the server"; }));
    CHECK(fixture.client->peer().encrypted);
    CHECK(fixture.server->peer().encrypted);
    CHECK(fixture.client->peer().certificate_name == "hub.test");
    CHECK(fixture.client->peer().certificate_sha256.size() == 64);
    CHECK(fixture.server->peer().certificate_name.empty());
    fixture.client->write("bye");
    fixture.client->close();
    fixture.client.reset();
    CHECK(fixture.until([&] { return fixture.at_server.closed == 1; }));
    CHECK(fixture.at_server.received.ends_with("bye"));
    CHECK(fixture.at_server.why.code == Errc::closed);
}

TEST_CASE("TLS works one byte at a time, and in odd pieces") {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1'000}}) {
        TlsFixture fixture;
        fixture.connect();
        fixture.wrap("127.0.0.1", piece);
        fixture.client->write("ping");
        fixture.server->write("pong");
        CHECK(fixture.until(
            [&] { return fixture.at_server.received == "ping" && fixture.at_client.received == "pong"; }, 30s
        ));
    }
}

TEST_CASE("TLS passes back-pressure on in both directions") {
    TlsFixture fixture;
    fixture.connect();
    fixture.wrap("hub.test");
    fixture.client->write("x");
    REQUIRE(fixture.until([&] { return fixture.at_server.received == "x"; }));
    fixture.server->pause_reading(true);
    std::size_t written = 1;
    bool more = true;
    for (int i = 0; i < 20; ++i) {
        more = fixture.client->write(Bytes(1'000'000, 'y'));
        written += 1'000'000;
    }
    CHECK_FALSE(more);
    fixture.settle(50ms);
    CHECK(fixture.at_server.received.size() == 1);
    CHECK(fixture.client->queued() > 256 * 1024);
    const int drained = fixture.at_client.drained;
    fixture.server->pause_reading(false);
    CHECK(fixture.until([&] { return fixture.at_server.received.size() == written; }));
    CHECK(fixture.at_client.drained == drained + 1);
}

TEST_CASE("a handler may destroy its TLS stream inside any callback") {
    SUBCASE("on_data") {
        TlsFixture fixture;
        fixture.connect();
        fixture.wrap("hub.test");
        fixture.at_server.then = [&](ByteView) { fixture.server.reset(); };
        fixture.client->write(pattern(100'000));
        CHECK(fixture.until([&] { return fixture.at_client.closed == 1; }));
    }
    SUBCASE("on_drained") {
        TlsFixture fixture;
        fixture.connect();
        fixture.wrap("hub.test");
        fixture.at_client.when_drained = [&] { fixture.client.reset(); };
        fixture.client->write(pattern(1'000'000));
        CHECK(fixture.until([&] { return fixture.at_server.closed == 1; }));
    }
    SUBCASE("on_closed of a failed handshake") {
        TlsFixture fixture;
        fixture.connect();
        fixture.at_client.when_closed = [&] { fixture.client.reset(); };
        fixture.at_server.when_closed = [&] { fixture.server.reset(); };
        fixture.wrap("other.test");
        CHECK(fixture.until([&] { return !fixture.client && !fixture.server; }));
    }
    SUBCASE("pause inside on_data holds back what is decoded, resume delivers it") {
        TlsFixture fixture;
        fixture.connect();
        fixture.wrap("hub.test");
        fixture.at_server.then = [&](ByteView) { fixture.server->pause_reading(true); };
        fixture.client->write(pattern(100'000));
        fixture.settle(100ms);
        CHECK(fixture.at_server.received.size() <= 16 * 1024);
        fixture.at_server.then = [](ByteView) {};
        fixture.server->pause_reading(false);
        CHECK(fixture.until([&] { return fixture.at_server.received == pattern(100'000); }));
    }
}

TEST_CASE("a refused certificate is named with its cause and a fix, and no byte is sent before") {
    SUBCASE("expired") {
        TlsFixture fixture({"hub.test"}, 240h, 2);
        const Error error = fixture.client_failure();
        CHECK_MESSAGE(error.cause.contains("expired on"), error.text());
        CHECK(error.code == Errc::denied);
        CHECK(fixture.at_server.why.cause.contains("our certificate has expired"));
    }
    SUBCASE("not valid yet, told as a matter of clocks") {
        TlsFixture fixture({"hub.test"}, -240h, 30);
        const Error error = fixture.client_failure();
        CHECK_MESSAGE(error.cause.contains("clock"), error.text());
    }
    SUBCASE("of another name") {
        TlsFixture fixture({"hub.test"});
        const Error error = fixture.client_failure("other.test");
        CHECK_MESSAGE(error.cause.contains("is for hub.test, not for other.test"), error.text());
    }
    SUBCASE("of another address") {
        TlsFixture fixture({"hub.test"});
        CHECK(fixture.client_failure("127.0.0.1").cause.contains("not for 127.0.0.1"));
    }
    SUBCASE("of an unknown authority: the pinned one replaces all others") {
        TlsFixture fixture;
        fixture.make({"hub.test"}, 0ms, 30, "other-");
        fixture.client_context =
            std::move(*TlsContext::client(fixture.disk, {.ca_file = fixture.at("other-cert")}));
        const Error error = fixture.client_failure();
        CHECK_MESSAGE(error.cause.contains("not trusted"), error.text());
        CHECK(fixture.at_server.why.cause.contains("does not trust the authority"));
    }
    SUBCASE("with the system's authorities") {
        TlsFixture fixture;
        fixture.client_context = std::move(*TlsContext::client(fixture.disk, {}));
        CHECK(fixture.client_failure().cause.contains("not trusted"));
    }
}

TEST_CASE(
    "certificates are judged at the time floor when the clock is behind it, never earlier than the clock"
) {
    SUBCASE("a certificate of the future is fine once the floor has reached it") {
        TlsFixture fixture({"hub.test"}, -240h, 30);
        fixture.client_context->set_time_floor({fixture.clock.wall().ms + 11LL * 86'400'000});
        fixture.connect();
        fixture.wrap("hub.test");
        fixture.client->write("x");
        CHECK(fixture.until([&] { return fixture.at_server.received == "x"; }));
    }
    SUBCASE("one that ends before the floor has expired") {
        TlsFixture fixture({"hub.test"}, 0ms, 5);
        fixture.client_context->set_time_floor({fixture.clock.wall().ms + 6LL * 86'400'000});
        CHECK(fixture.client_failure().cause.contains("expired"));
    }
    SUBCASE("a floor in the past changes nothing") {
        TlsFixture fixture({"hub.test"}, 240h, 5);
        fixture.client_context->set_time_floor({fixture.clock.wall().ms - 9LL * 86'400'000});
        CHECK(fixture.client_failure().cause.contains("expired"));
    }
}

TEST_CASE("a client certificate is asked for, verified, required, and shown to the server's side") {
    TlsFixture fixture;
    fixture.make({"gateway-1"}, 0ms, 30, "client-");
    fixture.make({"stranger"}, 0ms, 30, "stranger-");
    const auto server_options = [&](bool required) {
        return TlsServerOptions{fixture.at("cert"), fixture.at("key"), fixture.at("client-cert"), required};
    };
    const auto client_with = [&](const std::string& prefix) {
        return std::move(*TlsContext::client(
            fixture.disk, {fixture.at("cert"), fixture.at(prefix + "cert"), fixture.at(prefix + "key")}
        ));
    };
    SUBCASE("the right one") {
        fixture.server_context = std::move(*TlsContext::server(fixture.disk, server_options(true)));
        fixture.client_context = client_with("client-");
        fixture.connect();
        fixture.wrap("hub.test");
        fixture.client->write("x");
        const bool works =
            fixture.until([&] { return fixture.at_server.received == "x" || fixture.at_server.closed > 0; });
        CHECK(works);
        CHECK_MESSAGE(fixture.at_server.received == "x", fixture.at_server.why.text());
        CHECK(fixture.server->peer().certificate_name == "gateway-1");
    }
    SUBCASE("none though required") {
        fixture.server_context = std::move(*TlsContext::server(fixture.disk, server_options(true)));
        fixture.connect();
        fixture.wrap("hub.test");
        CHECK(fixture.until([&] { return fixture.at_server.closed == 1 && fixture.at_client.closed == 1; }));
        CHECK(fixture.at_server.why.code == Errc::unauthenticated);
        CHECK(fixture.at_client.why.cause.contains("client certificate is required"));
    }
    SUBCASE("none, not required") {
        fixture.server_context = std::move(*TlsContext::server(fixture.disk, server_options(false)));
        fixture.connect();
        fixture.wrap("hub.test");
        fixture.client->write("x");
        CHECK(fixture.until([&] { return fixture.at_server.received == "x"; }));
        CHECK(fixture.server->peer().certificate_name.empty());
    }
    SUBCASE("a stranger's") {
        fixture.server_context = std::move(*TlsContext::server(fixture.disk, server_options(false)));
        fixture.client_context = client_with("stranger-");
        fixture.connect();
        fixture.wrap("hub.test");
        CHECK(fixture.until([&] { return fixture.at_server.closed == 1; }));
        CHECK(fixture.at_server.why.cause.contains("not trusted"));
    }
}

TEST_CASE("plain text on a TLS port and TLS on a plain port are named as such") {
    TlsFixture fixture;
    SUBCASE("client without TLS") {
        fixture.connect();
        fixture.server = wrap_server(fixture.loop, std::move(fixture.server), *fixture.server_context);
        fixture.server->start(fixture.at_server);
        fixture.client->start(fixture.at_client);
        fixture.client->write("GET / HTTP/1.1\r\n\r\n");
        CHECK(fixture.until([&] { return fixture.at_server.closed == 1; }));
        CHECK(fixture.at_server.why.cause.contains("does not speak TLS"));
    }
    SUBCASE("server without TLS") {
        fixture.connect();
        fixture.client =
            wrap_client(fixture.loop, std::move(fixture.client), *fixture.client_context, "hub.test");
        fixture.client->start(fixture.at_client);
        fixture.server->start(fixture.at_server);
        fixture.server->write("220 welcome to something else entirely\r\n");
        CHECK(fixture.until([&] { return fixture.at_client.closed == 1; }));
        CHECK(fixture.at_client.why.cause.contains("does not speak TLS"));
    }
}

TEST_CASE("certificate files that are absent, damaged or of two kinds are refused by name") {
    TlsFixture fixture;
    const auto server_error = [&](const std::string& certificate, const std::string& key) {
        const auto made =
            TlsContext::server(fixture.disk, {.certificate_file = certificate, .key_file = key});
        REQUIRE_FALSE(made.has_value());
        return made.error();
    };
    CHECK(server_error(fixture.at("none"), fixture.at("key")).code == Errc::not_found);
    CHECK(server_error(fixture.at("key"), fixture.at("key")).object.contains(fixture.at("key")));
    CHECK(server_error(fixture.at("cert"), fixture.at("cert")).code == Errc::malformed);
    fixture.make({"other"}, 0ms, 30, "other-");
    CHECK(server_error(fixture.at("cert"), fixture.at("other-key")).cause.contains("does not belong"));
    Bytes text = *read_file(fixture.disk, fixture.at("cert"), 100'000);
    text[text.size() / 2] = '!';
    REQUIRE(write_file_atomically(fixture.disk, fixture.at("bad"), text).has_value());
    CHECK(server_error(fixture.at("bad"), fixture.at("key")).code == Errc::malformed);
    CHECK_FALSE(TlsContext::client(fixture.disk, {.ca_file = fixture.at("bad")}).has_value());
    CHECK_FALSE(TlsContext::client(
                    fixture.disk, {.ca_file = fixture.at("cert"), .certificate_file = fixture.at("cert")}
    )
                    .has_value());
    const WallTime now = fixture.clock.wall();
    CHECK_FALSE(make_self_signed(fixture.disk, now, fixture.at("x"), fixture.at("y"), {}, 1).has_value());
    CHECK_FALSE(
        make_self_signed(fixture.disk, now, fixture.at("x"), fixture.at("y"), {"a,IP:1.2.3.4"}, 1).has_value()
    );
    CHECK_FALSE(make_self_signed(fixture.disk, now, fixture.at("x"), fixture.at("y"), {"a"}, 0).has_value());
}

TEST_CASE("TlsNetwork hands out streams after the handshake, resumes sessions, and reports the failed ones") {
    TlsFixture fixture;
    TlsNetwork tls(fixture.loop, fixture.net, fixture.client_context.get(), fixture.server_context.get());
    std::string refused;
    tls.on_refused([&](const Peer&, const Error& why) { refused = why.cause; });
    std::vector<std::unique_ptr<Stream>> accepted;
    auto listener = std::move(*tls.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [&](auto stream) {
        accepted.push_back(std::move(stream));
    }));
    for (int round = 0; round < 3; ++round) {
        accepted.clear();
        std::unique_ptr<Stream> client;
        const auto attempt = tls.connect(listener->local(), 5s, [&](auto stream) {
            REQUIRE_MESSAGE(stream.has_value(), (stream ? "" : stream.error().text()));
            client = std::move(*stream);
        });
        REQUIRE(fixture.until([&] { return client && accepted.size() == 1; }));
        CHECK(tls.handshakes() == 0);
        Recorder at_client, at_server;
        client->write("early data in one packet with the handshake's end");
        fixture.settle(20ms); // arrives while nobody reads yet
        accepted[0]->start(at_server);
        client->start(at_client);
        accepted[0]->write("answer");
        CHECK(fixture.until([&] { return at_client.received == "answer"; }));
        CHECK(at_server.received.starts_with("early"));
        accepted.clear();
        client.reset(); // before the handlers
    }
    tls.set_client(nullptr);
    std::optional<Error> without;
    const auto attempt = tls.connect(listener->local(), 5s, [&](auto stream) { without = stream.error(); });
    CHECK_FALSE(without);
    CHECK(fixture.until([&] { return without.has_value(); }));

    std::unique_ptr<Stream> plain;
    Recorder at_plain;
    const auto raw =
        fixture.net.connect(listener->local(), 5s, [&](auto stream) { plain = std::move(*stream); });
    REQUIRE(fixture.until([&] { return plain && tls.handshakes() == 1; }));
    plain->start(at_plain);
    plain->write("no TLS at all here");
    CHECK(fixture.until([&] { return !refused.empty(); }));
    CHECK(refused.contains("does not speak TLS"));
    CHECK(tls.handshakes() == 0);
    tls.set_server(nullptr);
    CHECK_FALSE(tls.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [](auto) {}).has_value());
}

TEST_CASE("TlsNetwork tells a wrong certificate and a silent server to who connects, once") {
    TlsFixture fixture({"hub.test"}); // not for 127.0.0.1
    TlsNetwork tls(fixture.loop, fixture.net, fixture.client_context.get(), fixture.server_context.get());
    const auto listener = std::move(*tls.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [](auto) {}));
    std::vector<Error> errors;
    const auto attempt =
        tls.connect(listener->local(), 5s, [&](auto stream) { errors.push_back(stream.error()); });
    CHECK(fixture.until([&] { return !errors.empty(); }));
    CHECK(errors[0].cause.contains("not for 127.0.0.1"));
    const auto silent = std::move(*fixture.net.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [&](auto stream) {
        fixture.server = std::move(stream);
    }));
    const auto second =
        tls.connect(silent->local(), 200ms, [&](auto stream) { errors.push_back(stream.error()); });
    CHECK(fixture.until([&] { return errors.size() == 2; }));
    CHECK(errors[1].code == Errc::timeout);
    fixture.settle(20ms);
    CHECK(errors.size() == 2);
}

TEST_CASE("a handshake that is not finished within 10 s ends") {
    TlsFixture fixture;
    fixture.connect();
    fixture.server = wrap_server(fixture.loop, std::move(fixture.server), *fixture.server_context);
    fixture.server->start(fixture.at_server);
    fixture.client->start(fixture.at_client);
    const Mono begun = fixture.clock.mono();
    CHECK(fixture.until([&] { return fixture.at_server.closed == 1; }, 12s));
    CHECK(fixture.at_server.why.code == Errc::timeout);
    CHECK(fixture.clock.mono() - begun >= TlsLimits::handshake_wait_max);
    CHECK(fixture.until([&] { return fixture.at_client.closed == 1; }));
}

TEST_CASE("a client names a protocol: a server that knows it or knows none goes on, one with another refuses"
) {
    TlsFixture fixture;
    const auto asks = [&](std::string protocol) {
        fixture.client_context = std::move(*TlsContext::client(
            fixture.disk, {.ca_file = fixture.at("cert"), .protocol = std::move(protocol)}
        ));
    };
    const auto serves = [&](std::string protocol) {
        fixture.server_context = std::move(*TlsContext::server(
            fixture.disk,
            {.certificate_file = fixture.at("cert"),
             .key_file = fixture.at("key"),
             .protocol = std::move(protocol)}
        ));
    };
    asks("mqtt");
    SUBCASE("the same") {
        serves("mqtt");
    }
    SUBCASE("none") {
        serves("");
    }
    SUBCASE("another") {
        serves("http/1.1");
        CHECK(fixture.client_failure().text().contains("ALPN"));
        return;
    }
    fixture.connect();
    fixture.wrap("hub.test");
    fixture.client->write("hello");
    CHECK(fixture.until([&] { return fixture.at_server.received == "hello"; }));
}

TEST_CASE("a protocol's name has 1 to 255 bytes") {
    TlsFixture fixture;
    const auto made = [&](std::size_t bytes) {
        return TlsContext::client(
                   fixture.disk, {.ca_file = fixture.at("cert"), .protocol = std::string(bytes, 'a')}
        )
            .has_value();
    };
    CHECK(made(255));
    CHECK_FALSE(made(256));
}

namespace {

/// Clients that come all at once.
struct Crowd : TlsFixture {
    struct Ends {
        std::vector<std::unique_ptr<Stream>> servers, clients;
        std::vector<Recorder> at_servers, at_clients;
    };

    Ends ends;

    /// Nobody is started; without `tls` the clients' streams are plain.
    void come(std::size_t count, bool tls) {
        ends.at_servers.resize(count);
        ends.at_clients.resize(count);
        listener = std::move(*net.listen(*Endpoint::parse("tcp:127.0.0.1:0"), [this](auto stream) {
            ends.servers.push_back(wrap_server(loop, std::move(stream), *server_context));
        }));
        std::vector<std::unique_ptr<Connecting>> attempts;
        for (std::size_t i = 0; i < count; ++i)
            attempts.push_back(net.connect(listener->local(), 5s, [this, tls](auto made) {
                auto stream = std::move(*made);
                if (tls)
                    stream = wrap_client(loop, std::move(stream), *client_context, "hub.test");
                ends.clients.push_back(std::move(stream));
            }));
        REQUIRE(until([&] { return ends.servers.size() == count && ends.clients.size() == count; }));
    }
};

} // namespace

TEST_CASE(
    "[F-86] of many first messages few are answered in a turn, in order, and second ones do not wait for them"
) {
    constexpr std::size_t count = 60;
    Crowd fixture;
    auto& [servers, clients, at_servers, at_clients] = fixture.ends;
    fixture.come(count, true);
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < count; ++i)
        clients[i]->start(at_clients[i]); // its first message is on its way
    fixture.settle(20ms);
    for (std::size_t i = 0; i < count; ++i) {
        at_servers[i].then = [&order, i](ByteView) { order.push_back(i); };
        servers[i]->start(at_servers[i]);
        clients[i]->write("x");
    }
    // Those who went away while they waited are not answered, and hold up nobody.
    servers[count - 1].reset();
    clients[count - 2].reset();
    int turns = 0;
    std::size_t most = 0;
    const Mono deadline = fixture.clock.mono() + 10s;
    for (; order.size() < count - 2 && fixture.clock.mono() < deadline; ++turns) {
        const std::size_t before = order.size();
        fixture.loop.turn(10ms);
        most = std::max(most, order.size() - before);
    }
    CHECK(order.size() == count - 2);
    CHECK(turns >= static_cast<int>(count) / 8);
    CHECK(most <= 16); // eight a turn, and the second messages follow within a turn or two
    CHECK(at_servers[count - 2].closed == 1);
    CHECK(at_servers[count - 2].why.cause.find("during the TLS handshake") != std::string::npos);
}

TEST_CASE("[F-86] who waits for its turn may not send more than a first message") {
    constexpr std::size_t count = 20;
    Crowd fixture;
    auto& [servers, clients, at_servers, at_clients] = fixture.ends;
    fixture.come(count, false);
    for (std::size_t i = 0; i < count; ++i) {
        clients[i]->start(at_clients[i]);
        // A whole record, which has to wait, and far more behind it.
        clients[i]->write(Bytes("\x16\x03\x01\x00\x04\x01\x00\x10\x00", 9) + Bytes(200'000, 'x'));
    }
    fixture.settle(20ms);
    for (std::size_t i = 0; i < count; ++i)
        servers[i]->start(at_servers[i]);
    CHECK(fixture.until([&] {
        return std::ranges::all_of(at_servers, [](const Recorder& at) { return at.closed == 1; });
    }));
    // Eight were answered with an alert, the others had to wait.
    CHECK(std::ranges::count(at_servers, Errc::too_large, [](const Recorder& at) {
              return at.why.code;
          }) >= 12);
}

} // namespace brim::io
