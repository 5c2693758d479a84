#include "io/websocket.h"

#include <algorithm>
#include <utility>

namespace brim::io {

namespace {

/// RFC 6455 section 7.1.5: the code reported when there was no close frame.
constexpr std::uint16_t no_close_frame = 1006;
constexpr unsigned silent_ticks_max = 2;

} // namespace

WebSocket::WebSocket(
    Env& env, std::unique_ptr<Stream> stream, WebSocketLimits limits, std::string subprotocol
)
    : env_(env), alive_(std::make_shared<bool>(true)), stream_(std::move(stream)), limits_(limits),
      subprotocol_(std::move(subprotocol)), codec_(limits), timer_(env.loop()) {}

WebSocket::~WebSocket() {
    *alive_ = false;
    if (closing_ && stream_)
        stream_->close(); // lets the close frame out
}

void WebSocket::start(WebSocketHandler& handler) {
    handler_ = &handler;
    if (limits_.ping_interval.count() > 0)
        timer_.start(limits_.ping_interval, [this] { tick(); });
    stream_->start(*this);
}

void WebSocket::tick() {
    silent_ticks_ = std::exchange(heard_, false) || paused_ ? 0 : silent_ticks_ + 1;
    if (silent_ticks_ > silent_ticks_max) {
        env_.log().info("websocket", "peer answers no ping", {{"peer", peer().address}});
        return end(no_close_frame, "no answer to pings");
    }
    codec_.send_ping();
    flush();
    timer_.start(limits_.ping_interval, [this] { tick(); });
}

bool WebSocket::flush() {
    const auto bytes = codec_.take_output();
    return bytes.empty() || stream_->write(bytes);
}

bool WebSocket::send_text(std::string_view text) {
    codec_.send_text(text);
    return flush();
}

bool WebSocket::send_binary(ByteView bytes) {
    codec_.send_binary(bytes);
    return flush();
}

void WebSocket::close(WsClose code, std::string_view reason) {
    if (closing_)
        return;
    closing_ = true;
    handler_ = nullptr;
    codec_.close(code, reason);
    flush();
    choked_ = false;
    stream_->pause_reading(false); // the peer's close frame has to get through
    timer_.start(limits_.close_wait_max, [this] { stream_->close(); });
}

void WebSocket::pause_reading(bool paused) {
    paused_ = paused;
    stream_->pause_reading(paused_ || choked_);
}

std::size_t WebSocket::queued() const {
    return stream_->queued();
}

Peer WebSocket::peer() const {
    return stream_->peer();
}

void WebSocket::on_data(ByteView bytes) {
    heard_ = true;
    auto events = codec_.receive(bytes);
    // A peer that pings but does not read would otherwise grow the queue by our answers.
    if (!flush())
        choked_ = true;
    if (choked_)
        stream_->pause_reading(true);
    if (!deliver(std::move(events)) || !codec_.over())
        return;
    timer_.stop();
    stream_->close();
}

bool WebSocket::deliver(std::vector<WebSocketCodec::Event> events) {
    const auto alive = alive_;
    for (const auto& event : events) {
        if (!handler_)
            break;
        if (event.kind == WebSocketCodec::Event::Kind::closed) {
            closing_ = true;
            std::exchange(handler_, nullptr)->on_closed(event.code, event.payload);
        } else {
            handler_->on_message(event.payload, event.kind == WebSocketCodec::Event::Kind::text);
        }
        if (!*alive)
            return false;
    }
    return true;
}

void WebSocket::on_drained() {
    choked_ = false;
    stream_->pause_reading(paused_ && !closing_);
    if (handler_)
        handler_->on_drained();
}

void WebSocket::on_closed(const Error& why) {
    end(no_close_frame, why.cause);
}

void WebSocket::end(std::uint16_t code, std::string reason) {
    timer_.stop();
    stream_->close();
    closing_ = true;
    if (handler_)
        std::exchange(handler_, nullptr)->on_closed(code, reason);
}

} // namespace brim::io
