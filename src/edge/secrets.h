#pragma once
// Device secrets the hub handed out for sub-devices without one in their driver's configuration.

#include "base/log.h"
#include "io/disk.h"
#include "io/loop.h"
#include "thing/envelope.h"

#include <map>
#include <string>

namespace brim::edge {

/// Kept in one small file (mode 0600), replaced as a whole. A damaged file is set aside, not deleted: the
/// secrets are asked for again. Loop thread only; writes go to the worker.
class Secrets {
public:
    static constexpr std::size_t file_bytes_max = 4'194'304; ///< 10,000 devices take about 1 MiB

    Secrets(io::Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}

    /// Blocking, used at start. Errc::corrupt tells that the file was set aside.
    Result<void> load();
    const Secret* find(const thing::DeviceKey& device) const;
    void put(const thing::DeviceKey& device, Secret secret);
    void forget(const thing::DeviceKey& device);
    /// Writes on `worker` when something changed since the last call; `done` is told a failure.
    void save(io::Worker& worker, std::move_only_function<void(Result<void>)> done);

private:
    io::Disk& disk_;
    std::string path_;
    std::map<thing::DeviceKey, Secret> secrets_;
    bool dirty_ = false;
};

} // namespace brim::edge
