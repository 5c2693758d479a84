#pragma once
// Which subscriptions a topic has, remembered for topics that come again. One place a topic, by its hash; as
// many places as the topics that come again need.

#include "mqtt/subscription_tree.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace brim::mqtt {

class MatchCache {
public:
    static constexpr std::size_t slots_min = 256;
    static constexpr std::size_t slots_max = 8'192;
    /// A longer list costs as much to copy as to find; fewer when there are many places, so that all together
    /// are at most 24 MiB.
    static constexpr std::size_t matches_max = 4'096;

    struct Slot {
        std::uint64_t generation = 0; ///< of the tree when `matches` was found; 0: never
        std::string topic;
        SubscriptionTree::Matches matches; ///< `plain` in the order of subscribers
    };

    explicit MatchCache(SubscriptionTree& tree) : tree_(tree), slots_(slots_min) {}

    /// The place of a topic, whoever is in it. Valid until adapt() or release().
    Slot& slot(std::string_view topic) {
        return slots_[std::hash<std::string_view>{}(topic) & (slots_.size() - 1)];
    }

    /// What matches a topic whose place is `slot`. Valid until the next call.
    const SubscriptionTree::Matches& find(const std::string& topic, Slot& slot) {
        if (slot.generation == tree_.generation() && slot.topic == topic)
            return slot.matches;
        return find_anew(topic, slot);
    }

    /// More places when topics that come again had lost theirs to others since the last call. Called about
    /// once a second, while nobody holds a place.
    void adapt();
    /// Gives the memory back.
    void release();

    std::size_t size() const { return slots_.size(); }

private:
    const SubscriptionTree::Matches& find_anew(const std::string& topic, Slot& slot);
    void note_lost(std::string_view topic);

    SubscriptionTree& tree_;
    std::vector<Slot> slots_; ///< a power of two of them
    SubscriptionTree::Matches scratch_;
    /// Of topics looked up since adapt(), by their hash: some more bits of it. As many as there can be
    /// places, so that a topic is found here when it would have kept its place among that many. Empty until a
    /// place is lost.
    std::vector<std::uint16_t> recent_;
    std::size_t lost_ = 0; ///< look-ups of topics that had lost their places, since adapt()
};

} // namespace brim::mqtt
