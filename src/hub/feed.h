#pragma once
// What happens in the hub, as a resumable stream of events for browsers and the command line. Loop thread
// only. Events are made only when somebody could read them: the ring keeps the newest for Last-Event-ID.

#include "base/json.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brim::hub {

enum class FeedType : std::uint8_t { status, property, set, event, message };
inline constexpr unsigned feed_type_count = 5;
std::string_view feed_type_name(FeedType type) noexcept;

struct FeedItem {
    std::uint64_t id = 0; ///< grows by 1; the high 24 bits are the hub's boot number, so ids never repeat
    FeedType type = FeedType::status;
    std::string device; ///< "{pk}/{dn}"
    std::string data;   ///< JSON object text
};

using FeedItemPtr =
    std::shared_ptr<const FeedItem>; // shared by the ring and the readers that have not sent it yet

struct FeedFilter {
    unsigned types = 0;               ///< bit per FeedType
    std::vector<std::string> devices; ///< empty = all
    bool matches(const FeedItem& item) const;
};

class Feed {
public:
    struct Limits {
        std::size_t ring_items_max = 8'192;
        std::size_t ring_bytes_max = 4'194'304;
    };

    Feed(std::uint64_t boot, Limits limits);

    explicit Feed(std::uint64_t boot) : Feed(boot, Limits{}) {}

    /// True when building an item of this type is worth the work: `message` items are kept only while
    /// somebody listens.
    bool wanted(FeedType type) const;
    void publish(FeedType type, std::string device, std::string data);

    using Deliver = std::function<void(const FeedItemPtr&)>;
    using ReaderId = std::uint64_t;
    /// Calls `deliver` for each later matching item until unsubscribe(). Items after `last_id` still in the
    /// ring are delivered first, inside this call; `missed` is set when some are gone from the ring.
    ReaderId subscribe(FeedFilter filter, std::uint64_t last_id, bool& missed, Deliver deliver);
    void unsubscribe(ReaderId reader);

    std::size_t readers() const { return readers_.size(); }

private:
    struct Reader {
        ReaderId id;
        FeedFilter filter;
        Deliver deliver;
    };

    Limits limits_;
    std::deque<FeedItemPtr> ring_;
    std::size_t ring_bytes_ = 0;
    std::vector<Reader> readers_;
    std::uint64_t next_id_;
    ReaderId next_reader_ = 1;
};

} // namespace brim::hub
