// The session log's entries: what the broker says, as bytes of this turn's record, and what that costs.

#include "base/assert.h"
#include "mqtt/internal/session_record.h"
#include "mqtt/session_log.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

/// A record is closed before an entry when it has grown to this.
constexpr std::size_t record_bytes_soft = 262'144;
/// One message's receivers are split into entries of so many, so that a record can be closed between them.
constexpr std::size_t receivers_per_entry = 4'096;
constexpr std::size_t place_bytes = 64; ///< about what one costs in a snapshot

} // namespace

template <class Fill> void SessionLog::write(KeptId id, std::uint8_t kind, Fill fill) {
    ++last_;
    if (is_failing_) {
        // What the disk has of this session is older than what this entry is about; its image will say it.
        const auto place = sessions_.find(id);
        const bool is_imaged = snapshot_ != Snapshot::none && place != sessions_.end() &&
                               place->second.snapshot == snapshot_number_;
        if (id != 0 ? !is_imaged : snapshot_ == Snapshot::none)
            return;
    }
    if (batch_.empty())
        put_head(batch_, {});
    put_entry(batch_, static_cast<EntryKind>(kind), fill);
    // What a client acknowledged needs no sync of its own: if it is lost, the message comes again.
    if (static_cast<EntryKind>(kind) == EntryKind::done)
        flush_soon();
    else
        flush_at_turn_end();
}

namespace {

constexpr std::uint8_t kind_of(EntryKind kind) {
    return static_cast<std::uint8_t>(kind);
}

} // namespace

KeptId SessionLog::new_session() {
    do {
        ++last_session_;
    } while (last_session_ == 0 || sessions_.contains(last_session_));
    sessions_[last_session_].snapshot = snapshot_number_;
    return last_session_;
}

void SessionLog::charge(KeptId id, std::size_t bytes) {
    sessions_[id].bytes += bytes;
    live_bytes_ += bytes;
}

void SessionLog::hold(JournalNumber number, std::size_t bytes, std::uint32_t references) {
    Held& held = messages_[number];
    live_bytes_ += bytes - held.bytes;
    held.bytes = static_cast<std::uint32_t>(bytes);
    held.references = references;
    held.snapshot = snapshot_number_;
}

void SessionLog::release(JournalNumber number) {
    const auto place = messages_.find(number);
    if (place == messages_.end())
        return;
    if (--place->second.references > 0)
        return;
    live_bytes_ -= place->second.bytes;
    messages_.erase(place);
}

void SessionLog::session(KeptId id, const KeptFacts& facts) {
    if (batch_.size() > record_bytes_soft)
        flush();
    if (sessions_[id].bytes == 0)
        charge(id, cost_of_session(facts.key.size()));
    write(id, kind_of(EntryKind::session), [&](Bytes& out) {
        put_u32(out, id);
        put_facts(out, facts, *clock_);
    });
}

void SessionLog::session_gone(KeptId id) {
    write(id, kind_of(EntryKind::session_gone), [&](Bytes& out) { put_u32(out, id); });
    if (const auto place = sessions_.find(id); place != sessions_.end()) {
        live_bytes_ -= place->second.bytes;
        sessions_.erase(place);
    }
}

void SessionLog::subscribed(
    KeptId id, std::string_view filter, const SubscriptionOptions& options, bool is_new, bool has_replay
) {
    if (batch_.size() > record_bytes_soft)
        flush();
    if (is_new)
        charge(id, cost_of_filter(filter.size()));
    write(id, kind_of(EntryKind::subscribed), [&](Bytes& out) {
        put_u32(out, id);
        put_prefixed(out, filter);
        put_u32(out, options.id);
        put_u8(out, options.qos);
        const unsigned flags =
            (options.no_local ? 1u : 0u) | (options.retain_as_published ? 2u : 0u) | (has_replay ? 4u : 0u);
        put_u8(out, static_cast<std::uint8_t>(flags));
    });
}

void SessionLog::unsubscribed(KeptId id, std::string_view filter) {
    write(id, kind_of(EntryKind::unsubscribed), [&](Bytes& out) {
        put_u32(out, id);
        put_prefixed(out, filter);
    });
}

void SessionLog::replayed(KeptId id, const KeptReplay& replay, bool is_done) {
    write(id, kind_of(EntryKind::replayed), [&](Bytes& out) {
        put_u32(out, id);
        put_prefixed(out, replay.filter);
        put_u8(out, is_done ? 1 : 0);
        put_u32(out, replay.subscription_id);
        put_u8(out, replay.qos);
        put_prefixed(out, replay.after);
    });
}

void SessionLog::message(const Message& message, std::span<const KeptReceiver> receivers, bool is_retained) {
    if (batch_.size() > record_bytes_soft)
        flush();
    const JournalNumber number = last_ + 1;
    const std::size_t before = batch_.size();
    std::span<const KeptReceiver> first = receivers.first(std::min(receivers.size(), receivers_per_entry));
    write(0, kind_of(EntryKind::message), [&](Bytes& out) {
        put_u64(out, number);
        put_u8(out, is_retained ? 1 : 0);
        Bytes list;
        for (const KeptReceiver& receiver : first)
            put_receiver(list, receiver);
        put_u32(out, static_cast<std::uint32_t>(list.size()));
        out.append(list);
        put_message(out, message, *clock_);
    });
    const std::size_t bytes = batch_.size() - std::min(before, batch_.size());
    const bool is_kept_retained = is_retained && !message.payload.empty();
    const std::size_t references = receivers.size() + (is_kept_retained ? 1 : 0);
    if (references != 0)
        hold(number, std::max<std::size_t>(bytes, place_bytes), static_cast<std::uint32_t>(references));
    for (receivers = receivers.subspan(first.size()); !receivers.empty();
         receivers = receivers.subspan(first.size())) {
        first = receivers.first(std::min(receivers.size(), receivers_per_entry));
        if (batch_.size() > options_.segment_bytes / 4)
            flush();
        write(0, kind_of(EntryKind::receivers), [&](Bytes& out) {
            put_u64(out, number);
            for (const KeptReceiver& receiver : first)
                put_receiver(out, receiver);
        });
    }
}

void SessionLog::done(KeptId id, std::uint64_t sequence, JournalNumber number) {
    write(id, kind_of(EntryKind::done), [&](Bytes& out) {
        put_u32(out, id);
        put_u64(out, sequence);
    });
    release(number);
}

void SessionLog::received(KeptId id, std::uint64_t sequence, JournalNumber number) {
    write(id, kind_of(EntryKind::received), [&](Bytes& out) {
        put_u32(out, id);
        put_u64(out, sequence);
    });
    release(number);
}

void SessionLog::inbound(KeptId id, std::uint16_t packet_id) {
    write(id, kind_of(EntryKind::inbound), [&](Bytes& out) {
        put_u32(out, id);
        put_u16(out, packet_id);
    });
}

void SessionLog::released(KeptId id, std::uint16_t packet_id) {
    write(id, kind_of(EntryKind::released), [&](Bytes& out) {
        put_u32(out, id);
        put_u16(out, packet_id);
    });
}

void SessionLog::retained_gone(std::string_view topic) {
    write(0, kind_of(EntryKind::retained_gone), [&](Bytes& out) { put_prefixed(out, topic); });
}

void SessionLog::image_begin(KeptId id, const KeptFacts& facts, std::uint64_t next_sequence) {
    if (batch_.size() > record_bytes_soft)
        flush();
    KeptSession& kept = sessions_[id];
    live_bytes_ -= kept.bytes;
    kept = {0, snapshot_number_};
    charge(id, cost_of_session(facts.key.size()));
    write(id, kind_of(EntryKind::image_begin), [&](Bytes& out) {
        put_u32(out, id);
        put_u64(out, next_sequence);
        put_facts(out, facts, *clock_);
    });
}

void SessionLog::image_place(KeptId id, const KeptPlace& place) {
    if (batch_.size() > record_bytes_soft)
        flush();
    if (place.number != 0)
        write_body(*place.message, place.number, false);
    write(id, kind_of(EntryKind::image_place), [&](Bytes& out) {
        put_u32(out, id);
        put_u64(out, place.sequence);
        put_u64(out, place.number);
        put_delivery(out, place, place.subscription_ids);
    });
}

void SessionLog::write_mark(bool is_begin) {
    write(0, kind_of(is_begin ? EntryKind::snapshot_begin : EntryKind::snapshot_end), [](Bytes&) {});
}

void SessionLog::write_body(const Message& message, JournalNumber number, bool is_retained) {
    Held& held = messages_[number];
    // Others who hold it have written it, or it came after the snapshot began.
    if (held.snapshot == snapshot_number_ && !is_retained)
        return;
    held.snapshot = snapshot_number_;
    const std::size_t before = batch_.size();
    write(0, kind_of(EntryKind::body), [&](Bytes& out) {
        put_u64(out, number);
        put_u8(out, is_retained ? 1 : 0);
        put_message(out, message, *clock_);
    });
    const std::size_t bytes = std::max(batch_.size() - std::min(before, batch_.size()), place_bytes);
    live_bytes_ += bytes - held.bytes;
    held.bytes = static_cast<std::uint32_t>(bytes);
}

void SessionLog::image_end(KeptId id) {
    write(id, kind_of(EntryKind::image_end), [&](Bytes& out) { put_u32(out, id); });
}

void SessionLog::image_retained(const Message& message, JournalNumber number) {
    if (batch_.size() > record_bytes_soft)
        flush();
    write_body(message, number, true);
}

} // namespace brim::mqtt
