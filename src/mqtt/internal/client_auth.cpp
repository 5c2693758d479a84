// The client's side of enhanced authentication (MQTT 5 section 4.12): whose turn it is and what may be said;
// the data is the host's affair.

#include "mqtt/internal/client_core.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

constexpr unsigned auth_rounds_max = 8; ///< AUTH 0x18 of the server in one exchange

} // namespace

void Client::Core::handle_auth(const Frame& frame, Mono now) {
    const Decoded<Auth> packet = decode_auth(frame, version_, codec_limits_);
    if (!packet) {
        refuse(packet.error());
        return;
    }
    if (auth_method_.empty() || packet->auth_method != auth_method_) {
        refuse({ReasonCode::protocol_error, "AUTH for a method that CONNECT did not name"}
        ); // [MQTT-4.12.0-5]
        return;
    }
    const bool is_question = packet->reason == ReasonCode::continue_authentication;
    const bool is_success = packet->reason == ReasonCode::success && stage_ == Stage::up;
    if (auth_turn_ != AuthTurn::server || !(is_question || is_success)) {
        refuse({ReasonCode::protocol_error, "AUTH out of turn"});
        return;
    }
    if (is_question && ++auth_rounds_ > auth_rounds_max) {
        refuse({ReasonCode::protocol_error, "AUTH without end"});
        return;
    }
    auth_turn_ = is_question ? AuthTurn::own : AuthTurn::over;
    const std::uint64_t connection = connection_;
    const bool is_welcome = host_.on_auth(*packet);
    if (!is_welcome && connection == connection_ && stage_ != Stage::idle)
        refuse_auth(now);
}

/// CONNACK's part in it: the method is CONNECT's or none [MQTT-4.12.0-5] [MQTT-4.12.0-6], and the host trusts
/// the last data. False: the connection is over.
bool Client::Core::take_auth_success(const Connack& connack, Mono now) {
    if (connack.has_auth_method != !auth_method_.empty() || connack.auth_method != auth_method_) {
        refuse({ReasonCode::protocol_error, "CONNACK with another authentication method than CONNECT"});
        return false;
    }
    if (auth_method_.empty())
        return true;
    if (auth_turn_ != AuthTurn::server) {
        refuse({ReasonCode::protocol_error, "CONNACK before the answer it asked for"});
        return false;
    }
    auth_turn_ = AuthTurn::over;
    Auth last;
    last.auth_method = connack.auth_method;
    last.auth_data = connack.auth_data;
    const std::uint64_t connection = connection_;
    const bool is_welcome = host_.on_auth(last);
    if (connection != connection_ || stage_ != Stage::up)
        return false;
    if (!is_welcome)
        refuse_auth(now);
    return is_welcome;
}

void Client::Core::refuse_auth(Mono now) {
    Disconnect packet;
    packet.reason = ReasonCode::unspecified_error; // 0x8C is not in DISCONNECT's table
    scratch_.clear();
    encode_disconnect(scratch_, packet, version_);
    send(scratch_, now);
    stop(
        {Errc::unauthenticated,
         "MQTT connection",
         std::string("we do not go on with the authentication: ") +
             std::string(reason_text(ReasonCode::bad_authentication_method)),
         "check user, password and that the peer is the server meant"}
    );
}

Result<void> Client::Core::send_auth(ReasonCode reason, ByteView auth_data, Mono now) {
    Auth packet;
    packet.reason = reason;
    packet.auth_method = auth_method_;
    packet.auth_data = auth_data;
    constexpr std::size_t data_bytes_max = 65'535;
    // Before CONNACK the server has named no limit.
    const std::uint32_t bytes_max = stage_ == Stage::up ? packet_bytes_max() : packet_bytes_format_max;
    scratch_.clear();
    if (auth_data.size() <= data_bytes_max)
        encode_auth(scratch_, packet);
    if (scratch_.empty() || scratch_.size() > bytes_max) {
        return fail(
            Errc::too_large,
            "AUTH packet",
            "its data is larger than MQTT or the server allows",
            "use a method with smaller messages"
        );
    }
    auth_turn_ = AuthTurn::server;
    auth_sent_ = now;
    send(scratch_, now);
    return {};
}

Result<void> Client::Core::authenticate(ByteView auth_data, Mono now) {
    if (stage_ == Stage::idle)
        return fail(Errc::closed, "AUTH packet", "there is no connection", "connect first");
    if (auth_turn_ != AuthTurn::own)
        return fail(Errc::conflict, "AUTH packet", "the server asked for nothing", "answer on_auth() once");
    return send_auth(ReasonCode::continue_authentication, auth_data, now); // [MQTT-4.12.0-3]
}

Result<void> Client::Core::reauthenticate(ByteView auth_data, Mono now) {
    if (stage_ != Stage::up)
        return fail(Errc::closed, "re-authentication", "there is no connection", "connect first");
    if (auth_method_.empty()) { // [MQTT-4.12.0-7]
        return fail(
            Errc::unsupported,
            "re-authentication",
            "CONNECT named no authentication method",
            "connect with ClientOptions::auth_method"
        );
    }
    if (auth_turn_ != AuthTurn::over)
        return fail(Errc::busy, "re-authentication", "one is under way", "wait for its end");
    auth_rounds_ = 0;
    return send_auth(ReasonCode::re_authenticate, auth_data, now);
}

/// When to look again; ends the connection of a server that left a re-authentication without an answer.
Mono Client::Core::tick_auth(Mono now) {
    if (auth_turn_ != AuthTurn::server)
        return now + client_tick_max;
    const Mono due = auth_sent_ + options_.connack_wait_max;
    if (due > now)
        return std::min(due, now + client_tick_max);
    stop(
        {Errc::timeout,
         "MQTT connection",
         "no answer to AUTH came in time",
         "check that the server is reachable and not overloaded"}
    );
    return now + client_tick_max;
}

} // namespace brim::mqtt
