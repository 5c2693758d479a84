#include "http_fixture.h"

using namespace brim;
using namespace brim::io;

namespace {

std::string upgrade(const std::string& more = "", const std::string& key = "dGhlIHNhbXBsZSBub25jZQ==") {
    return "GET /mqtt HTTP/1.1\r\nHost: hub:8080\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
           key + "\r\n" + more + "\r\n";
}

/// A masked frame; the mask is zero, so the payload is readable.
Bytes frame(char first, ByteView payload) {
    return Bytes(1, first) + static_cast<char>(0x80 | payload.size()) + Bytes(4, '\0') + Bytes(payload);
}

struct Socket : WebSocketHandler {
    std::unique_ptr<WebSocket> socket;
    std::vector<std::string> messages;
    std::optional<std::uint16_t> code;
    std::string reason;
    bool end_on_message = false;
    int drained = 0;

    void on_message(ByteView payload, bool text) override {
        messages.push_back((text ? "t:" : "b:") + Bytes(payload));
        if (end_on_message)
            socket.reset();
    }

    void on_drained() override { ++drained; }

    void on_closed(std::uint16_t why, std::string_view words) override {
        code = why;
        reason = words;
    }
};

/// A server that upgrades everything.
struct WsFixture : HttpFixture {
    Socket peer;
    WebSocketOptions options;
    std::optional<Error> refused;

    WsFixture() {
        answer = [this](const HttpRequest& request, HttpResponder responder) {
            auto socket = responder.upgrade_websocket(request, options);
            if (!socket) {
                refused = socket.error();
                return;
            }
            peer.socket = std::move(*socket);
            peer.socket->start(peer);
        };
    }
};

} // namespace

TEST_CASE("the handshake is RFC 6455's own example") {
    WsFixture ws;
    RawClient client(ws.world);
    const auto response = client.ask(upgrade("Sec-WebSocket-Protocol: chat, mqtt\r\n"));
    CHECK(status_of(response) == 101);
    CHECK(response.find("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != Bytes::npos);
    CHECK(response.find("\r\nConnection: Upgrade\r\n") != Bytes::npos);
    CHECK(response.find("Sec-WebSocket-Protocol") == Bytes::npos); // none of ours
    CHECK(response.find("Content-Length") == Bytes::npos);
    CHECK(ws.server.connections() == 0); // no HTTP connection any more
}

TEST_CASE("a subprotocol is chosen in our order, and may be required") {
    WsFixture ws;
    ws.options.subprotocols = {"mqtt", "mqttv3.1"};
    ws.options.subprotocol_required = true;
    RawClient client(ws.world);
    const auto response = client.ask(upgrade("Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n"));
    CHECK(response.find("\r\nSec-WebSocket-Protocol: mqtt\r\n") != Bytes::npos);
    CHECK(ws.peer.socket->subprotocol() == "mqtt");
    RawClient other(ws.world);
    CHECK(status_of(other.ask(upgrade("Sec-WebSocket-Protocol: amqp\r\n"))) == 400);
}

TEST_CASE("upgrades that are none are refused, and the connection can go on") {
    WsFixture ws;
    const auto status = [&ws](const std::string& wire) {
        RawClient client(ws.world);
        return status_of(client.ask(wire));
    };
    CHECK(status("GET / HTTP/1.1\r\nHost: hub\r\n\r\n") == 400);
    CHECK(status(upgrade("", "short")) == 400);
    CHECK(status(upgrade("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")) == 400);
    auto post = upgrade();
    post.replace(0, 3, "POST");
    CHECK(status(post) == 400);
    auto old = upgrade();
    old.replace(old.find(": 13"), 4, ": 8 ");
    RawClient client(ws.world);
    const auto response = client.ask(old);
    CHECK(status_of(response) == 426);
    CHECK(response.find("Sec-WebSocket-Version: 13\r\n") != Bytes::npos);
    CHECK(status_of(client.ask(upgrade())) == 101);
}

TEST_CASE("a page of another origin may not connect unless allowed") {
    WsFixture ws;
    RawClient client(ws.world);
    CHECK(status_of(client.ask(upgrade("Origin: https://evil.example\r\n"))) == 403);
    CHECK(ws.refused->code == Errc::denied);
    CHECK(status_of(client.ask(upgrade("Origin: null\r\n"))) == 403);
    CHECK(status_of(client.ask(upgrade("Origin: http://hub:8080.evil.example\r\n"))) == 403);
    CHECK(status_of(client.ask(upgrade("Origin: http://hub:8080\r\n"))) == 101);
    ws.options.check_origin = [](std::string_view origin, std::string_view) {
        return origin == "https://app.example";
    };
    RawClient other(ws.world);
    CHECK(status_of(other.ask(upgrade("Origin: https://app.example\r\n"))) == 101);
    RawClient third(ws.world);
    CHECK(status_of(third.ask(upgrade("Origin: http://hub:8080\r\n"))) == 403);
}

TEST_CASE("frames that come right behind the upgrade request are not lost") {
    for (std::size_t split = 0; split < 12; ++split) {
        WsFixture ws;
        RawClient client(ws.world);
        const auto first = frame('\x81', "early");
        client.ask(upgrade() + first.substr(0, split), 20ms);
        client.ask(first.substr(std::min(split, first.size())) + frame('\x82', "more"));
        CHECK(ws.peer.messages == std::vector<std::string>{"t:early", "b:more"});
    }
}

TEST_CASE("messages go both ways and a close is answered") {
    WsFixture ws;
    RawClient client(ws.world);
    client.ask(upgrade());
    ws.peer.socket->send_text("hello");
    ws.peer.socket->send_binary("bin");
    CHECK(
        client.ask(frame('\x81', "hi")) == "\x81\x05hello\x82\x03"
                                           "bin"
    );
    CHECK(client.ask(frame('\x89', "p")) == "\x8a\x01p");
    const auto answer = client.ask(frame(
        '\x88',
        "\x03\xe8"
        "bye"
    ));
    CHECK(answer.substr(0, 4) == "\x88\x05\x03\xe8");
    CHECK(client.closed);
    CHECK(ws.peer.code == 1000);
    CHECK(ws.peer.reason == "bye");
}

TEST_CASE("our close waits for the peer's, but not for ever") {
    WsFixture ws;
    RawClient client(ws.world);
    client.ask(upgrade());
    ws.peer.socket->close(WsClose::going_away, "restart");
    CHECK(client.ask("") == Bytes("\x88\x09\x03\xe9restart"));
    CHECK_FALSE(client.closed);
    SUBCASE("it answers") {
        client.ask(frame('\x88', "\x03\xe9"));
    }
    SUBCASE("it does not") {
        ws.world.run_for(6s);
    }
    SUBCASE("nobody waits") {
        ws.peer.socket.reset();
        ws.world.run_for(1s);
    }
    CHECK(client.closed);
    CHECK_FALSE(ws.peer.code.has_value()); // the owner closed: no more calls
}

TEST_CASE("the owner may destroy the socket from inside a message, and its close frame still gets out") {
    WsFixture ws;
    RawClient client(ws.world);
    client.ask(upgrade());
    ws.peer.end_on_message = true;
    client.ask(frame('\x81', "one") + frame('\x81', "two"));
    CHECK(ws.peer.messages.size() == 1);
    CHECK(client.closed);

    WsFixture polite;
    RawClient other(polite.world);
    other.ask(upgrade());
    polite.peer.socket->close(WsClose::normal, "");
    polite.peer.socket.reset();
    CHECK(other.ask("") == "\x88\x02\x03\xe8");
}

TEST_CASE("a lost connection is told once, with 1006") {
    WsFixture ws;
    RawClient client(ws.world);
    client.ask(upgrade());
    client.stream.reset();
    ws.world.run_for(100ms);
    CHECK(ws.peer.code == 1006);
}

TEST_CASE("a silent peer is pinged, and cut off when it answers nothing") {
    WsFixture ws;
    RawClient client(ws.world);
    client.ask(upgrade());
    client.ask("", 31s);
    CHECK(client.received == Bytes("\x89\0", 2));
    client.ask(frame('\x8a', ""), 60s);
    CHECK_FALSE(ws.peer.code.has_value());
    ws.world.links().partition("client", "hub");
    ws.world.run_for(91s);
    CHECK(ws.peer.code == 1006);
}

TEST_CASE("a peer that pings and never reads cannot grow our queue without end") {
    WsFixture ws;
    RawClient client(ws.world);
    client.ask(upgrade());
    client.stream->pause_reading(true);
    const auto ping = frame('\x89', Bytes(125, 'p'));
    Bytes burst;
    for (int i = 0; i < 500; ++i)
        burst += ping;
    for (int i = 0; i < 40; ++i)
        client.send(burst);
    ws.world.run_for(20s);
    CHECK(ws.peer.socket->queued() < 512 * 1024);
    CHECK(client.stream->queued() > 1'000'000); // the rest waits where it came from
    client.stream->pause_reading(false);
    ws.world.run_for(20s);
    CHECK(client.received.size() >= 20'000 * 127);
    CHECK(ws.peer.drained > 0);
}

TEST_CASE("as a stream it carries binary bytes, and a text message ends it with 1003") {
    HttpFixture http;

    struct Sink : StreamHandler {
        Bytes bytes;
        std::optional<Error> closed;

        void on_data(ByteView data) override { bytes += data; }

        void on_closed(const Error& why) override { closed = why; }
    } sink;

    std::unique_ptr<Stream> stream;
    http.answer = [&](const HttpRequest& request, HttpResponder responder) {
        stream = websocket_stream(responder.upgrade_websocket(request, {.subprotocols = {"mqtt"}}).value());
        stream->start(sink);
    };
    RawClient client(http.world);
    client.ask(upgrade("Sec-WebSocket-Protocol: mqtt\r\n"));
    client.ask(frame('\x02', "MQ") + frame('\x80', "TT") + frame('\x82', "5"));
    CHECK(sink.bytes == "MQTT5");
    CHECK(stream->peer().address.starts_with(http.world.machine("client").address()));
    stream->write("ack");
    CHECK(
        client.ask("") == "\x82\x03"
                          "ack"
    );
    SUBCASE("text") {
        CHECK(client.ask(frame('\x81', "text")).substr(0, 4) == "\x88\x16\x03\xeb");
        CHECK(sink.closed->code == Errc::malformed);
    }
    SUBCASE("closed by the peer") {
        client.ask(frame('\x88', ""));
        CHECK(sink.closed->code == Errc::closed);
    }
    SUBCASE("closed by us") {
        stream->close();
        CHECK(client.ask("") == "\x88\x02\x03\xe8");
        CHECK_FALSE(sink.closed.has_value());
    }
}
