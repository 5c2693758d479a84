// PUBLISH from a client, its acknowledgements, PUBREL and DISCONNECT.

#include "mqtt/internal/core.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

constexpr unsigned token_sequence_bits = 40;
constexpr std::uint64_t token_sequence_mask = (std::uint64_t{1} << token_sequence_bits) - 1;

AckToken token_of(SessionId session, std::uint64_t sequence) {
    return (std::uint64_t{Slab<Session>::index_of(session)} + 1) << token_sequence_bits |
           (sequence & token_sequence_mask);
}

} // namespace

bool Broker::Core::resolve_topic(ConnId id, const Publish& packet, std::string_view& topic, Mono now) {
    topic = packet.topic;
    if (packet.topic_alias == 0)
        return true;
    Conn& conn = *conns_.find(id);
    if (packet.topic_alias > limits_.topic_alias_max) {
        protocol_end(id, ReasonCode::topic_alias_invalid, now);
        return false;
    }
    std::vector<std::string>& names = conn.make_more().aliases_in.names;
    if (names.size() < packet.topic_alias)
        names.resize(packet.topic_alias);
    std::string& name = names[packet.topic_alias - 1u];
    if (!packet.topic.empty()) {
        name = packet.topic;
    } else if (name.empty()) {
        protocol_end(id, ReasonCode::protocol_error, now); // MQTT 5 section 3.3.2.3.4: a mapping must exist
        return false;
    }
    topic = name;
    return true;
}

bool Broker::Core::admit_inbound(ConnId id, Session& session, const Publish& packet, Mono now) {
    if (packet.qos > session.qos_max) {
        protocol_end(id, ReasonCode::qos_not_supported, now);
        return false;
    }
    if (packet.retain && !session.retain_available && session.version == ProtocolVersion::v5) {
        protocol_end(id, ReasonCode::retain_not_supported, now);
        return false;
    }
    if (packet.qos == 0)
        return true;
    Flow& flow = flow_of(session);
    const std::size_t known = packet.qos == 2 ? flow.qos2.find(packet.packet_id) : InboundIds::none;
    const bool is_counted = known != InboundIds::none && flow.qos2[known].is_counted;
    // What the client has no final answer for on this connection. 3.x knows no such bound: the client is not
    // read from while many answers are due (is_blocked), and what it has not released is bounded below.
    const bool is_over_quota = session.version == ProtocolVersion::v5 && !is_counted &&
                               flow.acks_qos1 + flow.qos2.counted() >= limits_.inflight_count_max;
    const bool is_new = packet.qos == 2 && known == InboundIds::none;
    if (is_over_quota || (is_new && flow.qos2.size() >= limits_.unreleased_count_max)) {
        protocol_end(id, ReasonCode::receive_maximum_exceeded, now);
        return false;
    }
    if (known == InboundIds::none)
        return true;
    flow.qos2.count(known);
    repeat_pubrec(id, session, flow.qos2[known]);
    return false;
}

void Broker::Core::repeat_pubrec(ConnId id, Session& session, const InboundQos2& known) {
    Flow& flow = *session.flow;
    for (std::size_t i = 0; i < flow.acks.size(); ++i) {
        if (flow.acks[i].type == PacketType::pubrec && flow.acks[i].packet_id == known.packet_id)
            return;
    }
    if (known.pending == 0 && flow.acks.empty() && known.number <= stable_) {
        send_ack(id, PacketType::pubrec, known.packet_id, ReasonCode::success);
        return;
    }
    flow.acks.push_back(
        {known.packet_id, PacketType::pubrec, known.pending == 0, ReasonCode::success, known.number}
    );
    ++flow.ack_sequence;
    if (known.number > stable_)
        wait_for(conns_.find(id)->session, session);
}

void Broker::Core::handle_publish(ConnId id, const Frame& frame, Mono now) {
    const Conn& conn = *conns_.find(id);
    // Borrowed, not used in place: a host may hand over another connection's bytes from inside of what is
    // called below.
    std::unique_ptr<Publish> packet = inbound_ ? std::move(inbound_) : std::make_unique<Publish>();
    PacketError error = decode_publish_fields(frame, conn.version, Sender::client, codec_limits_, *packet);
    MatchCache::Slot* slot = &matches_.slot(packet->topic);
    // A topic that was routed before was checked before.
    if (error.cause == nullptr && (packet->topic.empty() || slot->topic != packet->topic))
        error = check_publish_topic(*packet, conn.version, codec_limits_);
    if (error.cause != nullptr) {
        protocol_end(id, error.reason, now);
        return;
    }
    const SessionId session_id = conn.session;
    Session& session = *sessions_.find(session_id);
    std::string_view topic;
    if (!resolve_topic(id, *packet, topic, now) || !admit_inbound(id, session, *packet, now))
        return;
    ++stats_.received[packet->qos];

    std::shared_ptr<Message> made = pool_.take();
    fill_message(*made, *packet, topic);
    made->origin = session.identity.key();
    made->accepted = now;
    made->time = wall(now);
    if (!session.retain_available)
        made->retain = false;
    // Of the type that host and route take: converting for each call costs two locked counts a time.
    MessagePtr message = std::move(made);

    AckToken token = 0;
    if (packet->qos != 0) {
        // The place is taken before the host is asked: it may complete() from inside the call.
        Flow& flow = *session.flow;
        token = token_of(session_id, flow.ack_sequence++);
        const bool is_qos2 = packet->qos == 2;
        flow.acks.push_back(
            {packet->packet_id,
             is_qos2 ? PacketType::pubrec : PacketType::puback,
             false,
             ReasonCode::success,
             0}
        );
        if (is_qos2) {
            flow.qos2.push_back(packet->packet_id, true, token);
        } else {
            ++flow.acks_qos1;
        }
    }
    const JournalNumber before = written();
    refused_ = ReasonCode::success;
    was_full_ = false;
    const Verdict verdict = host_.on_publish(view(session), message, token);
    if (topic.data() != packet->topic.data())
        slot = &matches_.slot(topic); // an alias stood for it
    std::size_t reached = 1;
    if (verdict == Verdict::route)
        reached = is_shed(*message, *slot) ? 0 : route(message, *slot, now);
    settle(id, token, verdict, reached, written_since(before), now);
    inbound_ = std::move(packet);
    pool_.give_back(std::move(message));
}

/// What happens nearly always: a QoS 1 message that is decided while no other acknowledgement waits.
bool Broker::Core::settle_at_once(ConnId id, const Conn* conn, Verdict verdict, std::size_t reached) {
    const bool is_good = (verdict == Verdict::route && reached != 0) || verdict == Verdict::consumed;
    if (conn == nullptr || conn->stage != Stage::up || !is_good || conn->is_blocked || conn->is_paused)
        return false;
    Session& session = *sessions_.find(conn->session);
    if (session.conn != id || !session.flow)
        return false;
    Flow& flow = *session.flow;
    if (flow.acks.size() != 1 || flow.acks.front().type != PacketType::puback || flow.acks.front().is_ready)
        return false;
    const std::uint16_t packet_id = flow.acks.front().packet_id;
    flow.acks.pop_front();
    --flow.acks_qos1;
    send_ack(id, PacketType::puback, packet_id, ReasonCode::success);
    return true;
}

void Broker::Core::settle(
    ConnId id, AckToken token, Verdict verdict, std::size_t reached, JournalNumber number, Mono now
) {
    if (verdict == Verdict::close) {
        end(id, Ended::kicked, ReasonCode::not_authorized, now);
        return;
    }
    if (token == 0)
        return;
    const Conn* conn = conns_.find(id);
    const bool is_at_once = verdict != Verdict::pending && number <= stable_ && !is_failure(refused_);
    if (is_at_once && settle_at_once(id, conn, verdict, reached))
        return;
    if (conn != nullptr && conn->stage == Stage::up && verdict != Verdict::pending) {
        const bool is_v5 = conn->version == ProtocolVersion::v5;
        ReasonCode reason = ReasonCode::success;
        if (verdict == Verdict::denied && is_v5)
            reason = ReasonCode::not_authorized;
        if (verdict == Verdict::route && reached == 0 && is_v5)
            reason = was_full_ ? ReasonCode::quota_exceeded : ReasonCode::no_matching_subscribers;
        if (is_failure(refused_))
            reason = refused_;
        complete(token, reason, number, now);
    } else if (conn == nullptr && verdict != Verdict::pending) {
        // Decided, but the connection went meanwhile: a QoS 2 id that the session keeps is no longer
        // undecided.
        ReasonCode reason = refused_;
        if (verdict == Verdict::denied)
            reason = ReasonCode::not_authorized;
        complete(token, reason, number, now);
    }
    Conn* after = conns_.find(id);
    if (after == nullptr || after->stage != Stage::up)
        return;
    const Session& session = *sessions_.find(after->session);
    after->is_blocked = after->is_stalled || (after->version != ProtocolVersion::v5 && session.flow &&
                                              session.flow->acks.size() >= limits_.inflight_count_max);
    if (after->is_blocked && !after->is_paused) {
        after->is_paused = true;
        host_.pause(id, true);
    }
}

void Broker::Core::complete(AckToken token, ReasonCode reason, Mono now) {
    // What the host published for it came before this; nobody but the host knows what it was.
    complete(token, reason, written(), now);
}

void Broker::Core::complete(AckToken token, ReasonCode reason, JournalNumber number, Mono now) {
    const Turn turn(*this, now);
    const std::uint64_t index = token >> token_sequence_bits;
    if (index == 0)
        return;
    reason = fitting_reason(PacketType::puback, reason); // PUBREC has the same table [MQTT-3.4.2-1]
    Session* session = sessions_.at_index(static_cast<std::uint32_t>(index - 1));
    if (session == nullptr || !session->flow)
        return;
    const SessionId id = sessions_.name_at(static_cast<std::uint32_t>(index - 1));
    Flow& flow = *session->flow;
    const std::uint64_t first = flow.ack_sequence - flow.acks.size();
    const std::uint64_t place = (token - first) & token_sequence_mask;
    if (place < flow.acks.size()) {
        if (flow.acks[place].is_ready)
            return;
        flow.acks[place].is_ready = true;
        flow.acks[place].reason = reason;
        flow.acks[place].number = number;
    }
    // The newest is decided at once as a rule; else it is searched for.
    const std::size_t newest = flow.qos2.size() - 1;
    const bool is_newest = !flow.qos2.empty() && flow.qos2[newest].pending == token;
    for (std::size_t i = is_newest ? newest : 0; i < flow.qos2.size(); ++i) {
        if (flow.qos2[i].pending != token)
            continue;
        const std::uint16_t packet_id = flow.qos2[i].packet_id;
        flow.qos2[i].pending = 0;
        if (is_failure(reason)) {
            flow.qos2.erase(i);
        } else {
            number = write_inbound(*session, packet_id, number);
            flow.qos2[i].number = number;
        }
        if (place < flow.acks.size()) {
            flow.acks[place].number = number;
            break;
        }
        // Taken on an earlier connection: the client has asked again since, or will.
        for (std::size_t k = 0; k < flow.acks.size(); ++k) {
            InboundAck& ack = flow.acks[k];
            if (ack.type != PacketType::pubrec || ack.packet_id != packet_id)
                continue;
            ack.is_ready = true;
            ack.reason = reason;
            ack.number = number;
        }
        break;
    }
    if (is_failure(reason) && session->version != ProtocolVersion::v5 && session->conn != 0) {
        end(session->conn, Ended::kicked, reason, now); // 3.x has no way to say no
        return;
    }
    flush_acks(id);
}

void Broker::Core::flush_acks(SessionId id) {
    Session& session = *sessions_.find(id);
    Flow& flow = *session.flow;
    while (!flow.acks.empty() && flow.acks.front().is_ready && flow.acks.front().number <= stable_) {
        const InboundAck ack = flow.acks.front();
        flow.acks.pop_front();
        if (ack.type == PacketType::puback)
            --flow.acks_qos1;
        if (session.conn != 0)
            send_ack(session.conn, ack.type, ack.packet_id, ack.reason);
    }
    if (!flow.acks.empty() && flow.acks.front().is_ready)
        wait_for(id, session);
    Conn* conn = session.conn != 0 ? conns_.find(session.conn) : nullptr;
    if (conn == nullptr)
        return;
    if ((conn->is_blocked || conn->is_paused) && !conn->is_stalled &&
        flow.acks.size() <= limits_.inflight_count_max / 2u) {
        conn->is_blocked = false;
        resumes_.push_back(session.conn);
    }
}

void Broker::Core::send_ack(ConnId id, PacketType type, std::uint16_t packet_id, ReasonCode reason) {
    if (reason == ReasonCode::success) {
        const char bytes[4] = {
            static_cast<char>(static_cast<unsigned>(type) << 4 | (type == PacketType::pubrel ? 2u : 0u)),
            2,
            static_cast<char>(packet_id >> 8),
            static_cast<char>(packet_id & 0xFF)
        };
        send(id, ByteView(bytes, sizeof bytes));
        return;
    }
    Ack ack;
    ack.packet_id = packet_id;
    ack.reason = reason;
    scratch_.clear();
    encode_ack(scratch_, type, ack, conns_.find(id)->version);
    send(id, scratch_);
}

void Broker::Core::handle_pubrel(ConnId id, const Frame& frame, Mono now) {
    const Conn& conn = *conns_.find(id);
    const Decoded<Ack> packet = decode_ack(frame, conn.version, codec_limits_);
    if (!packet) {
        protocol_end(id, packet.error().reason, now);
        return;
    }
    Session& session = *sessions_.find(conn.session);
    ReasonCode reason = ReasonCode::packet_identifier_not_found;
    if (session.flow) {
        InboundIds& ids = session.flow->qos2;
        const std::size_t place = ids.find(packet->packet_id);
        if (place != InboundIds::none && ids[place].pending != 0) {
            protocol_end(id, ReasonCode::protocol_error, now); // PUBREL before PUBREC was sent
            return;
        }
        if (place != InboundIds::none) {
            ids.erase(place);
            reason = ReasonCode::success;
            if (session.kept() != 0)
                journal_->released(session.kept(), packet->packet_id);
        }
    }
    // After PUBCOMP the client may use the identifier for another message.
    send_ack_when_stable(id, written_of(session), PacketType::pubcomp, packet->packet_id, reason);
}

void Broker::Core::handle_disconnect(ConnId id, const Frame& frame, Mono now) {
    const Conn& conn = *conns_.find(id);
    const Decoded<Disconnect> packet = decode_disconnect(frame, conn.version, Sender::client, codec_limits_);
    if (!packet) {
        protocol_end(id, packet.error().reason, now);
        return;
    }
    Session& session = *sessions_.find(conn.session);
    if (packet->has_session_expiry) {
        if (session.expiry_s == 0 && packet->session_expiry_s != 0) {
            protocol_end(id, ReasonCode::protocol_error, now); // MQTT 5 section 3.14.2.2.2
            return;
        }
        session.expiry_s = std::min(packet->session_expiry_s, limits_.session_expiry_s_max);
    }
    if (packet->reason == ReasonCode::normal_disconnection)
        session.drop_will();
    end(id, Ended::disconnect, std::nullopt, now);
}

} // namespace brim::mqtt
