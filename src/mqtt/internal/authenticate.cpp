// Enhanced authentication (MQTT 5 section 4.12): AUTH packets to and fro before CONNACK, and again while the
// connection is up. What is in them is the host's affair; turns, bounds and the deadline are ours.

#include "mqtt/internal/core.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

constexpr Duration ask_again = std::chrono::seconds{1};

/// A refused re-authentication is told with DISCONNECT, whose table lacks the codes that name it.
ReasonCode farewell_for(ReasonCode reason) {
    switch (reason) {
    case ReasonCode::bad_user_name_or_password:
    case ReasonCode::bad_authentication_method:
    case ReasonCode::banned:
        return ReasonCode::not_authorized;
    default:
        return is_failure(reason) ? reason : ReasonCode::not_authorized;
    }
}

} // namespace

std::optional<ReasonCode> Broker::Core::begin_auth(ConnId id, const Connect& connect) {
    if (!host_.offers_auth(id, connect.auth_method))
        return ReasonCode::bad_authentication_method; // [MQTT-4.12.0-1]
    if (connect.auth_data.size() > limits_.auth_bytes_max)
        return ReasonCode::quota_exceeded;
    auto auth = std::make_unique<AuthExchange>();
    auth->method = connect.auth_method;
    auth->bytes = connect.auth_data.size();
    auth->wants_text = connect.request_problem_information;
    conns_.find(id)->make_more().auth = std::move(auth);
    return std::nullopt;
}

/// A client that named a method waits for CONNACK before it sends anything else; it may leave
/// [MQTT-3.1.2-30].
bool Broker::Core::is_too_early(const Conn& conn, ByteView unread) {
    constexpr auto disconnect = static_cast<unsigned>(PacketType::disconnect);
    return conn.auth() != nullptr && !unread.empty() &&
           static_cast<unsigned char>(unread.front()) >> 4 != disconnect;
}

void Broker::Core::handle_proving(ConnId id, const Frame& frame, Mono now) {
    const Conn& conn = *conns_.find(id);
    if (frame.type == PacketType::auth) {
        handle_auth(id, frame, now);
        return;
    }
    if (frame.type != PacketType::disconnect) {
        protocol_end(id, ReasonCode::protocol_error, now); // [MQTT-3.1.2-30]
        return;
    }
    const Decoded<Disconnect> packet = decode_disconnect(frame, conn.version, Sender::client, codec_limits_);
    if (packet) {
        end(id, Ended::disconnect, std::nullopt, now);
    } else {
        protocol_end(id, packet.error().reason, now);
    }
}

void Broker::Core::handle_auth(ConnId id, const Frame& frame, Mono now) {
    const Conn& conn = *conns_.find(id);
    const Decoded<Auth> packet = decode_auth(frame, conn.version, codec_limits_);
    if (!packet) {
        protocol_end(id, packet.error().reason, now); // malformed is told as such [MQTT-3.15.1-1]
        return;
    }
    const AuthExchange* auth = conn.auth();
    // No method was agreed on [MQTT-4.12.0-7], or it is another [MQTT-4.12.0-5] [MQTT-4.12.1-1].
    if (auth == nullptr || packet->auth_method != auth->method) {
        protocol_end(id, ReasonCode::protocol_error, now);
        return;
    }
    const bool is_answer =
        packet->reason == ReasonCode::continue_authentication && auth->turn == AuthTurn::client;
    const bool is_anew = packet->reason == ReasonCode::re_authenticate && auth->turn == AuthTurn::over;
    if (!is_answer && !is_anew) {
        protocol_end(id, ReasonCode::protocol_error, now);
        return;
    }
    take_auth(id, *packet, now);
}

void Broker::Core::take_auth(ConnId id, const Auth& packet, Mono now) {
    Conn& conn = *conns_.find(id);
    AuthExchange& auth = *conn.auth();
    if (packet.reason == ReasonCode::re_authenticate) {
        auth.rounds = 0;
        auth.bytes = 0;
        auth.due = now + limits_.connect_wait_max;
        if (!auth.is_armed)
            auth_timers_.push(auth.due, id);
        auth.is_armed = true;
    }
    auth.bytes += packet.auth_data.size();
    if (++auth.rounds > limits_.auth_rounds_max || auth.bytes > limits_.auth_bytes_max) {
        protocol_end(id, ReasonCode::quota_exceeded, now);
        return;
    }
    auth.turn = AuthTurn::host;
    if (conn.stage == Stage::proving)
        conn.stage = Stage::waiting;
    host_.on_auth(id, packet);
}

bool Broker::Core::send_auth(ConnId id, ReasonCode reason, ByteView data, std::string_view text, Mono now) {
    const Conn& conn = *conns_.find(id);
    const AuthExchange& exchange = *conn.auth();
    constexpr std::size_t field_bytes_max = 65'535;
    BRIM_ASSERT(
        data.size() <= field_bytes_max && text.size() <= field_bytes_max, "AUTH can say what the host says"
    );
    Auth packet;
    packet.reason = reason;
    packet.auth_method = exchange.method; // [MQTT-4.12.0-5]
    packet.auth_data = data;
    packet.reason_text = exchange.wants_text ? text : std::string_view();
    scratch_.clear();
    encode_auth(scratch_, packet);
    if (conn.packet_bytes_max != 0 && scratch_.size() > conn.packet_bytes_max) {
        packet.reason_text = {}; // [MQTT-3.15.2-2]
        scratch_.clear();
        encode_auth(scratch_, packet);
    }
    if (conn.packet_bytes_max != 0 && scratch_.size() > conn.packet_bytes_max) {
        if (conn.stage == Stage::up) {
            protocol_end(id, ReasonCode::packet_too_large, now);
        } else {
            refuse_connect(id, ReasonCode::packet_too_large, {}, now);
        }
        return false;
    }
    send(id, scratch_);
    return true;
}

void Broker::Core::continue_auth(ConnId id, ByteView auth_data, std::string_view reason_text, Mono now) {
    const Turn turn(*this, now);
    Conn* conn = conns_.find(id);
    if (conn == nullptr || conn->auth() == nullptr || conn->auth()->turn != AuthTurn::host)
        return;
    conn->auth()->turn = AuthTurn::client;
    if (!send_auth(id, ReasonCode::continue_authentication, auth_data, reason_text, now)) // [MQTT-4.12.0-2]
        return;
    if (conn->stage == Stage::waiting) {
        conn->stage = Stage::proving;
        resumes_.push_back(id);
    }
}

void Broker::Core::reauthenticated(
    ConnId id, std::string_view principal, std::uint64_t user, ByteView auth_data, Mono now
) {
    const Turn turn(*this, now);
    const Conn* conn = conns_.find(id);
    if (conn == nullptr || conn->stage != Stage::up || conn->auth() == nullptr ||
        conn->auth()->turn != AuthTurn::host) {
        return;
    }
    conn->auth()->turn = AuthTurn::over;
    Session& session = *sessions_.find(conn->session);
    session.user = user;
    if (session.identity.principal() != principal) {
        session.identity.set(session.identity.key(), session.identity.client_id(), principal);
        write_session(session);
    }
    send_auth(id, ReasonCode::success, auth_data, {}, now);
}

void Broker::Core::refuse(ConnId id, ReasonCode reason, std::string_view reason_text, Mono now) {
    const Turn turn(*this, now);
    Conn* conn = conns_.find(id);
    if (conn == nullptr || conn->stage == Stage::fresh)
        return;
    AuthExchange* auth = conn->auth();
    const bool is_exchange_open = auth != nullptr && auth->turn != AuthTurn::over;
    if (conn->stage == Stage::up && !is_exchange_open)
        return;
    if (is_exchange_open)
        auth->turn = AuthTurn::over;
    if (conn->stage == Stage::up) {
        end(id, Ended::kicked, farewell_for(reason), now); // [MQTT-4.12.1-2]
    } else {
        refuse_connect(id, reason, reason_text, now); // [MQTT-4.12.0-4]
    }
}

void Broker::Core::run_auth_timers(Mono now) {
    while (!auth_timers_.empty() && auth_timers_.next() <= now) {
        const ConnId id = auth_timers_.pop().id;
        Conn* conn = conns_.find(id);
        if (conn == nullptr)
            continue;
        AuthExchange& auth = *conn->auth();
        if (auth.turn == AuthTurn::over) {
            auth.is_armed = false;
        } else if (auth.turn == AuthTurn::client && auth.due <= now) {
            end(id, Ended::kicked, ReasonCode::not_authorized, now);
        } else {
            auth_timers_.push(std::max(auth.due, now + ask_again), id); // the host is slow, not the client
        }
    }
}

} // namespace brim::mqtt
