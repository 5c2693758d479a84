#include "mqtt/internal/retained.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

/// What stands before the first wildcard: every matching topic begins with it, but for "a" and "a/#".
std::string_view literal_prefix(std::string_view filter) {
    const std::size_t wildcard = filter.find_first_of("+#");
    if (wildcard == std::string_view::npos)
        return filter;
    std::string_view prefix = filter.substr(0, wildcard);
    if (filter[wildcard] == '#' && !prefix.empty())
        prefix.remove_suffix(1);
    return prefix;
}

} // namespace

bool is_expired(const Message& message, Mono now) noexcept {
    if (message.expiry_s < 0 || message.accepted == Mono{})
        return false;
    return now - message.accepted > std::chrono::seconds{message.expiry_s};
}

std::int64_t remaining_expiry_s(const Message& message, Mono now) noexcept {
    if (message.expiry_s < 0 || message.accepted == Mono{})
        return message.expiry_s;
    const auto passed = std::chrono::duration_cast<std::chrono::seconds>(now - message.accepted).count();
    return std::max<std::int64_t>(0, message.expiry_s - std::max<std::int64_t>(0, passed));
}

std::uint64_t Retained::weight(const Message& message) {
    return message.topic.size() + message.payload.size();
}

Retained::Topics::iterator Retained::erase(Topics::iterator place) {
    bytes_ -= weight(*place->second.message);
    expiring_ -= place->second.message->expiry_s >= 0 ? 1 : 0;
    if (place->second.number != 0)
        journal_->release(place->second.number);
    return topics_.erase(place);
}

Retained::Topics::iterator Retained::expire(Topics::iterator place) {
    if (place->second.number != 0)
        journal_->retained_gone(place->first);
    return erase(place);
}

const Retained::Kept* Retained::following(const std::string& after) const {
    const auto place = after.empty() ? topics_.begin() : topics_.upper_bound(after);
    return place == topics_.end() ? nullptr : &place->second;
}

bool Retained::put(const MessagePtr& message, JournalNumber number, bool has_room) {
    if (const auto place = topics_.find(message->topic); place != topics_.end())
        erase(place);
    if (message->payload.empty())
        return true;
    if (!has_room || topics_.size() >= count_max_ || bytes_ + weight(*message) > bytes_max_)
        return false;
    bytes_ += weight(*message);
    expiring_ += message->expiry_s >= 0 ? 1 : 0;
    topics_.emplace(message->topic, Kept{message, number});
    return true;
}

bool Retained::visit(
    const TopicFilter& filter,
    std::string& after,
    std::size_t& budget,
    Mono now,
    const std::function<bool(const MessagePtr&)>& take
) {
    const std::string_view prefix = literal_prefix(filter.filter());
    auto place = after.empty() ? topics_.lower_bound(prefix) : topics_.upper_bound(after);
    bool goes_on = true;
    while (place != topics_.end() && std::string_view(place->first).starts_with(prefix)) {
        if (!goes_on || budget == 0)
            return false;
        --budget;
        after = place->first;
        if (is_expired(*place->second.message, now)) {
            place = expire(place);
            continue;
        }
        if (filter.matches(place->first))
            goes_on = take(place->second.message);
        ++place;
    }
    return true;
}

std::size_t Retained::remove_if(const std::function<bool(const Message&)>& is_unwanted) {
    std::size_t removed = 0;
    for (auto place = topics_.begin(); place != topics_.end();) {
        const bool goes = is_unwanted(*place->second.message);
        removed += goes ? 1 : 0;
        place = goes ? expire(place) : std::next(place);
    }
    return removed;
}

void Retained::sweep(std::size_t budget, Mono now) {
    if (expiring_ == 0)
        return;
    auto place = topics_.upper_bound(swept_);
    for (; budget > 0; --budget) {
        if (place == topics_.end()) {
            swept_.clear();
            return;
        }
        swept_ = place->first;
        place = is_expired(*place->second.message, now) ? expire(place) : std::next(place);
    }
}

} // namespace brim::mqtt
