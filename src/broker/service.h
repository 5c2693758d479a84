#pragma once
// The broker for apps and LAN devices as one object: listeners, logins, permissions, figures below $SYS/ and
// administration below $CONTROL/, on the log when it is durable. brim-hub and brim-edge each open one when
// their settings name a listener for it.

#include "base/labelled_counters.h"
#include "broker/bridge_set.h"
#include "broker/control.h"
#include "broker/login.h"
#include "broker/policy.h"
#include "broker/scram.h"
#include "broker/settings.h"
#include "broker/trace.h"
#include "broker/websocket_door.h"
#include "io/file_stamps.h"
#include "io/tls_service.h"
#include "mqtt/server.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace brim::broker {

/// A listener as it came out: with the real port.
struct OpenListener {
    std::string protocol, address, security;
};

/// Lives on the Env's loop. open() -> ... -> shut() -> destroyed.
class Service final : public mqtt::Server, private ControlHost, private LocalBroker {
public:
    /// Files of rules are looked at this often, twice before they are read: a change counts within a second.
    static constexpr std::chrono::milliseconds look_every{300};

    /// Opens the session log (when durable), reads the rules, opens the listeners. Blocking; at a start.
    /// Rules that cannot be used keep nobody from starting: they let nobody in, and the log says why. Errors
    /// are those of the log and of the listeners' addresses and certificates.
    static Result<std::unique_ptr<Service>> open(io::Env& env, Settings settings);
    ~Service() override;

    const std::vector<OpenListener>& listeners() const { return listeners_; }

    /// Looks at the files of rules and at the certificates now (SIGHUP).
    void refresh();
    /// Ends listeners, connections and bridges, then makes what is left durable and calls `done`.
    void shut(std::move_only_function<void()> done);

private:
    /// One CONNECT while it is judged.
    struct Claim {
        Principal who;
        std::string assigned_client_id;
        std::string address;
    };

    /// A proof that ends, and whose session with it.
    struct End {
        std::int64_t wall_ms = 0;
        std::string session_key;
    };

    Service(io::Env& env, Settings settings, std::unique_ptr<mqtt::SessionLog> sessions);
    Result<void> open_listener(const ListenerSettings& listener, unsigned tag);
    Result<Wrap> open_tls(const ListenerSettings& listener);
    void put_websocket_before(const ListenerSettings& listener, mqtt::ListenerOptions& options);

    // BrokerHost, policy part
    void on_connect(mqtt::ConnId conn, const mqtt::Connect& connect) override;
    bool authorise(const mqtt::ConnView& who, mqtt::Action action, std::string_view topic) override;
    mqtt::Verdict
    on_publish(const mqtt::ConnView& who, const MessagePtr& message, mqtt::AckToken token) override;
    void on_up(const mqtt::ConnView& who) override;
    void on_down(const mqtt::ConnView& who, mqtt::Ended why) override;
    void on_dropped(std::string_view session_key, std::string_view reason, std::uint64_t count) override;
    void on_refused(mqtt::ConnId conn) override;
    void on_packet(
        const mqtt::ConnView& who, bool is_inbound, mqtt::PacketType type, std::uint8_t flags, ByteView body
    ) override;

    const Principal& principal(const mqtt::ConnView& who);
    void deny(const mqtt::ConnView& who, std::string_view what, std::string_view topic);

    // bridges: service_bridges.cpp
    Result<void> open_bridges();
    void open_bridge(BridgeEntry& entry);
    Result<std::string> own_id();
    mqtt::Verdict hand_to_bridges(const MessagePtr& message, mqtt::AckToken token);
    void publish(const MessagePtr& message, Done done) override;
    Json bridges_json() const;

    // enhanced authentication: service_scram.cpp
    /// An exchange under way.
    struct Exchange {
        ScramServer server;
        Claim claim;
        bool is_again = false; ///< of a connection that is up
    };

    bool offers_auth(mqtt::ConnId conn, std::string_view method) const override;
    void on_auth(mqtt::ConnId conn, const mqtt::Auth& auth) override;

    void on_auth_over(mqtt::ConnId conn) override { exchanges_.erase(conn); }

    void begin_scram(mqtt::ConnId conn, Claim claim, ByteView first, bool is_again);
    void end_scram(mqtt::ConnId conn, Exchange exchange, ByteView last);

    // logins: service_login.cpp
    void judge_certificate(mqtt::ConnId conn, Claim claim, const io::Peer& from, std::string_view username);
    void judge_token(mqtt::ConnId conn, Claim claim, std::string_view username, std::string_view token);
    void check_password(mqtt::ConnId conn, Claim claim, std::string name, std::string password);
    void admit(mqtt::ConnId conn, const Claim& claim, Bytes auth_data = {});
    /// `label` is the reason it is counted under.
    void turn_away(
        mqtt::ConnId conn,
        const Claim& claim,
        mqtt::ReasonCode reason,
        std::string_view label,
        const Error& why
    );

    // rules: service_rules.cpp
    void look_at_rules(bool is_asked);
    bool is_heard(const mqtt::ConnView& who, const Principal& from) const;
    void take_rules(Rules fresh);
    void tell_problems(const Rules& rules);
    void end_changed_passwords(const UserFile& before, const UserFile& after);
    void review();
    bool is_orphan(const Message& message) const;
    void each_second();

    // figures and administration: service_figures.cpp
    WallTime wall() override { return env().loop().clock().wall(); }

    mqtt::Broker& core() override { return broker(); }

    Json session_json(const mqtt::SessionView& session) override;
    Json stats_json() override;
    void answer(std::string_view session_key, const Message& request, const Json& body) override;
    Result<void> start_trace(const TraceOrder& order) override;
    void send_traced(const TraceOrder& order, const Json& event);
    void show_later(std::string_view client_id, Json event);
    void tell(
        std::string_view session_key,
        const std::string& response_topic,
        const Bytes& correlation,
        const Json& body
    );
    void publish_figures();
    void figure(std::string_view name, std::string value);
    void register_metrics();

    static constexpr std::size_t events_max = 10'000; ///< of traces, in one turn

    Settings settings_;
    bool has_certificates_ = false; ///< a listener lets clients in by their certificate
    Policy policy_;
    Principal asked_; ///< whom authorise() is asked about: its texts stay warm
    Logins logins_;
    Control control_;
    Traces traces_;
    std::vector<std::pair<std::string, Json>> events_; ///< of traces, to be sent at the end of this turn
    bool is_showing_ = false;
    std::vector<std::unique_ptr<io::TlsService>> tls_;
    std::vector<std::unique_ptr<WebSocketDoor>> websockets_;
    std::vector<OpenListener> listeners_;
    std::unordered_map<mqtt::ConnId, Exchange> exchanges_;
    std::string scram_secret_;                   ///< what names that nobody has are answered by
    std::unordered_map<mqtt::ConnId, End> ends_; ///< of proofs with an end
    std::string revoked_;                        ///< key of the session that is being ended for it
    io::FileStamps rule_stamps_;                 ///< for the jobs of files_, one at a time
    LabelledCounters dropped_;                   ///< by reason, as BrokerHost::on_dropped() names them
    Counter& connects_ok_;
    LabelledCounters refused_; ///< by reason: client_id, no_proof, certificate, token, password, scram, busy
    Counter& denied_;
    Gauge& rules_refused_;
    Mono started_{};
    bool is_reading_ = false;
    io::Timer look_;
    io::Timer figures_;
    io::Timer second_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true); ///< shared with work planned for later
    std::vector<std::unique_ptr<io::TlsContext>> bridge_trust_;
    std::unique_ptr<BridgeSet> bridges_;
    std::unique_ptr<io::Worker> files_; ///< reads rules and certificates
};

} // namespace brim::broker
