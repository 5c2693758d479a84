#pragma once
// Which value of a property is the current one, where that is not simply the stored one with the newest time:
// a device whose clock ran ahead has been set right, or values were reported as history. Kept as notes beside
// history, so that a restart shows what was shown before [current-1]. Loop thread only.

#include "hub/registry.h"
#include "store/history.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace brim::hub {

class CurrentNotes {
public:
    /// A value as it is applied.
    struct Arrival {
        std::int64_t time_ms = 0;
        std::int64_t received_ms = 0; ///< by our clock
        bool replay = false;          ///< from the backlog of an outage
        bool history = false;         ///< reported as history: never current
    };

    /// Whether the value becomes current; the caller then sets it, before the next call. By time, except that
    /// a current value whose time lies ahead of our clock gives way to whatever comes live after it.
    bool take(Device& device, PropertyId property, const Arrival& arrival);

    /// True when the note is one of these; then the device's value is set to what it says (or removed). Call
    /// after the newest stored values were set.
    bool restore(Registry& registry, const store::HistoryNote& note);
    /// The notes changed since the last call.
    std::vector<store::HistoryNote> take_changed(Registry& registry);
    /// Those notes were not saved after all.
    void give_back(const std::vector<store::HistoryNote>& notes);
    void forget(DeviceId device);

    std::size_t size() const { return newest_.size(); }

private:
    using Key = std::pair<DeviceId, PropertyId>;

    std::map<Key, std::int64_t> newest_; ///< newest time stored, of properties that show another value
    std::set<Key> changed_;
};

} // namespace brim::hub
