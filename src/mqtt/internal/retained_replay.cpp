// Retained messages: keeping them, and sending them to a new subscription piece by piece, so that a '#' over
// a million topics neither fills a queue nor holds up the loop, however many ask for it.

#include "mqtt/internal/core.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

constexpr std::size_t slice_min = 32;         ///< of them for one session: finding the place is work too
constexpr std::size_t looks_per_step = 1'024; ///< at sessions, of which some may be unable to take anything
constexpr Duration replay_step = std::chrono::milliseconds{1};
constexpr Duration replay_wait = std::chrono::milliseconds{10}; ///< nobody could take anything

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

/// A session whose client is there, or reads, again.
void Broker::Core::resume_replay(SessionId id, Session& session, Mono now) {
    if (session.flow->replays.empty() || session.is_replaying)
        return;
    session.is_replaying = true;
    replaying_.push_back(id);
    host_.tick_by(now + replay_step);
}

/// Whether one more retained message may go to it now.
bool Broker::Core::may_replay(const Session& session, const Replay& replay) {
    if (conns_.find(session.conn)->is_congested ||
        session.flow->queue.size() >= (limits_.queue_count_max + 1) / 2)
        return false;
    return session.kept() == 0 || replay.qos == 0 || !is_failure(journal_->refusal(Promise::grow));
}

void Broker::Core::replay_one(
    SessionId id, Session& session, const Replay& replay, const MessagePtr& message, Mono now
) {
    Delivery delivery;
    delivery.message = message;
    delivery.qos = std::min(replay.qos, message->qos);
    delivery.retain = true;
    if (replay.subscription_id != 0)
        delivery.ids = std::make_unique<std::vector<std::uint32_t>>(1, replay.subscription_id);
    offer(id, session, std::move(delivery), now, nullptr);
    if (!kept_.empty()) {
        write_message(message, false);
        write_replay(session, replay, false);
    }
}

/// Looks at `budget` topics at most, of those that all sessions have until the next step. False when nothing
/// is left to do or nobody is there to do it for.
bool Broker::Core::replay_some(SessionId id, Session& session, std::size_t budget, Mono now) {
    if (session.conn == 0 || !session.flow)
        return false;
    if (pressure_ != Pressure::none)
        return true; // later: what is retained does not go away
    Flow& flow = *session.flow;
    budget = std::min(budget, replay_left_);
    replay_left_ -= budget;
    while (!flow.replays.empty() && budget > 0) {
        Replay& replay = flow.replays.front();
        if (!may_replay(session, replay))
            break;
        const bool is_over =
            retained_.visit(replay.filter, replay.after, budget, now, [&](const MessagePtr& message) {
                replay_one(id, session, replay, message, now);
                return may_replay(session, replay);
            });
        if (!is_over)
            break;
        write_replay(session, replay, true);
        flow.replays.erase(flow.replays.begin());
    }
    replay_left_ += budget;
    return !flow.replays.empty();
}

void Broker::Core::open_replay_step(Mono now) {
    if (now < replay_due_)
        return;
    replay_due_ = now + replay_step;
    replay_left_ = replay_topics_per_step;
}

/// What a new subscription finds is sent with its SUBACK, if it is not too much for a turn.
void Broker::Core::begin_replay(SessionId id, Session& session, Mono now) {
    open_replay_step(now);
    if (replay_some(id, session, replay_topics_per_step, now))
        host_.tick_by(replay_due_);
}

/// One step: each session in turn has a slice. Returns when the next one is due, if any.
std::optional<Mono> Broker::Core::run_replays(Mono now) {
    open_replay_step(now);
    const std::size_t left_before = replay_left_;
    const std::size_t sessions = std::max<std::size_t>(replaying_.size(), 1);
    const std::size_t slice = std::max(replay_topics_per_step / sessions, slice_min);
    for (std::size_t looks = std::min(replaying_.size(), looks_per_step); looks > 0 && replay_left_ > 0;
         --looks) {
        const SessionId id = replaying_.front();
        replaying_.pop_front();
        Session* const session = sessions_.find(id);
        if (session == nullptr)
            continue;
        session->is_replaying = replay_some(id, *session, slice, now);
        if (session->is_replaying)
            replaying_.push_back(id); // behind those that had no turn yet
    }
    if (replaying_.empty() || pressure_ != Pressure::none)
        return std::nullopt;
    return replay_left_ == 0 || replay_left_ < left_before ? replay_due_ : now + replay_wait;
}

} // namespace brim::mqtt
