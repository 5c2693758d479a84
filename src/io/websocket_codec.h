#pragma once
// WebSocket frames without I/O, the server's side (RFC 6455): bytes in, messages out, and the other way
// round.

#include "base/bytes.h"
#include "base/time.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brim::io {

struct WebSocketLimits {
    std::size_t message_bytes_max = 1024 * 1024; ///< larger: closed with 1009
    std::size_t fragments_max = 16'384;          ///< frames of one message; more: closed with 1009
    Duration ping_interval = 30s;                ///< a peer silent for two of them is cut off; 0: no pings
    Duration close_wait_max = 5s;                ///< for the peer's close frame
};

/// RFC 6455 section 7.4.1; what we send.
enum class WsClose : std::uint16_t {
    normal = 1000,
    going_away = 1001,
    protocol_error = 1002,
    unsupported_data = 1003,
    invalid_data = 1007,
    policy = 1008,
    too_big = 1009,
    internal = 1011,
};

/// Frames come in, whole messages go out; masks, UTF-8, reserved bits, control frames and close codes are
/// checked, pings are answered. Holds at most message_bytes_max of a message, as its bytes arrive: a declared
/// length reserves nothing.
class WebSocketCodec {
public:
    struct Event {
        enum class Kind : std::uint8_t { text, binary, closed };
        Kind kind;
        Bytes payload;          ///< closed: the reason
        std::uint16_t code = 0; ///< closed: the peer's code, or the one we refused it with
    };

    explicit WebSocketCodec(const WebSocketLimits& limits);
    ~WebSocketCodec();
    WebSocketCodec(const WebSocketCodec&) = delete;
    WebSocketCodec& operator=(const WebSocketCodec&) = delete;

    /// What `bytes` complete, in order. A `closed` is the last event ever.
    std::vector<Event> receive(ByteView bytes);
    void send_text(std::string_view text);
    void send_binary(ByteView bytes);
    void send_ping();
    /// Queues a close frame; nothing can be sent after it.
    void close(WsClose code, std::string_view reason);
    /// The bytes to send, given once.
    Bytes take_output();
    /// A close frame was sent or queued.
    bool closing() const noexcept;
    /// Both sides have said their close, or the peer broke the protocol: send the output and end the
    /// connection.
    bool over() const noexcept;

private:
    struct State; ///< the library's context

    std::unique_ptr<State> state_;
};

} // namespace brim::io
