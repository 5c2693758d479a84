// SUBSCRIBE and UNSUBSCRIBE.

#include "mqtt/internal/core.h"
#include "mqtt/internal/wire.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

auto place_of(std::vector<Subscription>& subscriptions, std::string_view text) {
    return std::lower_bound(
        subscriptions.begin(),
        subscriptions.end(),
        text,
        [](const Subscription& subscription, std::string_view wanted) {
            return subscription.filter.text() < wanted;
        }
    );
}

bool is_at(
    std::vector<Subscription>& subscriptions, std::vector<Subscription>::iterator place, std::string_view text
) {
    return place != subscriptions.end() && place->filter.text() == text;
}

} // namespace

ReasonCode Broker::Core::subscribe_one(
    SessionId id,
    Session& session,
    const SubscribeFilter& wanted,
    Result<TopicFilter>& filter,
    std::uint32_t subscription_id
) {
    if (!filter)
        return ReasonCode::topic_filter_invalid; // too long or too deep: of correct form, but not for us
    if (filter->wildcard() && !session.wildcard_available)
        return ReasonCode::wildcard_subscriptions_not_supported;
    // The permission is about the filter itself; $share/group/ before it changes nothing.
    if (!host_.authorise(view(session), Action::subscribe, filter->filter()))
        return ReasonCode::not_authorized;
    if (!session.subscriptions)
        session.subscriptions = std::make_unique<std::vector<Subscription>>();
    std::vector<Subscription>& subscriptions = *session.subscriptions;
    const auto place = place_of(subscriptions, filter->text());
    const bool is_known = is_at(subscriptions, place, filter->text());
    if (!is_known && subscriptions.size() >= limits_.subscriptions_max)
        return ReasonCode::quota_exceeded;

    if (journal_ != nullptr && session.kept() != 0) {
        const ReasonCode refusal = journal_->refusal(is_known ? Promise::resume : Promise::grow);
        if (is_failure(refusal))
            return refusal;
    }
    const std::uint8_t qos = std::min(wanted.qos, session.qos_max);
    SubscriptionOptions options{subscription_id, qos, wanted.no_local, wanted.retain_as_published};
    tree_.add(*filter, Slab<Session>::index_of(id), options);
    options.qos = wanted.qos;
    const bool is_wanted = wanted.retain_handling == RetainHandling::send ||
                           (wanted.retain_handling == RetainHandling::send_if_new && !is_known);
    const bool has_replay = is_wanted && !filter->shared() && retained_.size() != 0;
    if (has_replay)
        add_replay(id, session, Replay{*filter, subscription_id, qos, {}});
    if (session.kept() != 0)
        journal_->subscribed(session.kept(), filter->text(), options, !is_known, has_replay);
    if (is_known) {
        place->options = options;
    } else {
        subscriptions.insert(place, Subscription{std::move(*filter), options});
    }
    return static_cast<ReasonCode>(qos);
}

/// SUBACK and UNSUBACK of MQTT 5: identifier, no properties, a code for each filter.
bool Broker::Core::has_room_for_answer(const Conn& conn, std::size_t filters) {
    const std::size_t body_bytes = 2 + 1 + filters;
    return conn.packet_bytes_max == 0 ||
           1 + wire::varint_bytes(body_bytes) + body_bytes <= conn.packet_bytes_max;
}

void Broker::Core::handle_subscribe(ConnId id, const Frame& frame, Mono now) {
    const Conn& conn = *conns_.find(id);
    const Decoded<Subscribe> packet = decode_subscribe(frame, conn.version, codec_limits_);
    if (!packet) {
        protocol_end(id, packet.error().reason, now);
        return;
    }
    if (packet->subscription_id != 0 && !sessions_.find(conn.session)->subscription_ids_available) {
        protocol_end(id, ReasonCode::subscription_identifiers_not_supported, now); // section 3.2.2.3.12
        return;
    }
    // The whole packet is judged before any of it is kept.
    if (!has_room_for_answer(conn, packet->filters.size())) {
        protocol_end(id, ReasonCode::packet_too_large, now); // [MQTT-3.1.2-24]
        return;
    }
    std::vector<Result<TopicFilter>> filters;
    filters.reserve(packet->filters.size());
    for (const SubscribeFilter& wanted : packet->filters) {
        filters.push_back(
            TopicFilter::parse(wanted.filter, {limits_.topic_bytes_max, limits_.topic_levels_max})
        );
        const Result<TopicFilter>& filter = filters.back();
        if (!filter && filter.error().code == Errc::malformed) {
            protocol_end(id, ReasonCode::topic_filter_invalid, now);
            return;
        }
        if (filter && filter->shared() && wanted.no_local) {
            protocol_end(id, ReasonCode::protocol_error, now); // [MQTT-3.8.3-4]
            return;
        }
    }
    const SessionId session_id = conn.session;
    Session& session = *sessions_.find(session_id);
    Suback suback;
    suback.packet_id = packet->packet_id;
    for (std::size_t i = 0; i < filters.size(); ++i) {
        suback.reasons.push_back(
            subscribe_one(session_id, session, packet->filters[i], filters[i], packet->subscription_id)
        );
    }
    scratch_.clear();
    encode_suback(scratch_, suback, conn.version);
    send_when_stable(id, written_of(session), scratch_);
    if (session.is_replaying)
        begin_replay(session_id, session, now);
}

void Broker::Core::handle_unsubscribe(ConnId id, const Frame& frame, Mono now) {
    const Conn& conn = *conns_.find(id);
    const Decoded<Unsubscribe> packet = decode_unsubscribe(frame, conn.version, codec_limits_);
    if (!packet) {
        protocol_end(id, packet.error().reason, now);
        return;
    }
    if (!has_room_for_answer(conn, packet->filters.size())) {
        protocol_end(id, ReasonCode::packet_too_large, now);
        return;
    }
    Session& session = *sessions_.find(conn.session);
    Unsuback unsuback;
    unsuback.packet_id = packet->packet_id;
    for (const std::string_view text : packet->filters) {
        const auto filter = TopicFilter::parse(text, {65'535, 65'535});
        if (!filter) {
            protocol_end(id, ReasonCode::topic_filter_invalid, now);
            return;
        }
        if (!session.subscriptions) {
            unsuback.reasons.push_back(ReasonCode::no_subscription_existed);
            continue;
        }
        std::vector<Subscription>& subscriptions = *session.subscriptions;
        const auto place = place_of(subscriptions, text);
        if (!is_at(subscriptions, place, text)) {
            unsuback.reasons.push_back(ReasonCode::no_subscription_existed);
            continue;
        }
        tree_.remove(*filter, Slab<Session>::index_of(conn.session));
        subscriptions.erase(place);
        if (session.kept() != 0)
            journal_->unsubscribed(session.kept(), text);
        unsuback.reasons.push_back(ReasonCode::success);
        if (session.flow) {
            std::erase_if(session.flow->replays, [&](const Replay& replay) {
                return replay.filter.text() == text;
            });
        }
    }
    scratch_.clear();
    encode_unsuback(scratch_, unsuback, conn.version);
    send_when_stable(id, written_of(session), scratch_);
}

} // namespace brim::mqtt
