#pragma once
// The door for devices and gateways: MQTT sessions signed by device secrets, topic permissions, the device
// protocol's requests, and sub-devices that log in through their gateway. Loop thread only.

#include "base/labelled_counters.h"
#include "hub/downlink.h"
#include "hub/feed.h"
#include "hub/ingest.h"
#include "hub/registry.h"
#include "mqtt/server.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace brim::hub {

class BulkPost;

/// Of pack, batch and history posts. Values of one device in a pack or batch: PostLimits::properties_max.
struct BulkLimits {
    std::size_t devices_max = 20; ///< sub-devices of a pack, entries of a history post; code 6357 above
    std::size_t events_max = 20;  ///< of one device; code 6356 above
    std::size_t history_values_max = 5'000; ///< values, and events, of one device in a history post
};

struct AccessOptions {
    mqtt::BrokerLimits broker;
    std::uint16_t keepalive_s_min = 30; ///< hub-protocol 2.2
    std::uint16_t keepalive_s_max = 1'200;
    std::size_t logins_per_batch_max = 50;
    thing::PostLimits post;
    BulkLimits bulk;
};

class Access final : public mqtt::Server, public DeviceChannel, private Ingest::Sink {
public:
    /// With `sessions` what devices want kept (clean session 0, MQTT 5 expiry) outlives the process: their
    /// subscriptions and what waits for them. Null: it lives in memory only.
    Access(
        io::Env& env,
        Registry& registry,
        Ingest& ingest,
        Feed& feed,
        AccessOptions options,
        std::unique_ptr<mqtt::SessionLog> sessions
    );
    ~Access() override;

    Downlink& downlink() { return downlink_; }

    /// For connections that come from now on.
    void set_keepalive(std::uint16_t s_min, std::uint16_t s_max) {
        options_.keepalive_s_min = s_min;
        options_.keepalive_s_max = s_max;
    }

    /// Ends the device's session, and those of its sub-devices, now, with all that waits in it; also of one
    /// that is away. `why` becomes its offline reason.
    void kick(Device& device, mqtt::ReasonCode reason, std::string_view why);
    /// Ends the device's connection, or logs it out at its gateway; what waits for it stays, and it may come
    /// back at once. False when it is not online.
    bool disconnect(Device& device);
    /// The device whose connection carries `device` (itself or its gateway), or null when it is not online.
    Device* carrier(const Device& device) const;
    /// The device's own session, also a kept one while it is away, and who is at its other end (nothing while
    /// away). Not called when it has none; sub-devices have none.
    void visit_session(
        const Device& device,
        const std::function<void(const mqtt::SessionView&, const std::optional<io::Peer>&)>& visit
    ) const;
    /// Its subscriptions in the order of their text.
    void visit_subscriptions(
        const Device& device, const std::function<void(std::string_view filter, int qos)>& visit
    ) const;
    /// The topology changed by the API: tells the gateway, logs the sub-device out when it was bound there.
    void on_unbound(Device& device, Device& gateway);
    void on_bound(Device& device, Device& gateway);

    // DeviceChannel
    using mqtt::Server::send;
    bool send(Device& device, const std::string& topic, std::string payload, std::uint8_t qos) override;

    // BrokerHost, policy part
    void on_connect(mqtt::ConnId conn, const mqtt::Connect& connect) override;
    bool authorise(const mqtt::ConnView& who, mqtt::Action action, std::string_view topic) override;
    mqtt::Verdict
    on_publish(const mqtt::ConnView& who, const MessagePtr& message, mqtt::AckToken token) override;
    void on_up(const mqtt::ConnView& who) override;
    void on_down(const mqtt::ConnView& who, mqtt::Ended why) override;
    void on_dropped(std::string_view session_key, std::string_view reason, std::uint64_t count) override;

private:
    /// One device's own connection.
    struct Session {
        mqtt::ConnId conn = 0;
        std::set<DeviceId> logged_in; ///< sub-devices
    };

    /// What a handler needs of the message at hand.
    struct Inbound {
        const mqtt::ConnView& who;
        const MessagePtr& message;
        mqtt::AckToken token;
        thing::DeviceTopic topic;
        Device& device;    ///< whose topic it is
        Device& session;   ///< whose connection it came by
        WallTime received; ///< the broker core has no wall clock
    };

    /// What a refused CONNECT is answered, and the label it is counted under.
    struct Refusal {
        mqtt::ReasonCode code{};
        std::string_view reason;
    };

    Result<mqtt::Admission> admit(const mqtt::Connect& connect, Refusal& refusal);
    Result<void>
    fit_keepalive(const mqtt::Connect& connect, const std::string& object, mqtt::Admission& admission) const;
    void register_metrics();
    /// Whose session it is; a restored one has no user until its client is back.
    Device* owner(const mqtt::ConnView& who) const;
    /// kick() and disconnect(): `gateway_code` is what the gateway of a sub-device is told. False when it was
    /// not online.
    bool end_connection(
        Device& device, mqtt::ReasonCode reason, std::string_view why, int gateway_code, bool forget
    );
    /// Ends kept sessions of devices that were deleted or disabled when nobody could be told.
    void forget_strangers();
    bool may_use(const mqtt::ConnView& who, mqtt::Action action, std::string_view topic) const;
    mqtt::Verdict dispatch(const Inbound& in);
    void reply(const Inbound& in, int code, std::string_view text, const Json& data);
    void answer(Device& session, const std::string& topic, std::string payload);
    void settle(mqtt::AckToken token, const Result<void>& result);
    void online(Device& device, std::uint64_t epoch, std::string address);
    void offline(Device& device, std::string_view why);
    void publish_status(const Device& device);

    WallTime wall() { return env().loop().clock().wall(); }

    void
    tail(const Device& device, std::string_view direction, const Message& message, std::string_view result);
    void on_values(Device& device, const std::vector<std::pair<PropertyId, thing::Value>>& newest) override;

    // device_requests.cpp
    mqtt::Verdict on_property_post(const Inbound& in);
    mqtt::Verdict on_event_post(const Inbound& in);
    /// Answers a report that is not taken at all, and has an edge's mark remembered before it is
    /// acknowledged.
    mqtt::Verdict refuse_marked(const Inbound& in, std::optional<UplinkMark> mark, std::string text);
    // bulk_requests.cpp
    struct Bulk;
    mqtt::Verdict on_bulk_post(const Inbound& in);
    void read_bulk(const Inbound& in, const Json& params, Bulk& bulk);
    /// The device an identity names; null (and noted as refused) when the sender may not speak for it.
    Device* spoken_for(const Inbound& in, const Json& identity, Bulk& bulk);
    BulkPost* share_of(const Inbound& in, const Json& identity, Bulk& bulk);
    mqtt::Verdict store_bulk(const Inbound& in, const thing::Request& request, Bulk& bulk);
    // device_requests.cpp
    mqtt::Verdict on_request(const Inbound& in);
    void on_desired_get(const Inbound& in, const thing::Request& request);
    mqtt::Verdict on_desired_delete(const Inbound& in, const thing::Request& request);
    void on_ntp(const Inbound& in);
    // tag_requests.cpp
    mqtt::Verdict on_tags_update(const Inbound& in, const thing::Request& request);
    mqtt::Verdict on_tags_delete(const Inbound& in, const thing::Request& request);

    // topology.cpp
    mqtt::Verdict on_topology(const Inbound& in, const thing::Request& request);
    void on_sub_register(const Inbound& in, const thing::Request& request);
    mqtt::Verdict on_topo_add(const Inbound& in, const thing::Request& request);
    mqtt::Verdict on_topo_delete(const Inbound& in, const thing::Request& request);
    mqtt::Verdict
    on_login(const Inbound& in, const thing::Request& request, const Json::Array& logins, bool batch);
    void on_logout(const Inbound& in, const Json::Array& logouts, bool batch);
    bool signed_by(const Device& device, const Json& claim) const;
    void log_out(Session& session, Device& device, std::string_view why);
    /// Ends a request whose write is under way: call it when that is durable. The device gets `success` and
    /// its PUBACK, or an error reply and a PUBACK that says so.
    Registry::Done answer_when_stored(const Inbound& in, const thing::Request& request, Json success);
    /// reply() where no acknowledgement has to wait.
    mqtt::Verdict refuse(const Inbound& in, int code, std::string_view text, const Json& data = {});
    void tell_session_error(Device& gateway, int code, std::string_view text, const thing::DeviceKey& device);

    Registry& registry_;
    Ingest& ingest_;
    Feed& feed_;
    AccessOptions options_;
    Downlink downlink_;
    thing::PostReader post_reader_;
    thing::PropertyPost post_; ///< reused: its buffers stay warm
    std::map<DeviceId, Session> sessions_;
    std::map<DeviceId, DeviceId> carried_by_; ///< logged-in sub-device -> its gateway
    std::uint64_t epoch_ = 0; ///< of the last session that began, direct or behind a gateway; the boot number
                              ///< is in the high half, so that it grows over restarts too
    std::uint32_t next_notice_ = 0; ///< ids of our own requests about topology
    Counter& connects_ok_;
    LabelledCounters connects_refused_; ///< by reason: identity, unknown, signature, disabled, keepalive
    Counter& denied_;
    LabelledCounters dropped_; ///< by reason, as BrokerHost::on_dropped() names them
};

} // namespace brim::hub
