// What happens without a packet: connect deadline, keep-alive, session expiry, delayed wills, retained
// replay.

#include "mqtt/internal/core.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

/// No entry of the heap is further away: a client that comes and goes leaves entries behind, and they must
/// not pile up for the days its session may live.
constexpr Duration look_again_max = std::chrono::seconds{60};
constexpr Duration tick_max = std::chrono::seconds{1};
constexpr std::size_t sweep_per_tick = 64;
/// Who is above its rate is left alone at least this long: a turn for each message would cost more than the
/// message.
constexpr Duration throttle_min = std::chrono::milliseconds{100};

} // namespace

void Broker::Core::arm(SessionId id, Session& session, Mono now) {
    // Only the earlier of what the session waits for; the rest is looked at when that is over.
    Mono due = session.expires();
    if (session.will() && session.will()->is_due_set)
        due = std::min(due, session.will()->due);
    due = std::min(due, now + look_again_max);
    Lasting& lasting = session.make_lasting();
    if (due >= lasting.timer_due)
        return;
    lasting.timer_due = due;
    session_timers_.push(due, id);
}

void Broker::Core::run_session_timer(SessionId id, Mono due, Mono now) {
    Session* session = sessions_.find(id);
    if (session == nullptr || !session->lasting || session->lasting->timer_due != due)
        return; // an entry that an earlier one took the place of
    session->lasting->timer_due = Mono::max();
    if (session->conn != 0)
        return;
    if (session->will() && session->will()->is_due_set && session->will()->due <= now) {
        publish_will(id, now);
        session = sessions_.find(id);
        if (session == nullptr || session->conn != 0)
            return;
    }
    if (session->expires() <= now) {
        forget(id, now);
    } else {
        arm(id, *session, now);
    }
}

void Broker::Core::run_conn_timer(ConnId id, Mono now) {
    const Conn* conn = conns_.find(id);
    if (conn == nullptr)
        return;
    if (conn->stage == Stage::fresh || conn->stage == Stage::proving) {
        end(id, Ended::network, std::nullopt, now);
        return;
    }
    if (conn->stage == Stage::waiting) {
        conn_timers_.push(now + tick_max, id); // the host is slow, not the client
        return;
    }
    if (conn->keepalive_s == 0)
        return;
    const Mono due = keepalive_due(*conn);
    if (due <= now && !conn->is_paused) {
        end(id, Ended::keepalive, ReasonCode::keep_alive_timeout, now);
        return;
    }
    // While we do not read from it, its silence is ours.
    conn_timers_.push(due <= now ? now + tick_max : std::min(due, now + look_again_max), id);
}

void Broker::Core::set_rate(Conn& conn, const Admission& admission) {
    if (admission.publish_rate_max == 0 && admission.publish_bytes_rate_max == 0)
        return;
    conn.rate = std::make_unique<PublishRate>();
    conn.rate->messages_max = admission.publish_rate_max;
    conn.rate->bytes_max = admission.publish_bytes_rate_max;
}

void Broker::Core::charge(ConnId id, Conn& conn, std::size_t size, Mono now) {
    conn.rate->take(now, size);
    if (conn.rate->next() <= now)
        return;
    conn.is_throttled = true;
    ++stats_.throttled;
    // A debt may be long and its client come back many times: entries must not pile up.
    throttle_timers_.push(std::clamp(conn.rate->next(), now + throttle_min, now + look_again_max), id);
    if (!conn.is_paused) {
        conn.is_paused = true;
        host_.pause(id, true);
    }
}

void Broker::Core::run_throttle_timer(ConnId id, Mono now) {
    Conn* conn = conns_.find(id);
    if (conn == nullptr || !conn->is_throttled)
        return;
    if (conn->rate->next() > now) {
        throttle_timers_.push(std::min(conn->rate->next(), now + look_again_max), id);
        return;
    }
    conn->is_throttled = false;
    conn->last_packet = now; // its silence was ours: keep-alive begins anew
    resumes_.push_back(id);
}

Mono Broker::Core::tick(Mono now) {
    const Turn turn(*this, now);
    for (const std::string& key : std::exchange(expired_, {}))
        dropped(key, "expired", 1);
    while (!throttle_timers_.empty() && throttle_timers_.next() <= now)
        run_throttle_timer(throttle_timers_.pop().id, now);
    while (!conn_timers_.empty() && conn_timers_.next() <= now)
        run_conn_timer(conn_timers_.pop().id, now);
    while (!session_timers_.empty() && session_timers_.next() <= now) {
        const TimerHeap::Entry entry = session_timers_.pop();
        run_session_timer(entry.id, entry.due, now);
    }
    run_auth_timers(now);
    const std::optional<Mono> replay_due = run_replays(now);
    if (now - spares_looked_at_ >= tick_max) {
        spares_looked_at_ = now;
        pool_.trim();
        if (depth_ == 1) // else a message on its way may hold a place
            matches_.adapt();
    }
    retained_.sweep(sweep_per_tick, now);
    Mono next = now + tick_max;
    if (!conn_timers_.empty())
        next = std::min(next, conn_timers_.next());
    if (!session_timers_.empty())
        next = std::min(next, session_timers_.next());
    if (!throttle_timers_.empty())
        next = std::min(next, throttle_timers_.next());
    if (!auth_timers_.empty())
        next = std::min(next, auth_timers_.next());
    if (replay_due)
        next = std::min(next, *replay_due);
    return next;
}

} // namespace brim::mqtt
