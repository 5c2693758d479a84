#include "mqtt/internal/match_cache.h"

#include <algorithm>
#include <utility>

namespace brim::mqtt {

namespace {

/// Of the places some are enough to see whether there are too few of them.
constexpr std::size_t looked_at_one_in = 8;

} // namespace

const SubscriptionTree::Matches& MatchCache::find_anew(const std::string& topic, Slot& slot) {
    const bool is_taken = slot.generation == tree_.generation();
    const auto place = static_cast<std::size_t>(&slot - slots_.data());
    if (is_taken && place % looked_at_one_in == 0 && slots_.size() < slots_max)
        note_lost(topic);
    const std::size_t count_max = std::min(matches_max, matches_max * slots_min / slots_.size());
    if (scratch_.plain.capacity() > 2 * count_max) // after a list that was too long to keep
        scratch_ = {};
    tree_.match(topic, scratch_);
    if (scratch_.plain.size() > 1)
        std::ranges::sort(scratch_.plain, {}, &SubscriptionTree::Entry::subscriber);
    if (scratch_.plain.size() + scratch_.groups.size() > count_max)
        return scratch_;
    slot.generation = tree_.generation();
    slot.topic = topic;
    std::swap(slot.matches, scratch_);
    return slot.matches;
}

/// Topics that never come again must not make the table grow: only those count that were here a while ago.
void MatchCache::note_lost(std::string_view topic) {
    if (recent_.empty())
        recent_.resize(slots_max);
    const std::size_t hash = std::hash<std::string_view>{}(topic);
    const auto tag = static_cast<std::uint16_t>(hash >> 48 | 1); // 0: nobody
    std::uint16_t& seen = recent_[hash & (slots_max - 1)];
    lost_ += seen == tag ? 1 : 0;
    seen = tag;
}

void MatchCache::adapt() {
    const bool is_short = std::exchange(lost_, 0) > slots_.size() / (4 * looked_at_one_in);
    if (is_short && slots_.size() < slots_max) {
        std::vector<Slot> old(slots_.size() * 2);
        old.swap(slots_);
        for (Slot& kept : old)
            if (kept.generation == tree_.generation())
                std::swap(slot(kept.topic), kept);
    }
    recent_ = {};
}

void MatchCache::release() {
    slots_ = std::vector<Slot>(slots_min);
    scratch_ = {};
    recent_ = {};
    lost_ = 0;
}

} // namespace brim::mqtt
