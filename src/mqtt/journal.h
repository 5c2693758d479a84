#pragma once
// What the broker core writes down so that sessions, their queues and retained messages outlive the process,
// and what it is given back at the next start. The core calls a Journal from inside its own calls and waits
// for nothing: what must not be promised before it is safe carries a number and goes out once the journal
// says that number is stable (Broker::journal_stable). Without a Journal everything lives in memory only.

#include "base/message.h"
#include "mqtt/packet.h"
#include "mqtt/subscription_tree.h"
#include "mqtt/topic_filter.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace brim::mqtt {

/// Numbers what is written, in order, from 1, growing across restarts. Also names a message. 0 is none.
using JournalNumber = std::uint64_t;

/// Names a session in the journal while it lives. 0 is none: the session lives in memory only.
using KeptId = std::uint32_t;

/// What is kept of a session beside its subscriptions and messages.
struct KeptFacts {
    std::string_view key;
    std::string_view client_id;
    std::string_view principal;
    ProtocolVersion version = ProtocolVersion::v311;
    std::uint8_t qos_max = 2;
    bool retain_available = true;
    bool wildcard_available = true;
    bool subscription_ids_available = true;
    bool is_online = false;
    std::uint32_t expiry_s = 0;
    Mono expires{};               ///< while offline
    std::uint64_t sent_below = 0; ///< no outbound sequence number from it on was sent; counts while offline
    const Message* will = nullptr;
    std::uint32_t will_delay_s = 0;
    Mono will_due{}; ///< while offline
};

/// How a message goes to one session.
struct DeliveryFlags {
    std::uint8_t qos = 0;
    bool retain = false;
    bool is_direct = false; ///< handed over by the host for this session: not authorised again
    bool is_shared = false; ///< its turn of a shared subscription: another member may have to take it over

    const DeliveryFlags& flags() const { return *this; }
};

/// One session a message goes to.
struct KeptReceiver : DeliveryFlags {
    KeptId session = 0;
    std::uint64_t sequence = 0; ///< its packet identifier follows from this
    const std::vector<std::uint32_t>* subscription_ids = nullptr;
};

/// A place of an image: a message on its way to a session.
struct KeptPlace : DeliveryFlags {
    std::uint64_t sequence = 0;
    JournalNumber number = 0; ///< 0 once PUBREC came: only the identifier is still in use
    const Message* message = nullptr;
    const std::vector<std::uint32_t>* subscription_ids = nullptr;
};

/// Retained messages still to be sent for a subscription; `after` is the last topic that was.
struct KeptReplay {
    std::string_view filter;
    std::uint32_t subscription_id = 0;
    std::uint8_t qos = 0;
    std::string_view after;
};

/// What the core may ask leave for before it promises anything.
enum class Promise : std::uint8_t {
    resume, ///< nothing new: a session that is kept already
    grow,   ///< a message, subscription or session more
};

/// Lives on the broker's loop and calls nothing back from inside these calls. Every call but last() and
/// refusal() writes one entry and takes the next number, except where it says otherwise. Entries of one turn
/// of the loop become safe together or not at all.
class Journal {
public:
    virtual ~Journal() = default;

    /// Number of the entry written last.
    virtual JournalNumber last() const = 0;
    /// Success, or why nothing of the kind may be promised now: quota_exceeded when it is full,
    /// implementation_specific_error when it cannot be written.
    virtual ReasonCode refusal(Promise what) const = 0;

    /// A name that no session has; writes nothing.
    virtual KeptId new_session() = 0;
    /// The session is there from now on, or its facts changed.
    virtual void session(KeptId id, const KeptFacts& facts) = 0;
    /// It is gone, with all it had. Its messages are let go of by release().
    virtual void session_gone(KeptId id) = 0;
    /// Replaces the options of the same filter. `options.qos` is as the client asked.
    virtual void subscribed(
        KeptId id, std::string_view filter, const SubscriptionOptions& options, bool is_new, bool has_replay
    ) = 0;
    virtual void unsubscribed(KeptId id, std::string_view filter) = 0;
    virtual void replayed(KeptId id, const KeptReplay& replay, bool is_done) = 0;

    /// A message for `receivers`, retained as well or not. Its number is that of the entry. A retained one
    /// replaces its topic's, an empty one takes it away.
    virtual void
    message(const Message& message, std::span<const KeptReceiver> receivers, bool is_retained) = 0;
    /// A session no longer needs a message (when `number` is not 0) nor its identifier.
    virtual void done(KeptId id, std::uint64_t sequence, JournalNumber number) = 0;
    /// PUBREC came: the message is not needed any more, its identifier is.
    virtual void received(KeptId id, std::uint64_t sequence, JournalNumber number) = 0;
    /// An inbound QoS 2 identifier between PUBLISH and PUBREL.
    virtual void inbound(KeptId id, std::uint16_t packet_id) = 0;
    virtual void released(KeptId id, std::uint16_t packet_id) = 0;
    /// A topic's retained message is gone without a message that says so.
    virtual void retained_gone(std::string_view topic) = 0;
    /// Somebody (a session, or the retained topic) no longer holds a message; writes nothing.
    virtual void release(JournalNumber number) = 0;

    // --- images: all there is, written anew so that what is older can go (Broker::write_image)
    /// Everything of a session, from image_begin() to image_end() without anything between.
    virtual void image_begin(KeptId id, const KeptFacts& facts, std::uint64_t next_sequence) = 0;
    virtual void image_place(KeptId id, const KeptPlace& place) = 0;
    virtual void image_end(KeptId id) = 0;
    virtual void image_retained(const Message& message, JournalNumber number) = 0;
};

// --- what a journal gives back

struct RestoredPlace : DeliveryFlags {
    std::uint64_t sequence = 0;
    JournalNumber number = 0; ///< 0: PUBREC came, there is no message
    MessagePtr message;
    std::vector<std::uint32_t> subscription_ids;
};

struct RestoredSubscription {
    TopicFilter filter;
    SubscriptionOptions options; ///< `qos` as asked
};

struct RestoredReplay {
    TopicFilter filter;
    std::uint32_t subscription_id = 0;
    std::uint8_t qos = 0;
    std::string after;
};

struct RestoredSession {
    KeptId id = 0;
    std::string key;
    std::string client_id;
    std::string principal;
    KeptFacts facts; ///< without names and will
    MessagePtr will;
    std::vector<RestoredSubscription> subscriptions; ///< in the order of their text
    std::vector<RestoredReplay> replays;
    std::vector<std::uint16_t> inbound;
    std::vector<RestoredPlace> places; ///< by sequence, each once, within mqtt's 65,535 identifiers
    std::uint64_t next_sequence = 0;   ///< above all places
    std::uint64_t sent_below = 0;      ///< what may have been sent is below it
};

struct RestoredRetained {
    MessagePtr message;
    JournalNumber number = 0;
};

struct RestoredState {
    std::vector<RestoredSession> sessions;
    std::vector<RestoredRetained> retained;
};

/// Where an image stopped; begin with a new one.
struct ImagePlace {
    std::uint32_t session = 0; ///< index of the next one
    bool are_sessions_done = false;
    std::string topic; ///< the last retained topic written
};

} // namespace brim::mqtt
