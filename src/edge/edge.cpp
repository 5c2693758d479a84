#include "edge/edge.h"

#include <algorithm>
#include <array>

namespace brim::edge {

Edge::Edge(io::Env& env, io::Processes* processes, Startup startup)
    : env_(env), processes_(processes), lock_(std::move(startup.lock)),
      starting_(std::move(startup.configuration)), config_(starting_.settings),
      config_state_(std::move(startup.state)), notes_(std::move(startup.notes)),
      applied_(env.disk(), config_.data_dir), floor_(env.loop(), env.disk(), path("time-floor")),
      secrets_(env.disk(), path("secrets.json")), ledger_(env.metrics()), twin_timer_(env.loop()),
      drain_timer_(env.loop()), files_(env.make_worker("edge-files")) {}

Edge::~Edge() = default;

Result<void> Edge::start() {
    for (const Error& note : std::exchange(notes_, {}))
        env_.log().error("edge", "the applied configuration", {{"error", note.text()}});
    tell_config();
    measure_disk();
    floor_.load();
    if (floor_.clock_is_behind()) {
        env_.log().warn(
            "edge",
            "the clock is behind; stamping with the stored floor",
            {{"floor", to_rfc3339(floor_.floor())}}
        );
    }
    if (const auto loaded = secrets_.load(); !loaded) {
        env_.log().error("edge", "device secrets are unreadable", {{"error", loaded.error().text()}});
    }
    std::vector<DriverConfig> drivers = std::exchange(starting_.drivers, {});
    for (const DriverConfig& driver : drivers) {
        for (const Device& device : driver.devices)
            devices_.put(device);
    }
    BRIM_TRY(open_tls());
    starting_.texts = {};
    BRIM_TRY(open_store());
    BRIM_TRY(open_bus());
    for (DriverConfig& driver : drivers)
        install(std::move(driver));
    open_broker();
    register_metrics();
    status_ = std::make_unique<StatusServer>(env_, *this);
    const auto at = status_->listen(config_.http);
    if (!at)
        return fail(at.error());
    env_.log().info(
        "edge",
        "listening",
        {{"what", "status"}, {"at", at->text()}, {"security", "plain, this machine only"}}
    );
    if (processes_) {
        SupervisorOptions options;
        options.bus_path = config_.bus.host;
        options.crashes_max = config_.crashes_max;
        options.crash_window = config_.crash_window;
        supervisor_ =
            std::make_unique<Supervisor>(env_, *processes_, static_cast<SupervisorEvents&>(*this), options);
        for (const DriverSettings& driver : config_.drivers) {
            if (driver.enabled)
                supervisor_->put(driver);
        }
    }
    floor_.keep(*files_);
    twin_timer_.start(twin_save_every, [this] { save_twin(); });
    env_.log().info(
        "edge",
        "connecting",
        {{"to", config_.uplink.to.text()},
         {"security", config_.uplink.tls ? "TLS" : "plain"},
         {"held", forwarder_->held()}}
    );
    uplink_->start();
    return {};
}

Result<void> Edge::open_tls() {
    // What was checked, whatever the disk holds by now.
    auto context = uplink_trust(config_.uplink, starting_.texts);
    if (!context)
        return fail(context.error());
    tls_ = std::move(*context);
    return {};
}

Result<void> Edge::open_store() {
    store::LogOptions options;
    options.folder = path("uplink");
    options.name = "uplink";
    options.segment_bytes = config_.buffer.segment_bytes;
    options.bytes_max = config_.buffer.bytes_max;
    // A report of 256 KiB grows by the times written into it; small segments take half of themselves.
    options.record_bytes_max = std::min<std::uint32_t>(1'048'576, config_.buffer.segment_bytes / 2);
    options.when_full = config_.buffer.when_full;
    auto log = store::Log::open(env_, options);
    if (!log)
        return fail(log.error());
    log_ = std::move(*log);
    uplink_ = std::make_unique<Uplink>(
        env_,
        config_,
        devices_,
        secrets_,
        floor_,
        tls_.get(),
        [this](const Device& device, const std::string& topic, const std::string& payload) {
            return bus_->request(device, topic, payload);
        }
    );
    uplink_->on_secrets([this] {
        secrets_.save(*files_, lease_.wrap([this](Result<void> saved) {
            if (!saved)
                env_.log().error("edge", "cannot store device secrets", {{"error", saved.error().text()}});
        }));
    });
    ForwardOptions forward;
    forward.replay_rate = config_.uplink.replay_rate;
    forward.replay_share = config_.uplink.replay_share;
    forwarder_ = std::make_unique<Forwarder>(env_, *log_, *uplink_, ledger_, forward);
    BRIM_TRY(forwarder_->begin_run());
    forwarder_->keep_above(0); // until the first snapshot of the twin
    uplink_->set_forwarder(*forwarder_);
    const auto restored = twin_.restore(env_.disk(), path("twin.json"), devices_, *log_);
    if (!restored)
        env_.log().error("edge", "last values are incomplete", {{"error", restored.error().text()}});
    return {};
}

Result<void> Edge::open_bus() {
    bus_ = std::make_unique<Bus>(env_, static_cast<BusEvents&>(*this), devices_, *forwarder_, twin_, ledger_);
    const auto at = bus_->listen(config_.bus, {});
    if (!at)
        return fail(at.error());
    env_.log().info(
        "edge",
        "listening",
        {{"what", "local bus"}, {"at", at->text()}, {"security", "token per driver start"}}
    );
    return {};
}

void Edge::measure_disk() {
    std::array<Duration, 3> times{};
    const std::string probe = path("sync-probe");
    auto file = env_.disk().open(probe, io::OpenMode::create);
    for (auto& time : times) {
        if (!file)
            return;
        const Mono before = env_.loop().clock().mono();
        if (!(*file)->write_at(0, "how long does a sync take here?\n") || !(*file)->sync())
            return;
        time = env_.loop().clock().mono() - before;
    }
    std::ranges::sort(times);
    disk_sync_ = times[1];
    (void)env_.disk().remove(probe);
}

void Edge::register_metrics() {
    Metrics& metrics = env_.metrics();
    const auto gauge = [&](std::string_view name, std::string_view help, std::function<double()> read) {
        metrics.gauge_from(name, help, std::move(read));
    };
    gauge("brim_edge_backlog_records", "reports not settled yet", [this] {
        return static_cast<double>(forwarder_->held());
    });
    gauge("brim_edge_backlog_oldest_seconds", "age of the oldest of them", [this] {
        const auto oldest = forwarder_->oldest();
        return oldest ? static_cast<double>(floor_.now().ms - oldest->ms) / 1000 : 0;
    });
    gauge("brim_edge_uplink_up", "1 while connected to the hub", [this] {
        return uplink_->state().up ? 1.0 : 0.0;
    });
    const auto count = [&](std::string_view name, std::string_view help, const std::uint64_t& value) {
        metrics.gauge_from(name, help, [&value] { return static_cast<double>(value); });
    };
    count("brim_edge_accepted_reports", "taken from drivers since the start", ledger_.accepted);
    count("brim_edge_stored_reports", "on disk since the start", ledger_.stored);
    count("brim_edge_unsaved_reports", "refused by the disk since the start", ledger_.unsaved);
    count("brim_edge_sent_reports", "transmissions since the start", ledger_.sent);
    count("brim_edge_acknowledged_reports", "acknowledged by the hub since the start", ledger_.acknowledged);
}

void Edge::admit_driver(const std::string& driver, const Secret& token) {
    bus_->expect(driver, token, {});
}

void Edge::dismiss_driver(const std::string& driver) {
    bus_->revoke(driver);
}

void Edge::on_device(const Device& device) {
    uplink_->device_changed(device);
}

void Edge::on_reply(const Device& device, std::string_view topic, std::string_view payload) {
    uplink_->driver_reply(device, topic, payload);
}

void Edge::on_driver(const std::string& name, bool connected) {
    env_.log().info("edge", connected ? "driver connected" : "driver disconnected", {{"driver", name}});
}

void Edge::on_driver_starting(const std::string& driver, const Secret& token) {
    bus_->expect(driver, token, [this, driver](std::int64_t pid) { return supervisor_->owns(driver, pid); });
}

void Edge::on_driver_ended(const std::string& driver) {
    bus_->revoke(driver);
}

void Edge::save_twin() {
    twin_timer_.start(twin_save_every, [this] { save_twin(); });
    if (twin_saving_)
        return;
    const store::Seq durable = log_->stats().durable;
    if (!twin_.changed()) { // the last snapshot lacks nothing of what is durable
        forwarder_->keep_above(durable);
        return;
    }
    twin_saving_ = true;
    twin_.saved();
    // Shared by the job and its end, which run one after the other.
    auto outcome = std::make_shared<Result<void>>();
    files_->run(
        [this,
         outcome,
         file = path("twin.json"),
         text = twin_.snapshot(devices_, log_->store_id(), durable)] {
            *outcome = io::write_file_atomically(env_.disk(), file, text);
        },
        lease_.wrap([this, outcome, durable] {
            twin_saving_ = false;
            if (*outcome) {
                forwarder_->keep_above(durable);
                return;
            }
            twin_.unsaved();
            env_.log().error("edge", "cannot store last values", {{"error", outcome->error().text()}});
        })
    );
}

/// A gateway whose broker cannot be opened still does what it is there for.
void Edge::open_broker() {
    if (!config_.broker.is_wanted())
        return;
    auto service = broker::Service::open(env_, config_.broker);
    if (!service) {
        env_.log().error("edge", "there is no broker", {{"error", service.error().text()}});
        return;
    }
    broker_ = std::move(*service);
}

void Edge::drain(std::move_only_function<void()> done) {
    if (draining_)
        return;
    draining_ = true;
    drained_ = std::move(done);
    env_.log().info("edge", "stopping");
    drain_timer_.start(drain_max, [this] { finish_drain(); });
    if (supervisor_)
        supervisor_->stop(lease_.wrap([this] { drivers_stopped(); }));
    else
        drivers_stopped();
}

// What drivers said last has arrived by now; everything accepted is synced by close().
void Edge::drivers_stopped() {
    twin_timer_.stop();
    forwarder_->save();
    auto both = [this, open = broker_ ? 2 : 1]() mutable {
        if (--open == 0)
            finish_drain();
    };
    auto closed = std::make_shared<decltype(both)>(std::move(both)); // shared by the two logs that close
    log_->close(lease_.wrap([closed] { (*closed)(); }));
    if (broker_)
        broker_->shut(lease_.wrap([closed] { (*closed)(); }));
}

void Edge::finish_drain() {
    if (!drained_)
        return;
    drain_timer_.stop();
    bus_->stop(); // only now: the drivers' acknowledgements were waiting for the sync
    uplink_->stop();
    status_->stop();
    floor_.stop();
    files_.reset(); // what it still writes is written before we write the same files
    const auto twin = io::write_file_atomically(
        env_.disk(), path("twin.json"), twin_.snapshot(devices_, log_->store_id(), log_->stats().durable)
    );
    if (!twin)
        env_.log().error("edge", "cannot store last values", {{"error", twin.error().text()}});
    if (const auto saved = floor_.save(); !saved) {
        env_.log().warn("edge", "cannot store the time floor", {{"error", saved.error().text()}});
    }
    env_.log().info(
        "edge", "stopped", {{"held", forwarder_->held()}, {"acknowledged", ledger_.acknowledged}}
    );
    std::exchange(drained_, nullptr)();
}

} // namespace brim::edge
