#pragma once
// The retained messages: ordered by topic, so that a filter is answered from the stretch its literal
// beginning names and a long answer can be continued where it stopped.

#include "base/message.h"
#include "mqtt/journal.h"
#include "mqtt/topic_filter.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace brim::mqtt {

/// Seconds a message may still live at `now`: -1 for ever. Negative otherwise never: see is_expired().
std::int64_t remaining_expiry_s(const Message& message, Mono now) noexcept;
bool is_expired(const Message& message, Mono now) noexcept;

class Retained {
public:
    /// `journal` is told of what expires and let go of what is replaced; null: in memory only.
    Retained(std::uint64_t count_max, std::uint64_t bytes_max, Journal* journal)
        : count_max_(count_max), bytes_max_(bytes_max), journal_(journal) {}

    /// Keeps, replaces or (empty payload) removes the message of a topic. False when a limit or `has_room`
    /// forbids to keep it; then what was there is gone too, for a stale value is worse than none. `number` is
    /// the message's in the journal.
    bool put(const MessagePtr& message, JournalNumber number = 0, bool has_room = true);

    struct Kept {
        MessagePtr message;
        JournalNumber number = 0;
    };

    /// The topic behind `after` (empty = the first); null when there is none.
    const Kept* following(const std::string& after) const;

    /// Gives `take` the messages behind `after` (empty = from the start) that match, until it returns false.
    /// Looks at `budget` topics at most and lowers it. True when there is no more. `after` becomes the last
    /// topic looked at. `take` must not change what is retained.
    bool visit(
        const TopicFilter& filter,
        std::string& after,
        std::size_t& budget,
        Mono now,
        const std::function<bool(const MessagePtr&)>& take
    );
    /// Removes all that `is_unwanted`; returns how many.
    std::size_t remove_if(const std::function<bool(const Message&)>& is_unwanted);
    /// Removes what expired among the next `budget` topics in turn.
    void sweep(std::size_t budget, Mono now);

    bool contains(std::string_view topic) const { return topics_.contains(topic); }

    std::size_t size() const { return topics_.size(); }

    std::uint64_t bytes() const { return bytes_; }

private:
    using Topics = std::map<std::string, Kept, std::less<>>;

    Topics::iterator erase(Topics::iterator place);
    Topics::iterator expire(Topics::iterator place);
    static std::uint64_t weight(const Message& message);

    Topics topics_;
    std::uint64_t bytes_ = 0;
    std::uint64_t count_max_;
    std::uint64_t bytes_max_;
    Journal* journal_;
    std::size_t expiring_ = 0; ///< messages with an expiry
    std::string swept_;
};

} // namespace brim::mqtt
