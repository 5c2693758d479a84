#pragma once
// The last value and time of every property of every configured device, also right after a restart.
//
// Durable by the log itself: a snapshot file names the number of the last record it contains, and the records
// above it are kept in the log and read again at start. So a value that a driver got an acknowledgement for
// is never forgotten, and nothing is written twice in the hot path.

#include "edge/devices.h"
#include "edge/intake.h"
#include "io/disk.h"
#include "store/log.h"
#include "thing/value.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace brim::edge {

class Twin {
public:
    struct Entry {
        thing::Value value;
        std::int64_t time_ms = 0;
    };

    static constexpr std::size_t file_bytes_max = 67'108'864;

    /// Newer or equally old samples replace what is there.
    void apply(const Device& device, const std::vector<thing::Sample>& samples);
    /// Null when the device has never reported it, or has no model.
    const Entry* find(const thing::DeviceKey& device, std::string_view property) const;
    /// The device's values by identifier, as {"value","time"}.
    Json values(const Device& device) const;

    /// The snapshot's text. `durable`: all records up to it were applied and are on disk; a number above it
    /// may yet come to mean another record after a crash.
    std::string snapshot(const Devices& devices, const std::string& store_id, store::Seq durable) const;

    bool changed() const { return changed_; }

    void saved() { changed_ = false; }

    void unsaved() { changed_ = true; }

    /// Reads the snapshot at `path` and the log's records above it. Blocking, used at start. A damaged
    /// snapshot is set aside and told; what the log still holds is read all the same.
    Result<void> restore(io::Disk& disk, const std::string& path, const Devices& devices, store::Log& log);

private:
    struct State {
        std::shared_ptr<const thing::Model> model; ///< whose indices are used; shared with the device
        std::vector<std::optional<Entry>> entries;
    };

    State& state(const Device& device);
    Result<store::Seq> read_snapshot(
        io::Disk& disk, const std::string& path, const Devices& devices, const std::string& store_id
    );

    std::map<thing::DeviceKey, State> states_;
    bool changed_ = false;
};

} // namespace brim::edge
