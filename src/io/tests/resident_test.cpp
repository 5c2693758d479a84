#include "io/resident.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <sys/resource.h>

namespace brim::io {

TEST_CASE("the soft limit of open descriptors is raised to the hard one") {
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit low = before;
    low.rlim_cur = std::min<rlim_t>(before.rlim_max, 512);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
    CHECK(raise_descriptor_limit() == before.rlim_max);
    rlimit after{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &after) == 0);
    CHECK(after.rlim_cur == before.rlim_max);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

TEST_CASE("pages of code that only ran at the start are given back, and come back when they are needed") {
    const std::uint64_t before = process_cost().resident_bytes;
    release_startup_pages();
    const std::uint64_t after = process_cost().resident_bytes;
    CHECK(after < before);
    // Everything goes on: exceptions, the heap, the libraries.
    CHECK_THROWS_AS(throw std::runtime_error("x"), std::runtime_error);
    CHECK(std::to_string(before) != std::to_string(after));
}

} // namespace brim::io
