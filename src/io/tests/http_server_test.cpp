#include "http_fixture.h"

using namespace brim;
using namespace brim::io;

namespace {

const std::string get = "GET /x HTTP/1.1\r\nHost: hub\r\n\r\n";

std::string post(std::size_t size) {
    return "POST /x HTTP/1.1\r\nHost: hub\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
}

} // namespace

TEST_CASE("a request is answered with Date and the right length, and the connection is used again") {
    HttpFixture http;
    RawClient client(http.world);
    for (int i = 0; i < 3; ++i) {
        const auto response = client.ask(post(2) + "hi");
        CHECK(status_of(response) == 200);
        CHECK(response.find("\r\nContent-Length: 12\r\n") != Bytes::npos);
        CHECK(response.find("\r\nDate: Sat, 21 Nov 2026 00:00:0") != Bytes::npos);
        CHECK(response.ends_with("\r\n\r\nPOST /x [hi]"));
        CHECK_FALSE(client.closed);
    }
    CHECK(http.requests[0].peer.address.starts_with(http.world.machine("client").address()));
}

TEST_CASE("HEAD, 204 and 304 have no body; the server's own fields cannot be forged") {
    HttpFixture http;
    RawClient client(http.world);
    const auto head = client.ask("HEAD /x HTTP/1.1\r\nHost: hub\r\n\r\n");
    CHECK(head.find("Content-Length: 10\r\n") != Bytes::npos);
    CHECK(head.ends_with("\r\n\r\n"));
    for (const int status : {204, 304}) {
        http.answer = [status](const auto&, HttpResponder r) { r.respond(status, {}, "must not show"); };
        const auto response = client.ask(get);
        CHECK(status_of(response) == status);
        CHECK(response.ends_with("\r\n\r\n"));
        CHECK(response.find("Content-Length") == Bytes::npos);
    }
    http.answer = [](const auto&, HttpResponder r) {
        r.respond(200, {{"content-length", "9"}, {"X-Split", "a\r\nSet-Cookie: x=1"}, {"X-Ok", "1"}}, "body");
    };
    const auto response = client.ask(get);
    CHECK(response.find("Content-Length: 4\r\n") != Bytes::npos);
    CHECK(response.find("content-length") == Bytes::npos);
    CHECK(response.find("Set-Cookie") == Bytes::npos);
    CHECK(response.find("X-Ok: 1\r\n") != Bytes::npos);
}

TEST_CASE("pipelined requests are answered one after the other, in order") {
    HttpFixture http;
    http.answer = nullptr;
    RawClient client(http.world);
    std::string burst;
    for (int i = 0; i < 20; ++i)
        burst += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: hub\r\n\r\n";
    client.ask(burst);
    for (int i = 0; i < 20; ++i) {
        REQUIRE(http.pending.size() == 1); // the next comes when this one is answered
        auto responder = std::move(http.pending.front());
        http.pending.pop_front();
        responder.respond(200, {}, "n" + std::to_string(i) + ";");
        http.world.run_for(50ms);
    }
    CHECK(occurrences(client.received, "HTTP/1.1 200") == 20);
    CHECK(client.received.find("n3;") < client.received.find("n4;"));
}

TEST_CASE("what is read ahead of an answer is bounded") {
    HttpLimits limits;
    limits.pipeline_bytes_max = 1000;
    HttpFixture http(limits);
    http.answer = nullptr;
    RawClient client(http.world);
    client.send(get);
    for (int i = 0; i < 20; ++i)
        client.send(Bytes(100'000, 'x'));
    http.world.run_for(5s);
    // The rest waits at the client: the server's window is closed.
    CHECK(client.stream->queued() > 1'500'000);
}

TEST_CASE("HTTP/1.0 is served and closed") {
    HttpFixture http;
    RawClient client(http.world);
    const auto response = client.ask("GET /old HTTP/1.0\r\n\r\n");
    CHECK(response.ends_with("GET /old []"));
    CHECK(response.find("Connection: close\r\n") != Bytes::npos);
    CHECK(client.closed);
}

TEST_CASE("a refused request gets its status, an explanation, and the end of the connection") {
    HttpFixture http;
    RawClient client(http.world);
    const auto response = client.ask("GET / HTTP/1.1\nHost: hub\n\n" + get);
    CHECK(status_of(response) == 400);
    CHECK(response.find("a line does not end in CR LF") != Bytes::npos);
    CHECK(client.closed);
    CHECK(http.requests.empty()); // what follows a broken request is never looked at
}

TEST_CASE("method override headers override nothing") {
    HttpFixture http;
    RawClient client(http.world);
    client.ask("GET /x?_method=DELETE HTTP/1.1\r\nHost: hub\r\nX-HTTP-Method-Override: DELETE\r\n\r\n");
    REQUIRE(http.requests.size() == 1);
    CHECK(http.requests[0].method == "GET");
}

TEST_CASE("100 Continue is sent when the body may come, and 413 when it may not") {
    HttpFixture http;
    http.body_max = [](const HttpRequest& head) {
        return head.path == "/big" ? std::size_t{100} : std::size_t{10};
    };
    const auto upload = [](const std::string& path) {
        return "PUT " + path + " HTTP/1.1\r\nHost: hub\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n";
    };
    RawClient client(http.world);
    CHECK(client.ask(upload("/big")) == "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(status_of(client.ask(Bytes(50, 'b'))) == 200);
    const auto refused = client.ask(upload("/small"));
    CHECK(status_of(refused) == 413);
    CHECK(client.closed);
    CHECK(http.requests.size() == 1);
}

TEST_CASE("[B-09] an endless chunked body is cut at the limit") {
    HttpFixture http;
    RawClient client(http.world);
    client.send("POST /x HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n");
    Bytes chunk = "10000\r\n" + Bytes(65'536, 'x') + "\r\n";
    for (int i = 0; i < 100 && !client.closed; ++i) {
        client.send(chunk);
        http.world.run_for(20ms);
    }
    CHECK(status_of(client.received) == 413);
    CHECK(client.closed);
    CHECK(http.requests.empty());
    CHECK(http.server.connections() == 0);
}

TEST_CASE("[F-56] slow heads, slow bodies and idle connections end in time, fast enough ones do not") {
    HttpFixture http;
    SUBCASE("nothing at all") {
        RawClient client(http.world);
        http.world.run_for(9500ms);
        CHECK_FALSE(client.closed);
        http.world.run_for(1s);
        CHECK(client.closed);
        CHECK(client.received.empty());
    }
    SUBCASE("a byte of the head each second") {
        RawClient client(http.world);
        for (int i = 0; i < 30 && !client.closed; ++i) {
            client.send(i < 5 ? ByteView(get).substr(static_cast<std::size_t>(i), 1) : "a");
            http.world.run_for(1s);
        }
        CHECK(status_of(client.received) == 408);
        CHECK(http.world.now() < Mono{} + 12s);
    }
    SUBCASE("a byte of the body each second") {
        RawClient client(http.world);
        client.send(post(1000));
        for (int i = 0; i < 100 && !client.closed; ++i) {
            client.send("b");
            http.world.run_for(1s);
        }
        CHECK(status_of(client.received) == 408);
        CHECK(http.world.now() > Mono{} + 59s);
        CHECK(http.world.now() < Mono{} + 63s);
    }
    SUBCASE("a large body at a fair rate may take longer") {
        RawClient client(http.world);
        client.send(post(200'000));
        for (int i = 0; i < 100; ++i) {
            client.send(Bytes(2000, 'b'));
            http.world.run_for(1s);
        }
        CHECK(status_of(client.received) == 200);
    }
    SUBCASE("idle after an answer") {
        RawClient client(http.world);
        client.ask(get);
        http.world.run_for(74s);
        CHECK_FALSE(client.closed);
        http.world.run_for(2s);
        CHECK(client.closed);
    }
    CHECK(http.server.connections() <= 1);
}

TEST_CASE("above connections_max a client is told to come back") {
    HttpLimits limits;
    limits.connections_max = 2;
    HttpFixture http(limits);
    RawClient first(http.world);
    RawClient second(http.world);
    RawClient third(http.world);
    http.world.run_for(100ms);
    CHECK(status_of(third.received) == 503);
    CHECK(third.closed);
    CHECK(status_of(second.ask(get)) == 200);
    first.stream.reset();
    http.world.run_for(100ms);
    RawClient fourth(http.world);
    CHECK(status_of(fourth.ask(get)) == 200);
}

TEST_CASE("a handler may answer later, and learns that the client left") {
    HttpFixture http;
    http.answer = nullptr;
    RawClient client(http.world);
    client.ask(get);
    REQUIRE(http.pending.size() == 1);
    auto responder = std::move(http.pending.front());
    http.pending.pop_front();
    int gone = 0;
    responder.on_gone([&gone] { ++gone; });
    CHECK_FALSE(responder.client_gone());
    client.stream.reset();
    http.world.run_for(100ms);
    CHECK(gone == 1);
    CHECK(responder.client_gone());
    responder.respond(200, {}, "too late"); // harmless
    CHECK(http.server.connections() == 0);
}

TEST_CASE("a responder dropped by mistake answers 500 and is logged") {
    HttpFixture http;
    http.answer = [](const auto&, HttpResponder) {};
    RawClient client(http.world);
    CHECK(status_of(client.ask(get)) == 500);
    CHECK(http.world.log_text().find("dropped its responder") != std::string::npos);
}

TEST_CASE("a responder outlives its server without harm") {
    SimWorld world(1);
    std::optional<HttpResponder> kept;
    {
        HttpFixture http;
        http.answer = [&kept](const auto&, HttpResponder r) { kept.emplace(std::move(r)); };
        RawClient client(http.world);
        client.ask(get);
        REQUIRE(kept.has_value());
    }
    kept->respond(200, {}, "nobody there");
    CHECK(kept->client_gone());
}

TEST_CASE("draining ends idle connections now and busy ones after their answer") {
    HttpFixture http;
    http.answer = nullptr;
    RawClient idle(http.world);
    RawClient busy(http.world);
    busy.ask(get);
    http.server.drain();
    http.world.run_for(100ms);
    CHECK(idle.closed);
    CHECK_FALSE(busy.closed);
    http.pending.front().respond(200, {}, "last");
    http.world.run_for(100ms);
    CHECK(busy.received.find("Connection: close") != Bytes::npos);
    CHECK(busy.closed);
    CHECK(http.server.connections() == 0);
}

TEST_CASE("a client that pipelines and never reads cannot make the server queue answers without end") {
    HttpFixture http;
    http.answer = [](const auto&, HttpResponder r) { r.respond(200, {}, Bytes(100'000, 'x')); };
    RawClient client(http.world);
    client.stream->pause_reading(true);
    for (int i = 0; i < 50; ++i)
        client.send(get);
    http.world.run_for(5s);
    CHECK(http.requests.size() < 10);
    SUBCASE("when it reads, it gets them all") {
        client.stream->pause_reading(false);
        http.world.run_for(5s);
        CHECK(occurrences(client.received, "HTTP/1.1 200") == 50);
    }
    SUBCASE("when it never does, it is cut off") {
        http.world.run_for(130s);
        CHECK(http.server.connections() == 0);
    }
}

TEST_CASE("a stream is sent in chunks, ends properly, and the connection goes on") {
    HttpFixture http;
    HttpStreamWriter writer;
    http.answer = [&writer](const auto&, HttpResponder r) {
        writer = r.start_stream(200, {{"Content-Type", "text/event-stream"}});
    };
    RawClient client(http.world);
    client.ask(get);
    CHECK(writer.write("data: 1\n\n"));
    CHECK(writer.write(""));
    http.world.run_for(50ms);
    CHECK(client.received.find("Transfer-Encoding: chunked\r\n") != Bytes::npos);
    CHECK(client.received.ends_with("\r\n\r\n9\r\ndata: 1\n\n\r\n"));
    writer.end();
    CHECK_FALSE(writer.write("late"));
    http.world.run_for(50ms);
    CHECK(client.received.ends_with("0\r\n\r\n"));
    http.answer = [](const auto&, HttpResponder r) { r.respond(200, {}, "next"); };
    CHECK(client.ask(get).ends_with("next"));
}

TEST_CASE("a slow reader of a stream is noticed, counted by the caller, and told when it has caught up") {
    HttpFixture http;
    HttpStreamWriter writer;
    http.answer = [&writer](const auto&, HttpResponder r) { writer = r.start_stream(200, {}); };
    RawClient client(http.world);
    client.ask(get);
    client.stream->pause_reading(true);
    int sent = 0;
    int dropped = 0;
    bool caught_up = false;
    writer.on_drained([&] {
        caught_up = true;
        CHECK(writer.write("event: dropped\ndata: " + std::to_string(dropped) + "\n\n"));
    });
    for (int i = 0; i < 1000; ++i) {
        ++(writer.write(Bytes(1000, 'e')) ? sent : dropped);
        http.world.run_for(1ms);
    }
    CHECK(dropped > 0);
    CHECK(sent < 450); // both kernels' windows and 256 KiB
    CHECK_FALSE(caught_up);
    client.stream->pause_reading(false);
    http.world.run_for(1s);
    CHECK(caught_up);
    CHECK(client.received.find("event: dropped\ndata: " + std::to_string(dropped)) != Bytes::npos);
    CHECK(occurrences(client.received, "eee") > 0);
}

TEST_CASE("the writer of a stream learns that the client left; abort() leaves the body incomplete") {
    HttpFixture http;
    HttpStreamWriter writer;
    bool gone = false;
    http.answer = [&](const auto&, HttpResponder r) {
        writer = r.start_stream(200, {});
        writer.on_gone([&gone] { gone = true; });
    };
    RawClient client(http.world);
    client.ask(get);
    client.stream.reset();
    http.world.run_for(100ms);
    CHECK(gone);
    CHECK(writer.client_gone());
    CHECK_FALSE(writer.write("x"));
    RawClient other(http.world);
    other.ask(get);
    writer.abort();
    http.world.run_for(100ms);
    CHECK(other.closed);
    CHECK_FALSE(other.received.ends_with("0\r\n\r\n"));
}

TEST_CASE("every split of two requests over the network gives the same two answers") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        HttpFixture http({}, seed);
        RawClient client(http.world);
        const std::string wire = post(5) + "hello" + get;
        const auto split = static_cast<std::size_t>(seed) * wire.size() / 41;
        client.ask(wire.substr(0, split), 20ms);
        const auto before = client.received;
        client.ask(wire.substr(split), 100ms);
        const auto all = before + client.received;
        CHECK(occurrences(all, "HTTP/1.1 200") == 2);
        CHECK(all.find("POST /x [hello]") < all.find("GET /x []"));
    }
}
