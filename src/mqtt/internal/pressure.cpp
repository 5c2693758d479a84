// What the broker gives up when memory is short, class by class: new clients and replays first, then what
// would have to be held for somebody. What was acknowledged is never among it.

#include "mqtt/internal/core.h"

#include <algorithm>

namespace brim::mqtt {

void Broker::Core::set_pressure(Pressure pressure) {
    BRIM_ASSERT(depth_ == 0, "pressure is told between the broker's calls");
    const bool is_new = pressure != pressure_;
    pressure_ = pressure;
    if (pressure != Pressure::critical)
        return;
    release_spares();
    if (is_new)
        release_idle_parts();
}

/// What is kept only to be quick next time.
void Broker::Core::release_spares() {
    inbound_.reset();
    spare_cache_ = EncodeCache();
    scratch_ = Bytes();
    matches_.release();
    pool_.clear();
}

/// As PINGREQ does for its own connection, for all.
void Broker::Core::release_idle_parts() {
    for (std::uint32_t i = 0; i < conns_.extent(); ++i) {
        if (Conn* conn = conns_.at_index(i); conn != nullptr)
            conn->release_idle();
    }
    for (std::uint32_t i = 0; i < sessions_.extent(); ++i) {
        if (Session* session = sessions_.at_index(i); session != nullptr)
            release_idle(*session);
    }
}

/// Who has a session costs little more and has messages to fetch; who has none waits outside.
bool Broker::Core::refuse_new(ConnId id, const Admission& admission, Mono now) {
    if (pressure_ == Pressure::none)
        return false;
    SessionId session_id = 0;
    const Session* known = session_by_key(admission.session_key, session_id);
    if (known != nullptr && (known->conn != 0 || known->expires() > now))
        return false;
    ++stats_.shed_connects;
    refuse(id, ReasonCode::server_busy, "the server is short of memory", now);
    return true;
}

/// True when a QoS 0 message would only lengthen what a client does not take.
bool Broker::Core::is_shed_qos0(const Session& session) {
    if (pressure_ == Pressure::none || host_.queued(session.conn) <= limits_.pressed_output_bytes_max)
        return false;
    ++stats_.shed_qos0;
    dropped(session.identity.key(), "pressure", 1);
    return true;
}

/// A QoS 1 or 2 message for it would be held rather than sent.
bool Broker::Core::must_hold(const Session& session) {
    const Conn* conn = session.conn != 0 ? conns_.find(session.conn) : nullptr;
    if (conn == nullptr || conn->is_congested || conn->is_stalled)
        return true;
    return session.flow && session.flow->queue.size() > limits_.pressed_queue_count_max;
}

/// A client's message that would have to be held while nothing more can be. As with a full journal nobody
/// gets it: its publisher is told, and sending it again does not deliver it twice to the others.
bool Broker::Core::is_shed(const Message& message, MatchCache::Slot& slot) {
    if (pressure_ != Pressure::critical || message.qos == 0)
        return false;
    const SubscriptionTree::Matches& matches = matches_.find(message.topic, slot);
    const auto must_hold_for = [&](const SubscriptionTree::Entry& entry) {
        const Session& session = *sessions_.at_index(entry.subscriber);
        const bool is_own = entry.options.no_local && session.identity.key() == message.origin;
        return entry.options.qos != 0 && !is_own && must_hold(session);
    };
    const bool is_new_retained =
        message.retain && !message.payload.empty() && !retained_.contains(message.topic);
    const bool is_held = is_new_retained || std::ranges::any_of(matches.plain, must_hold_for) ||
                         std::ranges::any_of(matches.groups, [&](const SubscriptionTree::Group* group) {
                             return std::ranges::all_of(group->members, must_hold_for);
                         });
    if (!is_held)
        return false;
    refused_ = ReasonCode::quota_exceeded;
    ++stats_.shed_publishes;
    dropped(message.origin, "pressure", 1);
    return true;
}

} // namespace brim::mqtt
