// Registry: what changes with every connection, saved lazily.

#include "hub/registry.h"
#include "hub/registry_sql.h"

#include <algorithm>

namespace brim::hub {

namespace {

constexpr Duration save_every = std::chrono::seconds{1};

} // namespace

void Registry::count_online(const Device& device, int change) {
    online_devices_ += static_cast<std::size_t>(change);
    if (device.product->is_gateway)
        online_gateways_ += static_cast<std::size_t>(change);
}

void Registry::mark_online(Device& device, std::uint64_t epoch, std::string address) {
    if (!device.online)
        count_online(device, 1);
    device.online = true;
    device.activated = true;
    device.epoch = epoch;
    device.address = std::move(address);
    device.reason.clear();
    device.since = device.last_seen = env_.loop().clock().wall();
    touch(device);
}

void Registry::mark_offline(Device& device, std::string reason) {
    if (device.online)
        count_online(device, -1);
    device.online = false;
    device.reason = std::move(reason);
    device.since = env_.loop().clock().wall();
    touch(device);
}

void Registry::mark_seen(Device& device) {
    const WallTime now = env_.loop().clock().wall();
    // Saved at most every 30 s a device: the exact time lives in memory, the disk only needs it for after a
    // restart.
    const bool save = now.ms - device.last_seen.ms > 30'000;
    device.last_seen = now;
    if (save)
        touch(device);
}

void Registry::touch(Device& device) {
    touched_.push_back(device.id);
    if (!save_timer_.running() && !saving_status_)
        save_timer_.start(save_every, [this] { save_touched(); });
}

void Registry::save_status(Done done) {
    status_waiters_.push_back(std::move(done));
    if (!saving_status_)
        save_touched();
}

void Registry::save_touched() {
    save_timer_.stop();
    std::sort(touched_.begin(), touched_.end());
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    std::vector<sql::StatusRow> rows;
    for (const DeviceId id : touched_) {
        const Device* changed = device(id);
        if (changed == nullptr)
            continue;
        sql::StatusRow row{
            id,
            changed->activated,
            changed->online,
            changed->since.ms,
            changed->last_seen.ms,
            changed->epoch,
            changed->reason,
            changed->address,
            {}
        };
        for (const DesiredValue& desired : changed->desired)
            row.desired.push_back(sql::desired_row(*changed, desired));
        rows.push_back(std::move(row));
    }
    auto saved = [this, devices = std::exchange(touched_, {}), waiting = std::exchange(status_waiters_, {})](
                     const Result<void>& result
                 ) mutable { status_saved(std::move(devices), std::move(waiting), result); };
    saving_status_ = true;
    db_.write(
        [rows = std::move(rows)](store::Database& db) { return sql::save_status(db, rows); }, std::move(saved)
    );
}

void Registry::status_saved(
    std::vector<DeviceId> devices, std::vector<Done> waiting, const Result<void>& result
) {
    saving_status_ = false;
    if (!result) {
        env_.log().warn("registry", "status not saved", {{"cause", result.error().text()}});
        touched_.insert(touched_.end(), devices.begin(), devices.end()); // once more, in a second
    }
    if (!status_waiters_.empty())
        save_touched();
    else if (!touched_.empty())
        save_timer_.start(save_every, [this] { save_touched(); });
    for (Done& done : waiting)
        done(result);
}

} // namespace brim::hub
