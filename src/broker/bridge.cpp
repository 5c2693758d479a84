#include "broker/bridge.h"

#include "broker/bridge_mark.h"

#include <algorithm>
#include <utility>

namespace brim::broker {

namespace {

constexpr std::size_t congested_bytes = 1'048'576; // of Link::queued()
constexpr std::chrono::milliseconds congested_look{20};
constexpr std::size_t subscribe_filters_max = 32; // in one packet: small brokers have small buffers

mqtt::LinkOptions link_options(const BridgeSettings& settings) {
    mqtt::LinkOptions options;
    options.to = settings.to;
    options.backoff_min = settings.backoff_min;
    options.backoff_max = settings.backoff_max;
    return options;
}

} // namespace

Result<std::unique_ptr<Bridge>> Bridge::open(
    io::Env& env,
    LocalBroker& local,
    const std::string& broker_id,
    BridgeSettings settings,
    mqtt::Link::Wrap wrap
) {
    BRIM_TRY(settings.check());
    if (!is_broker_id(broker_id))
        return fail(Errc::invalid, "broker id", "it cannot stand in a path", "use 1..64 of [0-9A-Za-z_.-]");
    auto rules = BridgeRules::make(settings.rules, settings.is_v5());
    if (!rules)
        return fail(rules.error());
    auto log = store::Log::open(env, settings.log_options());
    if (!log)
        return fail(log.error());
    return std::unique_ptr<Bridge>(new Bridge(
        env, local, broker_id, std::move(settings), std::move(*rules), std::move(*log), std::move(wrap)
    ));
}

Bridge::Bridge(
    io::Env& env,
    LocalBroker& local,
    const std::string& broker_id,
    BridgeSettings settings,
    BridgeRules rules,
    std::unique_ptr<store::Log> log,
    mqtt::Link::Wrap wrap
)
    : env_(env), local_(local), settings_(std::move(settings)), rules_(std::move(rules)),
      client_id_(settings_.client_id.empty() ? broker_id + "." + settings_.name : settings_.client_id),
      origin_("$bridge/" + settings_.name), queue_(env, std::move(log), *this, settings_.name),
      link_(env, *this, link_options(settings_), std::move(wrap)), look_(env.loop()),
      alive_(std::make_shared<char>()) {}

Bridge::~Bridge() = default;

void Bridge::start() {
    if (!stopped_)
        link_.start();
}

void Bridge::stop(std::move_only_function<void()> done) {
    stopped_ = true;
    look_.stop();
    link_.stop();
    stats_.up = false;
    queue_.close(std::move(done));
}

bool Bridge::wants(std::string_view local_topic) const {
    return rules_.to_remote(local_topic).outcome == BridgeMapping::Outcome::mapped;
}

Bridge::Taken Bridge::accept(const Message& message, std::move_only_function<void(Result<void>)> done) {
    if (message.origin == origin_) // it must not go back where it came from
        return Taken::settled;
    BridgeMapping mapping = rules_.to_remote(message.topic);
    if (mapping.outcome == BridgeMapping::Outcome::unmatched)
        return Taken::settled;
    if (mapping.outcome == BridgeMapping::Outcome::unfit) {
        dropped("unfit", 1);
        return Taken::settled;
    }
    if (stopped_)
        return Taken::refused;
    Message out = message;
    out.topic = std::move(mapping.topic);
    out.qos = std::min({message.qos, mapping.qos, std::uint8_t{1}});
    out.retain = message.retain && settings_.retain;
    out.time = env_.loop().clock().wall();
    if (out.qos == 0 && !settings_.queue_qos0) {
        send_live(out);
        return Taken::settled;
    }
    if (out.topic.size() + out.payload.size() > settings_.packet_bytes_max) {
        dropped("too_large", 1);
        return Taken::settled;
    }
    const auto queued = queue_.accept(out, std::move(done));
    if (queued)
        return Taken::pending;
    if (queued.error().code == Errc::too_large) { // trying again would not help
        dropped("too_large", 1);
        return Taken::settled;
    }
    dropped(queued.error().code == Errc::busy ? "busy" : "full", 1);
    return Taken::refused;
}

void Bridge::send_live(Message& message) {
    if (!stats_.up)
        return dropped("qos0_down", 1);
    if (link_.queued() > congested_bytes)
        return dropped("qos0_slow", 1);
    fit(message);
    const auto sent = link_.client().publish(message, 0, link_.now());
    if (!sent)
        return dropped(sent.error().code == Errc::too_large ? "too_large" : "qos0_down", 1);
    ++stats_.sent;
    note_echo(message);
}

// Lowers a message to what the remote broker said it takes.
void Bridge::fit(Message& message) const {
    message.qos = std::min(message.qos, remote_qos_max_);
    message.retain = message.retain && remote_retains_;
}

void Bridge::note_echo(const Message& message) {
    if (!settings_.is_v5() && rules_.to_local(message.topic).outcome != BridgeMapping::Outcome::unmatched)
        echoes_.sent(message.topic, message.payload, link_.now());
}

std::size_t Bridge::quota() {
    if (!stats_.up)
        return 0;
    if (link_.queued() > congested_bytes) {
        if (!look_.running())
            look_.start(congested_look, [this] { queue_.kick(); });
        return 0;
    }
    return link_.client().quota();
}

Result<bool> Bridge::send(Message& message, store::Seq seq) {
    fit(message);
    BRIM_TRY(link_.client().publish(message, seq, link_.now()));
    note_echo(message);
    ++stats_.sent;
    return message.qos > 0;
}

void Bridge::dropped(std::string_view reason, std::uint64_t count) {
    if (const auto place = stats_.dropped.find(reason); place != stats_.dropped.end())
        place->second += count;
    else
        stats_.dropped.emplace(reason, count);
}

BridgeStats Bridge::stats() const {
    BridgeStats stats = stats_;
    stats.queued_records = queue_.held();
    stats.queued_bytes = queue_.log_stats().bytes;
    return stats;
}

mqtt::ClientOptions Bridge::login() {
    mqtt::ClientOptions options;
    options.version = settings_.protocol;
    options.client_id = client_id_;
    options.username = settings_.username;
    options.password = settings_.password;
    options.keepalive_s = settings_.keepalive_s;
    options.clean_start = false;
    options.session_expiry_s = settings_.session_expiry_s;
    options.receive_maximum = settings_.inflight_max;
    options.inflight_max = settings_.inflight_max;
    options.packet_bytes_max = settings_.packet_bytes_max;
    return options;
}

void Bridge::on_up(const mqtt::Connack& connack) {
    stats_.up = true;
    ++stats_.connects;
    ++connection_;
    remote_qos_max_ = connack.qos_max;
    remote_retains_ = connack.retain_available;
    env_.log().info("bridge", "connected", {{"bridge", settings_.name}, {"to", settings_.to.text()}});
    // The rules may be others than at our last start: once we ask again even when the session was kept.
    if (!connack.session_present || !subscribed_)
        subscribe();
    if (!stats_.up)
        return;
    queue_.begin();
    if (state_changed_)
        state_changed_();
}

void Bridge::subscribe() {
    stats_.refused_filters.clear();
    const std::vector<RemoteFilter> filters = rules_.remote_filters();
    answers_left_ = filters.size();
    subscribed_ = filters.empty();
    for (std::size_t i = 0; i < filters.size() && stats_.up; i += subscribe_filters_max) {
        mqtt::Subscribe packet;
        for (std::size_t k = i; k < std::min(filters.size(), i + subscribe_filters_max); ++k) {
            mqtt::SubscribeFilter wanted{filters[k].filter, filters[k].qos};
            wanted.no_local = settings_.is_v5();
            wanted.retain_as_published = settings_.is_v5();
            if (settings_.is_v5())
                wanted.retain_handling = mqtt::RetainHandling::send_if_new;
            packet.filters.push_back(wanted);
        }
        if (const auto asked = link_.client().subscribe_as(std::move(packet), link_.now()); !asked) {
            link_.restart(asked.error());
            return;
        }
    }
}

void Bridge::on_subscribed(std::string_view filter, mqtt::ReasonCode reason) {
    answers_left_ -= answers_left_ > 0 ? 1 : 0;
    subscribed_ = answers_left_ == 0 && stats_.refused_filters.empty();
    if (!mqtt::is_failure(reason))
        return;
    // The rest of the bridge works; what was refused is told, and asked for again on the next connection.
    stats_.refused_filters.insert_or_assign(std::string(filter), std::string(mqtt::reason_text(reason)));
    subscribed_ = false;
    env_.log().warn(
        "bridge",
        "the remote broker refused a subscription",
        {{"bridge", settings_.name}, {"filter", filter}, {"reason", mqtt::reason_text(reason)}}
    );
}

void Bridge::on_down(const Error& why, std::chrono::milliseconds retry_in) {
    const bool was_up = std::exchange(stats_.up, false);
    ++connection_;
    look_.stop();
    queue_.end();
    stats_.last_error = why;
    stats_.retry_in = retry_in;
    env_.log().warn("bridge", "not connected", {{"bridge", settings_.name}, {"cause", why.text()}});
    if (was_up && state_changed_)
        state_changed_();
}

void Bridge::on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) {
    stats_.acknowledged += mqtt::is_failure(reason) ? 0 : 1;
    queue_.settled(tag, reason);
    queue_.kick(); // the window has room
}

bool Bridge::drop_incoming(std::string_view reason) {
    dropped(reason, 1);
    return true; // acknowledged: it would only come again
}

bool Bridge::on_message(const MessagePtr& message, std::uint16_t packet_id) {
    ++stats_.received;
    BridgeMapping mapping = rules_.to_local(message->topic);
    if (mapping.outcome != BridgeMapping::Outcome::mapped) {
        const bool is_unfit = mapping.outcome == BridgeMapping::Outcome::unfit;
        return drop_incoming(is_unfit ? "in_unfit" : "in_unmatched");
    }
    if (!settings_.is_v5() && echoes_.is_echo(message->topic, message->payload, link_.now())) {
        ++stats_.loops_cut;
        return true;
    }
    auto local = std::make_shared<Message>(*message);
    local->topic = std::move(mapping.topic);
    local->qos = std::min({message->qos, mapping.qos, std::uint8_t{1}});
    local->retain = message->retain && settings_.retain;
    local->origin = origin_;
    local->time = env_.loop().clock().wall();

    // Told from inside the call: the client acknowledges. Later: we do, if it is still the same connection.
    struct Answer {
        bool is_inside = true;
        bool is_taken = false;
    };

    const auto answer =
        std::make_shared<Answer>(); // shared by this call and the callback, whichever ends last
    local_.publish(
        local,
        [this, alive = std::weak_ptr(alive_), answer, packet_id, connection = connection_](Result<void> kept
        ) {
            if (alive.expired() || connection != connection_)
                return;
            if (!kept) {
                dropped("in_failed", 1);
                if (packet_id == 0)
                    return;
                // It comes again on a new connection only. Not from inside the old one's call.
                env_.loop().post([this, alive, connection, why = kept.error()] {
                    if (!alive.expired() && connection == connection_)
                        link_.restart(why);
                });
            } else if (answer->is_inside) {
                answer->is_taken = true;
            } else if (packet_id != 0) {
                link_.client().acknowledge(packet_id, link_.now());
            }
        }
    );
    answer->is_inside = false;
    return answer->is_taken;
}

} // namespace brim::broker
