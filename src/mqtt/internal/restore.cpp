// The way back: what a journal kept becomes sessions again, and sessions become an image that stands in for
// all that was written before.

#include "mqtt/internal/core.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

Delivery delivery_of(RestoredPlace& place) {
    Delivery delivery{
        place.flags(), std::move(place.message), nullptr, place.number, Delivery::not_inherited
    };
    if (!place.subscription_ids.empty())
        delivery.ids = std::make_unique<std::vector<std::uint32_t>>(std::move(place.subscription_ids));
    return delivery;
}

} // namespace

bool Broker::Core::restore(RestoredState state, Mono now) {
    BRIM_ASSERT(journal_ != nullptr && sessions_.used() == 0, "a broker is restored once, before it begins");
    stable_ = journal_->last();
    bool is_exact = true;
    for (const RestoredRetained& kept : state.retained) {
        if (!retained_.put(kept.message, kept.number)) {
            journal_->release(kept.number);
            journal_->retained_gone(kept.message->topic);
        }
    }
    for (RestoredSession& kept : state.sessions) {
        out_sequence_seed_ = std::max(out_sequence_seed_, kept.next_sequence);
        is_exact = restore_session(kept, now) && is_exact;
    }
    return is_exact;
}

bool Broker::Core::restore_session(RestoredSession& kept, Mono now) {
    if (by_key_.find(kept.key) != by_key_.none) {
        for (const RestoredPlace& place : kept.places)
            journal_->release(place.number);
        journal_->session_gone(kept.id);
        return false;
    }
    const SessionId id = sessions_.take();
    Session& session = *sessions_.find(id);
    session.identity.set(kept.key, kept.client_id, kept.principal);
    by_key_.insert(Slab<Session>::index_of(id));
    const KeptFacts& facts = kept.facts;
    session.make_lasting().kept = kept.id;
    session.version = facts.version;
    session.qos_max = facts.qos_max;
    session.retain_available = facts.retain_available;
    session.wildcard_available = facts.wildcard_available;
    session.subscription_ids_available = facts.subscription_ids_available;
    session.expiry_s = facts.expiry_s;
    if (!kept.subscriptions.empty()) {
        session.subscriptions = std::make_unique<std::vector<Subscription>>();
        session.subscriptions->reserve(kept.subscriptions.size());
    }
    for (RestoredSubscription& subscription : kept.subscriptions) {
        SubscriptionOptions granted = subscription.options;
        granted.qos = std::min(granted.qos, session.qos_max);
        tree_.add(subscription.filter, Slab<Session>::index_of(id), granted);
        session.subscriptions->push_back({std::move(subscription.filter), subscription.options});
    }
    const bool is_exact = restore_flow(session, kept, now);
    // A connection that was up ends with the restart.
    session.lasting->expires = facts.is_online ? now + std::chrono::seconds{facts.expiry_s} : facts.expires;
    if (kept.will) {
        const std::uint32_t delay_s = std::min(facts.will_delay_s, facts.expiry_s);
        const Mono due = facts.is_online ? now + std::chrono::seconds{delay_s} : facts.will_due;
        session.lasting->will =
            std::make_unique<Will>(Will{std::move(kept.will), facts.will_delay_s, true, due});
    }
    if (facts.is_online)
        write_session(session);
    arm(id, session, now);
    return is_exact;
}

bool Broker::Core::restore_flow(Session& session, RestoredSession& kept, Mono now) {
    if (kept.places.empty() && kept.inbound.empty() && kept.replays.empty())
        return true;
    Flow& flow = flow_of(session);
    for (const std::uint16_t packet_id : kept.inbound)
        flow.qos2.push_back(packet_id, false, 0);
    for (RestoredReplay& replay : kept.replays) {
        flow.replays.push_back(
            {std::move(replay.filter), replay.subscription_id, replay.qos, std::move(replay.after)}
        );
    }
    // What may have been sent has its place in the window, under the identifier it had.
    const std::uint64_t span = window_span_max();
    const std::uint64_t first = kept.places.empty() ? kept.next_sequence : kept.places.front().sequence;
    std::uint64_t end = std::max(first, std::min(kept.sent_below, first + span));
    for (const RestoredPlace& place : kept.places)
        end = place.number == 0 ? std::max(end, place.sequence + 1) : end;
    flow.out_sequence = first;
    bool is_exact = true;
    for (RestoredPlace& place : kept.places) {
        if (place.sequence < end) {
            for (; flow.out_sequence < place.sequence; ++flow.out_sequence)
                flow.outbound.push_back(Outbound{});
            restore_place(session, place, now);
            continue;
        }
        is_exact = is_exact && place.sequence == end + flow.queue.size();
        Delivery delivery = delivery_of(place);
        flow.queue_bytes += delivery.message->payload.size() + delivery.message->topic.size();
        flow.queue.push_back(std::move(delivery));
        ++stats_.queued;
    }
    for (; flow.out_sequence < end; ++flow.out_sequence) {
        if (!flow.outbound.empty())
            flow.outbound.push_back(Outbound{});
    }
    return is_exact && (flow.queue.empty() || kept.next_sequence == end + flow.queue.size());
}

void Broker::Core::restore_place(Session& session, RestoredPlace& place, Mono now) {
    Flow& flow = *session.flow;
    Outbound kept;
    const bool is_over = place.message && is_expired(*place.message, now);
    if (is_over)
        expired_.emplace_back(session.identity.key());
    if (is_over && place.qos == 2)
        // The client may hold its identifier: PUBREL lets it go without delivering what is too old.
        journal_->received(session.kept(), place.sequence, place.number);
    else if (is_over)
        write_done(session, place.sequence, place.number);
    if (place.number == 0 || (is_over && place.qos == 2)) {
        kept.state = Outbound::State::wait_pubcomp;
    } else if (!is_over) {
        kept.state = place.qos == 2 ? Outbound::State::wait_pubrec : Outbound::State::wait_puback;
        kept.delivery = delivery_of(place);
    }
    flow.outbound.push_back(std::move(kept));
    ++flow.out_sequence;
}

bool Broker::Core::write_image(ImagePlace& at, std::size_t items) {
    while (!at.are_sessions_done) {
        if (items == 0)
            return false;
        if (at.session >= sessions_.extent()) {
            at.are_sessions_done = true;
            break;
        }
        const Session* session = sessions_.at_index(at.session++);
        const std::size_t count = session == nullptr || session->kept() == 0 ? 1 : write_image_of(*session);
        items -= std::min(items, count);
    }
    while (const Retained::Kept* kept = retained_.following(at.topic)) {
        if (items == 0)
            return false;
        --items;
        at.topic = kept->message->topic;
        if (kept->number != 0) // else it is in memory only
            journal_->image_retained(*kept->message, kept->number);
    }
    return true;
}

/// Returns how many things it was.
std::size_t Broker::Core::write_image_of(const Session& session) {
    const KeptId id = session.kept();
    Flow* flow = session.flow.get();
    const std::uint64_t next_sequence =
        flow == nullptr ? out_sequence_seed_ : flow->out_sequence + flow->queue.size();
    std::size_t count = 1;
    journal_->image_begin(id, facts_of(session), next_sequence);
    if (session.subscriptions) {
        for (const Subscription& subscription : *session.subscriptions)
            journal_->subscribed(id, subscription.filter.text(), subscription.options, true, false);
        count += session.subscriptions->size();
    }
    if (flow != nullptr) {
        for (const Replay& replay : flow->replays)
            write_replay(session, replay, false);
        for (std::size_t i = 0; i < flow->qos2.size(); ++i) {
            if (flow->qos2[i].pending == 0)
                journal_->inbound(id, flow->qos2[i].packet_id);
        }
        count += write_places(session);
    }
    journal_->image_end(id);
    return count;
}

std::size_t Broker::Core::write_places(const Session& session) {
    Flow& flow = *session.flow;
    std::size_t count = 0;
    const auto write = [&](std::uint64_t sequence, const Delivery& delivery) {
        ++count;
        DeliveryFlags flags = delivery.flags();
        if (!delivery.message)
            flags.qos = 2;
        journal_->image_place(
            session.kept(), {flags, sequence, delivery.number, delivery.message.get(), delivery.ids.get()}
        );
    };
    const std::uint64_t first = flow.out_sequence - flow.outbound.size();
    for (std::size_t i = 0; i < flow.outbound.size(); ++i) {
        if (flow.outbound[i].state != Outbound::State::done)
            write(first + i, flow.outbound[i].delivery);
    }
    for (std::size_t i = 0; i < flow.queue.size(); ++i)
        write(flow.out_sequence + i, flow.queue[i]);
    return count;
}

} // namespace brim::mqtt
