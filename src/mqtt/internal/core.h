#pragma once
// The broker's inside: one class, its members in files by theme (connection, admission, authenticate,
// inbound, outbound, subscribe, route, retained, session life, timers). See README.md for the order of
// things.

#include "mqtt/internal/key_index.h"
#include "mqtt/internal/match_cache.h"
#include "mqtt/internal/message_pool.h"
#include "mqtt/internal/retained.h"
#include "mqtt/internal/session.h"
#include "mqtt/internal/slab.h"
#include "mqtt/internal/timer_heap.h"
#include "mqtt/subscription_tree.h"

#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace brim::mqtt {

/// Encodings of one message that several receivers share.
struct EncodeCache {
    struct Variant {
        bool is_v5 = false;
        std::uint8_t qos = 0;
        bool retain = false;
        std::size_t id_offset = 0;
        Bytes bytes;
    };

    /// An empty one to encode into.
    Variant& add(bool is_v5, std::uint8_t qos, bool retain) {
        if (used == variants.size())
            variants.emplace_back();
        Variant& variant = variants[used++];
        variant.is_v5 = is_v5;
        variant.qos = qos;
        variant.retain = retain;
        variant.bytes.clear();
        return variant;
    }

    std::vector<Variant> variants; ///< the first `used` are of this message, the others only buffers
    std::size_t used = 0;
};

class Broker::Core {
public:
    Core(BrokerHost& host, const BrokerLimits& limits, Journal* journal);

    // connection.cpp
    ConnId open(Mono now);
    void data(ConnId id, ByteView bytes, Mono now);
    void closed(ConnId id, Mono now);
    void congested(ConnId id, bool is_congested, Mono now);
    void shutdown(Mono now);

    void set_wall(WallTime wall, Mono now) { wall_base_ms_ = wall.ms - ms_of(now); }

    // admission.cpp
    void accept(ConnId id, const Admission& admission, Mono now);

    // authenticate.cpp
    void refuse(ConnId id, ReasonCode reason, std::string_view reason_text, Mono now);
    void continue_auth(ConnId id, ByteView auth_data, std::string_view reason_text, Mono now);
    void
    reauthenticated(ConnId id, std::string_view principal, std::uint64_t user, ByteView auth_data, Mono now);

    // inbound.cpp
    void complete(AckToken token, ReasonCode reason, Mono now);

    // route.cpp
    std::size_t publish(const MessagePtr& message, Mono now);
    std::size_t
    publish(const MessagePtr& message, Mono now, std::move_only_function<void(bool is_kept)> done);
    bool deliver(std::string_view key, const MessagePtr& message, Mono now);

    // session_life.cpp
    void kick(std::string_view key, ReasonCode reason, bool forget, Mono now);
    bool online(std::string_view key);
    int subscribed_qos(std::string_view key, std::string_view topic);

    // timers.cpp
    Mono tick(Mono now);

    // pressure.cpp
    void set_pressure(Pressure pressure);

    // keep.cpp
    void journal_stable(JournalNumber upto, Mono now);
    void journal_failed(ReasonCode reason, Mono now);

    // restore.cpp
    bool restore(RestoredState state, Mono now);
    bool write_image(ImagePlace& at, std::size_t items);

    // inspect.cpp
    std::uint32_t visit_sessions(
        std::uint32_t from, std::size_t count, const std::function<void(const SessionView&)>& visit
    );
    bool visit_session(std::string_view key, const std::function<void(const SessionView&)>& visit);
    bool visit_connection(ConnId id, const std::function<void(const SessionView&)>& visit);
    void visit_subscriptions(
        std::string_view key, const std::function<void(std::string_view filter, int qos)>& visit
    );
    void trace(ConnId id, bool is_traced);
    std::size_t drop_retained(const std::function<bool(const Message&)>& is_unwanted, Mono now);

    BrokerStats stats() const;

private:
    /// Open while a public call is under way; the outermost one works off what became possible meanwhile.
    class Turn {
    public:
        Turn(Core& core, Mono now) : core_(core), now_(now) { ++core_.depth_; }

        ~Turn();
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

    private:
        Core& core_;
        Mono now_;
    };

    enum class Offered : std::uint8_t { sent, queued, dropped };

    // connection.cpp
    void work(ConnId id, ByteView bytes, Mono now);
    void keep_for_later(ConnId id, ByteView bytes, Mono now);
    void resume(ConnId id, Mono now);
    void handle(ConnId id, const Frame& frame, Mono now);
    void handle_fresh(ConnId id, const Frame& frame, Mono now);
    void refuse_bad_connect(ConnId id, const Frame& frame, ReasonCode reason);
    void end(ConnId id, Ended why, std::optional<ReasonCode> say, Mono now, bool is_transport_gone = false);
    void protocol_end(ConnId id, ReasonCode reason, Mono now);
    void send(ConnId id, ByteView bytes);
    void refuse_connect(ConnId id, ReasonCode reason, std::string_view reason_text, Mono now);

    // admission.cpp
    std::uint16_t
    keepalive_for(ProtocolVersion version, const PendingConnect& pending, const Admission& admission) const;
    std::uint32_t session_expiry_for(ProtocolVersion version, const PendingConnect& pending) const;
    Connack connack_for(
        const Conn& conn, const PendingConnect& pending, const Admission& admission, bool present
    ) const;
    bool refuse_will(ConnId id, const Admission& admission, Mono now);

    // authenticate.cpp
    std::optional<ReasonCode> begin_auth(ConnId id, const Connect& connect);
    void handle_proving(ConnId id, const Frame& frame, Mono now);
    void handle_auth(ConnId id, const Frame& frame, Mono now);
    void take_auth(ConnId id, const Auth& packet, Mono now);
    bool send_auth(ConnId id, ReasonCode reason, ByteView data, std::string_view text, Mono now);
    void run_auth_timers(Mono now);
    static bool is_too_early(const Conn& conn, ByteView unread);

    // session_life.cpp
    SessionId
    attach(ConnId id, const PendingConnect& pending, const Admission& admission, bool& present, Mono now);
    void detach(SessionId id, Ended why, Mono now);
    void forget(SessionId id, Mono now);
    void drop_contents(Session& session, SessionId id, Mono now);
    void publish_will(SessionId id, Mono now);
    ConnView view(const Session& session) const;
    Session* session_by_key(std::string_view key, SessionId& id);
    void arm(SessionId id, Session& session, Mono now);
    Flow& flow_of(Session& session);
    void release_flow(Session& session);
    void release_idle(Session& session);

    // inbound.cpp
    void handle_publish(ConnId id, const Frame& frame, Mono now);
    bool resolve_topic(ConnId id, const Publish& packet, std::string_view& topic, Mono now);
    bool admit_inbound(ConnId id, Session& session, const Publish& packet, Mono now);
    void repeat_pubrec(ConnId id, Session& session, const InboundQos2& known);
    void
    settle(ConnId id, AckToken token, Verdict verdict, std::size_t reached, JournalNumber number, Mono now);
    void complete(AckToken token, ReasonCode reason, JournalNumber number, Mono now);
    bool settle_at_once(ConnId id, const Conn* conn, Verdict verdict, std::size_t reached);
    void flush_acks(SessionId id);
    void send_ack(ConnId id, PacketType type, std::uint16_t packet_id, ReasonCode reason);
    void handle_pubrel(ConnId id, const Frame& frame, Mono now);
    void handle_disconnect(ConnId id, const Frame& frame, Mono now);

    // outbound.cpp
    void handle_outbound_ack(ConnId id, const Frame& frame, Mono now);
    void on_outbound_ack(ConnId id, PacketType type, std::uint16_t packet_id, ReasonCode reason, Mono now);
    Offered offer(SessionId id, Session& session, Delivery&& delivery, Mono now, EncodeCache* cache);
    Offered enqueue(Session& session, Delivery&& delivery);
    bool window_open(const Conn& conn, Flow& flow, const Message& next) const;
    std::uint16_t window_max() const;
    std::size_t window_span_max() const;
    void pump_later(SessionId id, Session& session);
    void run_pumps(Mono now);
    bool send_window(
        ConnId conn_id, Conn& conn, Session& session, Delivery&& delivery, Mono now, EncodeCache* cache
    );
    bool send_publish(
        ConnId conn_id,
        Conn& conn,
        Session& session,
        const Delivery& delivery,
        std::uint16_t packet_id,
        bool dup,
        Mono now,
        EncodeCache* cache
    );
    ByteView encode_for(
        Conn& conn, const Delivery& delivery, std::uint16_t packet_id, bool dup, Mono now, EncodeCache* cache
    );
    std::uint16_t outbound_alias(Conn& conn, std::string_view topic, bool& is_known);
    void pump(SessionId id, Mono now);
    bool resend(ConnId conn_id, Session& session, Flow& flow, Mono now);
    void start_resume(Session& session);

    // subscribe.cpp
    static bool has_room_for_answer(const Conn& conn, std::size_t filters);
    void handle_subscribe(ConnId id, const Frame& frame, Mono now);
    void handle_unsubscribe(ConnId id, const Frame& frame, Mono now);
    ReasonCode subscribe_one(
        SessionId id,
        Session& session,
        const SubscribeFilter& wanted,
        Result<TopicFilter>& filter,
        std::uint32_t subscription_id
    );

    // retained_replay.cpp
    bool retain(const MessagePtr& message, bool is_written);
    void add_replay(SessionId id, Session& session, Replay replay);
    /// Retained topics that are looked at for all sessions together before anything else has its turn: about
    /// a millisecond's work.
    static constexpr std::size_t replay_topics_per_step = 1'024;

    void open_replay_step(Mono now);
    void resume_replay(SessionId id, Session& session, Mono now);
    bool may_replay(const Session& session, const Replay& replay);
    void
    replay_one(SessionId id, Session& session, const Replay& replay, const MessagePtr& message, Mono now);
    bool replay_some(SessionId id, Session& session, std::size_t budget, Mono now);
    void begin_replay(SessionId id, Session& session, Mono now);
    std::optional<Mono> run_replays(Mono now);

    // route.cpp
    std::size_t route(const MessagePtr& message, Mono now);
    /// `slot` is that of its topic.
    std::size_t route(const MessagePtr& message, MatchCache::Slot& slot, Mono now);
    bool offer_matches(
        std::span<const SubscriptionTree::Entry> entries,
        const MessagePtr& message,
        Mono now,
        EncodeCache& cache
    );
    bool offer_group(
        SubscriptionTree::Group& group,
        const MessagePtr& message,
        JournalNumber promised,
        Mono now,
        EncodeCache& cache
    );

    struct Inherited {
        MessagePtr message;
        JournalNumber promised = 0; ///< as in Delivery
    };

    void hand_over(
        std::string_view key,
        const std::vector<Inherited>& messages,
        const std::vector<TopicFilter>& shares,
        Mono now
    );
    SubscriptionTree::Group*
    heirs(const std::vector<TopicFilter>& shares, std::string_view topic, std::size_t turn);

    // inspect.cpp
    SessionView session_view(const Session& session);
    void show_sent(ConnId id, ByteView bytes);

    // keep.cpp
    JournalNumber written() const { return journal_ == nullptr ? 0 : journal_->last(); }

    /// What an answer waits for: 0 when nothing was written since `before`.
    JournalNumber written_since(JournalNumber before) const {
        const JournalNumber last = written();
        return last == before ? 0 : last;
    }

    /// What an answer waits for that may rest on something the session wrote just before.
    JournalNumber written_of(const Session& session) const { return session.kept() == 0 ? 0 : written(); }

    bool refuse_unkept(ConnId id, const Admission& admission, Mono now);
    bool is_refused(const Message& message, const SubscriptionTree::Matches& matches);
    bool is_for_kept(const Message& message, const SubscriptionTree::Matches& matches);
    KeptFacts facts_of(const Session& session) const;
    void write_session(const Session& session);
    void note_kept(Session& session, std::uint64_t sequence, Delivery& delivery);
    void write_message(const MessagePtr& message, bool is_retained);
    void write_done(const Session& session, std::uint64_t sequence, JournalNumber number);
    void write_replay(const Session& session, const Replay& replay, bool is_done);
    JournalNumber write_inbound(const Session& session, std::uint16_t packet_id, JournalNumber number);
    void pass_over(Session& session, JournalNumber number);
    void release_kept(Session& session);
    void wait_for(SessionId id, Session& session);
    void send_when_stable(ConnId id, JournalNumber number, ByteView bytes);
    void send_ack_when_stable(
        ConnId id,
        JournalNumber number,
        PacketType type,
        std::uint16_t packet_id,
        ReasonCode reason = ReasonCode::success
    );
    bool hold_behind(ConnId id, ByteView bytes);
    void stall_when_full(ConnId id, Conn& conn);
    bool release_held(ConnId id);
    static bool drop_held(Conn& conn);
    void fail_held(ConnId id, ReasonCode reason, Mono now);
    bool take_back(Session& session, ReasonCode reason);

    // pressure.cpp
    void release_spares();
    void release_idle_parts();
    bool refuse_new(ConnId id, const Admission& admission, Mono now);
    bool is_shed_qos0(const Session& session);
    bool must_hold(const Session& session);
    bool is_shed(const Message& message, MatchCache::Slot& slot);

    // restore.cpp
    bool restore_session(RestoredSession& kept, Mono now);
    bool restore_flow(Session& session, RestoredSession& kept, Mono now);
    void restore_place(Session& session, RestoredPlace& place, Mono now);
    std::size_t write_image_of(const Session& session);
    std::size_t write_places(const Session& session);

    // timers.cpp
    static Mono keepalive_due(const Conn& conn) {
        return conn.last_packet + std::chrono::milliseconds{conn.keepalive_s * std::int64_t{1'500}};
    }

    void set_rate(Conn& conn, const Admission& admission);
    void charge(ConnId id, Conn& conn, std::size_t size, Mono now);
    void run_throttle_timer(ConnId id, Mono now);
    void run_conn_timer(ConnId id, Mono now);
    void run_session_timer(SessionId id, Mono due, Mono now);

    WallTime wall(Mono now) const { return {wall_base_ms_ + ms_of(now)}; }

    static std::int64_t ms_of(Mono time) {
        return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
    }

    void dropped(std::string_view key, std::string_view reason, std::uint64_t count) {
        if (count != 0)
            host_.on_dropped(key, reason, count);
    }

    BrokerHost& host_;
    BrokerLimits limits_;
    Journal* journal_; ///< null: everything is in memory only
    CodecLimits codec_limits_;
    Slab<Conn> conns_;
    Slab<Session> sessions_;

    struct KeyOfSession {
        Slab<Session>* sessions;

        std::string_view operator()(std::uint32_t index) const {
            return sessions->at_index(index)->identity.key();
        }
    };

    KeyIndex<KeyOfSession> by_key_{KeyOfSession{&sessions_}};
    std::uint64_t out_sequence_seed_ = 0; ///< where the next Flow begins to count
    std::uint64_t ack_sequence_seed_ = 0;
    SubscriptionTree tree_;
    Retained retained_;
    TimerHeap conn_timers_; ///< one entry a connection: CONNECT's deadline, then keep-alive
    TimerHeap session_timers_;
    TimerHeap throttle_timers_;      ///< when connections above their rate are read from again
    TimerHeap auth_timers_;          ///< re-authentications, at most one entry a connection
    std::vector<ConnId> resumes_;    ///< connections that may go on with their backlog
    std::vector<ConnId> gone_;       ///< closed() that came from inside a call to the host
    std::vector<SessionId> pumps_;   ///< sessions whose window has opened in this turn
    std::vector<SessionId> pumping_; ///< of run_pumps(), which does not nest
    Ring<SessionId> replaying_;      ///< sessions with retained messages still to send, in turn
    std::size_t replay_left_ = 0;    ///< topics that may be looked at in this step
    Mono replay_due_{};              ///< when the next step is open
    MatchCache matches_{tree_};
    EncodeCache spare_cache_;          ///< keeps its buffers between messages
    Bytes scratch_;                    ///< encodings that go out at once
    std::unique_ptr<Publish> inbound_; ///< the packet read last, for its memory
    MessagePool pool_;
    Mono spares_looked_at_{};
    std::uint64_t epoch_ = 0;
    std::int64_t wall_base_ms_ = 0;
    int depth_ = 0;
    bool is_shut_ = false;
    Pressure pressure_ = Pressure::none;
    bool was_full_ = false;                    ///< a queue refused the message that is being routed
    ReasonCode refused_ = ReasonCode::success; ///< why the message that is being routed went nowhere
    JournalNumber stable_ = 0;                 ///< everything written up to it is safe
    std::vector<KeptReceiver> kept_;           ///< of the message that is being routed
    std::vector<SessionId> waiting_;           ///< sessions with something to do once more is stable
    std::vector<ConnId> holding_;              ///< connections with held output

    /// Of the host's own message that is not safe yet.
    struct Awaited {
        JournalNumber number = 0;
        std::move_only_function<void(bool)> done;
    };

    std::deque<Awaited> awaited_; ///< numbers grow
    std::size_t traced_ = 0;      ///< connections whose packets the host sees
    /// Session keys of messages that expired before the restore; the host may not be called from inside it.
    std::vector<std::string> expired_;
    BrokerStats stats_;
};

} // namespace brim::mqtt
