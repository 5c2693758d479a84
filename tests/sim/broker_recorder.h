#pragma once
// What the outside world knows of a run of a stand-alone broker: what clients sent, what was acknowledged,
// what they asked to receive and received, when they were forbidden something, when the broker's process
// died. It lives outside every simulated machine. It judges nothing but what must be judged on the spot.

#include "io/sim/sim_world.h"
#include "mqtt/broker.h"
#include "sim/violation.h"

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace brim::sim {

/// A point of the run. `order` counts the recorded events: two of one instant have an order too. 0 = never.
struct Moment {
    std::uint64_t order = 0;
    Mono at{}; ///< of the world, not of a machine

    explicit operator bool() const { return order != 0; }

    bool before(const Moment& other) const { return order < other.order; }
};

/// A message or will, named by its number, which its payload begins with. Numbers grow with submission.
struct SentMessage {
    std::uint64_t number = 0;
    std::size_t publisher = 0;
    std::string topic;
    std::size_t payload_bytes = 0; ///< 0 clears what is retained
    std::uint8_t qos = 0;
    bool retain = false;
    bool is_will = false;
    bool may_expire = false;
    bool is_forbidden = false; ///< to a topic that nobody may publish to
    Moment submitted;
    Moment settled;        ///< the client has its answer; only of QoS > 0
    bool is_acked = false; ///< and it was success
    unsigned sendings = 1; ///< at most: connections it may have been sent on
    bool is_exact = true;  ///< the publisher's session lived from submission to answer: QoS 2 holds
    bool met_bad_disk =
        false; ///< the journal failed meanwhile: who is not kept may have it and hear of it again
};

/// One SUBSCRIBE for one filter.
struct Wish {
    std::string filter; ///< without its $share prefix
    std::string group;  ///< empty: not shared
    std::uint8_t qos = 0;
    bool wants_retained = false;
    Moment asked;
    Moment granted;
    Moment release_asked;
    Moment released; ///< UNSUBACK came
    Moment doubted;  ///< from here on the session may be another one: nothing is owed any more
    Moment gone;     ///< from here on the session certainly is another one
};

/// A PUBLISH that a client took.
struct Receipt {
    std::uint64_t number = 0;
    std::string topic;
    std::size_t payload_bytes = 0;
    std::uint8_t qos = 0;
    bool retain = false;
    unsigned generation = 0; ///< of the client's session
    Moment began;            ///< the connection it came on
    Moment arrived;
};

/// One connection of a client, from CONNECT on.
struct Attempt {
    bool clean_start = false;
    std::uint64_t will = 0; ///< number; 0 = none
    std::uint32_t will_delay_s = 0;
    Moment began;
    Moment up;    ///< CONNACK came
    Moment known; ///< the broker has it
    Moment left;  ///< DISCONNECT was sent
    Moment down;  ///< the broker ended it or died
    mqtt::Ended why = mqtt::Ended::network;
    bool died = false; ///< `down` is the broker's death
};

struct Ban {
    char family = 0; ///< of topics: their first character
    Moment from;
    Moment until; ///< never: to the end
};

struct ClientFacts {
    std::string name;
    mqtt::ProtocolVersion version{};
    std::uint32_t expiry_s = 0; ///< 0: its session ends with its connection
    std::deque<Wish> wishes;
    std::deque<Receipt> receipts;
    std::deque<Attempt> attempts;
    std::vector<Ban> bans;
    std::map<std::string, std::uint64_t> dropped; ///< as the broker counted them, by reason
    unsigned generation = 0;
    bool has_session = false;
    bool is_up_at_broker = false;
    Mono offline_since{};
    bool may_be_expired = false; ///< the broker had reason to end the session since the last CONNACK
};

class BrokerRecorder {
public:
    explicit BrokerRecorder(io::SimWorld& world) : world_(world) {}

    std::size_t add_client(std::string name, mqtt::ProtocolVersion version, std::uint32_t expiry_s);
    Moment now();

    // --- told by clients
    /// CONNECT is about to be sent. `will` may be null; its number is set.
    Moment dialled(std::size_t who, bool clean_start, SentMessage* will, std::uint32_t will_delay_s);
    void came_up(std::size_t who, bool is_present);
    void left(std::size_t who);
    /// Gives the message its number.
    SentMessage& submitted(SentMessage message);
    void settled(std::uint64_t number, bool is_success);
    /// It could not be sent after all.
    void withdrawn(std::uint64_t number);

    void asked(std::size_t who, std::string_view filter, std::uint8_t qos, bool wants_retained);
    void granted(std::size_t who, std::string_view filter);
    void asked_release(std::size_t who, std::string_view filter);
    void released(std::size_t who, std::string_view filter);
    /// True when a session that is not doubted holds the subscription and no UNSUBSCRIBE was sent.
    bool is_granted(std::size_t who, std::string_view filter) const;
    void received(std::size_t who, Receipt receipt);
    void breach(unsigned law, std::string text);

    // --- told by the broker's host, which also asks
    bool is_allowed(std::string_view principal, std::string_view topic) const;
    /// `attempt` counts the client's connections from 1; 0 is a guest under its name.
    void broker_has(std::string_view session_key, std::uint64_t attempt);
    void broker_lost(std::string_view session_key, std::uint64_t attempt, mqtt::Ended why);
    void broker_dropped(std::string_view session_key, std::string_view reason, std::uint64_t count);
    void broker_died();
    /// The journal failed at some time since the last call of this or of journal_was_well().
    void journal_failed();

    void journal_was_well() { settled_lately_.clear(); }

    // --- told by fate
    void ban(std::size_t who, char family);
    void lift(std::size_t who);
    void clock_jumped(std::chrono::milliseconds by);

    void disk_slowed() { slow_disks_.push_back(now()); }

    // --- read by the model
    const std::map<std::uint64_t, SentMessage>& messages() const { return messages_; }

    const std::vector<ClientFacts>& clients() const { return clients_; }

    const std::vector<Violation>& breaches() const { return breaches_; }

    const std::vector<Moment>& deaths() const { return deaths_; }

    const std::vector<Moment>& journal_failures() const { return journal_failures_; }

    const std::vector<Moment>& slow_disks() const { return slow_disks_; }

    std::chrono::milliseconds clock_gained() const { return clock_gained_; }

    std::uint64_t acked_count() const { return acked_count_; }

    std::uint64_t received_count() const { return received_count_; }

private:
    ClientFacts* by_name(std::string_view name);
    void doubt(ClientFacts& facts, std::size_t who, const Moment& moment);

    io::SimWorld& world_;
    std::uint64_t order_ = 0;
    std::uint64_t last_number_ = 0;
    std::map<std::uint64_t, SentMessage> messages_;
    std::map<std::uint64_t, SentMessage*> open_; ///< of QoS > 0, without an answer
    std::vector<ClientFacts> clients_;
    std::vector<Violation> breaches_;
    std::vector<Moment> deaths_;
    std::vector<Moment> journal_failures_;
    std::vector<Moment> slow_disks_;
    std::vector<std::uint64_t> settled_lately_; ///< since the journal was asked last
    std::chrono::milliseconds clock_gained_{0};
    std::uint64_t acked_count_ = 0;
    std::uint64_t received_count_ = 0;
};

/// "$share/group/filter" in its two parts.
struct SharedName {
    std::string_view group;
    std::string_view filter;
};

SharedName split_shared(std::string_view text);

} // namespace brim::sim
