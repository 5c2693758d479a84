#pragma once
// An HTTP/1.1 server on any Stream: TCP, TLS, unix sockets, simulated streams. One loop; handlers answer at
// once or later, from the same loop.

#include "io/env.h"
#include "io/http_message.h"
#include "io/http_parser.h"
#include "io/websocket.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string_view>

namespace brim::io {

class HttpConnection;

/// A response body that is written bit by bit (server-sent events, exports). Movable; destroying it ends the
/// body properly. All members are harmless after the client has left.
class HttpStreamWriter {
public:
    HttpStreamWriter() = default;
    HttpStreamWriter(std::weak_ptr<HttpConnection> connection, std::uint64_t exchange);
    ~HttpStreamWriter();
    HttpStreamWriter(HttpStreamWriter&& other) noexcept;
    HttpStreamWriter& operator=(HttpStreamWriter&& other) noexcept;

    /// Sends a piece. False: it was NOT taken, because the client reads too slowly (256 KiB wait already) or
    /// has left; count it as dropped, and tell the client when on_drained comes.
    bool write(ByteView piece);
    /// `drained` runs each time the client has caught up after a refused write.
    void on_drained(std::function<void()> drained);
    /// `gone` runs once, when the client leaves before end().
    void on_gone(std::function<void()> gone);
    bool client_gone() const;
    /// Ends the body; the connection may be used again.
    void end();
    /// Cuts the connection, so that the client sees an incomplete body.
    void abort();

private:
    std::weak_ptr<HttpConnection> connection_;
    std::uint64_t exchange_ = 0;
};

/// The right to answer one request, once. Movable, may be kept as long as one likes. Destroyed unused it
/// answers 500, for which the server logs the path: that is a bug of the handler.
class HttpResponder {
public:
    HttpResponder(std::weak_ptr<HttpConnection> connection, std::uint64_t exchange);
    ~HttpResponder();
    HttpResponder(HttpResponder&& other) noexcept;
    HttpResponder& operator=(HttpResponder&& other) noexcept;

    /// Content-Length, Date and Connection are the server's; fields of these names in `headers` are ignored.
    /// A field with a control character is left out and logged. HEAD, 204 and 304 get no body.
    void respond(int status, const HttpHeaders& headers, ByteView body);
    /// Sends the head; the body follows by the writer (chunked, or until the connection ends in HTTP/1.0).
    HttpStreamWriter start_stream(int status, const HttpHeaders& headers);
    /// Answers 101 and hands the connection over; or answers with the refusal's status (400, 403, 426) and
    /// returns the error. `request` is the one this responder came with.
    Result<std::unique_ptr<WebSocket>>
    upgrade_websocket(const HttpRequest& request, const WebSocketOptions& options);

    /// The client has left; an answer would go nowhere.
    bool client_gone() const;
    /// `gone` runs once, when the client leaves before the answer: stop the work for it.
    void on_gone(std::function<void()> gone);

private:
    std::shared_ptr<HttpConnection> claim();

    std::weak_ptr<HttpConnection> connection_; // the server owns connections; a responder may outlive its own
    std::uint64_t exchange_;
    bool used_ = false;
};

/// What the server asks. Outlives the server.
class HttpHandler {
public:
    virtual ~HttpHandler() = default;
    /// Called with the complete request, on the loop.
    virtual void on_request(HttpRequest request, HttpResponder responder) = 0;

    /// The largest body accepted for a request of which the head has arrived; more is answered 413. Deny
    /// early here.
    virtual std::size_t body_bytes_max(const HttpRequest& head, const HttpLimits& limits) {
        (void)head;
        return limits.body_bytes_max;
    }
};

class HttpServer {
public:
    HttpServer(Env& env, HttpLimits limits, HttpHandler& handler);
    /// Closes every connection.
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// Serves a stream that was not started yet; give it to Network::listen as the callback's work. `door`
    /// comes back in each of its requests.
    void serve(std::unique_ptr<Stream> stream, unsigned door = 0);

    std::size_t connections() const noexcept { return connections_.size(); }

    /// Graceful stop: idle connections close now, the others after the answer under way.
    void drain();

private:
    friend class HttpConnection;
    void forget(std::uint64_t id);

    Env& env_;
    const HttpLimits limits_;
    HttpHandler& handler_;
    std::map<std::uint64_t, std::shared_ptr<HttpConnection>> connections_; // responders share them weakly
    std::uint64_t last_id_ = 0;
    bool draining_ = false;
};

} // namespace brim::io
