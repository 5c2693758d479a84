// The answering half of a connection: heads, bodies, streams and the upgrade.
#include "io/internal/http_connection.h"

#include "base/assert.h"

#include <algorithm>
#include <utility>

namespace brim::io {

namespace {

bool is_server_field(std::string_view name) {
    for (const std::string_view own : {"Content-Length", "Transfer-Encoding", "Connection", "Date"})
        if (equal_ignoring_case(name, own))
            return true;
    return false;
}

bool is_clean(std::string_view text) {
    return std::none_of(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
    });
}

bool is_field_name(std::string_view name) {
    return !name.empty() && is_clean(name) && name.find_first_of(" \t:") == std::string_view::npos;
}

bool has_no_body(int status) {
    return status < 200 || status == 204 || status == 304;
}

std::string chunk_size(std::size_t size) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (; size > 0; size /= 16)
        text.insert(text.begin(), digits[size % 16]);
    return text + "\r\n";
}

} // namespace

void HttpConnection::send(ByteView bytes) {
    if (!stream_->write(bytes))
        blocked_ = true;
}

std::string HttpConnection::head(int status, const HttpHeaders& headers, std::string_view framing) {
    std::string text = "HTTP/1.1 " + std::to_string(status) + " ";
    text += http_reason(status);
    text += "\r\nDate: " + http_date(server_.env_.loop().clock().wall()) + "\r\n";
    text += framing;
    if (status != 101 && !keep_alive_)
        text += "Connection: close\r\n";
    else if (status != 101 && old_client_)
        text += "Connection: keep-alive\r\n";
    for (const auto& [name, value] : headers) {
        if (is_server_field(name))
            continue;
        if (!is_field_name(name) || !is_clean(value)) {
            // Left out rather than sent: a line end inside would let the value forge a second response.
            server_.env_.log().error("http", "a response field holds control characters", {{"path", path_}});
            continue;
        }
        text += name + ": " + value + "\r\n";
    }
    return text + "\r\n";
}

void HttpConnection::respond(int status, const HttpHeaders& headers, ByteView body) {
    BRIM_ASSERT(answering_ && !in_body_, "one answer for each request");
    const auto self = shared_from_this();
    if (server_.draining_)
        keep_alive_ = false;
    const bool empty = has_no_body(status);
    const auto framing = empty ? std::string{} : "Content-Length: " + std::to_string(body.size()) + "\r\n";
    Bytes message = head(status, headers, framing);
    if (!empty && !head_only_)
        message += body;
    send(message);
    exchange_over();
}

void HttpConnection::start_body(int status, const HttpHeaders& headers) {
    BRIM_ASSERT(answering_ && !in_body_, "one answer for each request");
    body_ = Body::chunked;
    if (old_client_)
        body_ = Body::until_close;
    if (head_only_ || has_no_body(status))
        body_ = Body::none;
    if (old_client_ || server_.draining_)
        keep_alive_ = false;
    in_body_ = true;
    const bool chunked = !old_client_ && !has_no_body(status);
    send(head(status, headers, chunked ? "Transfer-Encoding: chunked\r\n" : ""));
    watch_stall();
}

bool HttpConnection::write_body(ByteView piece) {
    if (blocked_)
        return false;
    if (piece.empty() || body_ == Body::none)
        return true; // an empty chunk would end the body
    if (body_ == Body::chunked) {
        Bytes framed = chunk_size(piece.size());
        framed += piece;
        framed += "\r\n";
        send(framed);
    } else {
        send(piece);
    }
    if (!stall_timer_.running())
        watch_stall();
    return true;
}

void HttpConnection::end_body() {
    const auto self = shared_from_this();
    if (body_ == Body::chunked)
        send("0\r\n\r\n");
    exchange_over();
}

Result<std::unique_ptr<WebSocket>>
HttpConnection::upgrade(const HttpRequest& request, const WebSocketOptions& options) {
    const auto self = shared_from_this();
    auto accepted = accept_websocket(request, options);
    if (!accepted) {
        const auto& refusal = accepted.error();
        const int status = refusal.code == Errc::denied ? 403 : refusal.code == Errc::unsupported ? 426 : 400;
        HttpHeaders headers{{"Content-Type", "text/plain; charset=utf-8"}};
        if (status == 426)
            headers.add("Sec-WebSocket-Version", "13");
        if (status == 426)
            headers.add("Upgrade", "websocket");
        const auto error = refusal; // respond() may end what it belongs to
        respond(status, headers, error.text() + "\n");
        return fail(error);
    }
    HttpHeaders headers{{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", accepted->key}};
    if (!accepted->subprotocol.empty())
        headers.add("Sec-WebSocket-Protocol", accepted->subprotocol);
    send(head(101, headers, "Connection: Upgrade\r\n"));
    stream_->hold(ByteView(input_).substr(parsed_)); // frames may come right behind the request
    auto stream = std::move(stream_);
    auto& env = server_.env_;
    on_gone_ = nullptr;
    abort(); // this connection's part is over; nobody is told that the client left
    return std::make_unique<WebSocket>(
        env, std::move(stream), options.limits, std::move(accepted->subprotocol)
    );
}

} // namespace brim::io
