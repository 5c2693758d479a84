#include "support_rig.h"

#include <algorithm>
#include <cstdlib>

namespace brim::edge::test {

namespace {

std::string property(const Message& message, std::string_view name) {
    for (const auto& [key, value] : message.user_properties) {
        if (key == name)
            return value;
    }
    return {};
}

} // namespace

mqtt::Verdict TestHub::on_publish(const mqtt::ConnView&, const MessagePtr& message, mqtt::AckToken token) {
    const auto topic = thing::parse_topic(message->topic);
    if (topic.kind == thing::TopicKind::set_reply || topic.kind == thing::TopicKind::service_reply ||
        message->topic.ends_with("_reply") || topic.kind == thing::TopicKind::rrpc_response) {
        recorder.replies.emplace_back(message->topic, message->payload);
        return mqtt::Verdict::consumed;
    }
    if (property(*message, "brim-seq").empty()) {
        session_request(*message);
        return mqtt::Verdict::consumed;
    }
    ++recorder.received;
    if (silent)
        return mqtt::Verdict::pending;
    if (answers_left > 0) {
        --answers_left;
        env().loop().post([this, token, reason = answer] { broker().complete(token, reason, now()); });
        return mqtt::Verdict::pending;
    }
    const std::string device = std::string(topic.product_key) + "/" + std::string(topic.device_name);
    if (!open.contains(device))
        ++recorder.wrong; // the edge may not send for a device that is not logged in
    store(*message);
    if (ack_delay == Duration::zero())
        return mqtt::Verdict::consumed;
    most_waiting = std::max(most_waiting, ++waiting);
    env().loop().after(ack_delay, [this, token] {
        --waiting;
        broker().complete(token, mqtt::ReasonCode::success, now());
    });
    return mqtt::Verdict::pending;
}

void TestHub::store(const Message& message) {
    const auto payload = Json::parse(message.payload);
    const std::int64_t value = payload ? (*payload)["params"]["Speed"]["value"].as_int(-1) : -1;
    const std::uint64_t seq = std::stoull(property(message, "brim-seq"));
    const bool replayed = property(message, "brim-replay") == "1";
    const auto [found, fresh] = recorder.stored.try_emplace({property(message, "brim-store"), seq}, value);
    if (!fresh) {
        ++recorder.repeated;
        if (found->second != value)
            ++recorder.wrong;
        return;
    }
    ++recorder.values[value];
    recorder.order.emplace_back(seq, replayed);
}

void TestHub::session_request(const Message& message) {
    const auto request = thing::parse_request(message.payload);
    if (!request)
        return;
    int code = 200;
    Json data = Json::array();
    const auto each = [&](const Json& list, auto&& visit) {
        for (const Json& entry : list.items()) {
            visit(
                std::string(entry["productKey"].as_string()) + "/" +
                    std::string(entry["deviceName"].as_string()),
                entry
            );
        }
    };
    if (message.topic.ends_with("/sub/register")) {
        each(request->params, [&](const std::string& device, Json entry) {
            entry.set("deviceSecret", "secret-of-" + device);
            data.push(std::move(entry));
        });
    } else if (message.topic.ends_with("/batch_login")) {
        const Json& list = request->params["deviceList"];
        each(list, [&](const std::string& device, const Json&) {
            code = refused_logins.contains(device) ? 6100 : code;
        });
        if (code == 200) {
            each(list, [&](const std::string& device, const Json&) {
                open.insert(device);
                ++recorder.logins[device];
            });
        }
    } else if (message.topic.ends_with("/logout")) {
        const std::string device = std::string(request->params["productKey"].as_string()) + "/" +
                                   std::string(request->params["deviceName"].as_string());
        open.erase(device);
        ++recorder.logouts[device];
    }
    ask(message.topic + "_reply",
        thing::make_reply(request->id, code, code == 200 ? "success" : "no", data, request->method));
}

TestDriver::TestDriver(io::Env& env, std::string name, std::vector<thing::DeviceKey> devices)
    : name_(std::move(name)), devices_(std::move(devices)),
      link_(
          env,
          *this,
          {.to = {io::Endpoint::Kind::unix_socket, std::string(bus_path), 0},
           .backoff_min = std::chrono::milliseconds(10),
           .backoff_max = std::chrono::milliseconds(50)}
      ) {}

mqtt::ClientOptions TestDriver::login() {
    mqtt::ClientOptions options;
    options.client_id = name_;
    options.username = name_;
    options.password = "token-1";
    options.packet_bytes_max = 8'388'608;
    return options;
}

void TestDriver::on_up(const mqtt::Connack&) {
    online_ = 0;
    (void)link_.client().subscribe(
        {{"bus/driver/" + name_ + "/#", 1}, {"/sys/+/+/thing/service/#", 1}}, link_.now()
    );
    for (const auto& device : devices_)
        announce(device, true);
}

void TestDriver::announce(const thing::DeviceKey& device, bool online) {
    Message message;
    message.topic = "bus/driver/" + name_ + "/device";
    message.payload = Json::object({{"id", 1},
                                    {"action", online ? "online" : "offline"},
                                    {"productKey", device.product_key},
                                    {"deviceName", device.device_name}}
    ).text();
    (void)link_.client().publish(message, 0, link_.now());
}

void TestDriver::on_down(const Error&, std::chrono::milliseconds) {
    online_ = 0;
    link_.client().abandon(); // what was not acknowledged is nobody's promise
}

bool TestDriver::on_message(const MessagePtr& message, std::uint16_t) {
    if (message->topic.ends_with("/device_reply")) {
        const auto reply = Json::parse(message->payload);
        device_codes.push_back(static_cast<int>((*reply)["code"].as_int(-1)));
        ++online_;
    } else if (message->topic.ends_with("/config")) {
        config = message->payload;
    } else if (answers) {
        const auto request = thing::parse_request(message->payload);
        Message reply;
        reply.topic = message->topic + "_reply";
        reply.payload = "{\"id\":" + request->id + ",\"code\":200,\"data\":" + answer_data + "}";
        (void)link_.client().publish(reply, 0, link_.now());
    }
    return true;
}

void TestDriver::on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) {
    if (mqtt::is_failure(reason))
        ++refused[static_cast<int>(reason)];
    else if (acked)
        acked->insert(static_cast<std::int64_t>(tag));
}

bool TestDriver::report(std::int64_t value) {
    return report_from(devices_[next_++ % devices_.size()], value);
}

bool TestDriver::report_from(const thing::DeviceKey& device, std::int64_t value) {
    Message message;
    message.topic = thing::sys_topic(device, "thing/event/property/post");
    message.payload = "{\"id\":\"1\",\"version\":\"1.0\",\"sys\":{\"ack\":0},\"params\":{\"Speed\":" +
                      std::to_string(value) + "},\"method\":\"thing.event.property.post\"}";
    message.qos = 1;
    return link_.client().publish(message, static_cast<mqtt::PublishTag>(value), link_.now()).has_value();
}

ConfigSource source_of(const EdgeConfig& settings) {
    ::setenv("BRIM_RIG_SECRET", settings.gateway_secret.reveal().c_str(), 1);
    ConfigSource source;
    const auto set = [&source](const std::string& key, const std::string& value) {
        source.sets.push_back(key + "=" + value);
    };
    const auto ms = [](auto span) {
        return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(span).count()) + "ms";
    };
    set("edge.data_dir", settings.data_dir);
    set("identity.product_key", settings.gateway.product_key);
    set("identity.device_name", settings.gateway.device_name);
    set("identity.device_secret", "env:BRIM_RIG_SECRET");
    set("uplink.ca_file", settings.uplink.ca_file);
    set("uplink.crl_file", settings.uplink.crl_file);
    set("uplink.url",
        (settings.uplink.tls ? "mqtts://" : "mqtt://") + settings.uplink.to.host + ":" +
            std::to_string(settings.uplink.to.port));
    set("uplink.insecure_plain", "true");
    set("uplink.keepalive", ms(settings.uplink.keepalive));
    set("uplink.backoff_min", ms(settings.uplink.backoff_min));
    set("uplink.backoff_max", ms(settings.uplink.backoff_max));
    set("uplink.inflight", std::to_string(settings.uplink.inflight));
    set("uplink.replay_rate", std::to_string(static_cast<int>(settings.uplink.replay_rate)));
    set("buffer.segment_bytes", std::to_string(settings.buffer.segment_bytes));
    set("buffer.bytes_max", std::to_string(settings.buffer.bytes_max));
    set("buffer.when_full", settings.buffer.when_full == store::WhenFull::reject ? "reject" : "drop-oldest");
    set("bus.socket", settings.bus.text());
    set("http.listen", settings.http.text());
    for (std::size_t i = 0; i < settings.drivers.size(); ++i) {
        const DriverSettings& driver = settings.drivers[i];
        set(Config::item("driver", i, "name"), driver.name);
        set(Config::item("driver", i, "program"), driver.program);
        set(Config::item("driver", i, "config_file"), driver.config_file);
        set(Config::item("driver", i, "models_dir"), driver.models_dir);
    }
    return source;
}

Rig::Rig(std::uint64_t seed, unsigned device_count) : world(seed) {
    for (unsigned i = 0; i < device_count; ++i)
        devices.push_back({"a1PUMP", "pump-" + std::to_string(i)});
    Json::Array list;
    for (const auto& device : devices) {
        list.push_back(Json::object(
            {{"productKey", device.product_key},
             {"deviceName", device.device_name},
             {"custom", "{}"},
             {"deviceSecret", "s3cret-" + device.device_name}}
        ));
    }
    io::Disk& disk = world.machine("edge").env("main").disk();
    const std::string text =
        Json::object({{"config", Json::object({{"kv", 1}})}, {"deviceList", Json(list)}}).text();
    REQUIRE(disk.make_dir("/etc/models"));
    REQUIRE(disk.make_dir("/run"));
    REQUIRE(io::write_file_atomically(disk, "/etc/pumps.json", text));
    REQUIRE(io::write_file_atomically(disk, "/etc/models/a1PUMP.json", pump_tsl));
    config.data_dir = "/data";
    config.gateway = {"a1GATE", "gate-1"};
    config.gateway_secret = Secret("gateway-secret");
    config.uplink.to = {io::Endpoint::Kind::tcp, "hub", 1883};
    config.uplink.backoff_min = std::chrono::milliseconds(200);
    config.uplink.backoff_max = std::chrono::milliseconds(5'000);
    config.buffer.segment_bytes = 65'536;
    config.buffer.bytes_max = 16'777'216;
    config.bus = {io::Endpoint::Kind::unix_socket, std::string(bus_path), 0};
    config.http = {io::Endpoint::Kind::tcp, "127.0.0.1", 9'999};
    DriverSettings pumps;
    pumps.name = "pumps";
    pumps.program = "/nowhere";
    pumps.config_file = "/etc/pumps.json";
    pumps.models_dir = "/etc/models";
    config.drivers.push_back(pumps);
}

Rig::~Rig() {
    driver.reset();
    edge.reset();
    hub.reset();
}

void Rig::start_hub() {
    io::Env& env = world.machine("hub").env();
    hub = std::make_unique<TestHub>(env, recorder);
    const auto at = hub->listen({io::Endpoint::Kind::tcp, "0.0.0.0", 1883}, {});
    if (!at)
        FAIL(at.error().text());
}

void Rig::stop_hub() {
    world.machine("hub").crash();
    hub.reset();
}

void Rig::start_edge() {
    auto startup = prepare(config);
    if (!startup)
        FAIL(startup.error().text());
    edge = std::make_unique<Edge>(world.machine("edge").env("main"), nullptr, std::move(*startup));
    const auto started = edge->start();
    if (!started)
        FAIL(started.error().text());
    edge->admit_driver("pumps", Secret("token-1"));
}

Result<Startup> Rig::prepare(const EdgeConfig& settings, const std::string& process) {
    io::SimMachine& machine = world.machine("edge");
    return prepare_start(machine.env(process).disk(), source_of(settings), machine.wall());
}

void Rig::crash_edge() {
    world.machine("edge").crash("main");
    edge.reset();
}

void Rig::power_cut() {
    world.machine("edge").power_cut(io::CutMode::random);
    edge.reset();
    driver.reset();
}

void Rig::start_driver() {
    driver = std::make_unique<TestDriver>(world.machine("edge").env("pumps"), "pumps", devices);
    driver->acked = &acked;
    driver->start();
}

bool Rig::ready(Duration at_most) {
    return world.run_until([this] { return driver && driver->ready(); }, at_most);
}

void Rig::load(unsigned per_second, Duration span) {
    const Mono end = world.now() + span;
    const Duration step = std::chrono::duration_cast<Duration>(std::chrono::seconds(1)) / per_second;
    while (world.now() < end) {
        if (driver && driver->ready() && driver->report(next_value))
            ++next_value;
        world.run_for(step);
    }
}

void Rig::burst(unsigned count) {
    for (unsigned i = 0; i < count && driver && driver->ready(); ++i) {
        if (driver->report(next_value))
            ++next_value;
    }
}

void Rig::slow_disk(Duration sync) {
    world.machine("edge").disk().add_fault(
        {.kind = io::DiskFault::Kind::slow, .op = io::DiskOp::sync, .times = UINT64_MAX, .delay = sync}
    );
}

bool Rig::drain_backlog(Duration at_most) {
    return world.run_until([this] { return edge->forwarder().held() == 0; }, at_most);
}

void Rig::check_laws(std::uint64_t dropped) {
    std::uint64_t missing = 0;
    for (const std::int64_t value : acked)
        missing += recorder.values.contains(value) ? 0 : 1;
    const bool good = missing <= dropped && recorder.wrong == 0;
    if (!good)
        MESSAGE("seed ", world.seed(), "\n", world.log_text().substr(0, 4'000));
    CHECK(missing <= dropped);
    CHECK(recorder.wrong == 0);
    const auto twice = std::ranges::count_if(recorder.values, [](const auto& v) { return v.second > 1; });
    // A value may be stored under two ids only when its driver sent it twice; ours never does.
    CHECK(twice == 0);
}

} // namespace brim::edge::test
