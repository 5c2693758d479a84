// What the broker says about itself: metrics, the figures below $SYS/, answers to administration.

#include "broker/service.h"

#include <algorithm>

namespace brim::broker {

namespace {

constexpr std::string_view own_origin = "$SYS";

std::int64_t whole_seconds(Duration span) {
    return std::chrono::duration_cast<std::chrono::seconds>(span).count();
}

Json by_label(const LabelledCounters& counters) {
    Json shown = Json::object();
    for (const auto& [value, counter] : counters.all())
        shown.set(value, counter->value());
    return shown;
}

std::uint64_t sum(const std::uint64_t (&each)[3]) {
    return each[0] + each[1] + each[2];
}

} // namespace

void Service::register_metrics() {
    Metrics& metrics = env().metrics();
    const auto gauge = [&](std::string_view name, std::string_view help, auto read) {
        metrics.gauge_from(name, help, [this, read] { return static_cast<double>(read(broker().stats())); });
    };
    using Stats = mqtt::BrokerStats;
    gauge("brim_broker_connections", "Connections up", [](const Stats& s) { return s.connections; });
    gauge("brim_broker_sessions", "Sessions, offline ones included", [](const Stats& s) {
        return s.sessions;
    });
    gauge("brim_broker_subscriptions", "Subscriptions", [](const Stats& s) { return s.subscriptions; });
    gauge("brim_broker_retained", "Retained messages", [](const Stats& s) { return s.retained; });
    gauge("brim_broker_queued", "Messages waiting in sessions", [](const Stats& s) { return s.queued; });
    gauge("brim_broker_received", "PUBLISH packets received", [](const Stats& s) { return sum(s.received); });
    gauge("brim_broker_sent", "PUBLISH packets sent", [](const Stats& s) { return sum(s.sent); });
    gauge("brim_broker_received_bytes", "Bytes received", [](const Stats& s) { return s.bytes_in; });
    gauge("brim_broker_sent_bytes", "Bytes sent", [](const Stats& s) { return s.bytes_out; });
    gauge("brim_broker_throttled", "Times a client was above its rate", [](const Stats& s) {
        return s.throttled;
    });
    metrics.gauge_from(
        "brim_broker_slow",
        "Clients that take less than they are sent, or are not read from for now",
        [this] { return static_cast<double>(slow()); }
    );
    const mqtt::SessionLog* log = sessions();
    if (log == nullptr)
        return;
    metrics.gauge_from("brim_broker_log_bytes", "Bytes of the session log on disk", [log] {
        return static_cast<double>(log->stats().disk_bytes);
    });
    metrics.gauge_from("brim_broker_log_failing", "1 while the session log cannot be written", [log] {
        return log->stats().is_failing ? 1.0 : 0.0;
    });
}

Json Service::stats_json() {
    const mqtt::BrokerStats stats = broker().stats();
    Json rejected = Json::object();
    for (const auto& [reason, count] : Server::rejected())
        rejected.set(reason, count);
    Json shown = Json::object({
        {"version", BRIM_VERSION},
        {"uptimeSeconds", whole_seconds(now() - started_)},
        {"connections", stats.connections},
        {"sessions", stats.sessions},
        {"subscriptions", stats.subscriptions},
        {"retained", stats.retained},
        {"queued", stats.queued},
        {"received", sum(stats.received)},
        {"sent", sum(stats.sent)},
        {"bytesIn", stats.bytes_in},
        {"bytesOut", stats.bytes_out},
        {"slow", slow()},
        {"throttled", stats.throttled},
        {"connects", connects_ok_.value()},
        {"refused", refused_.sum()},
        {"refusedBy", by_label(refused_)},
        {"rejected", std::move(rejected)},
        {"shed",
         Json::object(
             {{"door", turned_away()},
              {"connect", stats.shed_connects},
              {"qos0", stats.shed_qos0},
              {"publish", stats.shed_publishes}}
         )},
        {"denied", denied_.value()},
        {"dropped", by_label(dropped_)},
        {"rulesRefused", policy_.rules().problems.size()},
    });
    if (bridges_)
        shown.set("bridges", bridges_json());
    if (const mqtt::SessionLog* log = sessions()) {
        const mqtt::SessionLogStats kept = log->stats();
        shown.set(
            "log",
            Json::object(
                {{"bytes", kept.disk_bytes}, {"messages", kept.messages}, {"isFailing", kept.is_failing}}
            )
        );
    }
    return shown;
}

Json Service::session_json(const mqtt::SessionView& session) {
    const Principal who = principal_of(session.who.principal, session.who.client_id);
    Json shown = Json::object({
        {"clientId", session.who.client_id},
        {"user", who.name},
        {"principal", session.who.principal},
        {"online", session.is_online},
        {"protocol", mqtt::version_text(session.who.version)},
        {"durable", session.is_durable},
        {"subscriptions", session.subscriptions},
        {"queued", session.queued},
        {"queuedBytes", session.queued_bytes},
        {"inflightOut", session.inflight_out},
        {"inflightIn", session.inflight_in},
        {"will", session.has_will},
        {"expirySeconds", session.expiry_s},
    });
    if (session.is_online) {
        const auto from = peer(session.who.id);
        shown.set("peer", from ? from->address : std::string{});
        shown.set("tls", from && from->encrypted);
        shown.set("keepAliveSeconds", int{session.keepalive_s});
        shown.set("connectedSeconds", whole_seconds(now() - session.up_since));
        shown.set("slow", session.is_congested);
    } else {
        shown.set("expiresInSeconds", std::max<std::int64_t>(0, whole_seconds(session.expires - now())));
    }
    return shown;
}

void Service::tell(
    std::string_view session_key,
    const std::string& response_topic,
    const Bytes& correlation,
    const Json& body
) {
    auto message = std::make_shared<Message>();
    message->topic = response_topic.empty() ? std::string(Control::root) + "response" : response_topic;
    message->payload = body.text();
    message->correlation = correlation;
    message->content_type = "application/json";
    message->payload_is_utf8 = true;
    message->origin = own_origin;
    message->time = wall();
    message->accepted = now();
    broker().deliver(session_key, message, now());
}

void Service::answer(std::string_view session_key, const Message& request, const Json& body) {
    tell(session_key, request.response_topic, request.correlation, body);
}

Result<void> Service::start_trace(const TraceOrder& order) {
    BRIM_TRY(traces_.start(order, now()));
    std::vector<mqtt::ConnId> up;
    std::uint32_t place = 0;
    do {
        place = broker().visit_sessions(place, 10'000, [&](const mqtt::SessionView& session) {
            if (session.is_online && session.who.client_id == order.client_id)
                up.push_back(session.who.id);
        });
    } while (place != 0);
    for (const mqtt::ConnId conn : up)
        broker().trace(conn, true);
    return {};
}

void Service::send_traced(const TraceOrder& order, const Json& event) {
    tell(order.asker, order.response_topic, order.correlation, event);
}

/// Not from inside the broker's calls: what is shown is sent through the same broker.
void Service::show_later(std::string_view client_id, Json event) {
    if (events_.size() >= events_max)
        return;
    event.set("time", to_rfc3339(wall()));
    const bool is_first = events_.empty();
    events_.emplace_back(client_id, std::move(event));
    if (!is_first)
        return;
    env().loop().at_turn_end([this, alive = alive_] {
        if (!*alive)
            return;
        is_showing_ = true; // two clients that trace each other would never come to an end
        for (auto& [client, shown] : std::exchange(events_, {}))
            traces_.show(client, std::move(shown));
        is_showing_ = false;
    });
}

void Service::figure(std::string_view name, std::string value) {
    auto message = std::make_shared<Message>();
    message->topic = "$SYS/broker/" + std::string(name);
    message->payload = std::move(value);
    message->retain = true;
    message->origin = own_origin;
    message->time = wall();
    message->accepted = now();
    broker().publish(message, now());
}

/// Under the names people know from mosquitto.
void Service::publish_figures() {
    if (settings_.sys_interval.count() == 0)
        return;
    figures_.start(settings_.sys_interval, [this] { publish_figures(); });
    const mqtt::BrokerStats stats = broker().stats();
    const auto number = [this](std::string_view name, std::uint64_t value) {
        figure(name, std::to_string(value));
    };
    figure("version", "brim " BRIM_VERSION);
    figure("uptime", std::to_string(whole_seconds(now() - started_)) + " seconds");
    number("clients/connected", stats.connections);
    number("clients/disconnected", stats.sessions - std::min(stats.sessions, stats.connections));
    number("clients/total", stats.sessions);
    number("subscriptions/count", stats.subscriptions);
    number("retained messages/count", stats.retained);
    number("messages/stored", stats.queued);
    number("publish/messages/received", sum(stats.received));
    number("publish/messages/sent", sum(stats.sent));
    number("publish/messages/dropped", dropped_.sum());
    number("bytes/received", stats.bytes_in);
    number("bytes/sent", stats.bytes_out);
}

} // namespace brim::broker
