// Messages to a client: the window of packet ids, the queue behind it, acknowledgements and resumption.

#include "mqtt/internal/core.h"
#include "mqtt/internal/prefetch_message.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

/// So many messages further what will be let go of is brought near.
constexpr std::size_t acks_ahead = 2;

std::uint64_t weight(const Delivery& delivery) {
    return delivery.message->payload.size() + delivery.message->topic.size();
}

} // namespace

bool Broker::Core::window_open(const Conn& conn, Flow& flow, const Message& next) const {
    const bool is_small = next.payload.size() <= limits_.window_bytes_each_max;
    const std::uint16_t widest =
        is_small ? conn.receive_maximum : std::min(conn.receive_maximum, limits_.inflight_count_max);
    return flow.unacked < widest && flow.resend_from == flow.outbound.size() &&
           flow.outbound.size() < window_span_max();
}

/// Unacknowledged messages on their way to a client that says nothing of it.
std::uint16_t Broker::Core::window_max() const {
    return std::max(limits_.window_count_max, limits_.inflight_count_max);
}

/// Places the window may span when the client acknowledges out of order. Beyond 65,535 two would share a
/// packet id [MQTT-2.2.1-4].
std::size_t Broker::Core::window_span_max() const {
    return std::min<std::size_t>(std::size_t{window_max()} * 2, 65'535);
}

Broker::Core::Offered Broker::Core::enqueue(Session& session, Delivery&& delivery) {
    Flow& flow = flow_of(session);
    const std::uint64_t bytes = weight(delivery);
    if (flow.queue.size() >= limits_.queue_count_max || flow.queue_bytes + bytes > limits_.queue_bytes_max) {
        dropped(session.identity.key(), "queue_full", 1);
        was_full_ = true;
        return Offered::dropped;
    }
    flow.queue_bytes += bytes;
    ++stats_.queued;
    if (session.kept() != 0)
        note_kept(session, flow.out_sequence + flow.queue.size(), delivery);
    flow.queue.push_back(std::move(delivery));
    return Offered::queued;
}

Broker::Core::Offered
Broker::Core::offer(SessionId id, Session& session, Delivery&& delivery, Mono now, EncodeCache* cache) {
    Conn* conn = session.conn != 0 ? conns_.find(session.conn) : nullptr;
    const bool is_up = conn != nullptr && conn->stage == Stage::up;
    if (delivery.qos == 0) {
        if (!is_up)
            return Offered::dropped;
        if (conn->is_congested || conn->is_stalled) {
            dropped(session.identity.key(), "qos0_slow", 1);
            return Offered::dropped;
        }
        if (is_shed_qos0(session))
            return Offered::dropped;
    } else if (session.kept() != 0) {
        // It leaves once it is safe: its packet identifier must name the same message after a restart.
        const Offered outcome = enqueue(session, std::move(delivery));
        if (outcome == Offered::queued && is_up)
            wait_for(id, session);
        return outcome;
    } else if (!is_up || conn->is_congested ||
               (session.flow &&
                (!session.flow->queue.empty() || !window_open(*conn, *session.flow, *delivery.message)))) {
        return enqueue(session, std::move(delivery));
    }
    if (!delivery.is_direct && !host_.authorise(view(session), Action::receive, delivery.message->topic)) {
        dropped(session.identity.key(), "denied", 1);
        return Offered::dropped;
    }
    if (delivery.qos == 0) {
        return send_publish(session.conn, *conn, session, delivery, 0, false, now, cache) ? Offered::sent
                                                                                          : Offered::dropped;
    }
    return send_window(session.conn, *conn, session, std::move(delivery), now, cache) ? Offered::sent
                                                                                      : Offered::dropped;
}

bool Broker::Core::send_window(
    ConnId conn_id, Conn& conn, Session& session, Delivery&& delivery, Mono now, EncodeCache* cache
) {
    Flow& flow = flow_of(session);
    const std::uint16_t packet_id = packet_id_of(flow.out_sequence);
    if (!send_publish(conn_id, conn, session, delivery, packet_id, false, now, cache))
        return false;
    Outbound place;
    place.state = delivery.qos == 1 ? Outbound::State::wait_puback : Outbound::State::wait_pubrec;
    place.is_sent = true;
    place.delivery = std::move(delivery);
    flow.outbound.push_back(std::move(place));
    ++flow.out_sequence;
    ++flow.unacked;
    ++flow.resend_from;
    return true;
}

bool Broker::Core::send_publish(
    ConnId conn_id,
    Conn& conn,
    Session& session,
    const Delivery& delivery,
    std::uint16_t packet_id,
    bool dup,
    Mono now,
    EncodeCache* cache
) {
    const ByteView bytes = encode_for(conn, delivery, packet_id, dup, now, cache);
    if (bytes.empty()) {
        dropped(session.identity.key(), "too_large", 1);
        return false;
    }
    ++stats_.sent[delivery.qos];
    send(conn_id, bytes);
    return true;
}

std::uint16_t Broker::Core::outbound_alias(Conn& conn, std::string_view topic, bool& is_known) {
    auto& known = conn.make_more().aliases_out;
    const auto place = known.find(topic);
    is_known = place != known.end();
    if (is_known)
        return place->second;
    if (known.size() >= conn.alias_out_max)
        return 0;
    return static_cast<std::uint16_t>(known.size() + 1);
}

/// The bytes to send, in the cache or in scratch_; empty when the client takes no packet of that size.
ByteView Broker::Core::encode_for(
    Conn& conn, const Delivery& delivery, std::uint16_t packet_id, bool dup, Mono now, EncodeCache* cache
) {
    const bool is_v5 = conn.version == ProtocolVersion::v5;
    const auto fits = [&](const Bytes& bytes) {
        return conn.packet_bytes_max == 0 || bytes.size() <= conn.packet_bytes_max;
    };
    const bool is_common = !delivery.ids && !dup && conn.alias_out_max == 0;
    const bool is_shareable = cache != nullptr && is_common;
    if (is_shareable) {
        for (EncodeCache::Variant& variant : std::span(cache->variants).first(cache->used)) {
            if (variant.is_v5 != is_v5 || variant.qos != delivery.qos || variant.retain != delivery.retain)
                continue;
            if (!fits(variant.bytes))
                return {};
            if (delivery.qos != 0)
                patch_packet_id(variant.bytes, variant.id_offset, packet_id);
            return variant.bytes;
        }
    }
    if (is_common && is_plain(*delivery.message)) {
        EncodeCache::Variant* variant =
            is_shareable ? &cache->add(is_v5, delivery.qos, delivery.retain) : nullptr;
        Bytes& out = is_shareable ? variant->bytes : scratch_;
        out.clear();
        const unsigned flags = static_cast<unsigned>(delivery.qos << 1) | (delivery.retain ? 1u : 0u);
        const Message& message = *delivery.message;
        const std::size_t id_offset =
            encode_plain_publish(out, message.topic, message.payload, flags, packet_id, conn.version);
        if (is_shareable)
            variant->id_offset = id_offset;
        return fits(out) ? ByteView(out) : ByteView{};
    }
    Publish packet = publish_view(*delivery.message);
    packet.qos = delivery.qos;
    packet.retain = delivery.retain;
    packet.dup = dup;
    packet.packet_id = packet_id;
    if (packet.expiry_s >= 0)
        packet.expiry_s = remaining_expiry_s(*delivery.message, now);
    if (delivery.ids)
        packet.subscription_ids = *delivery.ids;
    if (is_shareable) {
        EncodeCache::Variant& variant = cache->add(is_v5, delivery.qos, delivery.retain);
        variant.id_offset = encode_publish(variant.bytes, packet, conn.version);
        return fits(variant.bytes) ? ByteView(variant.bytes) : ByteView{};
    }
    bool is_alias_known = false;
    if (conn.alias_out_max != 0) {
        packet.topic_alias = outbound_alias(conn, delivery.message->topic, is_alias_known);
        if (is_alias_known)
            packet.topic = {};
    }
    scratch_.clear();
    encode_publish(scratch_, packet, conn.version);
    if (!fits(scratch_))
        return {};
    if (packet.topic_alias != 0 && !is_alias_known) {
        conn.make_more().aliases_out.emplace(delivery.message->topic, packet.topic_alias);
    }
    return scratch_;
}

void Broker::Core::start_resume(Session& session) {
    if (!session.flow)
        return;
    Flow& flow = *session.flow;
    for (std::size_t i = 0; i < flow.outbound.size(); ++i)
        flow.outbound[i].is_sent = false;
    flow.unacked = 0;
    flow.resend_from = 0;
}

bool Broker::Core::resend(ConnId conn_id, Session& session, Flow& flow, Mono now) {
    Conn& conn = *conns_.find(conn_id);
    const std::uint64_t first = flow.out_sequence - flow.outbound.size();
    while (flow.resend_from < flow.outbound.size()) {
        if (conn.is_congested || flow.unacked >= conn.receive_maximum)
            return false;
        const std::uint16_t packet_id = packet_id_of(first + flow.resend_from);
        Outbound& place = flow.outbound[flow.resend_from++];
        if (place.state == Outbound::State::done)
            continue;
        if (place.state == Outbound::State::wait_pubcomp) {
            // PUBREC may have come on the connection before, just now.
            send_ack_when_stable(conn_id, written_of(session), PacketType::pubrel, packet_id);
        } else {
            const bool is_allowed =
                place.delivery.is_direct ||
                host_.authorise(view(session), Action::receive, place.delivery.message->topic);
            if (!is_allowed)
                dropped(session.identity.key(), "denied", 1);
            if (!is_allowed ||
                !send_publish(conn_id, conn, session, place.delivery, packet_id, true, now, nullptr)) {
                if (place.delivery.qos != 2) {
                    write_done(session, first + flow.resend_from - 1, place.delivery.number);
                    place = Outbound{};
                    continue;
                }
                // The client may hold its identifier, its PUBREC lost: PUBREL lets it go.
                if (session.kept() != 0)
                    journal_->received(session.kept(), first + flow.resend_from - 1, place.delivery.number);
                place.delivery = Delivery{};
                place.state = Outbound::State::wait_pubcomp;
                send_ack_when_stable(conn_id, written_of(session), PacketType::pubrel, packet_id);
            }
        }
        place.is_sent = true;
        ++flow.unacked;
    }
    while (!flow.outbound.empty() && flow.outbound.front().state == Outbound::State::done) {
        flow.outbound.pop_front();
        --flow.resend_from;
    }
    return true;
}

void Broker::Core::pump(SessionId id, Mono now) {
    Session* session = sessions_.find(id);
    if (session == nullptr || session->conn == 0)
        return;
    if (!session->flow)
        return;
    const ConnId conn_id = session->conn;
    Conn& conn = *conns_.find(conn_id);
    Flow& flow = *session->flow;
    if (!resend(conn_id, *session, flow, now))
        return;
    while (!flow.queue.empty() && !conn.is_congested && window_open(conn, flow, *flow.queue.front().message)
    ) {
        if (flow.queue.front().number > stable_) {
            wait_for(id, *session);
            break;
        }
        Delivery delivery = std::move(flow.queue.front());
        flow.queue.pop_front();
        flow.queue_bytes -= weight(delivery);
        --stats_.queued;
        if (is_expired(*delivery.message, now)) {
            dropped(session->identity.key(), "expired", 1);
            pass_over(*session, delivery.number);
            continue;
        }
        if (!delivery.is_direct &&
            !host_.authorise(view(*session), Action::receive, delivery.message->topic)) {
            dropped(session->identity.key(), "denied", 1);
            pass_over(*session, delivery.number);
            continue;
        }
        const JournalNumber number = delivery.number;
        if (!send_window(conn_id, conn, *session, std::move(delivery), now, nullptr))
            pass_over(*session, number);
    }
    resume_replay(id, *session, now);
}

void Broker::Core::handle_outbound_ack(ConnId id, const Frame& frame, Mono now) {
    const Conn& conn = *conns_.find(id);
    const Decoded<Ack> packet = decode_ack(frame, conn.version, codec_limits_);
    if (!packet) {
        protocol_end(id, packet.error().reason, now);
        return;
    }
    on_outbound_ack(id, frame.type, packet->packet_id, packet->reason, now);
}

void Broker::Core::on_outbound_ack(
    ConnId id, PacketType type, std::uint16_t packet_id, ReasonCode reason, Mono now
) {
    const Conn& conn = *conns_.find(id);
    Session& session = *sessions_.find(conn.session);
    const SessionId session_id = conn.session;
    const std::size_t count = session.flow ? session.flow->outbound.size() : 0;
    const std::uint64_t first = session.flow ? session.flow->out_sequence - count : 0;
    const std::uint64_t offset = (packet_id + 65'535u - packet_id_of(first)) % 65'535;
    Outbound* place = offset < count ? &session.flow->outbound[offset] : nullptr;
    if (place == nullptr || place->state == Outbound::State::done) {
        // Nothing of ours: it must not open the window. PUBREC gets its answer so that the client can let go.
        if (type == PacketType::pubrec && !is_failure(reason)) {
            send_ack(id, PacketType::pubrel, packet_id, ReasonCode::packet_identifier_not_found);
        }
        return;
    }
    using State = Outbound::State;
    const bool is_puback = type == PacketType::puback && place->state == State::wait_puback;
    const bool is_pubrec = type == PacketType::pubrec &&
                           (place->state == State::wait_pubrec || place->state == State::wait_pubcomp);
    const bool is_pubcomp = type == PacketType::pubcomp && place->state == State::wait_pubcomp;
    if (!is_puback && !is_pubrec && !is_pubcomp) {
        protocol_end(id, ReasonCode::protocol_error, now);
        return;
    }
    if (is_pubrec && !is_failure(reason)) {
        if (session.kept() != 0 && place->state == State::wait_pubrec)
            journal_->received(session.kept(), first + offset, place->delivery.number);
        place->state = State::wait_pubcomp;
        place->delivery = Delivery{};
        // Once the client has PUBREL it forgets the identifier: a PUBLISH again would be a second message.
        send_ack_when_stable(id, written_of(session), PacketType::pubrel, packet_id);
        return;
    }
    write_done(session, first + offset, place->delivery.number);
    Flow& flow = *session.flow;
    // Acknowledgements come in the order of the messages, one behind the other.
    if (const std::size_t next = offset + acks_ahead; next < count && flow.outbound[next].delivery.message)
        prefetch_message(*flow.outbound[next].delivery.message);
    flow.unacked -= place->is_sent ? 1 : 0;
    *place = Outbound{};
    while (!flow.outbound.empty() && flow.outbound.front().state == State::done) {
        flow.outbound.pop_front();
        flow.resend_from -= flow.resend_from > 0 ? 1 : 0;
    }
    if (!flow.queue.empty() || !flow.replays.empty() || flow.resend_from != flow.outbound.size())
        pump_later(session_id, session);
}

/// At the end of the turn, once for all acknowledgements in it.
void Broker::Core::pump_later(SessionId id, Session& session) {
    if (session.is_pump_due)
        return;
    session.is_pump_due = true;
    pumps_.push_back(id);
}

void Broker::Core::run_pumps(Mono now) {
    pumping_.swap(pumps_); // both keep their memory: this is done for each piece that came in
    for (const SessionId id : pumping_) {
        Session* const session = sessions_.find(id);
        if (session == nullptr)
            continue;
        session->is_pump_due = false;
        pump(id, now);
    }
    pumping_.clear();
}

} // namespace brim::mqtt
