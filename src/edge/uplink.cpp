#include "edge/uplink.h"

#include "thing/sign.h"

namespace brim::edge {

namespace {

// Sub-devices that have not logged in by then do not hold up the others any longer.
constexpr std::chrono::seconds settle_wait_max{15};
constexpr std::chrono::minutes ask_time_every{5};
constexpr std::size_t transport_bytes_max =
    1'048'576; // queued in the stream: no more reports until it drained

mqtt::LinkOptions link_options(const UplinkSettings& settings) {
    mqtt::LinkOptions options;
    options.to = settings.to;
    options.backoff_min = settings.backoff_min;
    options.backoff_max = settings.backoff_max;
    return options;
}

/// What to do about a connection that cannot be made, where the transport did not say.
Error explained(Error why, const UplinkSettings& settings) {
    if (!why.fix.empty())
        return why;
    switch (why.code) {
    case Errc::unauthenticated:
    case Errc::denied:
        why.fix = "check [identity] against the hub's device page";
        break;
    case Errc::timeout:
    case Errc::unavailable:
        why.fix = "check uplink.url, the network and that the hub runs";
        break;
    default:
        why.fix = "it is tried again; see the hub's log for " + settings.to.text();
        break;
    }
    return why;
}

} // namespace

Uplink::Uplink(
    io::Env& env,
    const EdgeConfig& config,
    Devices& devices,
    Secrets& secrets,
    TimeFloor& floor,
    io::TlsContext* tls,
    ToDriver to_driver
)
    : env_(env), settings_(config.uplink), gateway_(config.gateway), secret_(config.gateway_secret),
      floor_(floor), tls_(tls), to_driver_(std::move(to_driver)),
      sessions_(env, *this, config.gateway, devices, secrets), downlink_(env, *this, devices),
      link_(
          env,
          *this,
          link_options(config.uplink),
          tls ? mqtt::Link::Wrap([this](std::unique_ptr<io::Stream> stream) {
              // Here and not in login(), which comes after it: the very first handshake after a boot with a
              // dead clock is judged by the floor too.
              tls_->set_time_floor(floor_.now());
              return io::wrap_client(env_.loop(), std::move(stream), *tls_, settings_.to.host);
          })
              : mqtt::Link::Wrap{}
      ),
      settle_wait_(env.loop()), ask_time_(env.loop()) {}

void Uplink::start() {
    state_.since = env_.loop().now();
    link_.start();
}

void Uplink::stop() {
    settle_wait_.stop();
    ask_time_.stop();
    forwarding_ = false;
    forwarder_->end();
    sessions_.down();
    state_.up = false;
    link_.stop();
    link_.client().abandon();
}

mqtt::ClientOptions Uplink::login() {
    const auto login = thing::make_login(
        gateway_, secret_, tls_ != nullptr, gateway_.product_key + "." + gateway_.device_name, floor_.now()
    );
    mqtt::ClientOptions options;
    options.client_id = login.client_id;
    // _ss=1: the hub sends system topics without a SUBSCRIBE (hub-protocol 2.1); it does not take part in the
    // signature.
    if (options.client_id.ends_with('|'))
        options.client_id.insert(options.client_id.size() - 1, ",_ss=1");
    options.username = login.username;
    options.password = login.password.reveal();
    options.keepalive_s = static_cast<std::uint16_t>(settings_.keepalive.count());
    options.inflight_max = settings_.inflight;
    return options;
}

void Uplink::on_up(const mqtt::Connack&) {
    state_.up = true;
    state_.since = env_.loop().now();
    state_.last_error.reset();
    ++state_.connects;
    env_.log().info(
        "uplink", "connected to the hub", {{"to", settings_.to.text()}, {"held", forwarder_->held()}}
    );
    const std::string gateway = gateway_.text();
    // For hubs that do not know _ss; what a hub refuses here it sends anyway or not at all.
    const std::vector<std::pair<std::string, std::uint8_t>> filters = {
        {"/sys/" + gateway + "/thing/#", 1},
        {"/ext/session/" + gateway + "/#", 1},
        {"/ext/error/" + gateway, 1},
        {"/ext/ntp/" + gateway + "/response", 0}
    };
    if (const auto asked = link_.client().subscribe(filters, link_.now()); !asked) {
        env_.log().warn("uplink", "cannot subscribe", {{"error", asked.error().text()}});
    }
    ask_time();
    sessions_.up();
    settle_wait_.start(settle_wait_max, [this] {
        forwarding_ = true;
        forwarder_->begin();
    });
    begin_when_settled();
}

void Uplink::ask_time() {
    to_hub("/ext/ntp/" + gateway_.text() + "/request", hub_clock_.ask(env_.loop().clock().mono(), wall()));
    ask_time_.start(ask_time_every, [this] { ask_time(); });
}

void Uplink::begin_when_settled() {
    if (forwarding_ || !state_.up || !sessions_.settled())
        return;
    settle_wait_.stop();
    forwarding_ = true;
    forwarder_->begin();
}

void Uplink::on_down(const Error& why, std::chrono::milliseconds retry_in) {
    settle_wait_.stop();
    ask_time_.stop();
    forwarding_ = false;
    // The log is the session: what was in flight is taken from it again, never from the client's memory as
    // well.
    link_.client().abandon();
    forwarder_->end();
    sessions_.down();
    if (state_.up)
        state_.since = env_.loop().now();
    state_.up = false;
    state_.last_error = explained(why, settings_);
    state_.retry_in = retry_in;
    env_.log().warn(
        "uplink",
        "no connection to the hub",
        {{"error", state_.last_error->text()}, {"retry_ms", retry_in.count()}}
    );
}

bool Uplink::on_message(const MessagePtr& message, std::uint16_t) {
    const std::string& topic = message->topic;
    if (sessions_.reply(topic, message->payload)) {
        if (secrets_changed_)
            secrets_changed_();
        begin_when_settled();
    } else if (topic == "/ext/error/" + gateway_.text()) {
        sessions_.kicked(message->payload);
    } else if (topic == "/ext/ntp/" + gateway_.text() + "/response") {
        if (const auto hub = hub_clock_.answer(message->payload, env_.loop().clock().mono()))
            floor_.confirm(*hub);
    } else if (topic.ends_with("_reply")) { // answers to reports; the acknowledgement already said it
    } else if (!downlink_.request(topic, message->payload)) {
        device_order(*message);
    }
    return true;
}

// disable, enable and delete of a sub-device, and topology notices: the sessions find out by their own
// answers, here the hub only gets its reply (hub-protocol 3.7).
void Uplink::device_order(const Message& message) {
    const auto request = thing::parse_request(message.payload);
    const std::string& topic = message.topic;
    const bool known = topic.ends_with("/thing/disable") || topic.ends_with("/thing/enable") ||
                       topic.ends_with("/thing/delete") || topic.ends_with("/thing/topo/change");
    if (!request || !known) {
        env_.log().debug("uplink", "a message nobody here understands", {{"topic", topic}});
        return;
    }
    env_.log().info("uplink", "the hub changed a device", {{"topic", topic}});
    to_hub(topic + "_reply", thing::make_reply(request->id, 200, "success", Json::object(), request->method));
}

void Uplink::on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) {
    forwarder_->settled(tag, reason);
    forwarder_->kick();
}

void Uplink::on_subscribed(std::string_view filter, mqtt::ReasonCode reason) {
    if (mqtt::is_failure(reason))
        env_.log().debug("uplink", "subscription refused", {{"filter", filter}});
}

void Uplink::device_changed(const Device& device) {
    if (device.online) {
        sessions_.want(device.key);
        return;
    }
    // No report of it can come after this one: it may leave the hub once that is delivered.
    sessions_.want_until(device.key, forwarder_->next());
    downlink_.offline(device.key);
}

void Uplink::driver_reply(const Device& device, std::string_view topic, std::string_view payload) {
    downlink_.reply(device, topic, payload);
}

std::size_t Uplink::quota() {
    return link_.queued() > transport_bytes_max ? 0 : link_.client().quota();
}

Result<void> Uplink::publish(const Message& message, store::Seq seq) {
    return link_.client().publish(message, seq, link_.now());
}

bool Uplink::gate(std::string_view product_key, std::string_view device_name) {
    if (product_key == gateway_.product_key && device_name == gateway_.device_name)
        return true;
    if (sessions_.open(product_key, device_name))
        return true;
    const thing::DeviceKey key{std::string(product_key), std::string(device_name)};
    if (!sessions_.wanted(key))
        sessions_.want_until(key, forwarder_->next());
    return false;
}

void Uplink::request(const std::string& topic, const std::string& payload) {
    to_hub(topic, payload);
}

void Uplink::on_open(const thing::DeviceKey& device) {
    forwarder_->opened(device.text());
}

bool Uplink::passed(store::Seq mark) {
    return forwarder_->passed(mark);
}

bool Uplink::to_driver(const Device& device, const std::string& topic, const std::string& payload) {
    return to_driver_(device, topic, payload);
}

void Uplink::to_hub(const std::string& topic, const std::string& payload) {
    Message message;
    message.topic = topic;
    message.payload = payload;
    const auto sent = link_.client().publish(message, 0, link_.now());
    if (!sent)
        env_.log().debug("uplink", "not sent", {{"topic", topic}, {"error", sent.error().text()}});
}

} // namespace brim::edge
