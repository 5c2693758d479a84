#pragma once
// Topic names and topic filters (MQTT 5 section 4.7, shared subscriptions 4.8.2).

#include "base/error.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace brim::mqtt {

/// True when `text` may name a topic: not empty, no wildcard, no U+0000, within both limits. UTF-8 is checked
/// by the codec, not here.
bool is_topic_name(
    std::string_view text, std::uint32_t bytes_max = 65'535, std::uint32_t levels_max = 65'535
) noexcept;

struct FilterLimits {
    std::uint32_t bytes_max = 1'024;
    std::uint32_t levels_max = 128;
};

/// True when `filter` (a plain one, of correct form) matches the topic. The first level of `filter` never
/// stands for a `$...` level unless it says so. Needs no memory and no recursion.
bool filter_matches(std::string_view filter, std::string_view topic) noexcept;

/// A topic filter that obeys section 4.7. Holding one is proof it was checked.
class TopicFilter {
public:
    /// Takes "a/+/#", "$share/group/a/+/#" and "$queue/a". Errc::malformed when it is no filter,
    /// Errc::too_large over a limit (judged on the filter without its prefix).
    static Result<TopicFilter> parse(std::string_view text, FilterLimits limits = {});

    bool matches(std::string_view topic) const noexcept { return filter_matches(filter(), topic); }

    /// Without a $share/group/ or $queue/ prefix: what permissions are asked for.
    std::string_view filter() const noexcept { return std::string_view(text_).substr(prefix_bytes_); }

    /// As it was written.
    std::string_view text() const noexcept { return text_; }

    /// The group of a shared subscription; "$queue" for a $queue/ one, empty for a plain one.
    std::string_view group() const noexcept;

    bool shared() const noexcept { return prefix_bytes_ != 0; }

    bool wildcard() const noexcept { return wildcard_; }

private:
    TopicFilter(std::string_view text, std::size_t prefix_bytes, bool wildcard)
        : text_(text), prefix_bytes_(static_cast<std::uint32_t>(prefix_bytes)), wildcard_(wildcard) {}

    std::string text_;
    std::uint32_t prefix_bytes_; ///< of $share/group/, at most 65,535 as the whole filter
    bool wildcard_;
};

} // namespace brim::mqtt
