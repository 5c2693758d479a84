#include "mqtt/order.h"

namespace brim::bench {

Order::Order(std::size_t subscribers, std::size_t publishers)
    : publishers_(publishers), expected_(subscribers * publishers) {}

void Order::add(std::size_t subscriber, std::size_t publisher, std::uint32_t sequence) {
    const auto key = [&](std::uint64_t number) {
        return subscriber << 50 | static_cast<std::uint64_t>(publisher) << 32 | number;
    };
    std::uint32_t& next = expected_[subscriber * publishers_ + publisher];
    if (sequence == next) {
        ++next;
    } else if (sequence > next) {
        ++gaps;
        for (; next < sequence; ++next)
            missing_.insert(key(next));
        next = sequence + 1;
    } else if (missing_.erase(key(sequence)) != 0) {
        ++reordered;
    } else {
        ++duplicates;
    }
}

} // namespace brim::bench
