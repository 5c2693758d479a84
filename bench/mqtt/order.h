#pragma once
// Whether each subscriber gets each publisher's messages once and in their order.

#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <vector>

namespace brim::bench {

class Order {
public:
    Order(std::size_t subscribers, std::size_t publishers);

    /// A message arrived at a subscriber. At most 16,384 subscribers and 262,144 publishers.
    void add(std::size_t subscriber, std::size_t publisher, std::uint32_t sequence);

    std::uint64_t gaps = 0;
    std::uint64_t reordered = 0; ///< arrived, but after a later one of the same publisher
    std::uint64_t duplicates = 0;

private:
    std::size_t publishers_;
    std::vector<std::uint32_t> expected_;       ///< [subscriber][publisher]
    std::unordered_set<std::uint64_t> missing_; ///< skipped so far: empty when all is in order
};

} // namespace brim::bench
