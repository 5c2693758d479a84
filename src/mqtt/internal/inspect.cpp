// What administration asks: which sessions there are, what they hold, and taking retained messages away.

#include "mqtt/internal/core.h"

namespace brim::mqtt {

SessionView Broker::Core::session_view(const Session& session) {
    SessionView shown;
    shown.who = view(session);
    shown.is_durable = session.kept() != 0;
    shown.has_will = session.will() != nullptr;
    shown.expiry_s = session.expiry_s;
    shown.expires = session.expires();
    shown.subscriptions = session.subscriptions ? session.subscriptions->size() : 0;
    if (const Conn* conn = session.conn == 0 ? nullptr : conns_.find(session.conn); conn != nullptr) {
        shown.is_online = true;
        shown.is_congested = conn->is_congested || conn->is_stalled;
        shown.keepalive_s = conn->keepalive_s;
        shown.up_since = Mono{std::chrono::seconds{conn->up_since_s}};
    }
    if (session.flow) {
        const Flow& flow = *session.flow;
        shown.queued = flow.queue.size();
        shown.queued_bytes = flow.queue_bytes;
        shown.inflight_out = flow.unacked;
        shown.inflight_in = flow.acks_qos1 + flow.qos2.size();
    }
    return shown;
}

std::uint32_t Broker::Core::visit_sessions(
    std::uint32_t from, std::size_t count, const std::function<void(const SessionView&)>& visit
) {
    for (std::uint32_t i = from; i < sessions_.extent(); ++i) {
        if (count == 0)
            return i;
        const Session* session = sessions_.at_index(i);
        if (session == nullptr)
            continue;
        visit(session_view(*session));
        --count;
    }
    return 0;
}

bool Broker::Core::visit_session(std::string_view key, const std::function<void(const SessionView&)>& visit) {
    SessionId id = 0;
    const Session* session = session_by_key(key, id);
    if (session == nullptr)
        return false;
    visit(session_view(*session));
    return true;
}

bool Broker::Core::visit_connection(ConnId id, const std::function<void(const SessionView&)>& visit) {
    const Conn* conn = conns_.find(id);
    if (conn == nullptr || conn->stage != Stage::up)
        return false;
    visit(session_view(*sessions_.find(conn->session)));
    return true;
}

void Broker::Core::visit_subscriptions(
    std::string_view key, const std::function<void(std::string_view filter, int qos)>& visit
) {
    SessionId id = 0;
    const Session* session = session_by_key(key, id);
    if (session == nullptr || !session->subscriptions)
        return;
    for (const Subscription& subscription : *session->subscriptions)
        visit(subscription.filter.text(), subscription.options.qos);
}

void Broker::Core::trace(ConnId id, bool is_traced) {
    Conn* conn = conns_.find(id);
    if (conn == nullptr || conn->stage != Stage::up || conn->is_traced == is_traced)
        return;
    conn->is_traced = is_traced;
    if (is_traced)
        ++traced_;
    else
        --traced_;
}

/// `bytes` are whole packets of our own.
void Broker::Core::show_sent(ConnId id, ByteView bytes) {
    const Conn* conn = conns_.find(id);
    if (conn == nullptr || !conn->is_traced)
        return;
    const ConnView who = view(*sessions_.find(conn->session));
    Framer framer(packet_bytes_format_max);
    for (;;) {
        const auto next = framer.next(bytes);
        if (!next || !*next)
            return;
        host_.on_packet(who, false, (*next)->type, (*next)->flags, (*next)->body);
    }
}

std::size_t Broker::Core::drop_retained(const std::function<bool(const Message&)>& is_unwanted, Mono now) {
    const Turn turn(*this, now);
    return retained_.remove_if(is_unwanted);
}

} // namespace brim::mqtt
