#include "sim/edge_node.h"

#include "sim/hub_node.h"

#include <algorithm>
#include <cstdlib>

namespace brim::sim {

using namespace std::chrono_literals;

namespace {

constexpr Duration restart_after = 300ms;
constexpr std::string_view bus_path = "/run/bus.sock";
constexpr std::string_view settings_path = "/etc/edge.toml";
constexpr const char* secret_variable = "BRIM_SIM_EDGE_SECRET_"; // and the machine's name

std::string secret_name(const EdgeNodeOptions& options) {
    std::string name = secret_variable + options.machine;
    std::ranges::replace(name, '-', '_');
    return name;
}

ConfigSource source() {
    return {.file = std::string(settings_path), .environment = {}, .sets = {}};
}

/// The settings file but for its drivers.
std::string edge_toml(const EdgeNodeOptions& options) {
    const auto text = [](std::string_view key, std::string_view value) {
        return std::string(key) + " = \"" + std::string(value) + "\"\n";
    };
    const auto number = [](std::string_view key, std::uint64_t value) {
        return std::string(key) + " = " + std::to_string(value) + "\n";
    };
    return "[edge]\n" + text("data_dir", "/data") + "[identity]\n" +
           text("product_key", options.gateway.key.product_key) +
           text("device_name", options.gateway.key.device_name) +
           text("device_secret", "env:" + secret_name(options)) + "[uplink]\n" +
           text("url", "mqtt://" + std::string(hub_machine) + ":1883") + "insecure_plain = true\n" +
           text("keepalive", std::to_string(options.keepalive.count()) + "s") + text("backoff_min", "200ms") +
           text("backoff_max", "5s") + number("inflight", options.inflight) +
           number("replay_rate", static_cast<std::uint64_t>(options.replay_rate)) + "[buffer]\n" +
           number("segment_bytes", 65'536) + number("bytes_max", options.buffer_bytes_max) + "[bus]\n" +
           text("socket", "unix:" + std::string(bus_path)) + "[http]\n" +
           text("listen", "tcp:127.0.0.1:9999");
}

} // namespace

EdgeNode::EdgeNode(io::SimWorld& world, HistoryRecorder& recorder, EdgeNodeOptions options)
    : world_(world), recorder_(recorder), options_(std::move(options)) {
    write_settings();
}

EdgeNode::~EdgeNode() {
    for (Driver& driver : drivers_)
        driver.speaker.reset();
    bury();
}

void EdgeNode::write_settings() {
    ::setenv(secret_name(options_).c_str(), options_.gateway.secret.c_str(), 1);
    io::SimDisk& disk = machine().disk();
    (void)disk.make_dir("/etc/models");
    (void)disk.make_dir("/run");
    disk.put_file("/etc/models/" + std::string(sensor_product) + ".json", sensor_tsl);
    settings_ = edge_toml(options_);
    for (std::size_t number = 0; number < options_.drivers.size(); ++number) {
        const std::string name = "driver-" + std::to_string(number);
        settings_ += "[[driver]]\nname = \"" + name + "\"\nprogram = \"/nowhere\"\nconfig_file = \"/etc/" +
                     name + ".json\"\nmodels_dir = \"/etc/models\"\n";
        drivers_.push_back({.name = name, .speaker = nullptr, .due = Mono{}});
    }
    write_drivers(1);
}

void EdgeNode::write_drivers(int version) {
    io::SimDisk& disk = machine().disk();
    disk.put_file(std::string(settings_path), settings_);
    for (std::size_t number = 0; number < options_.drivers.size(); ++number) {
        Json::Array list;
        for (const DeviceIdentity& device : options_.drivers[number]) {
            list.push_back(Json::object(
                {{"productKey", device.key.product_key},
                 {"deviceName", device.key.device_name},
                 {"custom", "{}"},
                 {"deviceSecret", device.secret}}
            ));
        }
        disk.put_file(
            "/etc/driver-" + std::to_string(number) + ".json",
            Json::object({{"config", Json::object({{"kv", version}})}, {"deviceList", Json(list)}}).text()
        );
    }
}

void EdgeNode::tear_settings() {
    machine().disk().put_file(std::string(settings_path), settings_.substr(0, settings_.size() / 2));
}

void EdgeNode::reload() {
    if (edge_ && machine().running("main"))
        machine().env("main").loop().post([this] { edge_->reload(source()); });
}

bool EdgeNode::start() {
    bury();
    due_ = world_.now() + restart_after;
    const auto started = start_program();
    if (!started) {
        last_refusal_ = started.error().text();
        world_.note(options_.machine, "start refused: " + last_refusal_);
        machine().crash("main");
        bury();
        return false;
    }
    for (const Driver& driver : drivers_)
        edge_->admit_driver(driver.name, Secret(std::string(driver_token)));
    return true;
}

Result<void> EdgeNode::start_program() {
    io::Env& env = machine().env("main");
    auto startup = edge::prepare_start(env.disk(), source(), machine().wall());
    if (!startup)
        return fail(startup.error());
    edge_ = std::make_unique<edge::Edge>(env, nullptr, std::move(*startup));
    return edge_->start();
}

// As in HubNode: the process is dead before its objects go.
void EdgeNode::bury() {
    if (!edge_)
        return;
    const edge::Ledger& ledger = edge_->ledger();
    recorder_.edge_gave_up(edge::Ledger::sum(ledger.dropped()), edge::Ledger::sum(ledger.rejected()));
    if (machine().powered())
        machine().crash("main");
    edge_.reset();
    drained_ = false;
}

void EdgeNode::kill() {
    machine().crash("main");
    bury();
    due_ = world_.now() + restart_after;
}

void EdgeNode::kill_driver(std::size_t number) {
    Driver& driver = drivers_[number];
    machine().crash(driver.name);
    driver.speaker.reset();
    driver.due = world_.now() + restart_after;
}

void EdgeNode::cut(io::CutMode mode) {
    machine().power_cut(mode);
    tick();
}

void EdgeNode::terminate() {
    if (edge_ && machine().running("main") && !edge_->draining())
        machine().env("main").loop().post([this] { edge_->drain([this] { drained_ = true; }); });
}

void EdgeNode::tick() {
    const bool on = machine().powered();
    const bool dead = edge_ && !(on && machine().running("main"));
    if (dead || drained_) {
        bury();
        due_ = world_.now() + restart_after;
    }
    for (std::size_t i = 0; i < drivers_.size(); ++i) {
        Driver& driver = drivers_[i];
        if (driver.speaker && !(on && machine().running(driver.name))) {
            driver.speaker.reset();
            driver.due = world_.now() + restart_after;
        }
        if (!driver.speaker && edge_ && world_.now() >= driver.due)
            start_driver(driver, i);
    }
    if (!edge_ && world_.now() >= due_)
        start();
}

void EdgeNode::start_driver(Driver& driver, std::size_t number) {
    SpeakerOptions speaker;
    speaker.name = driver.name;
    speaker.to = {io::Endpoint::Kind::unix_socket, std::string(bus_path), 0};
    speaker.devices = options_.drivers[number];
    speaker.foreign = options_.foreign;
    for (std::size_t other = 0; other < drivers_.size(); ++other) {
        for (const DeviceIdentity& device : options_.drivers[other]) {
            if (other != number)
                speaker.foreign.push_back(device.key);
        }
    }
    speaker.report_every = options_.report_every;
    driver.speaker =
        std::make_unique<Speaker>(machine().env(driver.name), std::move(speaker), recorder_, targets_);
    driver.speaker->set_mood(mood_);
}

void EdgeNode::set_mood(Mood mood) {
    mood_ = mood;
    for (Driver& driver : drivers_) {
        if (driver.speaker)
            driver.speaker->set_mood(mood);
    }
}

bool EdgeNode::settled() const {
    return state().empty();
}

std::string EdgeNode::state() const {
    if (!edge_)
        return options_.machine + ": not running: " + last_refusal_;
    if (!edge_->uplink().state().up)
        return options_.machine + ": no uplink";
    for (const Driver& driver : drivers_) {
        if (!driver.speaker || !driver.speaker->ready())
            return options_.machine + ": " + driver.name + " is not ready";
    }
    const std::uint64_t held = edge_->forwarder().held();
    if (held != 0)
        return options_.machine + ": " + std::to_string(held) + " reports held";
    const auto& devices = edge_->devices();
    if (edge_->uplink().sessions().open_count() < devices.size())
        return options_.machine + ": devices without a session";
    return {};
}

} // namespace brim::sim
