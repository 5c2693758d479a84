// What is written down, and what waits for it: acknowledgements in their session's row, other answers in the
// connection's held output, deliveries at the head of their queue.

#include "mqtt/internal/core.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

/// Held output of a connection above this: it is read from no more and gets no QoS 0 until the disk is back.
constexpr std::size_t held_bytes_max = 65'536;

} // namespace

bool Broker::Core::refuse_unkept(ConnId id, const Admission& admission, Mono now) {
    SessionId session_id = 0;
    const Session* known = session_by_key(admission.session_key, session_id);
    const Conn& conn = *conns_.find(id);
    const bool is_known = known != nullptr && known->kept() != 0;
    if (!is_known && session_expiry_for(conn.version, *conn.more->pending) == 0)
        return false;
    const ReasonCode reason = journal_->refusal(is_known ? Promise::resume : Promise::grow);
    if (!is_failure(reason))
        return false;
    refuse(id, reason, {}, now);
    return true;
}

bool Broker::Core::is_for_kept(const Message& message, const SubscriptionTree::Matches& matches) {
    const auto is_kept = [&](const SubscriptionTree::Entry& entry) {
        const Session* session = sessions_.at_index(entry.subscriber);
        const bool is_own = session->identity.key() == message.origin && entry.options.no_local;
        return session->kept() != 0 && entry.options.qos != 0 && !is_own;
    };
    if (std::ranges::any_of(matches.plain, is_kept))
        return true;
    return std::ranges::any_of(matches.groups, [&](const SubscriptionTree::Group* group) {
        return std::ranges::any_of(group->members, is_kept);
    });
}

/// A message that would have to be kept while nothing can be: then nobody gets it, so that its publisher can
/// be told and sending it again does not deliver it twice to those who need no journal.
bool Broker::Core::is_refused(const Message& message, const SubscriptionTree::Matches& matches) {
    if (message.qos == 0)
        return false;
    const ReasonCode reason = journal_->refusal(Promise::grow);
    if (!is_failure(reason) || (!message.retain && !is_for_kept(message, matches)))
        return false;
    refused_ = reason;
    dropped(message.origin, "not_stored", 1);
    return true;
}

KeptFacts Broker::Core::facts_of(const Session& session) const {
    KeptFacts facts;
    facts.key = session.identity.key();
    facts.client_id = session.identity.client_id();
    facts.principal = session.identity.principal();
    facts.version = session.version;
    facts.qos_max = session.qos_max;
    facts.retain_available = session.retain_available;
    facts.wildcard_available = session.wildcard_available;
    facts.subscription_ids_available = session.subscription_ids_available;
    facts.is_online = session.conn != 0;
    facts.expiry_s = session.expiry_s;
    facts.expires = session.expires();
    facts.sent_below = session.flow ? session.flow->out_sequence : 0;
    if (session.will()) {
        facts.will = session.will()->message.get();
        facts.will_delay_s = session.will()->delay_s;
        facts.will_due = session.will()->due;
    }
    return facts;
}

void Broker::Core::write_session(const Session& session) {
    if (session.kept() != 0)
        journal_->session(session.kept(), facts_of(session));
}

/// A delivery that was just queued: it is written with its message when that has gone to all.
void Broker::Core::note_kept(Session& session, std::uint64_t sequence, Delivery& delivery) {
    delivery.number = journal_->last() + 1;
    kept_.push_back({delivery.flags(), session.kept(), sequence, delivery.ids.get()});
}

void Broker::Core::write_message(const MessagePtr& message, bool is_retained) {
    journal_->message(*message, kept_, is_retained);
    kept_.clear();
}

void Broker::Core::write_done(const Session& session, std::uint64_t sequence, JournalNumber number) {
    if (session.kept() != 0)
        journal_->done(session.kept(), sequence, number);
}

void Broker::Core::write_replay(const Session& session, const Replay& replay, bool is_done) {
    if (session.kept() == 0)
        return;
    const KeptReplay kept{replay.filter.text(), replay.subscription_id, replay.qos, replay.after};
    journal_->replayed(session.kept(), kept, is_done);
}

JournalNumber
Broker::Core::write_inbound(const Session& session, std::uint16_t packet_id, JournalNumber number) {
    if (session.kept() == 0)
        return number;
    // In one turn with the message itself: both are there after a restart, or neither.
    journal_->inbound(session.kept(), packet_id);
    return journal_->last();
}

/// The message at the head of a kept session's queue is not sent: it uses up its packet identifier all the
/// same, for those behind it have theirs already.
void Broker::Core::pass_over(Session& session, JournalNumber number) {
    if (session.kept() == 0)
        return;
    Flow& flow = flow_of(session);
    write_done(session, flow.out_sequence, number);
    ++flow.out_sequence;
    if (flow.outbound.empty())
        return;
    flow.outbound.push_back(Outbound{});
    ++flow.resend_from;
}

void Broker::Core::release_kept(Session& session) {
    if (session.kept() == 0)
        return;
    Flow& flow = *session.flow;
    for (std::size_t i = 0; i < flow.queue.size(); ++i)
        journal_->release(flow.queue[i].number);
    for (std::size_t i = 0; i < flow.outbound.size(); ++i)
        journal_->release(flow.outbound[i].delivery.number);
}

void Broker::Core::wait_for(SessionId id, Session& session) {
    if (session.is_waiting)
        return;
    session.is_waiting = true;
    waiting_.push_back(id);
}

void Broker::Core::send_when_stable(ConnId id, JournalNumber number, ByteView bytes) {
    if (number <= stable_) {
        send(id, bytes);
        return;
    }
    Conn& conn = *conns_.find(id);
    ConnMore& more = conn.make_more();
    if (more.held.empty())
        holding_.push_back(id);
    if (more.held.empty() || more.held.back().number < number)
        more.held.push_back({number, {}});
    more.held.back().bytes.append(bytes);
    more.held_bytes += bytes.size();
    stall_when_full(id, conn);
}

void Broker::Core::send_ack_when_stable(
    ConnId id, JournalNumber number, PacketType type, std::uint16_t packet_id, ReasonCode reason
) {
    if (number <= stable_) {
        send_ack(id, type, packet_id, reason);
        return;
    }
    Ack ack;
    ack.packet_id = packet_id;
    ack.reason = reason;
    scratch_.clear();
    encode_ack(scratch_, type, ack, conns_.find(id)->version);
    send_when_stable(id, number, scratch_);
}

bool Broker::Core::hold_behind(ConnId id, ByteView bytes) {
    Conn* conn = conns_.find(id);
    if (conn == nullptr || !conn->has_held())
        return false;
    conn->more->held.back().bytes.append(bytes);
    conn->more->held_bytes += bytes.size();
    stall_when_full(id, *conn);
    return true;
}

void Broker::Core::stall_when_full(ConnId id, Conn& conn) {
    if (conn.is_stalled || conn.more->held_bytes <= held_bytes_max)
        return;
    conn.is_stalled = true;
    conn.is_blocked = true;
    if (!conn.is_paused) {
        conn.is_paused = true;
        host_.pause(id, true);
    }
}

/// False when output is still held.
bool Broker::Core::release_held(ConnId id) {
    Conn* conn = conns_.find(id);
    if (conn == nullptr || !conn->has_held())
        return true;
    std::vector<HeldOutput>& held = conn->more->held;
    std::size_t count = 0;
    for (; count < held.size() && held[count].number <= stable_; ++count) {
        conn->more->held_bytes -= held[count].bytes.size();
        stats_.bytes_out += held[count].bytes.size();
        if (traced_ != 0)
            show_sent(id, held[count].bytes);
        host_.send(id, held[count].bytes);
    }
    held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(count));
    if (conn->is_stalled && conn->more->held_bytes <= held_bytes_max / 2) {
        conn->is_stalled = false;
        conn->is_blocked = false;
        resumes_.push_back(id);
    }
    return held.empty();
}

/// True when CONNACK was among it: the client was not told yet that it is in.
bool Broker::Core::drop_held(Conn& conn) {
    if (!conn.has_held())
        return false;
    const auto first = static_cast<unsigned char>(conn.more->held.front().bytes[0]);
    conn.more->held.clear();
    conn.more->held_bytes = 0;
    return first >> 4 == static_cast<unsigned>(PacketType::connack);
}

void Broker::Core::journal_stable(JournalNumber upto, Mono now) {
    const Turn turn(*this, now);
    stable_ = std::max(stable_, upto);
    std::erase_if(holding_, [&](ConnId id) { return release_held(id); });
    for (const SessionId id : std::exchange(waiting_, {})) {
        Session* session = sessions_.find(id);
        if (session == nullptr)
            continue;
        session->is_waiting = false;
        if (session->flow)
            flush_acks(id);
        pump(id, now);
    }
    while (!awaited_.empty() && awaited_.front().number <= stable_) {
        Awaited safe = std::move(awaited_.front());
        awaited_.pop_front();
        safe.done(true);
    }
}

void Broker::Core::fail_held(ConnId id, ReasonCode reason, Mono now) {
    Conn* conn = conns_.find(id);
    if (conn == nullptr || !conn->has_held())
        return;
    if (!drop_held(*conn)) {
        end(id, Ended::kicked, reason, now);
        return;
    }
    Connack connack;
    connack.reason = reason;
    scratch_.clear();
    encode_connack(scratch_, connack, conn->version);
    send(id, scratch_);
    end(id, Ended::kicked, std::nullopt, now);
}

/// Undoes what the session would have promised with what was lost. True when its 3.x client must be closed,
/// for that cannot be told.
bool Broker::Core::take_back(Session& session, ReasonCode reason) {
    Flow& flow = *session.flow;
    std::size_t first = flow.queue.size();
    while (first > 0 && flow.queue[first - 1].number > stable_)
        --first;
    std::size_t end = first;
    for (std::size_t i = first; i < flow.queue.size(); ++i) {
        Delivery& lost = flow.queue[i];
        if (lost.promised <= stable_) {
            // The disk has it where it was before; the next snapshot has it here, under the identifier that
            // it gets now.
            if (i != end)
                flow.queue[end] = std::move(lost);
            ++end;
            continue;
        }
        journal_->release(lost.number);
        flow.queue_bytes -= lost.message->payload.size() + lost.message->topic.size();
        --stats_.queued;
    }
    while (flow.queue.size() > end)
        flow.queue.pop_back();
    for (std::size_t i = flow.qos2.size(); i > 0; --i) {
        if (flow.qos2[i - 1].pending == 0 && flow.qos2[i - 1].number > stable_)
            flow.qos2.erase(i - 1);
    }
    bool has_failed = false;
    for (std::size_t i = 0; i < flow.acks.size(); ++i) {
        InboundAck& ack = flow.acks[i];
        if (!ack.is_ready || ack.number <= stable_)
            continue;
        ack.reason = reason;
        ack.number = 0;
        has_failed = true;
    }
    return has_failed && session.version != ProtocolVersion::v5;
}

void Broker::Core::journal_failed(ReasonCode reason, Mono now) {
    const Turn turn(*this, now);
    for (Awaited& lost : std::exchange(awaited_, {}))
        lost.done(false);
    for (const ConnId id : std::exchange(holding_, {}))
        fail_held(id, reason, now);
    for (std::uint32_t i = 0; i < sessions_.extent(); ++i) {
        Session* session = sessions_.at_index(i);
        if (session == nullptr || !session->flow)
            continue;
        const SessionId id = sessions_.name_at(i);
        if (take_back(*session, reason) && session->conn != 0)
            end(session->conn, Ended::kicked, reason, now);
        else
            flush_acks(id);
    }
}

} // namespace brim::mqtt
