#include "cli/latency.h"

#include <algorithm>
#include <doctest/doctest.h>
#include <random>
#include <vector>

using brim::cli::LatencyCount;

TEST_CASE("[mqtt-cli] a percentile is never below the true one and at most a 64th above it") {
    std::mt19937_64 random(7);
    std::vector<std::uint64_t> all;
    LatencyCount count;
    for (int i = 0; i < 20'000; ++i) {
        const std::uint64_t value = random() >> (random() % 64);
        all.push_back(value);
        count.add(value);
    }
    std::ranges::sort(all);
    for (const double share : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
        const auto place = static_cast<std::size_t>(std::max(share * 20'000 - 1e-6, 0.0));
        const std::uint64_t exact = all[std::min<std::size_t>(place, all.size() - 1)];
        INFO(share);
        CHECK(count.at(share) >= exact);
        CHECK(count.at(share) - exact <= exact / 64);
    }
    CHECK(count.at(1) == all.back());
    CHECK(count.max() == all.back());
}

TEST_CASE("[mqtt-cli] no latency has no percentile, and the largest value has a place") {
    LatencyCount count;
    CHECK(count.at(0.99) == 0);
    count.add(~std::uint64_t{0});
    count.add(0);
    CHECK(count.at(0.5) == 0);
    CHECK(count.at(1) == ~std::uint64_t{0});
}
