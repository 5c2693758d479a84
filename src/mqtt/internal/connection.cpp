// From the first byte of a connection to its end: CONNECT, the dispatch of packets.

#include "mqtt/internal/core.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

PendingConnect pending_from(const Connect& connect) {
    PendingConnect pending;
    pending.client_id = connect.client_id;
    pending.clean_start = connect.clean_start;
    pending.keepalive_s = connect.keepalive_s;
    pending.session_expiry_s = connect.session_expiry_s;
    pending.receive_maximum = connect.receive_maximum;
    pending.packet_bytes_max = connect.packet_bytes_max;
    pending.topic_alias_max = connect.topic_alias_max;
    pending.will = connect.will;
    pending.will_delay_s = connect.will_delay_s;
    return pending;
}

/// What is wrong with a CONNECT that is well-formed.
std::optional<ReasonCode> objection(const Connect& connect, const BrokerLimits& limits) {
    if (connect.client_id.size() > limits.client_id_bytes_max)
        return ReasonCode::client_identifier_not_valid;
    if (connect.client_id.empty()) {
        const bool is_allowed = connect.version == ProtocolVersion::v5 ||
                                (connect.version == ProtocolVersion::v311 && connect.clean_start);
        if (!is_allowed)
            return ReasonCode::client_identifier_not_valid; // 3.1.1 section 3.1.3.1
    }
    return std::nullopt;
}

} // namespace

Broker::Core::Core(BrokerHost& host, const BrokerLimits& limits, Journal* journal)
    : host_(host), limits_(limits), journal_(journal),
      codec_limits_{
          limits.user_properties_max,
          limits.subscriptions_max,
          limits.topic_bytes_max,
          limits.topic_levels_max
      },
      retained_(limits.retained_count_max, limits.retained_bytes_max, journal) {
    BRIM_ASSERT(limits.sessions_max < (1u << 24) - 1, "a session's number fits into a token");
    BRIM_ASSERT(limits.inflight_count_max > 0, "something may be in flight");
}

Broker::Core::Turn::~Turn() {
    // Work that became possible is done here and not where it became so: a host that completes one
    // connection's message while handling another's must not nest them without bound.
    while (core_.depth_ == 1 && !(core_.resumes_.empty() && core_.gone_.empty() && core_.pumps_.empty())) {
        const std::vector<ConnId> gone = std::exchange(core_.gone_, {});
        for (const ConnId id : gone)
            core_.end(id, Ended::network, std::nullopt, now_, true);
        const std::vector<ConnId> resumes = std::exchange(core_.resumes_, {});
        for (const ConnId id : resumes)
            core_.resume(id, now_);
        core_.run_pumps(now_);
    }
    --core_.depth_;
}

ConnId Broker::Core::open(Mono now) {
    if (is_shut_)
        return 0;
    const ConnId id = conns_.take();
    Conn& conn = *conns_.find(id);
    conn.last_packet = now;
    conn_timers_.push(now + limits_.connect_wait_max, id);
    return id;
}

void Broker::Core::send(ConnId id, ByteView bytes) {
    if (!holding_.empty() && hold_behind(id, bytes))
        return;
    stats_.bytes_out += bytes.size();
    if (traced_ != 0)
        show_sent(id, bytes);
    host_.send(id, bytes);
}

void Broker::Core::data(ConnId id, ByteView bytes, Mono now) {
    const Turn turn(*this, now);
    Conn* conn = conns_.find(id);
    if (conn == nullptr)
        return;
    stats_.bytes_in += bytes.size();
    if (conn->stage == Stage::waiting || conn->is_blocked || conn->is_throttled || conn->has_backlog() ||
        conn->is_busy) {
        keep_for_later(id, bytes, now);
        return;
    }
    work(id, bytes, now);
}

void Broker::Core::keep_for_later(ConnId id, ByteView bytes, Mono now) {
    if (bytes.empty())
        return;
    Conn& conn = *conns_.find(id);
    Bytes& backlog = conn.make_more().backlog;
    const std::size_t bytes_max =
        conn.stage == Stage::up ? std::size_t{limits_.connect_backlog_bytes_max} + limits_.packet_bytes_max
                                : limits_.connect_backlog_bytes_max;
    if (backlog.size() + bytes.size() > bytes_max) {
        protocol_end(id, ReasonCode::quota_exceeded, now);
        return;
    }
    backlog.append(bytes);
    if (!conn.is_paused) {
        conn.is_paused = true;
        host_.pause(id, true);
    }
}

void Broker::Core::work(ConnId id, ByteView bytes, Mono now) {
    Conn* conn = conns_.find(id);
    // A callback may end the connection; what is being read must not go with it.
    Framer framer{0};
    if (conn->more)
        framer = std::exchange(conn->more->framer, Framer{0});
    conn->is_busy = true;
    for (;;) {
        framer.limit(conn->stage == Stage::up ? limits_.packet_bytes_max : limits_.preauth_packet_bytes_max);
        Frame frame;
        if (!framer.next_whole(bytes, frame)) {
            const auto next = framer.next(bytes);
            if (!next) {
                protocol_end(id, next.error().reason, now);
                return;
            }
            if (!*next)
                break;
            frame = **next;
        }
        conn->last_packet = now;
        const bool was_up = conn->stage == Stage::up;
        handle(id, frame, now);
        conn = conns_.find(id);
        if (conn == nullptr)
            return;
        if (!was_up && conn->stage == Stage::up && is_too_early(*conn, bytes)) {
            protocol_end(id, ReasonCode::protocol_error, now);
            return;
        }
        if (conn->rate && frame.type == PacketType::publish)
            charge(id, *conn, frame.body.size(), now);
        if (conn->is_blocked || conn->is_throttled || conn->stage == Stage::waiting)
            break;
    }
    if (!framer.idle())
        conn->make_more().framer = std::move(framer);
    conn->is_busy = false;
    if (conn->has_backlog()) {
        conn->more->backlog.insert(0, bytes); // data() was called from inside; what is left here came first
        if (!conn->is_blocked)
            resumes_.push_back(id);
    } else {
        keep_for_later(id, bytes, now);
    }
}

void Broker::Core::resume(ConnId id, Mono now) {
    Conn* conn = conns_.find(id);
    if (conn == nullptr || conn->is_blocked || conn->is_throttled || conn->is_busy ||
        conn->stage == Stage::waiting)
        return;
    if (conn->has_backlog()) {
        const Bytes backlog = std::exchange(conn->more->backlog, Bytes());
        work(id, backlog, now);
        conn = conns_.find(id);
        if (conn == nullptr || conn->has_backlog())
            return;
    }
    conn->release_idle();
    if (conn->is_paused) {
        conn->is_paused = false;
        host_.pause(id, false);
    }
}

void Broker::Core::closed(ConnId id, Mono now) {
    if (depth_ > 0) {
        gone_.push_back(id); // from inside one of our own calls to the host
        return;
    }
    const Turn turn(*this, now);
    end(id, Ended::network, std::nullopt, now, true);
}

void Broker::Core::congested(ConnId id, bool is_congested, Mono now) {
    Conn* conn = conns_.find(id);
    if (conn == nullptr || conn->is_congested == is_congested)
        return;
    conn->is_congested = is_congested;
    if (is_congested || conn->stage != Stage::up)
        return;
    const Turn turn(*this, now);
    pump(conn->session, now);
}

void Broker::Core::handle(ConnId id, const Frame& frame, Mono now) {
    const Conn& conn = *conns_.find(id);
    if (conn.stage == Stage::fresh) {
        handle_fresh(id, frame, now);
        return;
    }
    if (conn.stage == Stage::proving) {
        handle_proving(id, frame, now);
        return;
    }
    if (conn.is_traced)
        host_.on_packet(view(*sessions_.find(conn.session)), true, frame.type, frame.flags, frame.body);
    switch (frame.type) {
    case PacketType::publish:
        handle_publish(id, frame, now);
        return;
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubcomp:
        if (frame.body.size() == 2 && frame.flags == 0 && frame.body != ByteView("\0\0", 2)) {
            const auto high = static_cast<unsigned char>(frame.body[0]);
            const auto low = static_cast<unsigned char>(frame.body[1]);
            on_outbound_ack(
                id, frame.type, static_cast<std::uint16_t>(high << 8 | low), ReasonCode::success, now
            );
        } else {
            handle_outbound_ack(id, frame, now);
        }
        return;
    case PacketType::pubrel:
        handle_pubrel(id, frame, now);
        return;
    case PacketType::subscribe:
        handle_subscribe(id, frame, now);
        return;
    case PacketType::unsubscribe:
        handle_unsubscribe(id, frame, now);
        return;
    case PacketType::disconnect:
        handle_disconnect(id, frame, now);
        return;
    case PacketType::pingreq:
        if (!is_valid_ping(frame)) {
            protocol_end(id, ReasonCode::malformed_packet, now);
            return;
        }
        scratch_.clear();
        encode_pingresp(scratch_);
        send(id, scratch_);
        release_idle(*sessions_.find(conn.session)); // who pings has nothing else to do
        return;
    case PacketType::auth:
        handle_auth(id, frame, now);
        return;
    default:
        // A second CONNECT, or a packet only servers send.
        protocol_end(id, ReasonCode::protocol_error, now);
    }
}

void Broker::Core::handle_fresh(ConnId id, const Frame& frame, Mono now) {
    if (frame.type != PacketType::connect) {
        protocol_end(id, ReasonCode::protocol_error, now);
        return;
    }
    const Decoded<Connect> connect = decode_connect(frame, codec_limits_);
    if (!connect) {
        refuse_bad_connect(id, frame, connect.error().reason);
        end(id, Ended::protocol_error, std::nullopt, now);
        return;
    }
    Conn& conn = *conns_.find(id);
    conn.version = connect->version;
    conn.packet_bytes_max = connect->packet_bytes_max;
    conn.stage = Stage::waiting;
    auto reason = objection(*connect, limits_);
    if (!reason && connect->has_auth_method)
        reason = begin_auth(id, *connect);
    if (reason) {
        refuse(id, *reason, {}, now);
        return;
    }
    conn.make_more().pending = std::make_unique<PendingConnect>(pending_from(*connect));
    host_.on_connect(id, *connect);
}

void Broker::Core::refuse_bad_connect(ConnId id, const Frame& frame, ReasonCode reason) {
    // Only a peer whose dialect is known gets an answer: name and level are the first seven bytes.
    const ByteView body = frame.body;
    ProtocolVersion version = ProtocolVersion::v311;
    if (body.size() >= 7 && body.substr(0, 6) == ByteView("\0\4MQTT", 6)) {
        if (static_cast<std::uint8_t>(body[6]) >= 5)
            version = ProtocolVersion::v5;
    } else if (reason != ReasonCode::unsupported_protocol_version) {
        return;
    }
    // 3.1.1 has return codes for refusals, none for malformed packets: those are just closed [MQTT-3.1.4-1].
    if (version != ProtocolVersion::v5 && reason != ReasonCode::unsupported_protocol_version)
        return;
    Connack connack;
    connack.reason = reason;
    scratch_.clear();
    encode_connack(scratch_, connack, version);
    send(id, scratch_);
}

void Broker::Core::refuse_connect(ConnId id, ReasonCode reason, std::string_view reason_text, Mono now) {
    const Conn* conn = conns_.find(id);
    Connack connack;
    connack.reason = is_failure(reason) ? fitting_reason(PacketType::connack, reason) // [MQTT-3.2.2-8]
                                        : ReasonCode::unspecified_error;
    connack.reason_text = reason_text;
    scratch_.clear();
    encode_connack(scratch_, connack, conn->version);
    if (conn->packet_bytes_max != 0 && scratch_.size() > conn->packet_bytes_max) {
        connack.reason_text = {}; // [MQTT-3.2.2-19]
        scratch_.clear();
        encode_connack(scratch_, connack, conn->version);
    }
    if (conn->packet_bytes_max == 0 || scratch_.size() <= conn->packet_bytes_max)
        send(id, scratch_);
    end(id, Ended::protocol_error, std::nullopt, now);
}

void Broker::Core::protocol_end(ConnId id, ReasonCode reason, Mono now) {
    const Conn* conn = conns_.find(id);
    if (conn != nullptr && conn->stage == Stage::proving) {
        refuse_connect(id, reason, {}, now); // its CONNECT still waits for an answer
        return;
    }
    end(id, Ended::protocol_error, reason, now);
}

void Broker::Core::end(
    ConnId id, Ended why, std::optional<ReasonCode> say, Mono now, bool is_transport_gone
) {
    Conn* conn = conns_.find(id);
    if (conn == nullptr)
        return;
    const bool is_up = conn->stage == Stage::up;
    const SessionId session_id = conn->session;
    const bool is_exchange_open = conn->auth() != nullptr && conn->auth()->turn != AuthTurn::over;
    const bool is_unanswered = drop_held(*conn);
    if (is_up && !is_unanswered && say && conn->version == ProtocolVersion::v5 && !is_transport_gone) {
        Disconnect packet;
        packet.reason = fitting_reason(PacketType::disconnect, *say); // [MQTT-3.14.2-1]
        scratch_.clear();
        encode_disconnect(scratch_, packet, conn->version);
        send(id, scratch_);
    }
    traced_ -= conn->is_traced ? 1 : 0;
    conns_.release(id);
    if (!is_transport_gone)
        host_.close(id);
    if (is_exchange_open)
        host_.on_auth_over(id);
    if (!is_up)
        return;
    --stats_.connections;
    detach(session_id, why, now);
}

void Broker::Core::shutdown(Mono now) {
    const Turn turn(*this, now);
    is_shut_ = true;
    for (std::uint32_t i = 0; i < conns_.extent(); ++i) {
        if (conns_.at_index(i) != nullptr) {
            end(conns_.name_at(i), Ended::shutdown, ReasonCode::server_shutting_down, now);
        }
    }
}

} // namespace brim::mqtt
