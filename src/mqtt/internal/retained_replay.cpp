// Retained messages: keeping them, and sending them to a new subscription piece by piece, so that a '#' over
// a million topics neither fills a queue nor holds up the loop.

#include "mqtt/internal/core.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

constexpr std::size_t topics_per_step = 1'024; ///< looked at for one session before others have their turn

} // namespace

/// False when it could not be kept: then what was there is gone too.
bool Broker::Core::retain(const MessagePtr& message, bool is_written) {
    const bool has_room = !is_written || !is_failure(journal_->refusal(Promise::grow));
    if (retained_.put(message, is_written ? journal_->last() + 1 : 0, has_room))
        return true;
    dropped(message->origin, "retained_full", 1);
    return false;
}

void Broker::Core::add_replay(SessionId id, Session& session, Replay replay) {
    std::vector<Replay>& replays = flow_of(session).replays;
    std::erase_if(replays, [&](const Replay& old) { return old.filter.text() == replay.filter.text(); });
    replays.push_back(std::move(replay));
    if (session.is_replaying)
        return;
    session.is_replaying = true;
    replaying_.push_back(id);
}

/// False when nothing is left to do or nobody is there to do it for.
bool Broker::Core::replay_some(SessionId id, Session& session, Mono now) {
    if (session.conn == 0 || !session.flow)
        return false;
    if (pressure_ != Pressure::none)
        return true; // later: what is retained does not go away
    const Conn& conn = *conns_.find(session.conn);
    Flow& flow = *session.flow;
    std::size_t budget = topics_per_step;
    while (!flow.replays.empty() && budget > 0) {
        if (conn.is_congested || flow.queue.size() >= (limits_.queue_count_max + 1) / 2)
            return true;
        Replay& replay = flow.replays.front();
        if (session.kept() != 0 && replay.qos != 0 && is_failure(journal_->refusal(Promise::grow)))
            return true;
        const MessagePtr message = retained_.next(replay.filter, replay.after, budget, now);
        if (!message) {
            if (budget > 0) {
                write_replay(session, replay, true);
                flow.replays.erase(flow.replays.begin());
            }
            continue;
        }
        Delivery delivery;
        delivery.message = message;
        delivery.qos = std::min(replay.qos, message->qos);
        delivery.retain = true;
        if (replay.subscription_id != 0) {
            delivery.ids = std::make_unique<std::vector<std::uint32_t>>(1, replay.subscription_id);
        }
        offer(id, session, std::move(delivery), now, nullptr);
        if (!kept_.empty()) {
            write_message(message, false);
            write_replay(session, replay, false);
        }
    }
    return !flow.replays.empty();
}

void Broker::Core::run_replays(Mono now) {
    std::erase_if(replaying_, [&](SessionId id) {
        Session* session = sessions_.find(id);
        if (session == nullptr)
            return true;
        session->is_replaying = replay_some(id, *session, now);
        return !session->is_replaying;
    });
}

} // namespace brim::mqtt
