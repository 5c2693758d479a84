#include "sim/sim_device.h"

#include "thing/sign.h"

namespace brim::sim {

namespace {

using namespace std::chrono_literals;

constexpr Duration poll_every = 5s;           // a driver reads its machine's registers now and then
constexpr std::uint64_t trespass_one_in = 25; // acts

std::string post_of(Property property, std::int64_t value) {
    return R"({"id":"1","version":"1.0","sys":{"ack":0},"params":{")" + std::string(property_name(property)) +
           "\":" + std::to_string(value) + R"(},"method":"thing.event.property.post"})";
}

} // namespace

Speaker::Speaker(
    io::Env& env,
    SpeakerOptions options,
    HistoryRecorder& recorder,
    std::map<std::string, std::int64_t>& targets
)
    : env_(env), options_(std::move(options)), recorder_(recorder), targets_(targets),
      link_(env, *this, {.to = options_.to, .backoff_min = 50ms, .backoff_max = 5'000ms}), act_(env.loop()),
      poll_(env.loop()) {
    link_.start();
    act_.start(options_.report_every, [this] { act(); });
    poll_.start(poll_every, [this] { report_targets(); });
}

mqtt::ClientOptions Speaker::login() {
    mqtt::ClientOptions options;
    options.version = options_.version;
    options.keepalive_s = options_.keepalive_s;
    if (options_.driver) {
        options.client_id = options_.name;
        options.username = options_.name;
        options.password = driver_token;
        return options;
    }
    const DeviceIdentity& self = options_.devices.front();
    const auto login =
        thing::make_login(self.key, Secret(self.secret), false, options_.name, env_.loop().clock().wall());
    options.client_id = login.client_id;
    options.username = login.username;
    options.password = login.password.reveal();
    return options;
}

void Speaker::on_up(const mqtt::Connack&) {
    online_ = options_.driver ? 0 : 1;
    std::vector<std::pair<std::string, std::uint8_t>> filters;
    if (options_.driver) {
        filters = {{"bus/driver/" + options_.name + "/#", 1}, {"/sys/+/+/thing/service/#", 1}};
        filters.emplace_back("bus/driver/+/config", 1);
    } else {
        filters.emplace_back("/sys/" + options_.devices.front().key.text() + "/thing/#", 1);
    }
    filters.emplace_back("#", 1); // it may ask; it must not get
    for (const auto& other : options_.foreign)
        filters.emplace_back(thing::sys_topic(other, "thing/#"), 1);
    (void)link_.client().subscribe(filters, link_.now());
    announce();
}

void Speaker::announce() {
    if (!options_.driver)
        return;
    for (const DeviceIdentity& device : options_.devices) {
        Message message;
        message.topic = "bus/driver/" + options_.name + "/device";
        message.payload = Json::object({{"id", 1},
                                        {"action", "online"},
                                        {"productKey", device.key.product_key},
                                        {"deviceName", device.key.device_name}}
        ).text();
        (void)link_.client().publish(message, 0, link_.now());
    }
}

void Speaker::on_down(const Error&, std::chrono::milliseconds) {
    // What was not acknowledged is not sent again: then each report is transmitted once, and whatever is
    // stored twice was doubled by Brim.
    link_.client().abandon();
    waiting_.clear();
    online_ = 0;
}

bool Speaker::owns(std::string_view product_key, std::string_view device_name) const {
    for (const DeviceIdentity& device : options_.devices) {
        if (device.key.product_key == product_key && device.key.device_name == device_name)
            return true;
    }
    return false;
}

bool Speaker::on_message(const MessagePtr& message, std::uint16_t) {
    if (message->topic.starts_with("bus/driver/")) {
        if (!message->topic.starts_with("bus/driver/" + options_.name + "/"))
            recorder_.leaked(options_.name, message->topic);
        if (message->topic.ends_with("/device_reply"))
            ++online_;
        return true;
    }
    const auto topic = thing::parse_topic(message->topic);
    if (!owns(topic.product_key, topic.device_name)) {
        recorder_.leaked(options_.name, message->topic);
        return true;
    }
    if (topic.kind == thing::TopicKind::property_set)
        obey({std::string(topic.product_key), std::string(topic.device_name)}, *message);
    return true;
}

void Speaker::obey(const thing::DeviceKey& device, const Message& message) {
    const auto request = thing::parse_request(message.payload);
    if (!request)
        return recorder_.leaked(options_.name, "an unreadable request on " + message.topic);
    const std::int64_t value = request->params["Target"].as_int(-1);
    targets_[device.text()] = value;
    recorder_.set_applied(device.text(), value);
    Message reply;
    reply.topic = message.topic + "_reply";
    reply.payload = thing::make_reply(request->id, 200, "success", Json::object(), request->method);
    (void)link_.client().publish(reply, 0, link_.now());
    report(device, Property::target, value, false);
}

void Speaker::on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) {
    const auto found = waiting_.find(tag);
    if (found == waiting_.end())
        return;
    const Sent sent = std::move(found->second);
    waiting_.erase(found);
    const bool failed = mqtt::is_failure(reason);
    if (!sent.forged) {
        if (failed)
            recorder_.refused(sent.device, sent.property, sent.value);
        else
            recorder_.acked(sent.device, sent.property, sent.value);
    } else if (!failed && options_.version == mqtt::ProtocolVersion::v5) {
        // MQTT 3.1.1 acknowledges what it drops; there only the hub's history tells.
        recorder_.forgery_accepted(options_.name, "a report of " + sent.device);
    }
}

void Speaker::on_subscribed(std::string_view filter, mqtt::ReasonCode reason) {
    if (mqtt::is_failure(reason))
        return;
    const bool wide = filter == "#" || filter == "bus/driver/+/config";
    const auto topic = thing::parse_topic(filter);
    const bool bus = filter.starts_with("bus/driver/") || filter == "/sys/+/+/thing/service/#";
    if (wide || (!bus && !owns(topic.product_key, topic.device_name)))
        recorder_.forgery_accepted(options_.name, "a subscription to " + std::string(filter));
}

void Speaker::report(const thing::DeviceKey& device, Property property, std::int64_t value, bool forged) {
    Message message;
    message.topic = thing::sys_topic(device, "thing/event/property/post");
    message.payload = post_of(property, value);
    message.qos = 1;
    const auto tag = last_tag_ + 1;
    if (!link_.client().publish(message, tag, link_.now()))
        return;
    last_tag_ = tag;
    waiting_[tag] = {device.text(), property, value, forged};
    if (forged)
        recorder_.forged(options_.name, device.text(), value);
    else
        recorder_.sent(device.text(), property, value);
}

void Speaker::act() {
    const auto every = static_cast<std::uint64_t>(options_.report_every.count());
    act_.start(Duration(static_cast<Duration::rep>(every / 2 + env_.random().below(every + 1))), [this] {
        act();
    });
    if (mood_ != Mood::busy || !ready())
        return;
    if (!options_.foreign.empty() && env_.random().below(trespass_one_in) == 0)
        trespass();
    const auto& device = options_.devices[env_.random().below(options_.devices.size())];
    report(device.key, Property::speed, recorder_.new_value(), false);
}

void Speaker::trespass() {
    const auto& victim = options_.foreign[env_.random().below(options_.foreign.size())];
    report(victim, Property::speed, recorder_.new_value(), true);
}

void Speaker::report_targets() {
    poll_.start(poll_every, [this] { report_targets(); });
    if (mood_ == Mood::silent || !ready())
        return;
    for (const DeviceIdentity& device : options_.devices) {
        const auto known = targets_.find(device.key.text());
        if (known != targets_.end())
            report(device.key, Property::target, known->second, false);
    }
}

} // namespace brim::sim
