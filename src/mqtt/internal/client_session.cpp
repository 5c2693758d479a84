// The client's connection: CONNECT to CONNACK, keep-alive, the end.

#include "mqtt/internal/client_core.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

Errc errc_of(ReasonCode reason) {
    switch (reason) {
    case ReasonCode::not_authorized:
    case ReasonCode::banned:
        return Errc::denied;
    case ReasonCode::bad_user_name_or_password:
    case ReasonCode::bad_authentication_method:
    case ReasonCode::client_identifier_not_valid:
        return Errc::unauthenticated;
    case ReasonCode::server_busy:
    case ReasonCode::connection_rate_exceeded:
    case ReasonCode::message_rate_too_high:
        return Errc::busy;
    case ReasonCode::quota_exceeded:
        return Errc::full;
    case ReasonCode::packet_too_large:
        return Errc::too_large;
    case ReasonCode::server_unavailable:
    case ReasonCode::server_shutting_down:
        return Errc::unavailable;
    case ReasonCode::session_taken_over:
        return Errc::conflict;
    case ReasonCode::unsupported_protocol_version:
    case ReasonCode::qos_not_supported:
    case ReasonCode::retain_not_supported:
        return Errc::unsupported;
    case ReasonCode::malformed_packet:
        return Errc::malformed;
    default:
        return Errc::closed;
    }
}

Error server_error(ReasonCode reason, std::string_view text, std::string_view what) {
    std::string cause(what);
    cause.append(": ").append(reason_text(reason));
    if (!text.empty())
        cause.append(" (").append(text).append(")");
    return {errc_of(reason), "MQTT connection", std::move(cause), "look at the server's log for this client"};
}

} // namespace

Client::Core::Core(ClientHost& host, ClientOptions options) : host_(host), options_(std::move(options)) {}

void Client::Core::send(ByteView bytes, Mono now) {
    last_sent_ = now;
    host_.send(bytes);
}

void Client::Core::connect(Mono now) {
    closed();
    ++connection_;
    version_ = options_.version;
    stage_ = Stage::connecting;
    framer_ = Framer(options_.packet_bytes_max);
    keepalive_s_ = options_.keepalive_s;
    connect_sent_ = last_received_ = now;
    Connect packet;
    packet.version = version_;
    packet.client_id = options_.client_id;
    // 3.1.1 knows no session without an id [MQTT3-3.1.3-7] and no password without a user name
    // [MQTT3-3.1.2-22].
    const bool is_v5 = version_ == ProtocolVersion::v5;
    packet.clean_start = options_.clean_start || (options_.client_id.empty() && !is_v5);
    // Now, not when CONNACK says so: it may be lost, and the next connection then finds the new session
    // [MQTT-3.1.2-4].
    if (packet.clean_start)
        qos2_.clear();
    packet.keepalive_s = options_.keepalive_s;
    packet.has_password = !options_.password.empty();
    packet.has_username = !options_.username.empty() || (packet.has_password && !is_v5);
    packet.username = options_.username;
    packet.password = options_.password;
    packet.will = options_.will;
    packet.will_delay_s = options_.will_delay_s;
    packet.session_expiry_s = options_.session_expiry_s;
    packet.receive_maximum = std::max<std::uint16_t>(1, options_.receive_maximum);
    packet.packet_bytes_max = options_.packet_bytes_max;
    auth_method_ = is_v5 ? options_.auth_method : std::string();
    auth_turn_ = auth_method_.empty() ? AuthTurn::over : AuthTurn::server;
    auth_rounds_ = 0;
    packet.has_auth_method = !auth_method_.empty();
    packet.auth_method = auth_method_;
    packet.auth_data = packet.has_auth_method ? ByteView(options_.auth_data) : ByteView();
    for (const auto& [name, value] : options_.user_properties)
        packet.user_properties.emplace_back(name, value);
    scratch_.clear();
    encode_connect(scratch_, packet);
    send(scratch_, now);
}

void Client::Core::closed() {
    stage_ = Stage::idle;
    is_ping_pending_ = false;
    auth_turn_ = AuthTurn::over;
    framer_ = Framer(0);
    requests_.clear();
    acks_.release(); // the server sends again what it has no answer for
}

void Client::Core::stop(Error why) {
    closed();
    ++connection_;
    host_.close(why);
}

void Client::Core::refuse(const PacketError& error) {
    if (stage_ == Stage::up && version_ == ProtocolVersion::v5) {
        Disconnect packet;
        // A server-only reason may not be sent by a client.
        packet.reason =
            error.reason == ReasonCode::topic_filter_invalid ? ReasonCode::protocol_error : error.reason;
        scratch_.clear();
        encode_disconnect(scratch_, packet, version_);
        host_.send(scratch_);
    }
    const Errc code = error.reason == ReasonCode::packet_too_large ? Errc::too_large : Errc::malformed;
    stop(
        {code,
         "MQTT connection",
         std::string("the server sent ") + error.cause,
         "check that the peer is an MQTT server"}
    );
}

void Client::Core::data(ByteView bytes, Mono now) {
    if (stage_ == Stage::idle)
        return;
    last_received_ = now;
    const std::uint64_t connection = connection_;
    // A callback may end the connection; what is being read must not go with it.
    Framer framer = std::move(framer_);
    for (;;) {
        const auto frame = framer.next(bytes);
        if (!frame) {
            refuse(frame.error());
            return;
        }
        if (!*frame)
            break;
        handle(**frame, now);
        if (connection_ != connection || stage_ == Stage::idle)
            return;
    }
    framer_ = std::move(framer);
}

void Client::Core::handle(const Frame& frame, Mono now) {
    if (stage_ == Stage::connecting) {
        if (frame.type == PacketType::connack) {
            handle_connack(frame, now);
        } else if (frame.type == PacketType::auth) {
            handle_auth(frame, now);
        } else {
            refuse({ReasonCode::protocol_error, "a packet before CONNACK"});
        }
        return;
    }
    switch (frame.type) {
    case PacketType::publish:
        handle_publish(frame, now);
        return;
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubcomp:
        handle_ack(frame, now);
        return;
    case PacketType::pubrel:
        handle_pubrel(frame, now);
        return;
    case PacketType::suback:
        handle_suback(frame);
        return;
    case PacketType::unsuback:
        handle_unsuback(frame);
        return;
    case PacketType::pingresp:
        if (!is_valid_ping(frame)) {
            refuse({ReasonCode::malformed_packet, "a PINGRESP that is not empty"});
            return;
        }
        is_ping_pending_ = false;
        return;
    case PacketType::disconnect:
        handle_disconnect(frame);
        return;
    case PacketType::auth:
        handle_auth(frame, now);
        return;
    default:
        refuse({ReasonCode::protocol_error, "a packet that servers do not send here"});
    }
}

void Client::Core::handle_connack(const Frame& frame, Mono now) {
    const Decoded<Connack> packet = decode_connack(frame, version_, codec_limits_);
    if (!packet) {
        refuse(packet.error());
        return;
    }
    if (packet->reason != ReasonCode::success) {
        stop(server_error(packet->reason, packet->reason_text, "the server refused"));
        return;
    }
    if (packet->session_present && options_.clean_start) {
        refuse({ReasonCode::protocol_error, "session present for a clean start"});
        return;
    }
    stage_ = Stage::up;
    if (packet->has_server_keepalive)
        keepalive_s_ = packet->server_keepalive_s;
    server_packet_bytes_max_ = packet->packet_bytes_max;
    server_receive_maximum_ = packet->receive_maximum;
    server_qos_max_ = packet->qos_max;
    server_retain_available_ = packet->retain_available;
    const std::uint64_t connection = connection_;
    if (!take_auth_success(*packet, now))
        return;
    // 3.1 cannot say whether it knew us: with a kept session it is taken to.
    const bool is_present = version_ == ProtocolVersion::v31 ? !options_.clean_start && has_connected_before_
                                                             : packet->session_present;
    has_connected_before_ = true;
    start_flow(is_present);
    if (connection != connection_ || stage_ != Stage::up)
        return;
    resend(now);
    if (connection != connection_ || stage_ != Stage::up)
        return;
    Connack seen = *packet;
    seen.session_present = is_present;
    host_.on_connected(seen);
}

void Client::Core::handle_disconnect(const Frame& frame) {
    const Decoded<Disconnect> packet = decode_disconnect(frame, version_, Sender::server, codec_limits_);
    if (!packet) {
        refuse(packet.error());
        return;
    }
    stop(server_error(packet->reason, packet->reason_text, "the server disconnected"));
}

Mono Client::Core::tick(Mono now) {
    if (stage_ == Stage::idle)
        return now + client_tick_max;
    if (stage_ == Stage::connecting) {
        const Mono due = connect_sent_ + options_.connack_wait_max;
        if (due > now)
            return due;
        stop(
            {Errc::timeout,
             "MQTT connection",
             "no CONNACK came in time",
             "check that the server is reachable and not overloaded"}
        );
        return now + client_tick_max;
    }
    const Mono auth_due = tick_auth(now);
    if (stage_ == Stage::idle || keepalive_s_ == 0)
        return auth_due;
    const Duration keepalive = std::chrono::seconds{keepalive_s_};
    if (is_ping_pending_) {
        const Mono due = ping_sent_ + keepalive / 2;
        if (due > now)
            return std::min(due, auth_due);
        stop(
            {Errc::timeout,
             "MQTT connection",
             "no PINGRESP within half the keep-alive",
             "check the network to the server"}
        );
        return now + client_tick_max;
    }
    // A server that has gone silent is asked as well: while publishes go out, nothing else would tell.
    const Mono due = std::min(last_sent_, last_received_) + keepalive;
    if (due > now)
        return std::min(due, auth_due);
    scratch_.clear();
    encode_pingreq(scratch_);
    is_ping_pending_ = true;
    ping_sent_ = now;
    send(scratch_, now);
    return std::min(now + keepalive / 2, auth_due);
}

void Client::Core::disconnect(ReasonCode reason, Mono now) {
    if (stage_ != Stage::up)
        return;
    Disconnect packet;
    packet.reason = reason;
    scratch_.clear();
    encode_disconnect(scratch_, packet, version_);
    send(scratch_, now);
    closed();
    ++connection_;
}

} // namespace brim::mqtt
