#include "io/websocket.h"

#include <utility>

namespace brim::io {

namespace {

class WebSocketStream final : public Stream, private WebSocketHandler {
public:
    explicit WebSocketStream(std::unique_ptr<WebSocket> socket) : socket_(std::move(socket)) {}

    void start(StreamHandler& handler) override {
        handler_ = &handler;
        socket_->start(*this);
    }

    bool write(ByteView bytes) override { return bytes.empty() || socket_->send_binary(bytes); }

    std::size_t queued() const override { return socket_->queued(); }

    void pause_reading(bool paused) override { socket_->pause_reading(paused); }

    void close() override {
        handler_ = nullptr;
        socket_->close(WsClose::normal, "");
    }

    Peer peer() const override { return socket_->peer(); }

private:
    void on_message(ByteView payload, bool text) override {
        if (!handler_)
            return;
        if (!text)
            return handler_->on_data(payload);
        auto* handler = std::exchange(handler_, nullptr);
        socket_->close(WsClose::unsupported_data, "binary messages only");
        handler->on_closed(
            Error{Errc::malformed, "WebSocket", "the peer sent a text message", "send binary messages"}
        );
    }

    void on_drained() override {
        if (handler_)
            handler_->on_drained();
    }

    void on_closed(std::uint16_t code, std::string_view reason) override {
        if (!handler_)
            return;
        std::string cause = "closed with code " + std::to_string(code);
        if (!reason.empty())
            cause += " (" + std::string(reason) + ")";
        std::exchange(handler_, nullptr)->on_closed(Error{Errc::closed, "WebSocket", std::move(cause), ""});
    }

    std::unique_ptr<WebSocket> socket_;
    StreamHandler* handler_ = nullptr;
};

} // namespace

std::unique_ptr<Stream> websocket_stream(std::unique_ptr<WebSocket> socket) {
    return std::make_unique<WebSocketStream>(std::move(socket));
}

} // namespace brim::io
