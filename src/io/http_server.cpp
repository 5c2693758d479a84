#include "io/http_server.h"

#include "io/internal/http_connection.h"

#include <utility>

namespace brim::io {

HttpServer::HttpServer(Env& env, HttpLimits limits, HttpHandler& handler)
    : env_(env), limits_(limits), handler_(handler) {}

HttpServer::~HttpServer() {
    while (!connections_.empty()) {
        const auto connection = connections_.begin()->second;
        connection->abort();
    }
}

void HttpServer::serve(std::unique_ptr<Stream> stream, unsigned door) {
    if (connections_.size() >= limits_.connections_max || draining_) {
        stream->write("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n"
                      "Content-Length: 0\r\n\r\n");
        stream->close();
        return;
    }
    const auto id = ++last_id_;
    const auto connection = std::make_shared<HttpConnection>(*this, id, std::move(stream), door);
    connections_.emplace(id, connection);
    connection->start();
}

void HttpServer::drain() {
    draining_ = true;
    const auto all = connections_;
    for (const auto& [id, connection] : all)
        connection->finish_soon();
}

void HttpServer::forget(std::uint64_t id) {
    connections_.erase(id);
}

HttpResponder::HttpResponder(std::weak_ptr<HttpConnection> connection, std::uint64_t exchange)
    : connection_(std::move(connection)), exchange_(exchange) {}

HttpResponder::HttpResponder(HttpResponder&& other) noexcept
    : connection_(std::move(other.connection_)), exchange_(other.exchange_),
      used_(std::exchange(other.used_, true)) {}

HttpResponder& HttpResponder::operator=(HttpResponder&& other) noexcept {
    if (this == &other)
        return *this;
    if (const auto connection = claim())
        connection->answer_forgotten();
    connection_ = std::move(other.connection_);
    exchange_ = other.exchange_;
    used_ = std::exchange(other.used_, true);
    return *this;
}

HttpResponder::~HttpResponder() {
    if (const auto connection = claim())
        connection->answer_forgotten();
}

std::shared_ptr<HttpConnection> HttpResponder::claim() {
    if (std::exchange(used_, true))
        return nullptr;
    auto connection = connection_.lock();
    return connection && connection->is_current(exchange_) ? connection : nullptr;
}

void HttpResponder::respond(int status, const HttpHeaders& headers, ByteView body) {
    if (const auto connection = claim())
        connection->respond(status, headers, body);
}

HttpStreamWriter HttpResponder::start_stream(int status, const HttpHeaders& headers) {
    const auto connection = claim();
    if (!connection)
        return {};
    connection->start_body(status, headers);
    return HttpStreamWriter(connection, exchange_);
}

Result<std::unique_ptr<WebSocket>>
HttpResponder::upgrade_websocket(const HttpRequest& request, const WebSocketOptions& options) {
    const auto connection = claim();
    if (!connection)
        return fail(Errc::closed, "WebSocket upgrade", "the client has left");
    return connection->upgrade(request, options);
}

bool HttpResponder::client_gone() const {
    const auto connection = connection_.lock();
    return !connection || !connection->is_current(exchange_);
}

void HttpResponder::on_gone(std::function<void()> gone) {
    const auto connection = connection_.lock();
    if (connection && connection->is_current(exchange_))
        connection->set_on_gone(std::move(gone));
}

HttpStreamWriter::HttpStreamWriter(std::weak_ptr<HttpConnection> connection, std::uint64_t exchange)
    : connection_(std::move(connection)), exchange_(exchange) {}

HttpStreamWriter::HttpStreamWriter(HttpStreamWriter&& other) noexcept
    : connection_(std::exchange(other.connection_, {})), exchange_(other.exchange_) {}

HttpStreamWriter& HttpStreamWriter::operator=(HttpStreamWriter&& other) noexcept {
    if (this == &other)
        return *this;
    end();
    connection_ = std::exchange(other.connection_, {});
    exchange_ = other.exchange_;
    return *this;
}

HttpStreamWriter::~HttpStreamWriter() {
    end();
}

bool HttpStreamWriter::client_gone() const {
    const auto connection = connection_.lock();
    return !connection || !connection->is_current(exchange_);
}

bool HttpStreamWriter::write(ByteView piece) {
    const auto connection = connection_.lock();
    return connection && connection->is_current(exchange_) && connection->write_body(piece);
}

void HttpStreamWriter::on_drained(std::function<void()> drained) {
    const auto connection = connection_.lock();
    if (connection && connection->is_current(exchange_))
        connection->set_on_drained(std::move(drained));
}

void HttpStreamWriter::on_gone(std::function<void()> gone) {
    const auto connection = connection_.lock();
    if (connection && connection->is_current(exchange_))
        connection->set_on_gone(std::move(gone));
}

void HttpStreamWriter::end() {
    const auto connection = std::exchange(connection_, {}).lock();
    if (connection && connection->is_current(exchange_))
        connection->end_body();
}

void HttpStreamWriter::abort() {
    const auto connection = std::exchange(connection_, {}).lock();
    if (connection && connection->is_current(exchange_))
        connection->abort();
}

} // namespace brim::io
