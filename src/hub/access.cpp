#include "hub/access.h"

#include "thing/sign.h"

namespace brim::hub {

using mqtt::Action;
using mqtt::ConnId;
using mqtt::ConnView;
using mqtt::ReasonCode;
using mqtt::Verdict;

namespace {

constexpr std::size_t sessions_per_look = 10'000;

/// Why a device is offline, as events and the API say it.
std::string_view offline_text(mqtt::Ended why) {
    return why == mqtt::Ended::shutdown ? "hub shutdown" : mqtt::ended_text(why);
}

} // namespace

Access::Access(
    io::Env& env,
    Registry& registry,
    Ingest& ingest,
    Feed& feed,
    AccessOptions options,
    std::unique_ptr<mqtt::SessionLog> sessions
)
    : Server(env, options.broker, std::move(sessions)), registry_(registry), ingest_(ingest), feed_(feed),
      options_(options), downlink_(env, registry, *this, feed), epoch_(registry.boot() << 32U),
      connects_ok_(env.metrics().counter("brim_mqtt_connects", "CONNECT packets answered", R"(result="ok")")),
      connects_refused_(
          env.metrics(), "brim_mqtt_connects", "CONNECT packets answered", "reason", R"(result="refused")"
      ),
      denied_(env.metrics().counter("brim_mqtt_denied", "Publishes and subscriptions refused by permission")),
      dropped_(env.metrics(), "brim_mqtt_dropped", "Messages that will not be delivered", "reason") {
    ingest_.set_sink(this);
    register_metrics();
    forget_strangers();
}

Device* Access::owner(const ConnView& who) const {
    if (who.user != 0)
        return registry_.device(static_cast<DeviceId>(who.user));
    const auto key = thing::DeviceKey::parse(who.session_key);
    return key ? registry_.device(*key) : nullptr;
}

void Access::forget_strangers() {
    std::vector<std::string> keys;
    std::uint32_t place = 0;
    do {
        place = broker().visit_sessions(place, sessions_per_look, [&](const mqtt::SessionView& session) {
            const Device* device = owner(session.who);
            if (device == nullptr || !device->enabled)
                keys.emplace_back(session.who.session_key);
        });
    } while (place != 0);
    for (const std::string& key : keys)
        broker().kick(key, ReasonCode::not_authorized, true, now());
}

void Access::register_metrics() {
    Metrics& metrics = env().metrics();
    metrics.gauge_from("brim_mqtt_connections", "MQTT connections up", [this] {
        return static_cast<double>(broker().stats().connections);
    });
    metrics.gauge_from(
        "brim_mqtt_slow",
        "Devices that take less than they are sent, or are not read from for now",
        [this] { return static_cast<double>(slow()); }
    );
}

Access::~Access() {
    ingest_.set_sink(nullptr);
}

void Access::on_connect(ConnId conn, const mqtt::Connect& connect) {
    Refusal refusal;
    auto admission = admit(connect, refusal);
    if (!admission) {
        connects_refused_.of(refusal.reason).add();
        const auto from = peer(conn);
        env().log().warn(
            "access",
            "login refused",
            {{"object", admission.error().object},
             {"cause", admission.error().cause},
             {"fix", admission.error().fix},
             {"peer", from ? from->address : std::string{}}}
        );
        // The peer learns the code only: an unknown name and a wrong signature look the same from outside.
        broker().refuse(conn, refusal.code, {}, now());
        return;
    }
    limit_rates(conn, *admission);
    broker().accept(conn, *admission, now());
}

Result<mqtt::Admission> Access::admit(const mqtt::Connect& connect, Refusal& refusal) {
    refusal = {ReasonCode::bad_user_name_or_password, "identity"};
    const auto key = thing::parse_username(connect.username);
    if (!key)
        return fail(key.error());
    const std::string object = "device \"" + key->text() + "\"";
    const auto login = thing::parse_client_id(connect.client_id);
    if (!login)
        return fail(login.error());

    refusal = {ReasonCode::not_authorized, "unknown"};
    Device* device = registry_.device(*key);
    // An unknown device costs the same work as a known one.
    static const Secret nobody{"0000000000000000"};
    const Secret& secret = device == nullptr ? nobody : device->secret;
    const std::string expected = thing::sign(login->method, secret, login->client_id, *key, login->timestamp);
    const bool matches = thing::verify(connect.password, expected);
    if (device == nullptr) {
        return fail(
            Errc::unauthenticated, object, "no such device", "create it, or check product key and device name"
        );
    }
    if (!matches) {
        refusal.reason = "signature";
        return fail(
            Errc::unauthenticated,
            object,
            "wrong signature",
            "check the device secret and the signed parameters"
        );
    }
    if (!device->enabled) {
        refusal = {ReasonCode::banned, "disabled"};
        return fail(Errc::denied, object, "the device is disabled", "enable it again in console or API");
    }
    mqtt::Admission admission;
    refusal = {ReasonCode::server_unavailable, "keepalive"};
    BRIM_TRY(fit_keepalive(connect, object, admission));
    admission.session_key = key->text();
    admission.principal = key->text();
    admission.user = static_cast<std::uint64_t>(device->id);
    admission.qos_max = 1;
    admission.subscription_ids_available = false; // hub-protocol 2.2
    admission.will_allowed = connect.version == mqtt::ProtocolVersion::v5;
    return admission;
}

/// MQTT 5 can be told another one: 0 (never) becomes the longest.
Result<void> Access::fit_keepalive(
    const mqtt::Connect& connect, const std::string& object, mqtt::Admission& admission
) const {
    if (connect.keepalive_s >= options_.keepalive_s_min && connect.keepalive_s <= options_.keepalive_s_max)
        return {};
    if (connect.version != mqtt::ProtocolVersion::v5) {
        return fail(
            Errc::invalid,
            object,
            "keep-alive of " + std::to_string(connect.keepalive_s) + " s is out of range",
            "use " + std::to_string(options_.keepalive_s_min) + " to " +
                std::to_string(options_.keepalive_s_max) + " s"
        );
    }
    const bool too_short = connect.keepalive_s != 0 && connect.keepalive_s < options_.keepalive_s_min;
    admission.keepalive_s = too_short ? options_.keepalive_s_min : options_.keepalive_s_max;
    return {};
}

void Access::on_up(const ConnView& who) {
    connects_ok_.add();
    Device* device = registry_.device(static_cast<DeviceId>(who.user));
    if (device == nullptr)
        return;
    // One session per device: the one behind a gateway ends when the device comes by itself.
    if (const auto carried = carried_by_.find(device->id); carried != carried_by_.end()) {
        Device* gateway = registry_.device(carried->second);
        log_out(sessions_[carried->second], *device, "takeover");
        if (gateway != nullptr)
            tell_session_error(*gateway, 427, "the device connected elsewhere", device->key());
    }
    sessions_[device->id].conn = who.id;
    const auto from = peer(who.id);
    online(*device, ++epoch_, from ? from->address : std::string{});
}

void Access::on_down(const ConnView& who, mqtt::Ended why) {
    const auto found = sessions_.find(static_cast<DeviceId>(who.user));
    if (found == sessions_.end() || found->second.conn != who.id)
        return;
    const std::set<DeviceId> subs = std::move(found->second.logged_in);
    sessions_.erase(found);
    for (const DeviceId sub : subs) {
        carried_by_.erase(sub);
        if (Device* device = registry_.device(sub))
            offline(*device, "gateway");
    }
    if (Device* device = registry_.device(static_cast<DeviceId>(who.user))) {
        // kick() has given its own reason already.
        if (device->online)
            offline(*device, offline_text(why));
    }
}

void Access::on_dropped(std::string_view session_key, std::string_view reason, std::uint64_t count) {
    dropped_.of(reason).add(count);
    if (reason == "pressure")
        return; // one line tells of the shortage; one a message would make it worse
    env().log().warn(
        "access", "messages dropped", {{"session", session_key}, {"reason", reason}, {"count", count}}
    );
}

void Access::online(Device& device, std::uint64_t epoch, std::string address) {
    registry_.mark_online(device, epoch, std::move(address));
    publish_status(device);
    downlink_.send_pending(device);
}

void Access::offline(Device& device, std::string_view why) {
    registry_.mark_offline(device, std::string(why));
    publish_status(device);
}

void Access::publish_status(const Device& device) {
    Json data = Json::object();
    data.set("productKey", device.product->product_key);
    data.set("deviceName", device.name);
    data.set("status", status_name(device.status()));
    data.set("since", to_rfc3339(device.since));
    data.set("epoch", device.epoch);
    if (!device.reason.empty())
        data.set("reason", device.reason);
    feed_.publish(FeedType::status, device.key().text(), data.text());
}

Device* Access::carrier(const Device& device) const {
    if (sessions_.contains(device.id))
        return registry_.device(device.id);
    const auto found = carried_by_.find(device.id);
    return found == carried_by_.end() ? nullptr : registry_.device(found->second);
}

bool Access::may_use(const ConnView& who, Action action, std::string_view topic) const {
    const Device* self = owner(who);
    if (self == nullptr || !self->enabled)
        return false;
    const thing::DeviceTopic parsed = thing::parse_topic(topic);
    if (topic.starts_with("/broadcast/")) {
        return action != Action::publish && parsed.product_key == self->product->product_key;
    }
    if (parsed.kind == thing::TopicKind::unknown)
        return false;
    const Device* target = registry_.device(parsed.product_key, parsed.device_name);
    if (target == nullptr || !target->enabled)
        return false;
    if (target == self)
        return true;
    const auto carried = carried_by_.find(target->id);
    return carried != carried_by_.end() && carried->second == self->id;
}

bool Access::authorise(const ConnView& who, Action action, std::string_view topic) {
    const bool allowed = may_use(who, action, topic);
    if (!allowed && action != Action::receive)
        denied_.add();
    return allowed;
}

Verdict Access::on_publish(const ConnView& who, const MessagePtr& message, mqtt::AckToken token) {
    Device* session = owner(who);
    if (session == nullptr)
        return Verdict::close;
    const thing::DeviceTopic topic = thing::parse_topic(message->topic);
    Device* device = registry_.device(topic.product_key, topic.device_name);
    if (!may_use(who, Action::publish, message->topic) || device == nullptr) {
        denied_.add();
        tail(*session, "up", *message, "denied");
        if (device != nullptr && device->gateway == session->id) {
            tell_session_error(*session, 520, "device no session", device->key());
        }
        return Verdict::denied;
    }
    registry_.mark_seen(*device);
    const Verdict verdict = dispatch({who, message, token, topic, *device, *session, wall()});
    tail(*device, "up", *message, verdict == Verdict::denied ? "denied" : "ok");
    return verdict;
}

void Access::settle(mqtt::AckToken token, const Result<void>& result) {
    if (token == 0)
        return;
    ReasonCode reason = ReasonCode::success;
    if (!result) {
        // PUBACK has no "server busy" (MQTT 5 table 3-4). Both mean: keep it, try again later.
        const Errc code = result.error().code;
        const bool bound = code == Errc::full || code == Errc::busy;
        reason = bound ? ReasonCode::quota_exceeded : ReasonCode::unspecified_error;
    }
    broker().complete(token, reason, now());
}

void Access::answer(Device& session, const std::string& topic, std::string payload) {
    const int wanted = broker().subscribed_qos(session.key().text(), topic);
    auto message = std::make_shared<Message>();
    message->topic = topic;
    message->payload = std::move(payload);
    message->qos = static_cast<std::uint8_t>(std::max(wanted, 0));
    message->origin = "hub";
    message->time = env().loop().clock().wall();
    message->accepted = now();
    broker().deliver(session.key().text(), message, now());
}

void Access::reply(const Inbound& in, int code, std::string_view text, const Json& data) {
    auto request = thing::parse_request(in.message->payload);
    const std::string id = request ? request->id : std::string{};
    const std::string method = request ? request->method : std::string{};
    answer(in.session, in.message->topic + "_reply", thing::make_reply(id, code, text, data, method));
}

bool Access::send(Device& device, const std::string& topic, std::string payload, std::uint8_t qos) {
    Device* session = carrier(device);
    if (session == nullptr || !device.enabled)
        return false;
    auto message = std::make_shared<Message>();
    message->topic = topic;
    message->payload = std::move(payload);
    message->qos = qos;
    message->origin = "hub";
    message->time = env().loop().clock().wall();
    message->accepted = now();
    const bool sent = broker().deliver(session->key().text(), message, now());
    tail(device, "down", *message, sent ? "ok" : "offline");
    return sent;
}

void Access::tail(
    const Device& device, std::string_view direction, const Message& message, std::string_view result
) {
    if (!feed_.wanted(FeedType::message))
        return;
    constexpr std::size_t shown_bytes_max = 4'096;
    Json data = Json::object();
    data.set("productKey", device.product->product_key);
    data.set("deviceName", device.name);
    data.set("direction", direction);
    data.set("topic", message.topic);
    data.set("qos", int{message.qos});
    data.set("bytes", message.payload.size());
    data.set("payload", std::string_view(message.payload).substr(0, shown_bytes_max));
    data.set("time", wall().ms);
    data.set("result", result);
    feed_.publish(FeedType::message, device.key().text(), data.text());
}

bool Access::end_connection(
    Device& device, ReasonCode reason, std::string_view why, int gateway_code, bool forget
) {
    const bool is_direct = sessions_.contains(device.id);
    if (is_direct)
        offline(device, why);
    // One that is away has a session all the same, and what waits in it.
    if (is_direct || forget)
        broker().kick(device.key().text(), reason, forget, now());
    Device* gateway = is_direct ? nullptr : carrier(device);
    if (gateway != nullptr) {
        log_out(sessions_[gateway->id], device, why);
        tell_session_error(*gateway, gateway_code, why, device.key());
    }
    return is_direct || gateway != nullptr;
}

void Access::kick(Device& device, ReasonCode reason, std::string_view why) {
    constexpr int code_deleted = 521;
    constexpr int code_disabled = 522;
    end_connection(device, reason, why, why == "disabled" ? code_disabled : code_deleted, true);
}

bool Access::disconnect(Device& device) {
    constexpr int code_session_over = 520; // a gateway logs the device in again
    return end_connection(device, ReasonCode::administrative_action, "ended", code_session_over, false);
}

void Access::visit_session(
    const Device& device,
    const std::function<void(const mqtt::SessionView&, const std::optional<io::Peer>&)>& visit
) const {
    broker().visit_session(device.key().text(), [&](const mqtt::SessionView& session) {
        visit(session, session.is_online ? peer(session.who.id) : std::nullopt);
    });
}

void Access::visit_subscriptions(
    const Device& device, const std::function<void(std::string_view filter, int qos)>& visit
) const {
    broker().visit_subscriptions(device.key().text(), visit);
}

void Access::on_values(Device& device, const std::vector<std::pair<PropertyId, thing::Value>>& newest) {
    for (const auto& [property, value] : newest)
        downlink_.on_reported(device, property, value);
}

} // namespace brim::hub
