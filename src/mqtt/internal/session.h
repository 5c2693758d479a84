#pragma once
// The broker's records: one Conn for a transport connection, one Session for what outlives it. Both are small
// while nothing moves; Flow and the other parts behind pointers exist only while they hold something.

#include "base/assert.h"
#include "mqtt/broker.h"
#include "mqtt/codec.h"
#include "mqtt/internal/inbound_ids.h"
#include "mqtt/internal/ring.h"
#include "mqtt/internal/token_bucket.h"
#include "mqtt/journal.h"
#include "mqtt/topic_filter.h"

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace brim::mqtt {

using SessionId = std::uint64_t; ///< a Slab name; 0 is none

/// What a CONNECT said, kept until the host answers and, of it, what the session needs.
struct PendingConnect {
    std::string client_id;
    bool clean_start = true;
    std::uint16_t keepalive_s = 0;
    std::uint32_t session_expiry_s = 0;
    std::uint16_t receive_maximum = 65'535;
    std::uint32_t packet_bytes_max = 0;
    std::uint16_t topic_alias_max = 0;
    MessagePtr will;
    std::uint32_t will_delay_s = 0;
};

/// Topic aliases of one direction of one connection; alias n is names[n - 1].
struct Aliases {
    std::vector<std::string> names;
};

enum class Stage : std::uint8_t {
    fresh,   ///< nothing but a CONNECT may come
    waiting, ///< the host has not answered CONNECT or AUTH yet
    proving, ///< the host asked for AUTH: that or DISCONNECT may come
    up
};

/// Who has the word in an authentication exchange.
enum class AuthTurn : std::uint8_t { over, host, client };

/// Of a connection whose CONNECT named an authentication method, as long as it lives.
struct AuthExchange {
    std::string method;
    std::uint32_t rounds = 0; ///< AUTH packets of the client in this exchange
    std::size_t bytes = 0;    ///< its authentication data in this exchange
    Mono due{};               ///< of a re-authentication; CONNECT has its own deadline
    AuthTurn turn = AuthTurn::host;
    bool wants_text = true; ///< Request Problem Information [MQTT-3.1.2-29]
    bool is_armed = false;  ///< has its entry in Core::auth_timers_
};

/// Output that promises what is not safe yet, and what came behind it.
struct HeldOutput {
    JournalNumber number = 0; ///< goes out once this is stable
    Bytes bytes;
};

/// What few connections have at a time, and idle ones never.
struct ConnMore {
    Framer framer{0}; ///< with an incomplete packet
    std::unique_ptr<PendingConnect> pending;
    std::unique_ptr<AuthExchange> auth;
    Bytes backlog; ///< bytes that came while waiting or blocked
    Aliases aliases_in;
    std::map<std::string, std::uint16_t, std::less<>> aliases_out;
    std::vector<HeldOutput> held; ///< numbers grow
    std::size_t held_bytes = 0;

    bool idle() const {
        return framer.idle() && !pending && !auth && backlog.empty() && aliases_in.names.empty() &&
               aliases_out.empty() && held.empty();
    }
};

/// Of a client with a publishing rate; 0 is no limit.
struct PublishRate {
    std::uint32_t messages_max = 0; ///< a second
    std::uint32_t bytes_max = 0;
    TokenBucket messages;
    TokenBucket bytes;

    void take(Mono now, std::size_t size) {
        if (messages_max != 0)
            messages.take(now, 1, messages_max);
        if (bytes_max != 0)
            bytes.take(now, size, bytes_max);
    }

    /// When the next message may come.
    Mono next() const {
        Mono at{};
        if (messages_max != 0)
            at = messages.next(messages_max);
        return bytes_max != 0 ? std::max(at, bytes.next(bytes_max)) : at;
    }
};

/// The smallest members last: what is left of their eight bytes is the slab's.
struct Conn {
    SessionId session = 0;
    Mono last_packet{};
    std::unique_ptr<ConnMore> more;     ///< null while there is nothing in it
    std::unique_ptr<PublishRate> rate;  ///< null: it has none
    std::uint32_t packet_bytes_max = 0; ///< of what we send to it; 0 = no limit
    std::uint32_t up_since_s = 0;       ///< of the monotonic clock
    std::uint16_t keepalive_s = 0;
    std::uint16_t receive_maximum = 0; ///< QoS > 0 we may have in flight to it
    std::uint16_t alias_out_max = 0;
    Stage stage = Stage::fresh;
    ProtocolVersion version = ProtocolVersion::v311;
    bool is_congested : 1 = false;
    bool is_traced : 1 = false;    ///< the host sees its packets
    bool is_paused : 1 = false;    ///< the host was told to stop reading
    bool is_blocked : 1 = false;   ///< no packet is handled until acknowledgements left (3.x only)
    bool is_busy : 1 = false;      ///< its bytes are being worked on further up the stack
    bool is_stalled : 1 = false;   ///< its held output is full: as if congested
    bool is_throttled : 1 = false; ///< no packet is handled until it is within its publishing rate

    ConnMore& make_more() {
        if (!more)
            more = std::make_unique<ConnMore>();
        return *more;
    }

    bool has_backlog() const { return more && !more->backlog.empty(); }

    AuthExchange* auth() const { return more ? more->auth.get() : nullptr; }

    bool has_held() const { return more && !more->held.empty(); }

    void release_idle() {
        if (more && more->idle())
            more.reset();
    }
};

using SubscriptionIds = std::unique_ptr<std::vector<std::uint32_t>>;

/// A message on its way to one session.
struct Delivery : DeliveryFlags {
    MessagePtr message;
    SubscriptionIds ids;      ///< null for none
    JournalNumber number = 0; ///< of the message in the journal; 0 when it is not there
    /// What was inherited: its number with whom it was first. Once that was safe its publisher was told, so
    /// it stays although `number` may never be.
    JournalNumber promised = not_inherited;

    static constexpr JournalNumber not_inherited = UINT64_MAX;
};

/// One place in the outbound window. Places follow each other by packet id.
struct Outbound {
    enum class State : std::uint8_t { wait_puback, wait_pubrec, wait_pubcomp, done };
    Delivery delivery; ///< the message is given up once PUBREC came
    State state = State::done;
    bool is_sent = false; ///< on the present connection
};

/// An acknowledgement that waits for the host, or for one that does.
struct InboundAck {
    std::uint16_t packet_id = 0;
    PacketType type = PacketType::puback; ///< or pubrec
    bool is_ready = false;
    ReasonCode reason = ReasonCode::success;
    JournalNumber number = 0; ///< leaves once this is stable
};

/// Retained messages still to be sent for one new subscription.
struct Replay {
    TopicFilter filter;
    std::uint32_t subscription_id = 0;
    std::uint8_t qos = 0;
    std::string after; ///< the last topic looked at; empty = begin
};

/// Everything that moves or waits in a session.
struct Flow {
    std::uint64_t out_sequence = 0; ///< of the next outbound packet id
    std::uint64_t ack_sequence = 0; ///< of the next place in `acks`
    Ring<Delivery> queue;
    std::uint64_t queue_bytes = 0;
    Ring<Outbound> outbound;
    std::uint32_t unacked = 0; ///< sent on this connection and not done
    std::uint32_t resend_from =
        0; ///< places before it were sent on this connection, those from it on were not
    Ring<InboundAck> acks;
    std::uint32_t acks_qos1 = 0;
    InboundIds qos2;
    std::vector<Replay> replays;

    bool idle() const {
        return queue.empty() && outbound.empty() && acks.empty() && qos2.empty() && replays.empty();
    }
};

struct Subscription {
    TopicFilter filter;
    SubscriptionOptions options; ///< `qos` as asked, not as granted
};

struct Will {
    MessagePtr message;
    std::uint32_t delay_s = 0;
    bool is_due_set = false; ///< the connection is gone and `due` counts
    Mono due{};
};

/// Session key, client id and principal in one allocation.
class Identity {
public:
    void set(std::string_view key, std::string_view client_id, std::string_view principal) {
        BRIM_ASSERT(
            key.size() <= bytes_max && client_id.size() <= bytes_max && principal.size() <= bytes_max,
            "names of a session are at most 65,535 bytes"
        );
        is_client_key_ = client_id == key; // most often; then it is kept once
        const std::size_t client_bytes = is_client_key_ ? 0 : client_id.size();
        auto text = std::make_unique<char[]>(key.size() + client_bytes + principal.size());
        std::memcpy(text.get(), key.data(), key.size());
        std::memcpy(text.get() + key.size(), client_id.data(), client_bytes);
        std::memcpy(text.get() + key.size() + client_bytes, principal.data(), principal.size());
        text_ = std::move(text);
        key_ = static_cast<std::uint16_t>(key.size());
        client_ = static_cast<std::uint16_t>(client_id.size());
        principal_ = static_cast<std::uint16_t>(principal.size());
    }

    std::string_view key() const { return {text_.get(), key_}; }

    std::string_view client_id() const { return {text_.get() + (is_client_key_ ? 0 : key_), client_}; }

    std::string_view principal() const {
        return {text_.get() + key_ + (is_client_key_ ? 0 : client_), principal_};
    }

private:
    static constexpr std::size_t bytes_max = 65'535;

    std::unique_ptr<char[]> text_;
    std::uint16_t key_ = 0; ///< bytes
    std::uint16_t client_ = 0;
    std::uint16_t principal_ = 0;
    bool is_client_key_ = false;
};

/// Of a session that outlives its connection, or has something to do when that ends.
struct Lasting {
    KeptId kept = 0; ///< its name in the journal
    std::unique_ptr<Will> will;
    Mono expires{};               ///< counts while offline
    Mono timer_due = Mono::max(); ///< of its one entry in the timer heap; Mono::max() = none
};

struct Session {
    Identity identity;
    std::uint64_t user = 0;
    std::uint64_t epoch = 0;
    ConnId conn = 0; ///< 0 while offline
    std::uint32_t expiry_s = 0;
    ProtocolVersion version = ProtocolVersion::v311;
    std::uint8_t qos_max = 2;
    bool retain_available : 1 = true;
    bool wildcard_available : 1 = true;
    bool subscription_ids_available : 1 = true;
    bool is_replaying : 1 = false;                            ///< listed in Core::replaying_
    bool is_waiting : 1 = false;                              ///< listed in Core::waiting_
    bool is_pump_due : 1 = false;                             ///< listed in Core::pumps_
    std::unique_ptr<std::vector<Subscription>> subscriptions; ///< in the order of their text; null for none
    std::unique_ptr<Flow> flow;
    std::unique_ptr<Lasting> lasting; ///< null: it ends with its connection, and leaves nothing

    /// 0: it is not in the journal.
    KeptId kept() const { return lasting ? lasting->kept : 0; }

    /// Null when it has none.
    Will* will() const { return lasting ? lasting->will.get() : nullptr; }

    Mono expires() const { return lasting ? lasting->expires : Mono{}; }

    Lasting& make_lasting() {
        if (!lasting)
            lasting = std::make_unique<Lasting>();
        return *lasting;
    }

    void drop_will() {
        if (lasting)
            lasting->will.reset();
    }
};

constexpr std::uint32_t expiry_never = 0xFFFFFFFF;

/// The packet id of an outbound sequence number: 1..65535 in turn.
constexpr std::uint16_t packet_id_of(std::uint64_t sequence) {
    return static_cast<std::uint16_t>(sequence % 65'535 + 1);
}

} // namespace brim::mqtt
