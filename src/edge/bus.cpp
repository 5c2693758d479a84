#include "edge/bus.h"

#include "base/hash.h"
#include "edge/codes.h"

namespace brim::edge {

namespace {

std::string config_topic(std::string_view driver) {
    return "bus/driver/" + std::string(driver) + "/config";
}

MessagePtr make_message(std::string topic, std::string payload, bool retain) {
    Message message;
    message.topic = std::move(topic);
    message.payload = std::move(payload);
    message.qos = 1;
    message.retain = retain;
    message.origin = "bus";
    return std::make_shared<const Message>(std::move(message));
}

Refused refusal_of(const Error& error) {
    using enum mqtt::ReasonCode;
    switch (error.code) {
    case Errc::full:
        return {quota_exceeded, "full", error.cause};
    case Errc::busy:
        return {quota_exceeded, "busy", error.cause};
    case Errc::too_large:
        return {payload_format_invalid, "too_large", error.cause};
    default:
        return {unspecified_error, "io", error.cause};
    }
}

} // namespace

mqtt::BrokerLimits Bus::limits() {
    mqtt::BrokerLimits limits;
    limits.sessions_max = 256;
    limits.retained_count_max = 256; // configurations only
    // What drivers send: twice the largest report. A driver that never sends the end of one costs no more.
    limits.packet_bytes_max = 524'288;
    // What they get: a configuration holds the models of 30 products and 10,000 devices at most.
    limits.queue_bytes_max = 33'554'432;
    limits.retained_bytes_max = 268'435'456;
    return limits;
}

Bus::Bus(io::Env& env, BusEvents& events, Devices& devices, Forwarder& forwarder, Twin& twin, Ledger& ledger)
    : Server(env, limits()), events_(events), devices_(devices), forwarder_(forwarder), twin_(twin),
      ledger_(ledger) {}

void Bus::expect(const std::string& driver, Secret token, OwnsPid owns_pid) {
    guests_.insert_or_assign(driver, Guest{std::move(token), std::move(owns_pid)});
}

void Bus::revoke(const std::string& driver) {
    guests_.erase(driver);
    broker().kick(driver, mqtt::ReasonCode::administrative_action, true, now());
}

void Bus::configure(const std::string& driver, const std::string& config) {
    broker().publish(make_message(config_topic(driver), config, true), now());
}

bool Bus::broker_online(const std::string& driver) const {
    return const_cast<Bus*>(this)->broker().online(driver);
}

bool Bus::request(const Device& device, const std::string& topic, const std::string& payload) {
    return broker().deliver(device.driver, make_message(topic, payload, false), now());
}

// [bus-1]
void Bus::on_connect(mqtt::ConnId conn, const mqtt::Connect& connect) {
    const auto guest = guests_.find(connect.username);
    const auto from = peer(conn);
    std::string_view wrong;
    if (!connect.has_username || !connect.has_password || guest == guests_.end()) {
        wrong = "no such driver was started";
    } else if (connect.client_id != connect.username) {
        wrong = "the client id is not the driver's name";
    } else if (!equal_constant_time(connect.password, guest->second.token.reveal())) {
        wrong = "the token is not the one of this start";
    } else if (!from || (from->pid > 0 && guest->second.owns_pid && !guest->second.owns_pid(from->pid))) {
        wrong = "the process is not the driver's";
    }
    if (!wrong.empty()) {
        env().log().warn(
            "bus",
            "a connection was refused",
            {{"name", connect.username.substr(0, 32)},
             {"cause", wrong},
             {"peer", from ? from->address : "gone"}}
        );
        broker().refuse(conn, mqtt::ReasonCode::not_authorized, wrong, now());
        return;
    }
    mqtt::Admission admission;
    admission.session_key = guest->first;
    admission.principal = guest->first;
    admission.qos_max = 1;
    admission.will_allowed = false;
    broker().accept(conn, admission, now());
}

bool Bus::authorise(const mqtt::ConnView& who, mqtt::Action action, std::string_view topic) {
    constexpr std::string_view prefix = "bus/driver/";
    if (topic.starts_with(prefix)) {
        const std::string_view rest = topic.substr(prefix.size());
        const std::size_t slash = rest.find('/');
        if (slash == std::string_view::npos || rest.substr(0, slash) != who.session_key)
            return false;
        const std::string_view leaf = rest.substr(slash + 1);
        return leaf == "config" || leaf == "device_reply" ||
               (action == mqtt::Action::subscribe && leaf == "#");
    }
    if (action == mqtt::Action::subscribe && topic == "/sys/+/+/thing/service/#")
        return true;
    const auto parsed = thing::parse_topic(topic);
    const Device* device = devices_.find(parsed.product_key, parsed.device_name);
    if (!device || device->driver != who.session_key)
        return false;
    const std::string service = thing::sys_topic(device->key, "thing/service/");
    return topic.starts_with(service) && (action == mqtt::Action::subscribe || device->online);
}

mqtt::Verdict Bus::on_publish(const mqtt::ConnView& who, const MessagePtr& message, mqtt::AckToken token) {
    const std::string& topic = message->topic;
    if (topic.starts_with("bus/driver/")) {
        const std::string own = "bus/driver/" + std::string(who.session_key) + "/device";
        return topic == own ? device_action(std::string(who.session_key), *message) : mqtt::Verdict::denied;
    }
    const auto parsed = thing::parse_topic(topic);
    Device* device = devices_.find(parsed.product_key, parsed.device_name);
    const bool allowed = device && device->driver == who.session_key && device->online && !message->retain;
    if (!allowed) {
        ledger_.refuse("denied");
        env().log().warn(
            "bus",
            "a report was refused",
            {{"driver", who.session_key},
             {"topic", topic},
             {"cause",
              !device || device->driver != who.session_key ? "not this driver's device" : "it is offline"}}
        );
        return mqtt::Verdict::denied;
    }
    if (parsed.kind == thing::TopicKind::service_reply || parsed.kind == thing::TopicKind::set_reply) {
        events_.on_reply(*device, topic, message->payload);
        return mqtt::Verdict::consumed;
    }
    return report(*device, parsed, *message, token, who);
}

// [bus-4]
mqtt::Verdict Bus::report(
    Device& device,
    const thing::DeviceTopic& topic,
    const Message& message,
    mqtt::AckToken token,
    const mqtt::ConnView& who
) {
    const WallTime time = events_.wall();
    const auto read = intake_.read(device, topic, message.payload, time);
    if (const auto* refused = std::get_if<Refused>(&read))
        return refuse(token, *refused, who, message.topic);
    const Taken& taken = std::get<Taken>(read);
    const Bytes record = encode_report(taken.kind, time, message.topic, taken.payload);
    auto landed = lease_.wrap([this, token](Result<void> outcome) {
        const auto reason = outcome ? mqtt::ReasonCode::success : refusal_of(outcome.error()).reason;
        if (token != 0)
            broker().complete(token, reason, now());
    });
    const auto seq = forwarder_.accept(record, std::move(landed));
    if (!seq)
        return refuse(token, refusal_of(seq.error()), who, message.topic);
    ledger_.leave_out(taken.left_out);
    if (taken.samples)
        twin_.apply(device, *taken.samples);
    return token == 0 ? mqtt::Verdict::consumed : mqtt::Verdict::pending;
}

mqtt::Verdict
Bus::refuse(mqtt::AckToken token, const Refused& why, const mqtt::ConnView& who, std::string_view topic) {
    ledger_.refuse(why.label);
    env().log().warn(
        "bus", "a report was refused", {{"driver", who.session_key}, {"topic", topic}, {"cause", why.text}}
    );
    if (why.reason == mqtt::ReasonCode::not_authorized)
        return mqtt::Verdict::denied;
    const bool permanent = why.reason == mqtt::ReasonCode::payload_format_invalid;
    // MQTT 3.1.1 has no way to refuse: what can never be taken is dropped; what could be later ends the
    // connection.
    if (token == 0 || (permanent && who.version != mqtt::ProtocolVersion::v5))
        return mqtt::Verdict::drop;
    env().loop().at_turn_end(lease_.wrap([this, token, reason = why.reason] {
        broker().complete(token, reason, now());
    }));
    return mqtt::Verdict::pending;
}

// [bus-3]
mqtt::Verdict Bus::device_action(const std::string& driver, const Message& message) {
    const auto request = Json::parse(message.payload, {.bytes_max = 4'096});
    const Json id = request ? (*request)["id"] : Json();
    const std::string_view action = request ? (*request)["action"].as_string() : std::string_view{};
    if (action != "online" && action != "offline") {
        answer(driver, id, code_invalid_param, "action is neither online nor offline");
        return mqtt::Verdict::consumed;
    }
    Device* device =
        devices_.find((*request)["productKey"].as_string(), (*request)["deviceName"].as_string());
    if (!device || device->driver != driver) {
        answer(driver, id, code_not_registered, "the device is not configured for this driver");
        return mqtt::Verdict::consumed;
    }
    const bool online = action == "online";
    if (device->online != online) {
        device->online = online;
        events_.on_device(*device);
    }
    answer(driver, id, code_ok, {});
    return mqtt::Verdict::consumed;
}

void Bus::answer(const std::string& driver, const Json& id, int code, std::string_view message) {
    Json reply = Json::object({{"id", id}, {"code", code}});
    if (!message.empty())
        reply.set("message", message);
    (void)broker().deliver(
        driver, make_message("bus/driver/" + driver + "/device_reply", reply.text(), false), now()
    );
}

void Bus::on_up(const mqtt::ConnView& who) {
    events_.on_driver(std::string(who.session_key), true);
}

void Bus::on_down(const mqtt::ConnView& who, mqtt::Ended why) {
    const std::string driver(who.session_key);
    for (const auto& key : devices_.of_driver(driver))
        take_offline(*devices_.find(key.product_key, key.device_name));
    if (why != mqtt::Ended::takeover)
        events_.on_driver(driver, false);
}

void Bus::take_offline(Device& device) {
    if (!device.online)
        return;
    device.online = false;
    events_.on_device(device);
}

void Bus::on_dropped(std::string_view session_key, std::string_view reason, std::uint64_t count) {
    if (reason == "no_session")
        return; // a request to a driver that just left: its sender gets a timeout
    if (reason == "pressure")
        return; // io::MemoryWatch has said so; its sender was told
    env().log().warn(
        "bus",
        "requests to a driver were dropped",
        {{"driver", session_key}, {"reason", reason}, {"count", count}}
    );
}

} // namespace brim::edge
