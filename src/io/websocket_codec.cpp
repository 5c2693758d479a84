#include "io/websocket_codec.h"

#include "base/assert.h"

#include <wslay/wslay.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace brim::io {

namespace {

constexpr std::size_t reason_bytes_max = 123; // a control frame carries 125, two of them the code

const std::uint8_t* octets(ByteView bytes) {
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

} // namespace

struct WebSocketCodec::State {
    wslay_event_context_ptr context = nullptr;
    WebSocketLimits limits;
    ByteView input;
    Bytes output;
    Bytes message; ///< of the data message under way
    std::size_t fragments = 0;
    bool in_control = false; ///< the frame under way is a control frame
    bool too_big = false;
    std::uint16_t bad_close =
        0; ///< the code for a close frame that the library lets pass, though it is broken
    bool told_closed = false;
    std::vector<Event> events;

    explicit State(const WebSocketLimits& given) : limits(given) {}

    ~State() {
        if (context)
            wslay_event_context_free(context);
    }

    State(const State&) = delete;
    State& operator=(const State&) = delete;

    static State& of(void* user) { return *static_cast<State*>(user); }

    static ssize_t
    on_read(wslay_event_context_ptr context, std::uint8_t* to, std::size_t room, int, void* user) {
        State& state = of(user);
        if (state.input.empty()) {
            wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
            return -1;
        }
        const auto count = std::min(room, state.input.size());
        std::memcpy(to, state.input.data(), count);
        state.input.remove_prefix(count);
        return static_cast<ssize_t>(count);
    }

    static ssize_t
    on_write(wslay_event_context_ptr, const std::uint8_t* from, std::size_t size, int, void* user) {
        of(user).output.append(reinterpret_cast<const char*>(from), size);
        return static_cast<ssize_t>(size);
    }

    static void
    on_frame(wslay_event_context_ptr, const wslay_event_on_frame_recv_start_arg* frame, void* user) {
        State& state = of(user);
        state.in_control = wslay_is_ctrl_frame(frame->opcode) != 0;
        if (state.in_control)
            return;
        const auto room = state.limits.message_bytes_max - state.message.size();
        if (++state.fragments > state.limits.fragments_max || frame->payload_length > room)
            state.too_big = true;
    }

    static void
    on_piece(wslay_event_context_ptr, const wslay_event_on_frame_recv_chunk_arg* piece, void* user) {
        State& state = of(user);
        if (state.in_control || state.too_big)
            return;
        state.message.append(reinterpret_cast<const char*>(piece->data), piece->data_length);
    }

    static void on_whole(wslay_event_context_ptr, const wslay_event_on_msg_recv_arg* arg, void* user) {
        State& state = of(user);
        if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
            const auto* text = reinterpret_cast<const char*>(arg->msg);
            const ByteView reason =
                arg->msg_length > 2 ? ByteView(text + 2, arg->msg_length - 2) : ByteView{};
            // The library forgets to look at a reason of which the code came in a piece of its own.
            if (arg->msg_length == 1 || !is_utf8(reason)) {
                state.bad_close =
                    arg->msg_length == 1 ? WSLAY_CODE_PROTOCOL_ERROR : WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA;
                return;
            }
            state.told_closed = true;
            const auto code =
                arg->msg_length == 0 ? std::uint16_t{WSLAY_CODE_NO_STATUS_RCVD} : arg->status_code;
            state.events.push_back({Event::Kind::closed, Bytes(reason), code});
        }
        if (wslay_is_ctrl_frame(arg->opcode) || state.too_big)
            return;
        const auto kind = arg->opcode == WSLAY_TEXT_FRAME ? Event::Kind::text : Event::Kind::binary;
        state.events.push_back({kind, std::exchange(state.message, {}), 0});
        state.fragments = 0;
    }

    void queue(std::uint8_t opcode, ByteView payload) {
        const wslay_event_msg whole{opcode, octets(payload), payload.size()};
        // Refused only after a close frame, when nothing may follow any more.
        if (wslay_event_queue_msg(context, &whole) == 0)
            wslay_event_send(context);
    }

    /// Ends the conversation with a close frame of our own making: the library answers a broken frame without
    /// a code.
    void refuse(std::uint16_t code) {
        wslay_event_shutdown_read(context);
        told_closed = true;
        events.push_back({Event::Kind::closed, {}, code});
        if (wslay_event_get_close_sent(context))
            return;
        wslay_event_shutdown_write(context);
        put_u16(output, 0x8802);
        put_u16(output, code);
    }
};

WebSocketCodec::WebSocketCodec(const WebSocketLimits& limits) : state_(std::make_unique<State>(limits)) {
    wslay_event_callbacks callbacks{};
    callbacks.recv_callback = State::on_read;
    callbacks.send_callback = State::on_write;
    callbacks.on_frame_recv_start_callback = State::on_frame;
    callbacks.on_frame_recv_chunk_callback = State::on_piece;
    callbacks.on_msg_recv_callback = State::on_whole;
    const int failed = wslay_event_context_server_init(&state_->context, &callbacks, state_.get());
    BRIM_ASSERT(failed == 0, "out of memory");
    // The library's own buffering would reserve a frame's declared length at once.
    wslay_event_config_set_no_buffering(state_->context, 1);
    wslay_event_config_set_max_recv_msg_length(state_->context, limits.message_bytes_max);
}

WebSocketCodec::~WebSocketCodec() = default;

std::vector<WebSocketCodec::Event> WebSocketCodec::receive(ByteView bytes) {
    State& state = *state_;
    if (state.told_closed)
        return {};
    state.input = bytes;
    const int result = wslay_event_recv(state.context);
    state.input = {};
    if (state.too_big)
        state.refuse(WSLAY_CODE_MESSAGE_TOO_BIG);
    else if (state.bad_close != 0)
        state.refuse(state.bad_close);
    else if (result != 0)
        state.refuse(WSLAY_CODE_PROTOCOL_ERROR);
    else
        wslay_event_send(state.context); // pongs, the echo of a close, the close that answers bad UTF-8
    if (!wslay_event_get_read_enabled(state.context) && !state.told_closed) {
        state.told_closed = true;
        state.events.push_back({Event::Kind::closed, {}, wslay_event_get_status_code_sent(state.context)});
    }
    return std::exchange(state.events, {});
}

void WebSocketCodec::send_text(std::string_view text) {
    state_->queue(WSLAY_TEXT_FRAME, text);
}

void WebSocketCodec::send_binary(ByteView bytes) {
    state_->queue(WSLAY_BINARY_FRAME, bytes);
}

void WebSocketCodec::send_ping() {
    state_->queue(WSLAY_PING, {});
}

void WebSocketCodec::close(WsClose code, std::string_view reason) {
    if (state_->told_closed)
        return;
    reason = reason.substr(0, reason_bytes_max);
    while (!is_utf8(reason))
        reason.remove_suffix(1); // the cut may have met the middle of a character
    wslay_event_queue_close(state_->context, static_cast<std::uint16_t>(code), octets(reason), reason.size());
    wslay_event_send(state_->context);
}

Bytes WebSocketCodec::take_output() {
    return std::exchange(state_->output, {});
}

bool WebSocketCodec::closing() const noexcept {
    return state_->told_closed || wslay_event_get_close_sent(state_->context) != 0;
}

bool WebSocketCodec::over() const noexcept {
    return state_->told_closed;
}

} // namespace brim::io
