#include "hub/feed.h"

#include <algorithm>
#include <array>

namespace brim::hub {

std::string_view feed_type_name(FeedType type) noexcept {
    static constexpr std::array<std::string_view, feed_type_count> names{
        "status", "property", "set", "event", "message"
    };
    return names[static_cast<std::size_t>(type)];
}

bool FeedFilter::matches(const FeedItem& item) const {
    if ((types & (1U << static_cast<unsigned>(item.type))) == 0)
        return false;
    return devices.empty() || std::find(devices.begin(), devices.end(), item.device) != devices.end();
}

Feed::Feed(std::uint64_t boot, Limits limits) : limits_(limits), next_id_((boot << 40U) + 1) {}

bool Feed::wanted(FeedType type) const {
    if (type != FeedType::message)
        return true;
    const unsigned bit = 1U << static_cast<unsigned>(type);
    return std::any_of(readers_.begin(), readers_.end(), [bit](const Reader& reader) {
        return (reader.filter.types & bit) != 0;
    });
}

void Feed::publish(FeedType type, std::string device, std::string data) {
    auto item =
        std::make_shared<const FeedItem>(FeedItem{next_id_++, type, std::move(device), std::move(data)});
    ring_bytes_ += item->data.size();
    ring_.push_back(item);
    while (ring_.size() > limits_.ring_items_max || ring_bytes_ > limits_.ring_bytes_max) {
        ring_bytes_ -= ring_.front()->data.size();
        ring_.pop_front();
    }
    // By index: a reader may leave (or another come) from inside its own delivery.
    for (std::size_t i = 0; i < readers_.size(); ++i) {
        if (!readers_[i].filter.matches(*item))
            continue;
        const ReaderId id = readers_[i].id;
        const Deliver deliver = readers_[i].deliver;
        deliver(item);
        if (i < readers_.size() && readers_[i].id != id)
            --i;
    }
}

Feed::ReaderId Feed::subscribe(FeedFilter filter, std::uint64_t last_id, bool& missed, Deliver deliver) {
    missed = last_id != 0 && (ring_.empty() ? last_id + 1 != next_id_ : last_id + 1 < ring_.front()->id);
    if (last_id != 0) {
        for (const FeedItemPtr& item : ring_) {
            if (item->id > last_id && filter.matches(*item))
                deliver(item);
        }
    }
    readers_.push_back({next_reader_, std::move(filter), std::move(deliver)});
    return next_reader_++;
}

void Feed::unsubscribe(ReaderId reader) {
    std::erase_if(readers_, [reader](const Reader& each) { return each.id == reader; });
}

} // namespace brim::hub
