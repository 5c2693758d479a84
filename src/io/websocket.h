#pragma once
// The server side of WebSocket (RFC 6455) on an accepted upgrade. No extensions are ever agreed on, so a
// frame with a reserved bit (compression) is a protocol error. One loop.

#include "io/env.h"
#include "io/http_message.h"
#include "io/websocket_codec.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brim::io {

struct WebSocketOptions {
    std::vector<std::string> subprotocols{}; ///< ours, best first, for example {"mqtt"}
    bool subprotocol_required = false;       ///< refuse a client that offers none of them
    /// Decides over a request that has an Origin (a browser's). Empty: the origin's host must equal the Host
    /// field.
    std::function<bool(std::string_view origin, std::string_view host)> check_origin{};
    WebSocketLimits limits{};
};

/// What a good upgrade request leads to.
struct WebSocketAccept {
    std::string key;         ///< value of Sec-WebSocket-Accept
    std::string subprotocol; ///< the chosen one; empty: none
};

/// Judges an upgrade request. Errc::malformed (answer 400), Errc::unsupported (a version other than 13,
/// answer 426), Errc::denied (origin, answer 403).
Result<WebSocketAccept> accept_websocket(const HttpRequest& request, const WebSocketOptions& options);

/// Receives what happens on a WebSocket. A handler may destroy it from inside any call.
class WebSocketHandler {
public:
    virtual ~WebSocketHandler() = default;
    /// A whole message; text is valid UTF-8. `payload` is valid during the call only.
    virtual void on_message(ByteView payload, bool text) = 0;

    /// The queue fell below the low-water mark after a send() had returned false.
    virtual void on_drained() {}

    /// The last call. `code` is the peer's or ours, 1006 when the connection just ended.
    virtual void on_closed(std::uint16_t code, std::string_view reason) = 0;
};

/// An open WebSocket. Destroying it cuts the connection; close() first is polite.
class WebSocket final : private StreamHandler {
public:
    /// `stream` is past the handshake and will be started by start().
    WebSocket(Env& env, std::unique_ptr<Stream> stream, WebSocketLimits limits, std::string subprotocol);
    ~WebSocket() override;

    /// Begins reading; call once. `handler` outlives this or close().
    void start(WebSocketHandler& handler);
    /// Sends one message; false once more than the stream's high-water mark waits, as Stream::write().
    bool send_text(std::string_view text);
    bool send_binary(ByteView bytes);
    /// Sends a close frame (`reason` at most 123 bytes, cut if longer), waits for the peer's, then closes. No
    /// further handler calls.
    void close(WsClose code, std::string_view reason);
    void pause_reading(bool paused);
    std::size_t queued() const;
    Peer peer() const;

    const std::string& subprotocol() const noexcept { return subprotocol_; }

private:
    void on_data(ByteView bytes) override;
    void on_drained() override;
    void on_closed(const Error& why) override;
    /// False when the stream wants no more for now.
    bool flush();
    /// False when the handler destroyed this object.
    bool deliver(std::vector<WebSocketCodec::Event> events);
    void end(std::uint16_t code, std::string reason);
    void tick();

    Env& env_;
    std::shared_ptr<bool> alive_; // shared with the calls on the stack, which a handler's destruction ends
    std::unique_ptr<Stream> stream_;
    WebSocketLimits limits_;
    std::string subprotocol_;
    WebSocketCodec codec_;
    WebSocketHandler* handler_ = nullptr;
    Timer timer_;
    bool heard_ = false; ///< something arrived since the last tick
    unsigned silent_ticks_ = 0;
    bool choked_ = false; ///< reading stopped because the peer does not read what we send
    bool paused_ = false;
    bool closing_ = false; ///< our owner is done, or the protocol is
};

/// The WebSocket as a stream of bytes: each binary message is a piece of it, each write one message. A text
/// message closes it with 1003 (MQTT 5 section 6.0 wants binary frames).
std::unique_ptr<Stream> websocket_stream(std::unique_ptr<WebSocket> socket);

} // namespace brim::io
