#include "mqtt/internal/session_fold.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

/// Nothing that a broker counts comes near: more is damage, and adding to it must not overflow.
constexpr std::uint64_t count_max = std::uint64_t{1} << 62;
constexpr std::uint64_t packet_ids = 65'535;

} // namespace

SessionFold::Applied SessionFold::apply(ByteView record) {
    ++counts_.records;
    Reader in(record, "session log record");
    const RecordHead head = read_head(in);
    if (in.ok() && head.version > session_record_version)
        return Applied::newer_format;
    if (!in.ok() || head.version == 0 || head.last > count_max) {
        ++counts_.unreadable_records;
        return Applied::damaged;
    }
    wall_ms_ = std::max(wall_ms_, head.wall_ms);
    last_ = std::max(last_, head.last);
    const std::uint64_t unknown_before = counts_.unknown_entries;
    while (in.more()) {
        const auto kind = static_cast<EntryKind>(in.u8());
        const std::uint32_t length = in.u32();
        Reader body(in.view(length), "session log entry");
        if (!in.ok())
            break;
        const bool is_known = apply_entry(kind, body);
        counts_.unknown_entries += is_known ? 0 : 1;
        if (is_known && (!body.ok() || body.more()))
            in.fail(Errc::corrupt, "an entry that cannot be");
    }
    if (!in.ok())
        ++counts_.unreadable_records;
    return in.ok() && counts_.unknown_entries == unknown_before ? Applied::all : Applied::damaged;
}

bool SessionFold::apply_entry(EntryKind kind, Reader& in) {
    switch (kind) {
    case EntryKind::session:
        return on_session(in), true;
    case EntryKind::session_gone:
        return on_gone(in), true;
    case EntryKind::subscribed:
        return on_subscribed(in), true;
    case EntryKind::unsubscribed:
        return on_unsubscribed(in), true;
    case EntryKind::replayed:
        return on_replayed(in), true;
    case EntryKind::message:
        return on_message(in), true;
    case EntryKind::receivers:
        return on_receivers(in), true;
    case EntryKind::body:
        return on_body(in), true;
    case EntryKind::done:
        return on_done(in, false), true;
    case EntryKind::received:
        return on_done(in, true), true;
    case EntryKind::inbound:
        return on_inbound(in, false), true;
    case EntryKind::released:
        return on_inbound(in, true), true;
    case EntryKind::retained_gone:
        return on_retained_gone(in), true;
    case EntryKind::snapshot_begin:
        ++snapshot_;
        is_in_snapshot_ = true;
        image_.reset();
        return true;
    case EntryKind::snapshot_end:
        return on_snapshot_end(), true;
    case EntryKind::image_begin:
        return on_image_begin(in), true;
    case EntryKind::image_place:
        return on_image_place(in), true;
    case EntryKind::image_end:
        return on_image_end(in), true;
    }
    return false;
}

SessionFold::Session* SessionFold::find(KeptId id) {
    // Inside an image entries are about what is being written anew.
    if (image_ && image_->first == id)
        return &image_->second;
    const auto place = sessions_.find(id);
    if (place != sessions_.end())
        return &place->second;
    lost();
    return nullptr;
}

void SessionFold::lost() {
    // Before the first complete snapshot of a log whose beginning is gone, references into that are normal.
    counts_.lost_references += is_based_ ? 1 : 0;
}

void SessionFold::on_session(Reader& in) {
    const KeptId id = in.u32();
    StoredFacts stored = read_facts(in);
    if (id == 0 || stored.facts.sent_below > count_max)
        in.fail(Errc::corrupt, "a session that cannot be");
    if (!in.ok())
        return;
    Session& session = sessions_[id];
    session.stored = std::move(stored);
    session.seen = snapshot_;
    const KeptFacts& facts = session.stored.facts;
    // What waits when a client comes may be sent at any time from then on.
    session.sent_below =
        facts.is_online ? session.next_sequence : std::min(facts.sent_below, session.next_sequence);
}

void SessionFold::drop(Session& session) {
    for (const auto& [sequence, place] : session.places)
        release(place.number);
    session.places.clear();
}

void SessionFold::on_gone(Reader& in) {
    const KeptId id = in.u32();
    const auto place = sessions_.find(id);
    if (place == sessions_.end()) {
        lost();
        return;
    }
    drop(place->second);
    sessions_.erase(place);
}

void SessionFold::on_subscribed(Reader& in) {
    Session* session = find(in.u32());
    const std::string filter(in.prefixed());
    SubscriptionOptions options;
    options.id = in.u32();
    options.qos = in.u8();
    const unsigned flags = in.u8();
    options.no_local = (flags & 1u) != 0;
    options.retain_as_published = (flags & 2u) != 0;
    if (options.qos > 2)
        in.fail(Errc::corrupt, "a QoS above 2");
    if (!in.ok() || session == nullptr)
        return;
    session->subscriptions[filter] = options;
    if ((flags & 4u) != 0)
        session->replays[filter] = {options.id, options.qos, {}};
}

void SessionFold::on_unsubscribed(Reader& in) {
    Session* session = find(in.u32());
    const std::string_view filter = in.prefixed();
    if (!in.ok() || session == nullptr)
        return;
    if (const auto place = session->subscriptions.find(filter); place != session->subscriptions.end())
        session->subscriptions.erase(place);
    if (const auto place = session->replays.find(filter); place != session->replays.end())
        session->replays.erase(place);
}

void SessionFold::on_replayed(Reader& in) {
    Session* session = find(in.u32());
    const std::string filter(in.prefixed());
    const bool is_done = in.u8() != 0;
    Replay replay;
    replay.subscription_id = in.u32();
    replay.qos = in.u8();
    replay.after = in.prefixed();
    if (replay.qos > 2)
        in.fail(Errc::corrupt, "a QoS above 2");
    if (!in.ok() || session == nullptr)
        return;
    if (is_done)
        session->replays.erase(filter);
    else
        session->replays[filter] = std::move(replay);
}

bool SessionFold::take_number(JournalNumber number, Reader& in) {
    if (number == 0 || number > count_max)
        in.fail(Errc::corrupt, "a message without a number");
    if (!in.ok())
        return false;
    last_ = std::max(last_, number);
    return true;
}

void SessionFold::on_message(Reader& in) {
    const JournalNumber number = in.u64();
    const bool is_retained = in.u8() != 0;
    const std::uint32_t receivers_bytes = in.u32();
    Reader receivers(in.view(receivers_bytes), "receivers");
    StoredMessage stored = read_message(in);
    if (!in.ok() || !take_number(number, in))
        return;
    const std::string topic = stored.message->topic;
    const bool is_empty = stored.message->payload.empty();
    if (messages_.contains(number)) {
        in.fail(Errc::corrupt, "a number used twice");
        return;
    }
    Held& held = messages_[number];
    held.stored = std::move(stored);
    ++held.references; // ours, so that it stays until all who need it are known
    add_receivers(held, number, receivers);
    if (!receivers.ok())
        in.fail(Errc::corrupt, "receivers that cannot be");
    if (is_retained && is_empty)
        unretain(topic);
    else if (is_retained)
        retain(topic, number);
    release(number);
}

void SessionFold::on_receivers(Reader& in) {
    const JournalNumber number = in.u64();
    const auto place = messages_.find(number);
    Reader receivers(in.rest(), "receivers");
    if (place == messages_.end()) {
        lost();
        return;
    }
    add_receivers(place->second, number, receivers);
    if (!receivers.ok())
        in.fail(Errc::corrupt, "receivers that cannot be");
}

void SessionFold::add_receivers(Held& held, JournalNumber number, Reader& in) {
    while (in.more()) {
        const KeptId id = in.u32();
        const std::uint64_t sequence = in.u64();
        Place place{number, read_delivery(in)};
        if (!in.ok() || sequence > count_max) {
            in.fail(Errc::corrupt, "a sequence number out of range");
            return;
        }
        const auto session = sessions_.find(id);
        if (session == sessions_.end()) {
            lost();
            continue;
        }
        ++held.references;
        add_place(session->second, sequence, std::move(place));
        if (session->second.stored.facts.is_online)
            session->second.sent_below = session->second.next_sequence;
    }
}

void SessionFold::add_place(Session& session, std::uint64_t sequence, Place place) {
    session.next_sequence = std::max(session.next_sequence, sequence + 1);
    const auto [at, is_new] = session.places.try_emplace(sequence, std::move(place));
    if (is_new)
        return;
    // A later message under the same identifier: the records in between are lost.
    lost();
    release(std::exchange(at->second, std::move(place)).number);
}

void SessionFold::on_body(Reader& in) {
    const JournalNumber number = in.u64();
    const bool is_retained = in.u8() != 0;
    StoredMessage stored = read_message(in);
    if (!in.ok() || !take_number(number, in))
        return;
    const std::string topic = stored.message->topic;
    messages_.try_emplace(number, Held{std::move(stored), 0});
    if (is_retained)
        retain(topic, number);
}

void SessionFold::on_done(Reader& in, bool is_received) {
    Session* session = find(in.u32());
    const std::uint64_t sequence = in.u64();
    if (!in.ok() || session == nullptr)
        return;
    const auto place = session->places.find(sequence);
    if (place == session->places.end()) {
        lost();
        return;
    }
    release(std::exchange(place->second.number, 0));
    if (!is_received)
        session->places.erase(place);
}

void SessionFold::on_inbound(Reader& in, bool is_released) {
    Session* session = find(in.u32());
    const std::uint16_t packet_id = in.u16();
    if (packet_id == 0)
        in.fail(Errc::corrupt, "a packet identifier of 0");
    if (!in.ok() || session == nullptr)
        return;
    std::erase(session->inbound, packet_id);
    if (!is_released)
        session->inbound.push_back(packet_id);
}

void SessionFold::on_retained_gone(Reader& in) {
    const std::string_view topic = in.prefixed();
    if (in.ok())
        unretain(topic);
}

void SessionFold::retain(const std::string& topic, JournalNumber number) {
    ++messages_[number].references;
    unretain(topic);
    retained_[topic] = {number, snapshot_};
}

void SessionFold::unretain(std::string_view topic) {
    const auto place = retained_.find(topic);
    if (place == retained_.end())
        return;
    const JournalNumber number = place->second.number;
    retained_.erase(place);
    release(number);
}

void SessionFold::release(JournalNumber number) {
    const auto place = messages_.find(number);
    if (place == messages_.end())
        return;
    place->second.references -= place->second.references > 0 ? 1 : 0;
    // A snapshot writes a body once: a session whose image comes later may still need it.
    if (place->second.references == 0 && !is_in_snapshot_)
        messages_.erase(place);
}

void SessionFold::on_image_begin(Reader& in) {
    image_.reset();
    const KeptId id = in.u32();
    const std::uint64_t next_sequence = in.u64();
    StoredFacts stored = read_facts(in);
    if (id == 0 || next_sequence > count_max || stored.facts.sent_below > count_max)
        in.fail(Errc::corrupt, "a session that cannot be");
    if (!in.ok())
        return;
    Session session;
    session.next_sequence = next_sequence;
    session.sent_below =
        stored.facts.is_online ? next_sequence : std::min(stored.facts.sent_below, next_sequence);
    session.stored = std::move(stored);
    session.seen = snapshot_;
    image_.emplace(id, std::move(session));
}

void SessionFold::on_image_place(Reader& in) {
    const KeptId id = in.u32();
    const std::uint64_t sequence = in.u64();
    const JournalNumber number = in.u64();
    Place place{number, read_delivery(in)};
    if (!image_ || image_->first != id || sequence >= image_->second.next_sequence) {
        in.fail(Errc::corrupt, "a place of no image");
        return;
    }
    if (!in.ok())
        return;
    if (number != 0 && !messages_.contains(number)) {
        lost();
        return;
    }
    image_->second.places.try_emplace(sequence, std::move(place));
}

void SessionFold::on_image_end(Reader& in) {
    const KeptId id = in.u32();
    if (!image_ || image_->first != id) {
        in.fail(Errc::corrupt, "the end of no image");
        return;
    }
    Session fresh = std::move(image_->second);
    image_.reset();
    for (const auto& [sequence, place] : fresh.places) {
        if (const auto held = messages_.find(place.number); held != messages_.end())
            ++held->second.references;
    }
    Session& session = sessions_[id];
    drop(session);
    session = std::move(fresh);
}

void SessionFold::on_snapshot_end() {
    if (snapshot_ == 0)
        return;
    // It held all there was: what it did not write anew is gone.
    for (auto at = sessions_.begin(); at != sessions_.end();) {
        if (at->second.seen != snapshot_)
            drop(at->second);
        at = at->second.seen != snapshot_ ? sessions_.erase(at) : std::next(at);
    }
    for (auto at = retained_.begin(); at != retained_.end();) {
        if (at->second.seen != snapshot_)
            release(at->second.number);
        at = at->second.seen != snapshot_ ? retained_.erase(at) : std::next(at);
    }
    is_based_ = true;
    is_in_snapshot_ = false;
    std::erase_if(messages_, [](const auto& entry) { return entry.second.references == 0; });
}

RestoredSession SessionFold::restored(KeptId id, Session& session, const LogClock& clock) {
    RestoredSession out;
    out.id = id;
    StoredFacts& stored = session.stored;
    out.key = std::move(stored.key);
    out.client_id = std::move(stored.client_id);
    out.principal = std::move(stored.principal);
    out.facts = stored.facts;
    out.facts.expires = clock.time_of(stored.expires_ms, std::chrono::seconds{out.facts.expiry_s});
    out.facts.will_due = clock.time_of(
        stored.will_due_ms, std::chrono::seconds{std::min(out.facts.will_delay_s, out.facts.expiry_s)}
    );
    stored.will.settle(clock);
    out.will = std::move(stored.will.message);
    for (auto& [text, options] : session.subscriptions) {
        auto filter = TopicFilter::parse(text, {65'535, 65'535});
        if (filter)
            out.subscriptions.push_back({std::move(*filter), options});
        else
            ++counts_.lost_references;
    }
    for (auto& [text, replay] : session.replays) {
        auto filter = TopicFilter::parse(text, {65'535, 65'535});
        if (filter && session.subscriptions.contains(text))
            out.replays.push_back(
                {std::move(*filter), replay.subscription_id, replay.qos, std::move(replay.after)}
            );
    }
    out.inbound = std::move(session.inbound);
    const std::uint64_t first =
        session.places.empty() ? session.next_sequence : session.places.begin()->first;
    for (auto& [sequence, place] : session.places) {
        const auto held = messages_.find(place.number);
        const bool is_there = place.number == 0 ? sequence - first < packet_ids : held != messages_.end();
        if (!is_there) {
            ++counts_.lost_references;
            continue;
        }
        RestoredPlace kept{
            place.delivery.flags(),
            sequence,
            place.number,
            nullptr,
            std::move(place.delivery.subscription_ids)
        };
        if (place.number == 0)
            kept.qos = 2;
        if (place.number != 0)
            kept.message = held->second.stored.message;
        out.places.push_back(std::move(kept));
    }
    out.next_sequence = session.next_sequence;
    out.sent_below = session.sent_below;
    return out;
}

RestoredState SessionFold::finish(const LogClock& clock) {
    // Its beginning is gone and no snapshot stands in for it.
    counts_.lost_references += is_based_ ? 0 : 1;
    for (auto& [number, held] : messages_)
        held.stored.settle(clock);
    RestoredState state;
    for (auto& [id, session] : sessions_)
        state.sessions.push_back(restored(id, session, clock));
    for (const auto& [topic, kept] : retained_) {
        if (const auto held = messages_.find(kept.number); held != messages_.end())
            state.retained.push_back({held->second.stored.message, kept.number});
    }
    messages_.clear();
    return state;
}

} // namespace brim::mqtt
