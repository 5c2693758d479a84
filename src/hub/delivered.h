#pragma once
// Which of a gateway's stored messages the hub already has (docs/spec/bus.md, "Uplink extension"): per
// gateway and edge store an interval set of record numbers, changed as records of the ingress log are applied
// and saved with history, so that it always agrees with what was stored. Loop thread only.

#include "hub/registry.h"
#include "store/history.h"
#include "store/seq_set.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace brim::hub {

class Delivered {
public:
    explicit Delivered(std::size_t stores_per_gateway_max) : stores_max_(stores_per_gateway_max) {}

    /// From a note saved before; false when it is unreadable.
    bool restore(const store::HistoryNote& note);
    /// The notes of all sets changed since the last call.
    std::vector<store::HistoryNote> take_changed();
    /// Those notes were not saved after all.
    void give_back(const std::vector<store::HistoryNote>& notes);

    bool contains(DeviceId gateway, const std::string& store, std::uint64_t seq) const;
    void insert(DeviceId gateway, const std::string& store, std::uint64_t seq, std::uint64_t low);
    /// The edge no longer holds anything below `low`.
    void raise(DeviceId gateway, const std::string& store, std::uint64_t low);
    /// No room for another gap: only numbers that fill one may come.
    bool crowded(DeviceId gateway, const std::string& store) const;
    void forget(DeviceId gateway);

    /// The start of the edge that the numbers of this store are counted for; empty when it never named one.
    /// Valid until something changes.
    std::string_view run(DeviceId gateway, std::string_view store) const;
    /// The edge started again: numbers from `first` on belong to messages not seen yet, whatever was
    /// delivered under them before. Does nothing for the run already known. Returns whether a number was
    /// taken out.
    bool begin_run(DeviceId gateway, const std::string& store, std::string run, std::uint64_t first);

    /// Appended to the ingress log but not yet durable.
    void note_pending(DeviceId gateway, const std::string& store, std::uint64_t seq, store::Seq at);
    std::optional<store::Seq> pending(DeviceId gateway, const std::string& store, std::uint64_t seq) const;
    void settle_pending(DeviceId gateway, const std::string& store, std::uint64_t seq);

private:
    using Key = std::pair<DeviceId, std::string>;

    /// Looks up without making a Key: each message of an edge does so several times.
    struct KeyLess {
        using is_transparent = void;

        bool operator()(const auto& a, const auto& b) const {
            return a.first != b.first ? a.first < b.first
                                      : std::string_view(a.second) < std::string_view(b.second);
        }
    };

    struct Entry {
        store::SeqSet set{};
        std::unordered_map<std::uint64_t, store::Seq> pending;
        std::string run;        ///< 16 hex digits; empty: the edge never named one
        std::uint64_t used = 0; ///< to find the store not heard of for longest
    };

    Entry& entry(DeviceId gateway, const std::string& store);
    const Entry* find(DeviceId gateway, std::string_view store) const;
    void note_change(DeviceId gateway, const std::string& store);

    std::size_t stores_max_;
    std::map<Key, Entry, KeyLess> entries_;
    std::set<Key, KeyLess> changed_;
    std::set<std::string> deleted_; ///< names of notes to remove
    std::uint64_t uses_ = 0;
};

} // namespace brim::hub
