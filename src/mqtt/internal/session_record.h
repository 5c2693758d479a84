#pragma once
// The entries of the session log as bytes. A log record is a head and the entries of one turn behind each
// other; each entry is its kind (1), the length of its body (4) and the body. All numbers are big-endian.
// docs/spec/session-log.md has the fields.

#include "base/bytes.h"
#include "mqtt/journal.h"

#include <memory>
#include <string>

namespace brim::mqtt {

inline constexpr std::uint8_t session_record_version = 1;

enum class EntryKind : std::uint8_t {
    session = 1,
    session_gone = 2,
    subscribed = 3,
    unsubscribed = 4,
    replayed = 5,
    message = 6,
    done = 7,
    received = 8,
    inbound = 9,
    released = 10,
    retained_gone = 11,
    snapshot_begin = 12,
    snapshot_end = 13,
    image_begin = 14,
    image_place = 15,
    image_end = 16,
    body = 17,
    receivers = 18,
};

/// Wall time as the log counts it: it never goes back, whatever the clock shows at the next start.
struct LogClock {
    std::int64_t base_ms = 0; ///< at `base`
    Mono base{};

    std::int64_t ms_at(Mono time) const {
        return base_ms + std::chrono::duration_cast<std::chrono::milliseconds>(time - base).count();
    }

    /// Never later than `span` after `base` nor earlier than a hundred years before it.
    Mono time_of(std::int64_t ms, std::chrono::seconds span) const;
};

/// The head of a record.
struct RecordHead {
    std::uint8_t version = session_record_version;
    std::int64_t wall_ms = 0;
    JournalNumber last = 0; ///< of the entries in it and before it
};

inline constexpr std::size_t record_head_bytes = 17;

void put_head(Bytes& out, const RecordHead& head);
RecordHead read_head(Reader& in);

/// Frames what `fill` appends as one entry.
template <class Fill> void put_entry(Bytes& out, EntryKind kind, Fill fill) {
    put_u8(out, static_cast<std::uint8_t>(kind));
    const std::size_t length_at = out.size();
    put_u32(out, 0);
    fill(out);
    const std::size_t length = out.size() - length_at - 4;
    for (std::size_t i = 0; i < 4; ++i)
        out[length_at + i] = static_cast<char>(length >> (24 - 8 * i) & 0xFF);
}

void put_facts(Bytes& out, const KeptFacts& facts, const LogClock& clock);
void put_message(Bytes& out, const Message& message, const LogClock& clock);
void put_receiver(Bytes& out, const KeptReceiver& receiver);
/// Of a delivery: QoS, flags and subscription identifiers.
void put_delivery(Bytes& out, const DeliveryFlags& flags, const std::vector<std::uint32_t>* ids);

/// A message before its times are known to the new process.
struct StoredMessage {
    std::shared_ptr<Message> message; ///< shared with the sessions it is restored to, immutable from then on
    std::int64_t accepted_ms = 0;     ///< log time; meaningless unless has_accepted
    bool has_accepted = false;

    /// Sets the age: what the log's clock says, at least 0.
    void settle(const LogClock& clock);
};

struct StoredFacts {
    KeptFacts facts; ///< without names, will and times
    std::string key;
    std::string client_id;
    std::string principal;
    StoredMessage will; ///< null for none
    std::int64_t expires_ms = 0;
    std::int64_t will_due_ms = 0;
};

struct StoredDelivery : DeliveryFlags {
    std::vector<std::uint32_t> subscription_ids;
};

StoredFacts read_facts(Reader& in);
/// Fails `in` when it is no message MQTT allows.
StoredMessage read_message(Reader& in);
StoredDelivery read_delivery(Reader& in);

} // namespace brim::mqtt
