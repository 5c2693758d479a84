#pragma once
// An HTTP server on a simulated machine, and clients that speak raw bytes to it.

#include "io/http_server.h"
#include "io/sim/sim_world.h"

#include <deque>
#include <doctest/doctest.h>
#include <optional>

namespace brim::io {

/// Writes bytes, remembers what comes back.
struct RawClient : StreamHandler {
    SimWorld& world;
    std::unique_ptr<Stream> stream;
    std::unique_ptr<Connecting> connecting;
    Bytes received;
    bool closed = false;

    explicit RawClient(SimWorld& in) : world(in) {
        const auto to = Endpoint::parse("tcp:hub:8080").value();
        connecting = world.machine("client").env().net().connect(to, 5s, [this](auto result) {
            REQUIRE(result.has_value());
            stream = std::move(*result);
            stream->start(*this);
        });
        REQUIRE(world.run_until([this] { return stream != nullptr; }, 5s));
    }

    void send(ByteView bytes) { stream->write(bytes); }

    /// Sends and lets the world run until nothing more is likely to come (200 ms).
    Bytes ask(ByteView bytes, Duration patience = 200ms) {
        received.clear();
        send(bytes);
        world.run_until([this] { return closed; }, patience);
        return received;
    }

    void on_data(ByteView bytes) override { received += bytes; }

    void on_closed(const Error&) override { closed = true; }
};

/// The server; what it is asked is answered by `answer`, or kept in `pending`.
struct HttpFixture : HttpHandler {
    SimWorld world;
    Env& env{world.machine("hub").env()};
    HttpServer server;
    std::unique_ptr<Listener> listener;
    std::vector<HttpRequest> requests;
    std::deque<HttpResponder> pending;
    std::function<void(const HttpRequest&, HttpResponder)> answer;
    std::function<std::size_t(const HttpRequest&)> body_max;

    explicit HttpFixture(HttpLimits limits = {}, std::uint64_t seed = 1)
        : world(seed), server(env, limits, *this) {
        const auto at = Endpoint::parse("tcp:0.0.0.0:8080").value();
        listener = env.net().listen(at, [this](auto stream) { server.serve(std::move(stream)); }).value();
        answer = [](const HttpRequest& request, HttpResponder responder) {
            const auto body = request.method + " " + request.path + " [" + request.body + "]";
            responder.respond(200, {{"Content-Type", "text/plain"}}, body);
        };
    }

    void on_request(HttpRequest request, HttpResponder responder) override {
        requests.push_back(request);
        if (answer)
            answer(request, std::move(responder));
        else
            pending.push_back(std::move(responder));
    }

    std::size_t body_bytes_max(const HttpRequest& head, const HttpLimits& limits) override {
        return body_max ? body_max(head) : limits.body_bytes_max;
    }
};

inline int status_of(ByteView response) {
    if (response.size() < 12 || !response.starts_with("HTTP/1.1 "))
        return -1;
    return std::stoi(std::string(response.substr(9, 3)));
}

inline std::size_t occurrences(ByteView text, ByteView part) {
    std::size_t count = 0;
    for (auto at = text.find(part); at != ByteView::npos; at = text.find(part, at + 1))
        ++count;
    return count;
}

} // namespace brim::io
