// What outlives a connection: attach, detach, expiry, wills.

#include "mqtt/internal/core.h"

#include <algorithm>

namespace brim::mqtt {

ConnView Broker::Core::view(const Session& session) const {
    ConnView who;
    who.id = session.conn;
    who.user = session.user;
    who.epoch = session.epoch;
    who.session_key = session.identity.key();
    who.client_id = session.identity.client_id();
    who.principal = session.identity.principal();
    who.version = session.version;
    return who;
}

Session* Broker::Core::session_by_key(std::string_view key, SessionId& id) {
    const std::uint32_t index = by_key_.find(key);
    if (index == by_key_.none)
        return nullptr;
    id = sessions_.name_at(index);
    return sessions_.find(id);
}

Flow& Broker::Core::flow_of(Session& session) {
    if (!session.flow) {
        session.flow = std::make_unique<Flow>();
        session.flow->out_sequence = out_sequence_seed_;
        session.flow->ack_sequence = ack_sequence_seed_;
    }
    return *session.flow;
}

void Broker::Core::release_flow(Session& session) {
    // Numbers are not used again: a token or packet id of before must not name something of later.
    out_sequence_seed_ = std::max(out_sequence_seed_, session.flow->out_sequence);
    ack_sequence_seed_ = std::max(ack_sequence_seed_, session.flow->ack_sequence);
    session.flow.reset();
}

void Broker::Core::release_idle(Session& session) {
    if (session.flow && session.flow->idle())
        release_flow(session);
}

SessionId Broker::Core::attach(
    ConnId id, const PendingConnect& pending, const Admission& admission, bool& present, Mono now
) {
    SessionId session_id = 0;
    if (const Session* old = session_by_key(admission.session_key, session_id);
        old != nullptr && old->conn != 0) {
        end(old->conn, Ended::takeover, ReasonCode::session_taken_over, now);
        if (conns_.find(id) == nullptr)
            return 0;
    }
    Session* session = session_by_key(admission.session_key, session_id);
    if (session != nullptr && (pending.clean_start || session->expires() <= now)) {
        forget(session_id, now); // a will that waits belongs to the session that ends here
        if (conns_.find(id) == nullptr)
            return 0;
        session = session_by_key(admission.session_key, session_id);
    }
    present = session != nullptr;
    if (session == nullptr) {
        if (sessions_.used() >= limits_.sessions_max)
            return 0;
        session_id = sessions_.take();
        session = sessions_.find(session_id);
    } else {
        by_key_.erase(session->identity.key());
        session->drop_will(); // back before its delay was over
    }
    const std::string_view client_id = pending.client_id.empty()
                                           ? std::string_view(admission.assigned_client_id)
                                           : std::string_view(pending.client_id);
    session->identity.set(admission.session_key, client_id, admission.principal);
    by_key_.insert(Slab<Session>::index_of(session_id));
    session->user = admission.user;
    session->epoch = ++epoch_;
    session->conn = id;
    session->version = conns_.find(id)->version;
    session->qos_max = admission.qos_max;
    session->retain_available = admission.retain_available;
    session->wildcard_available = admission.wildcard_available;
    session->subscription_ids_available = admission.subscription_ids_available;
    session->expiry_s = session_expiry_for(session->version, pending);
    if (pending.will)
        session->make_lasting().will =
            std::make_unique<Will>(Will{pending.will, pending.will_delay_s, false, {}});
    if (journal_ != nullptr && session->kept() == 0 && session->expiry_s != 0)
        session->make_lasting().kept = journal_->new_session();
    write_session(*session);
    if (present)
        start_resume(*session);
    return session_id;
}

void Broker::Core::detach(SessionId id, Ended why, Mono now) {
    Session* session = sessions_.find(id);
    BRIM_ASSERT(session != nullptr, "a connection that is up has a session");
    const ConnView who = view(*session);
    session->conn = 0;
    if (session->expiry_s != 0 || session->lasting)
        session->make_lasting().expires = now + std::chrono::seconds{session->expiry_s};
    if (session->flow) {
        session->flow->acks.release(); // the client will send again what it has no answer for
        session->flow->acks_qos1 = 0;
        session->flow->qos2.uncount();
        release_idle(*session);
    }
    if (why == Ended::shutdown)
        session->drop_will();
    if (session->will()) {
        session->will()->is_due_set = true;
        session->will()->due =
            now + std::chrono::seconds{std::min(session->will()->delay_s, session->expiry_s)};
    }
    if (session->expiry_s != 0)
        write_session(*session);
    host_.on_down(who, why);
    session = sessions_.find(id);
    if (session == nullptr || session->conn != 0)
        return;
    if (session->will() && session->will()->due <= now) {
        publish_will(id, now);
        session = sessions_.find(id);
        if (session == nullptr || session->conn != 0)
            return;
    }
    if (session->expiry_s == 0) {
        forget(id, now);
    } else {
        arm(id, *session, now);
    }
}

void Broker::Core::publish_will(SessionId id, Mono now) {
    Session* session = sessions_.find(id);
    if (session == nullptr || !session->will())
        return;
    const std::unique_ptr<Will> will = std::move(session->lasting->will);
    auto message = std::make_shared<Message>(*will->message);
    message->origin = session->identity.key();
    message->accepted = now;
    message->time = wall(now);
    if (!session->retain_available)
        message->retain = false;
    if (host_.on_publish(view(*session), message, 0) == Verdict::route)
        route(message, now);
    session = sessions_.find(id);
    if (session != nullptr)
        write_session(*session); // in one turn with the message: it is not sent twice
}

void Broker::Core::drop_contents(Session& session, SessionId id, Mono now) {
    std::vector<TopicFilter> shares;
    if (session.subscriptions) {
        for (Subscription& subscription : *session.subscriptions) {
            tree_.remove(subscription.filter, Slab<Session>::index_of(id));
            if (subscription.filter.shared())
                shares.push_back(std::move(subscription.filter));
        }
        session.subscriptions.reset();
    }
    if (!session.flow)
        return;
    release_kept(session);
    Flow& flow = *session.flow;
    std::vector<Inherited> inherited;
    std::uint64_t lost = 0;
    const auto take = [&](const Delivery& delivery, bool is_begun) {
        // QoS 2 that one client may have is completed with it or with nobody [MQTT-4.8.2-5].
        if (delivery.is_shared && !(is_begun && delivery.qos == 2))
            inherited.push_back({delivery.message, std::min(delivery.promised, delivery.number)});
        else
            ++lost;
    };
    for (std::size_t i = 0; i < flow.outbound.size(); ++i) {
        const Outbound::State state = flow.outbound[i].state;
        if (state == Outbound::State::wait_puback || state == Outbound::State::wait_pubrec)
            take(flow.outbound[i].delivery, true);
    }
    for (std::size_t i = 0; i < flow.queue.size(); ++i)
        take(flow.queue[i], false);
    stats_.queued -= flow.queue.size();
    release_flow(session);
    dropped(session.identity.key(), "no_session", lost);
    hand_over(session.identity.key(), inherited, shares, now);
}

void Broker::Core::forget(SessionId id, Mono now) {
    Session* session = sessions_.find(id);
    if (session == nullptr)
        return;
    if (session->will() && session->will()->is_due_set) {
        publish_will(id, now); // a session that ends does not wait for the delay (MQTT 5 section 3.1.3.2.2)
        session = sessions_.find(id);
        if (session == nullptr || session->conn != 0)
            return;
    }
    drop_contents(*session, id, now);
    if (session->kept() != 0)
        journal_->session_gone(session->kept());
    by_key_.erase(session->identity.key());
    sessions_.release(id);
}

void Broker::Core::kick(std::string_view key, ReasonCode reason, bool forget_session, Mono now) {
    const Turn turn(*this, now);
    SessionId id = 0;
    const Session* session = session_by_key(key, id);
    if (session == nullptr)
        return;
    if (session->conn != 0)
        end(session->conn, Ended::kicked, reason, now);
    session = sessions_.find(id);
    if (forget_session && session != nullptr && session->conn == 0)
        forget(id, now);
}

bool Broker::Core::online(std::string_view key) {
    SessionId id = 0;
    const Session* session = session_by_key(key, id);
    return session != nullptr && session->conn != 0;
}

int Broker::Core::subscribed_qos(std::string_view key, std::string_view topic) {
    SessionId id = 0;
    const Session* session = session_by_key(key, id);
    int qos = -1;
    if (session == nullptr || !session->subscriptions)
        return qos;
    for (const Subscription& subscription : *session->subscriptions) {
        if (subscription.filter.matches(topic))
            qos = std::max(qos, int{subscription.options.qos});
    }
    return qos;
}

BrokerStats Broker::Core::stats() const {
    BrokerStats stats = stats_;
    stats.opening = conns_.used() - stats_.connections;
    stats.sessions = sessions_.used();
    stats.subscriptions = tree_.size();
    stats.retained = retained_.size();
    return stats;
}

} // namespace brim::mqtt
