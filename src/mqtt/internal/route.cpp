// From one message to the sessions it is for.

#include "mqtt/internal/core.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

/// The broker's own figures: made anew after a start, not worth a write each few seconds.
bool is_volatile(std::string_view topic) {
    return topic.starts_with("$SYS/");
}

/// Buffers of longer messages are not kept for the next one.
constexpr std::size_t spare_payload_bytes_max = 16'384;

} // namespace

std::size_t Broker::Core::publish(const MessagePtr& message, Mono now) {
    const Turn turn(*this, now);
    if (!is_sound(*message, codec_limits_)) {
        dropped(
            message->origin, "invalid", 1
        ); // one rule for all sources: what MQTT forbids makes receivers hang up
        return 0;
    }
    return route(message, now);
}

std::size_t
Broker::Core::publish(const MessagePtr& message, Mono now, std::move_only_function<void(bool is_kept)> done) {
    const Turn turn(*this, now);
    refused_ = ReasonCode::success;
    const JournalNumber before = written();
    const std::size_t reached = publish(message, now);
    const JournalNumber number = written_since(before);
    if (is_failure(refused_) || number <= stable_)
        done(!is_failure(refused_));
    else
        awaited_.push_back({number, std::move(done)});
    return reached;
}

bool Broker::Core::deliver(std::string_view key, const MessagePtr& message, Mono now) {
    const Turn turn(*this, now);
    SessionId id = 0;
    Session* session = session_by_key(key, id);
    if (session == nullptr)
        return false;
    if (!is_sound(*message, codec_limits_)) {
        dropped(key, "invalid", 1);
        return false;
    }
    if (session->conn == 0 && session->expires() <= now)
        return false;
    if (session->kept() != 0 && message->qos != 0 && is_failure(journal_->refusal(Promise::grow))) {
        dropped(key, "not_stored", 1);
        return false;
    }
    Delivery delivery;
    delivery.message = message;
    delivery.qos = std::min(message->qos, session->qos_max);
    delivery.is_direct = true;
    const bool is_taken = offer(id, *session, std::move(delivery), now, nullptr) != Offered::dropped;
    if (!kept_.empty())
        write_message(message, false);
    return is_taken;
}

std::size_t Broker::Core::route(const MessagePtr& message, Mono now) {
    return route(message, matches_.slot(message->topic), now);
}

std::size_t Broker::Core::route(const MessagePtr& message, MatchCache::Slot& slot, Mono now) {
    const SubscriptionTree::Matches& matches = matches_.find(message->topic, slot);
    if (journal_ != nullptr && is_refused(*message, matches))
        return 0;
    const bool is_written = journal_ != nullptr && message->retain && !is_volatile(message->topic);
    const bool is_retained = message->retain && retain(message, is_written);
    // Borrowed, not a member used in place: a host may publish from inside of what is called below.
    EncodeCache cache = std::move(spare_cache_);
    cache.used = 0;
    std::size_t reached = 0;
    const std::vector<SubscriptionTree::Entry>& plain = matches.plain;
    for (std::size_t first = 0; first < plain.size();) {
        std::size_t last = first + 1;
        while (last < plain.size() && plain[last].subscriber == plain[first].subscriber)
            ++last;
        const std::span<const SubscriptionTree::Entry> entries(plain.data() + first, last - first);
        reached += offer_matches(entries, message, now, cache) ? 1 : 0;
        first = last;
    }
    for (SubscriptionTree::Group* group : matches.groups) {
        reached += offer_group(*group, message, Delivery::not_inherited, now, cache) ? 1 : 0;
    }
    // It is there for all who come: refused, it would come again and take the place of a later one.
    if (is_retained)
        was_full_ = false;
    if (message->payload.size() <= spare_payload_bytes_max)
        spare_cache_ = std::move(cache);
    if ((is_retained && is_written) || !kept_.empty())
        write_message(message, is_retained && is_written);
    if (is_written && !is_retained)
        journal_->retained_gone(message->topic);
    return reached;
}

/// `entries` are the matching subscriptions of one session: it gets the message once, at the highest QoS
/// among them and with all their identifiers (MQTT 5 section 3.3.4).
bool Broker::Core::offer_matches(
    std::span<const SubscriptionTree::Entry> entries, const MessagePtr& message, Mono now, EncodeCache& cache
) {
    Session* session = sessions_.at_index(entries.front().subscriber);
    BRIM_ASSERT(session != nullptr, "a subscription's session is there");
    Delivery delivery;
    bool is_wanted = false;
    for (const SubscriptionTree::Entry& entry : entries) {
        if (entry.options.no_local && session->identity.key() == message->origin)
            continue;
        is_wanted = true;
        delivery.qos = std::max(delivery.qos, entry.options.qos);
        delivery.retain = delivery.retain || (entry.options.retain_as_published && message->retain);
        if (entry.options.id == 0)
            continue;
        if (!delivery.ids)
            delivery.ids = std::make_unique<std::vector<std::uint32_t>>();
        delivery.ids->push_back(entry.options.id);
    }
    if (!is_wanted)
        return false;
    delivery.qos = std::min(delivery.qos, message->qos);
    // QoS 0 is sent or dropped before this returns, so it borrows: counting owners costs two locked
    // operations. (And two more where both cases are one expression.)
    if (delivery.qos == 0)
        delivery.message = MessagePtr(MessagePtr(), message.get());
    else
        delivery.message = message;
    const SessionId id = sessions_.name_at(entries.front().subscriber);
    return offer(id, *session, std::move(delivery), now, &cache) != Offered::dropped;
}

/// Round robin among members that are online; when none is, QoS > 0 waits with the next one whose session
/// stays.
bool Broker::Core::offer_group(
    SubscriptionTree::Group& group,
    const MessagePtr& message,
    JournalNumber promised,
    Mono now,
    EncodeCache& cache
) {
    const std::size_t count = group.members.size();
    for (const bool wants_online : {true, false}) {
        if (!wants_online && message->qos == 0)
            break;
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t turn = (group.next + i) % count;
            const SubscriptionTree::Entry& entry = group.members[turn];
            Session* session = sessions_.at_index(entry.subscriber);
            BRIM_ASSERT(session != nullptr, "a subscription's session is there");
            if ((session->conn != 0) != wants_online)
                continue;
            Delivery delivery;
            delivery.message = message;
            delivery.qos = std::min(entry.options.qos, message->qos);
            delivery.retain = entry.options.retain_as_published && message->retain;
            delivery.is_shared = true;
            delivery.promised = promised;
            if (entry.options.id != 0) {
                delivery.ids = std::make_unique<std::vector<std::uint32_t>>(1, entry.options.id);
            }
            const SessionId id = sessions_.name_at(entry.subscriber);
            if (offer(id, *session, std::move(delivery), now, &cache) == Offered::dropped)
                continue;
            group.next = (turn + 1) % count;
            return true;
        }
    }
    return false;
}

/// Of what a member whose session ended had not taken: it goes to another one (MQTT 5 section 4.8.2).
void Broker::Core::hand_over(
    std::string_view key,
    const std::vector<Inherited>& messages,
    const std::vector<TopicFilter>& shares,
    Mono now
) {
    const Message* before = nullptr;
    std::size_t turn = 0;
    for (const auto& [message, promised] : messages) {
        // One message is there once for each subscription it came by, one behind the other.
        turn = message.get() == before ? turn + 1 : 0;
        before = message.get();
        if (is_expired(*message, now)) {
            dropped(key, "expired", 1);
            continue;
        }
        SubscriptionTree::Group* const group = heirs(shares, message->topic, turn);
        EncodeCache cache;
        if (group == nullptr || !offer_group(*group, message, promised, now, cache))
            dropped(key, "no_session", 1);
        if (!kept_.empty())
            write_message(message, false);
    }
}

/// Who is left of the shared subscription that is number `turn` of those that match; null for nobody.
SubscriptionTree::Group*
Broker::Core::heirs(const std::vector<TopicFilter>& shares, std::string_view topic, std::size_t turn) {
    for (const TopicFilter& share : shares) {
        if (share.matches(topic) && turn-- == 0)
            return tree_.find_group(share);
    }
    return nullptr;
}

} // namespace brim::mqtt
