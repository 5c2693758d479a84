// The part of Edge that is about its configuration: reading it again, keeping it, taking it into effect.

#include "edge/edge.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace brim::edge {

/// One reading of the files, made on the worker, judged on the loop.
struct Edge::Reload {
    ConfigSource source;
    std::string data_dir; ///< of the running configuration
    std::string kept;     ///< revision of what the data folder holds; empty: not known
    WallTime now;
    Result<Configuration> fresh = fail(Errc::closed, "configuration", "was not read");
    Result<void> saved;
};

void Edge::reload(const ConfigSource& source) {
    if (draining_)
        return;
    if (broker_)
        broker_->refresh(); // a user who is gone does not wait for settings to be in order
    if (reloading_) {       // it may have read the files already
        reload_again_ = source;
        return;
    }
    reloading_ = true;
    // Shared by the job and its end, which run one after the other.
    auto job = std::make_shared<Reload>();
    job->source = source;
    job->data_dir = config_.data_dir;
    if (config_state_.kept)
        job->kept = config_state_.next.empty() ? config_state_.revision : config_state_.next;
    job->now = floor_.now();
    files_->run([this, job] { read_files(*job); }, lease_.wrap([this, job] {
        reloading_ = false;
        reloaded(*job);
        if (reload_again_)
            reload(*std::exchange(reload_again_, std::nullopt));
    }));
}

// On the worker: touches the disk and `job` alone.
void Edge::read_files(Reload& job) {
    job.fresh = read_configuration(env_.disk(), job.source);
    if (!job.fresh || job.fresh->revision == job.kept)
        return;
    // A data folder holds configurations for itself: another one gets its own at the next start.
    if (job.fresh->settings.data_dir == job.data_dir)
        job.saved = applied_.save(job.fresh->texts, job.now);
}

void Edge::reloaded(Reload& job) {
    if (draining_)
        return;
    const auto refuse = [this](const Error& error) {
        config_state_.error = error;
        tell_config();
    };
    if (!job.fresh)
        return refuse(job.fresh.error());
    Configuration& fresh = *job.fresh;
    if (!job.saved) {
        config_state_.kept = false; // the old or the new one is there: the next one that is good is written
        return refuse(job.saved.error());
    }
    if (fresh.settings.data_dir != config_.data_dir) {
        return refuse(
            {Errc::conflict,
             "edge.data_dir",
             "the data folder can only change at a start; the running configuration stays",
             "restart brim-edge"}
        );
    }
    const bool written = job.kept != fresh.revision;
    config_state_.kept = true;
    config_state_.error.reset();
    config_state_.waits_for = needing_start(config_, fresh.settings);
    if (!config_state_.waits_for.empty()) {
        config_state_.next = fresh.revision;
        return tell_config();
    }
    if (written || config_state_.next == fresh.revision)
        config_state_.applied_at = job.now;
    config_state_.next.clear();
    config_state_.revision = fresh.revision;
    config_state_.from_files = true;
    take_effect(std::move(fresh));
    tell_config();
}

// All of it in one turn of the loop: no report and no request sees a part.
void Edge::take_effect(Configuration fresh) {
    const auto listed = [&](const std::string& name) {
        return std::ranges::any_of(fresh.settings.drivers, [&](const auto& d) {
            return d.name == name && d.enabled;
        });
    };
    for (const DriverSettings& old : config_.drivers) {
        if (listed(old.name))
            continue;
        if (supervisor_)
            supervisor_->remove(old.name);
        else
            dismiss_driver(old.name);
        install({old.name, {}, {}});
    }
    for (DriverConfig& driver : fresh.drivers)
        install(std::move(driver));
    for (const DriverSettings& driver : fresh.settings.drivers) {
        if (supervisor_ && driver.enabled)
            supervisor_->put(driver);
    }
    config_.drivers = std::move(fresh.settings.drivers);
    trust(fresh);
}

// The connection that is up stays, unless the hub's certificate is refused by now.
void Edge::trust(const Configuration& fresh) {
    auto context = uplink_trust(fresh.settings.uplink, fresh.texts);
    if (!context || !*context ||
        !tls_) // the first cannot be: it was made of the same bytes when they were checked
        return;
    tls_->set_time_floor(floor_.now());
    (*context)->succeed(env_.loop(), *tls_);
    uplink_->set_tls(**context);
    tls_ = std::move(*context);
    config_.uplink.ca_file = fresh.settings.uplink.ca_file;
    config_.uplink.crl_file = fresh.settings.uplink.crl_file;
    config_.uplink.alpn = fresh.settings.uplink.alpn;
}

void Edge::install(DriverConfig config) {
    std::set<thing::DeviceKey> kept;
    for (Device& device : config.devices) {
        kept.insert(device.key);
        devices_.put(std::move(device));
    }
    for (const auto& key : devices_.of_driver(config.name)) {
        if (kept.contains(key))
            continue;
        bus_->take_offline(*devices_.find(key.product_key, key.device_name));
        devices_.remove(key);
    }
    std::string& published = published_[config.name];
    if (published == config.published)
        return;
    published = config.published;
    bus_->configure(config.name, published);
}

void Edge::tell_config() {
    const ConfigState& state = config_state_;
    if (revision_shown_)
        revision_shown_->set(0);
    revision_shown_ = &env_.metrics().gauge(
        "brim_edge_config_info",
        "1 for the configuration that runs",
        metric_label("revision", state.revision) + "," +
            metric_label("source", state.from_files ? "files" : "applied")
    );
    revision_shown_->set(1);
    if (state.error) {
        env_.log().error(
            "edge",
            state.from_files && state.kept ? "the configuration files are no use; the running one stays"
                                           : "the configuration files are not what runs",
            {{"running", state.revision}, {"error", state.error->text()}}
        );
        return;
    }
    if (!state.next.empty()) {
        std::string keys;
        for (const std::string& key : state.waits_for)
            keys += (keys.empty() ? "" : ", ") + key;
        env_.log().warn(
            "edge",
            "the new configuration is kept and takes effect at the next start, as a whole",
            {{"running", state.revision}, {"next", state.next}, {"because", keys}}
        );
        return;
    }
    env_.log().info("edge", "configuration in effect", {{"revision", state.revision}});
}

} // namespace brim::edge
