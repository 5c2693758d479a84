#pragma once
// Latencies counted in buckets: constant memory for any number of them, and at most 1/64 off. Pure.

#include <array>
#include <bit>
#include <cstdint>

namespace brim::cli {

class LatencyCount {
public:
    void add(std::uint64_t microseconds) {
        ++buckets_[bucket_of(microseconds)];
        ++count_;
        max_ = microseconds > max_ ? microseconds : max_;
    }

    std::uint64_t count() const { return count_; }

    std::uint64_t max() const { return max_; }

    /// The least value that at least `share` (0 to 1) of all do not exceed, rounded up to its bucket's end
    /// and never above max(); 0 when there are none.
    std::uint64_t at(double share) const {
        const double wanted = share * static_cast<double>(count_);
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            seen += buckets_[i];
            if (seen != 0 && static_cast<double>(seen) >= wanted)
                return end_of(i) < max_ ? end_of(i) : max_;
        }
        return max_;
    }

private:
    static constexpr unsigned fine_bits = 6;
    static constexpr std::size_t fine = std::size_t{1} << fine_bits;

    // Values below 64 have a bucket each; above, each power of two is cut into 64.
    static std::size_t bucket_of(std::uint64_t value) {
        if (value < fine)
            return static_cast<std::size_t>(value);
        const auto shift = static_cast<unsigned>(std::bit_width(value)) - fine_bits - 1;
        return (shift + 1) * fine + static_cast<std::size_t>((value >> shift) - fine);
    }

    static std::uint64_t end_of(std::size_t bucket) {
        if (bucket < fine)
            return bucket;
        const std::size_t shift = bucket / fine - 1;
        return ((fine + bucket % fine + 1) << shift) - 1;
    }

    std::array<std::uint64_t, (64 - fine_bits + 1) * fine> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

} // namespace brim::cli
