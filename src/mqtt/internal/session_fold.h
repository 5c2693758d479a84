#pragma once
// The state a session log describes: its records are applied one after the other, and what is left is what
// the broker begins with. Takes any bytes: what makes no sense is counted and left out.

#include "mqtt/internal/session_record.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

namespace brim::mqtt {

struct FoldCounts {
    std::uint64_t records = 0;
    std::uint64_t unreadable_records = 0; ///< the whole record or a part of it made no sense
    std::uint64_t unknown_entries = 0;    ///< of a kind this build does not know
    std::uint64_t lost_references = 0; ///< named a session, message or place that is not there but should be
};

class SessionFold {
public:
    enum class Applied : std::uint8_t { all, damaged, newer_format };

    /// `is_complete`: the log begins with its very first record, so that nothing may be missing.
    explicit SessionFold(bool is_complete) : is_based_(is_complete) {}

    Applied apply(ByteView record);

    /// What is left, with times as `clock` counts them. Once, at the end.
    RestoredState finish(const LogClock& clock);

    const FoldCounts& counts() const { return counts_; }

    /// Above every number the log has used.
    JournalNumber last() const { return last_; }

    /// The latest wall time a record carries.
    std::int64_t wall_ms() const { return wall_ms_; }

private:
    struct Place {
        JournalNumber number = 0;
        StoredDelivery delivery;
    };

    struct Replay {
        std::uint32_t subscription_id = 0;
        std::uint8_t qos = 0;
        std::string after;
    };

    struct Session {
        StoredFacts stored;
        std::map<std::string, SubscriptionOptions, std::less<>> subscriptions;
        std::map<std::string, Replay, std::less<>> replays;
        std::vector<std::uint16_t> inbound;
        std::map<std::uint64_t, Place> places;
        std::uint64_t next_sequence = 0;
        std::uint64_t sent_below = 0;
        std::uint64_t seen = 0; ///< the snapshot that wrote it anew
    };

    struct Held {
        StoredMessage stored;
        std::uint64_t references = 0;
    };

    struct Retained {
        JournalNumber number = 0;
        std::uint64_t seen = 0;
    };

    bool apply_entry(EntryKind kind, Reader& in);
    void on_session(Reader& in);
    void on_gone(Reader& in);
    void on_subscribed(Reader& in);
    void on_unsubscribed(Reader& in);
    void on_replayed(Reader& in);
    void on_message(Reader& in);
    void on_receivers(Reader& in);
    void on_body(Reader& in);
    void on_done(Reader& in, bool is_received);
    void on_inbound(Reader& in, bool is_released);
    void on_retained_gone(Reader& in);
    void on_image_begin(Reader& in);
    void on_image_place(Reader& in);
    void on_image_end(Reader& in);
    void on_snapshot_end();

    Session* find(KeptId id);
    void lost();
    bool take_number(JournalNumber number, Reader& in);
    void add_receivers(Held& held, JournalNumber number, Reader& in);
    void add_place(Session& session, std::uint64_t sequence, Place place);
    void retain(const std::string& topic, JournalNumber number);
    void unretain(std::string_view topic);
    void release(JournalNumber number);
    void drop(Session& session);
    RestoredSession restored(KeptId id, Session& session, const LogClock& clock);

    std::map<KeptId, Session> sessions_;
    std::unordered_map<JournalNumber, Held> messages_;
    std::map<std::string, Retained, std::less<>> retained_;
    std::optional<std::pair<KeptId, Session>> image_; ///< of a session, not complete yet
    std::uint64_t snapshot_ = 0;                      ///< counts those that were begun
    bool is_in_snapshot_ = false;
    bool is_based_; ///< all there is has been seen
    JournalNumber last_ = 0;
    std::int64_t wall_ms_ = 0;
    FoldCounts counts_;
};

} // namespace brim::mqtt
