#pragma once
// The broker core: MQTT 3.1, 3.1.1 and 5 server behaviour without sockets, clocks or threads. Bytes and `now`
// go in; bytes and decisions come out through BrokerHost. One Broker lives on one loop.

#include "base/message.h"
#include "base/pressure.h"
#include "base/time.h"
#include "mqtt/journal.h"
#include "mqtt/packet.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brim::mqtt {

/// A connection, generation-checked: a stale id is ignored everywhere. 0 is none. The low 32 bits are a small
/// number, counted from 1 and used again after the connection's end: a host may keep its own record in a
/// vector.
using ConnId = std::uint64_t;

/// Names an inbound QoS 1 PUBLISH whose acknowledgement waits for the host. 0 is none (QoS 0).
using AckToken = std::uint64_t;

/// Every bound of the broker; each is tested on both sides.
struct BrokerLimits {
    std::uint32_t packet_bytes_max = 268'288; ///< 256 KiB of payload and room for topic and properties
    std::uint32_t preauth_packet_bytes_max =
        8'192;                              ///< before CONNECT was accepted, judged from the header alone
    std::uint16_t inflight_count_max = 128; ///< per session, from a client; sent as Receive Maximum
    /// The same to a client, as far as its Receive Maximum allows; beyond inflight_count_max only small ones
    /// (window_bytes_each_max), for what a client reads and does not acknowledge stays in memory.
    std::uint16_t window_count_max = 1'024;
    std::uint32_t window_bytes_each_max = 4'096;
    /// Per session: QoS 2 messages taken that the client has not released, also those of earlier connections
    /// and of 3.x clients, which know no Receive Maximum. One more ends the connection.
    std::uint32_t unreleased_count_max = 4'096;
    std::uint32_t queue_count_max = 1'000;     ///< per session, messages waiting for the client
    std::uint32_t queue_bytes_max = 8'388'608; ///< the same in payload and topic bytes
    std::uint32_t subscriptions_max = 1'000;   ///< per session
    std::uint32_t sessions_max = 1'000'000;
    std::uint32_t topic_bytes_max = 1'024;
    std::uint32_t topic_levels_max = 128;
    std::uint32_t user_properties_max = 64;           ///< per packet
    std::uint16_t topic_alias_max = 20;               ///< per connection and direction
    std::uint32_t connect_backlog_bytes_max = 65'536; ///< bytes that wait for the answer to on_connect
    std::uint32_t auth_rounds_max = 8;                ///< AUTH packets of a client in one exchange
    std::uint32_t auth_bytes_max = 16'384; ///< its authentication data in one exchange, CONNECT's included
    std::uint32_t client_id_bytes_max = 256;
    std::uint32_t retained_count_max = 1'000'000;
    std::uint64_t retained_bytes_max = 1'073'741'824;
    /// From accept to a complete CONNECT and all AUTH packets; the same again for each re-authentication.
    /// What the host takes to answer does not end a connection.
    Duration connect_wait_max = std::chrono::seconds{5};
    std::uint16_t keepalive_s_max = 64'800;       ///< longer ones (and 0) are cut to it by Server Keep Alive
    std::uint32_t session_expiry_s_max = 604'800; ///< 7 days
    /// While memory is short: output that waits for a client before it gets no more QoS 0.
    std::uint32_t pressed_output_bytes_max = 16'384;
    /// At Pressure::critical: messages that wait for a client before it counts as one that takes none.
    std::uint32_t pressed_queue_count_max = 32;
};

/// What the host answers to CONNECT.
struct Admission {
    std::string session_key; ///< sessions are kept under this, not under the client id; non-empty
    std::string principal;   ///< for authorise() and logs
    std::uint64_t user = 0;  ///< the host's own handle, handed back in events
    std::uint8_t qos_max = 2;
    bool retain_available = true;
    bool wildcard_available = true;
    bool subscription_ids_available = true; ///< false: a SUBSCRIBE with one ends the connection with 0xA1
    bool will_allowed = true;
    std::uint16_t keepalive_s = 0;  ///< 0 = as the client asked (within limits)
    std::string assigned_client_id; ///< MQTT 5: set when the client sent an empty one
    /// PUBLISH packets a second, and their bytes without the fixed header; 0 = no limit. A burst of one
    /// second's worth may come at once. Above it the client is not read from (host.pause) until it is within
    /// its rate again: nothing is lost or reordered, and what it sends behind, a PINGREQ too, waits with it.
    /// Its keep-alive does not run meanwhile. A packet larger than what is left of the second is taken and
    /// waited for afterwards, so a byte rate should be more than the largest packet in half of the shortest
    /// keep-alive. A new connection begins with a whole second's worth.
    std::uint32_t publish_rate_max = 0;
    std::uint32_t publish_bytes_rate_max = 0;
    /// Goes out in CONNACK when CONNECT named an authentication method; at most 65,535 bytes.
    Bytes auth_data;
};

enum class Action : std::uint8_t { publish, subscribe, receive };

/// The host's decision about one inbound PUBLISH.
enum class Verdict : std::uint8_t {
    route,    ///< broker: deliver to matching subscribers (and retain), acknowledge now
    consumed, ///< host took it: acknowledge now, do not route
    pending,  ///< host keeps it: acknowledge when complete(token, ...) is called, do not route
    drop,     ///< acknowledge with success, deliver nowhere (the host has counted it)
    denied,   ///< v5: PUBACK 0x87; 3.x: acknowledged and dropped, as MQTT 3.1.1 section 3.3.5 allows
    close,    ///< end the connection (v5: DISCONNECT 0x87)
};

/// Why a session's connection ended.
enum class Ended : std::uint8_t {
    disconnect,
    network,
    keepalive,
    takeover,
    protocol_error,
    kicked,
    shutdown
};

/// "keepalive", "takeover", ...: for people and logs.
std::string_view ended_text(Ended why) noexcept;

/// What a client has: lives in the broker, read by the host.
struct ConnView {
    ConnId id = 0;
    std::uint64_t user = 0;
    std::uint64_t epoch = 0; ///< grows with every accepted connection of the broker's life
    std::string_view session_key;
    std::string_view client_id;
    std::string_view principal;
    ProtocolVersion version{};
};

/// What the broker needs from outside. Called on the broker's loop, from inside broker calls; may call back
/// into the broker where a member says so.
class BrokerHost {
public:
    virtual ~BrokerHost() = default;
    /// Queue bytes for a connection. They need not be sent before the turn ends.
    virtual void send(ConnId conn, ByteView bytes) = 0;
    /// Close after what was queued is sent; the broker has already forgotten the connection.
    virtual void close(ConnId conn) = 0;
    /// Stop or resume calling data() for this connection (receive budget used up).
    virtual void pause(ConnId conn, bool paused) = 0;

    /// Work came up that is due earlier than the last tick() said. Who does not listen is late with it by at
    /// most a second. May not call the broker.
    virtual void tick_by(Mono) {}

    /// Bytes on their way to a connection. Asked while memory is short only.
    virtual std::size_t queued(ConnId) { return 0; }

    /// A well-formed CONNECT. Answer with accept() or refuse(), inside this call or later; until then no
    /// other packet is handled (at most 64 KiB is buffered). `connect` is valid during the call only. One
    /// with an authentication method comes here only if offers_auth() said so, and may be answered with
    /// continue_auth() as well.
    virtual void on_connect(ConnId conn, const Connect& connect) = 0;

    /// True when a CONNECT that names `method` may be offered to on_connect() (MQTT 5 section 4.12). False
    /// refuses it with 0x8C, so a host that knows nothing of methods never takes a client's word for one.
    virtual bool offers_auth(ConnId, std::string_view) const { return false; }

    /// An AUTH packet in its turn, with CONNECT's method: 0x18 answers continue_auth(), 0x19 begins a
    /// re-authentication of a connection that is up and goes on meanwhile. Answer, inside this call or later:
    /// before CONNACK with continue_auth(), accept() or refuse(), after it with continue_auth(),
    /// reauthenticated() or refuse(). `auth` is valid during the call only.
    virtual void on_auth(ConnId, const Auth&) {}

    /// The connection ended in the middle of an exchange: what the host keeps for it can go. Not called when
    /// the host ended the exchange itself with accept(), refuse() or reauthenticated(). May come from inside
    /// continue_auth(); may not call the broker.
    virtual void on_auth_over(ConnId) {}

    /// Asked for each topic filter at subscribe, and for each topic at delivery (Action::receive). Deny on
    /// doubt.
    virtual bool authorise(const ConnView& who, Action action, std::string_view topic) = 0;
    /// An inbound PUBLISH or a due will (then token is 0), already decoded and within limits. Publishing
    /// permission is the host's to check here. May call publish(), deliver(), complete().
    virtual Verdict on_publish(const ConnView& who, const MessagePtr& message, AckToken token) = 0;
    /// The connection is up: CONNACK is queued.
    virtual void on_up(const ConnView& who) = 0;
    /// The connection of a session ended. Not called for one that never was up.
    virtual void on_down(const ConnView& who, Ended why) = 0;
    /// Messages that will not be delivered: `reason` is a metric label (queue_full, expired, too_large,
    /// qos0_slow, no_session, denied; not_stored: the journal takes nothing; retained_full: routed but not
    /// retained; invalid: publish() was given a topic or text that MQTT forbids; pressure: memory is short).
    /// QoS 0 for a session that is offline is not counted.
    virtual void on_dropped(std::string_view session_key, std::string_view reason, std::uint64_t count) = 0;

    /// A packet of a connection that is traced (Broker::trace): as it came, before it is judged, or as it
    /// goes out. Its CONNECT was before. May not call the broker.
    virtual void
    on_packet(const ConnView& who, bool is_inbound, PacketType type, std::uint8_t flags, ByteView body) {
        static_cast<void>(who);
        static_cast<void>(is_inbound);
        static_cast<void>(type);
        static_cast<void>(flags);
        static_cast<void>(body);
    }
};

/// A session as people ask about it. Texts live as long as the session.
struct SessionView {
    ConnView who; ///< `id` is 0 while offline
    bool is_online = false;
    bool is_durable = false; ///< survives the process
    bool has_will = false;
    bool is_congested = false;     ///< it takes less than it is sent
    std::uint16_t keepalive_s = 0; ///< while online
    std::uint32_t expiry_s = 0;    ///< how long it outlives its connection; 0xFFFFFFFF = for ever
    Mono up_since{};               ///< while online, to the second
    Mono expires{};                ///< while offline
    std::size_t subscriptions = 0;
    std::size_t queued = 0; ///< messages waiting for the client
    std::uint64_t queued_bytes = 0;
    std::size_t inflight_out = 0; ///< sent, not acknowledged
    std::size_t inflight_in = 0;  ///< received, handshake not over
};

struct BrokerStats {
    std::uint64_t connections = 0; ///< up now
    std::uint64_t opening = 0;     ///< open, their CONNECT not answered yet
    std::uint64_t sessions = 0;    ///< including offline ones
    std::uint64_t subscriptions = 0;
    std::uint64_t retained = 0;
    std::uint64_t queued = 0; ///< messages waiting in sessions
    std::uint64_t received[3] = {0, 0, 0};
    std::uint64_t sent[3] = {0, 0, 0};
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    std::uint64_t throttled = 0; ///< times a client was not read from for being above its rate
    // While memory was short:
    std::uint64_t shed_connects = 0;  ///< new clients that got 0x89
    std::uint64_t shed_qos0 = 0;      ///< deliveries of QoS 0 to clients that were behind
    std::uint64_t shed_publishes = 0; ///< QoS 1 and 2 that would have had to be held, refused with 0x97
};

class Broker {
public:
    /// With a `journal` sessions that outlive their connection, and retained messages, are written down and
    /// their acknowledgements wait for it. It outlives the broker.
    Broker(BrokerHost& host, BrokerLimits limits, Journal* journal = nullptr);
    ~Broker();
    Broker(const Broker&) = delete;
    Broker& operator=(const Broker&) = delete;

    /// What the wall clock shows at `now`: messages are stamped with it. Call it now and then.
    void set_wall(WallTime wall, Mono now);

    // --- the transport's side
    /// A new transport connection. It must send CONNECT within connect_wait_max.
    ConnId open(Mono now);
    /// Bytes in any split. May end in host.close(conn).
    void data(ConnId conn, ByteView bytes, Mono now);
    /// The transport is gone.
    void closed(ConnId conn, Mono now);
    /// The output of a connection is above (true) or back below its high-water mark: queue instead of send.
    void congested(ConnId conn, bool is_congested, Mono now);
    /// Runs what is due: keep-alive, connect deadline, session expiry, delayed wills. Returns when to call
    /// again (at most 1 s away when anything is pending).
    Mono tick(Mono now);

    /// How short memory is; none at first. See README.md for what is given up at which level. Not from inside
    /// a call to the host.
    void set_pressure(Pressure pressure);

    // --- the host's side
    void accept(ConnId conn, const Admission& admission, Mono now);
    /// Refuses CONNECT: the reason code is mapped to 3.1.1's return codes where needed. Of a connection that
    /// is up it refuses the re-authentication under way: DISCONNECT with the reason (0x87 for those
    /// DISCONNECT does not have), without the text [MQTT-4.12.1-2].
    void refuse(ConnId conn, ReasonCode reason, std::string_view reason_text, Mono now);
    /// Asks the client for more: AUTH 0x18 with CONNECT's method. Answers on_connect() of a CONNECT with a
    /// method, or on_auth(); ignored when it is not the host's turn. `auth_data` and `reason_text` are at
    /// most 65,535 bytes; the text is left out where the client has no room for it or wants none.
    void continue_auth(ConnId conn, ByteView auth_data, std::string_view reason_text, Mono now);
    /// A re-authentication succeeded: AUTH 0x00. The session goes on under `principal` and `user`, of which
    /// views handed out before are no longer good; its key and what CONNACK promised stay. Ignored when it is
    /// not the host's turn.
    void reauthenticated(
        ConnId conn, std::string_view principal, std::uint64_t user, ByteView auth_data, Mono now
    );
    /// Sends the acknowledgement of a pending QoS 1 PUBLISH. Acknowledgements leave in the order the messages
    /// came (MQTT 4.6), so an early one waits for its predecessors. For v3 a failure closes the connection
    /// instead.
    void complete(AckToken token, ReasonCode reason, Mono now);
    /// Routes to all matching sessions, retaining when message->retain. Returns the number of sessions
    /// reached. What is retained below $SYS/ is in memory only: it is the broker's own, and made anew.
    std::size_t publish(const MessagePtr& message, Mono now);
    /// The same for somebody who must know when the message is safe: `done` is called once, inside this call
    /// when nothing had to be written, else with journal_stable() (true) or journal_failed() (false). False
    /// as well when the journal takes nothing: then nobody got it. `done` may call the broker.
    std::size_t
    publish(const MessagePtr& message, Mono now, std::move_only_function<void(bool is_kept)> done);
    /// Hands a message to one session whether or not it subscribed (once). False when there is no such
    /// session, or it is offline and the message is QoS 0, or offline and would not be kept.
    bool deliver(std::string_view session_key, const MessagePtr& message, Mono now);
    /// Ends a session's connection; `forget` drops the session too. v5 gets DISCONNECT with `reason`.
    void kick(std::string_view session_key, ReasonCode reason, bool forget, Mono now);
    bool online(std::string_view session_key) const;
    /// The QoS a session asked for with a filter that matches `topic`; -1 when none matches.
    int subscribed_qos(std::string_view session_key, std::string_view topic) const;
    /// Shows up to `count` sessions from place `from` on (0: the first); returns where to go on, 0 at the
    /// end. A session that comes or goes between two calls may be seen or not, no other one twice. `visit`
    /// must not call the broker.
    std::uint32_t visit_sessions(
        std::uint32_t from, std::size_t count, const std::function<void(const SessionView&)>& visit
    ) const;
    /// One session; false when there is none under this key.
    bool
    visit_session(std::string_view session_key, const std::function<void(const SessionView&)>& visit) const;
    /// The session of a connection that is up; false when there is none.
    bool visit_connection(ConnId conn, const std::function<void(const SessionView&)>& visit) const;
    /// Its subscriptions in the order of their text, as written in SUBSCRIBE, with the QoS asked for.
    void visit_subscriptions(
        std::string_view session_key, const std::function<void(std::string_view filter, int qos)>& visit
    ) const;
    /// Begins or ends on_packet() for a connection that is up.
    void trace(ConnId conn, bool is_traced);
    /// Takes away the retained messages for which `is_unwanted` says so; returns how many. Looks at all of
    /// them.
    std::size_t drop_retained(const std::function<bool(const Message&)>& is_unwanted, Mono now);
    /// Says goodbye to everyone (v5: 0x8B server shutting down) and accepts nothing any more.
    void shutdown(Mono now);

    // --- the journal's side
    /// Begins with what was kept. Before the first open(); calls nothing of the host. What is overdue runs
    /// with the next tick(); until its client is back a session's `user` is 0. False when it differs from
    /// what the journal has in more than was written now: a new image is needed.
    bool restore(RestoredState state, Mono now);
    /// Everything written up to `upto` is safe: what waited for it goes out.
    void journal_stable(JournalNumber upto, Mono now);
    /// What was written behind the last journal_stable() is lost. Who waits is told `reason` (3.x: closed),
    /// messages that only that would have kept are taken back. Images must follow.
    void journal_failed(ReasonCode reason, Mono now);
    /// Writes the next piece of an image of all that is kept, about `items` things. True when it is complete.
    bool write_image(ImagePlace& at, std::size_t items);

    BrokerStats stats() const;

private:
    class Core;
    std::unique_ptr<Core> core_;
};

} // namespace brim::mqtt
