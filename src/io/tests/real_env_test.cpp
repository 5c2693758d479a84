#include "io/real_env.h"

#include "base/hash.h"
#include "base/log.h"
#include "io/resident.h"

#include <doctest/doctest.h>

using namespace brim;

// The sanitizers bring allocators of their own.
#ifndef BRIM_SANITIZED
TEST_CASE("the memory of password hashes goes back to the system") {
    SystemClock clock;
    Log log(clock, {});
    Metrics metrics;
    const io::RealEnv env(log, metrics);
    const auto before = io::process_cost().resident_bytes;
    // Twice: the allocator learns from what is freed first.
    for (int i = 0; i < 2; ++i)
        REQUIRE(password_hash("a password", "0123456789abcdef"));
    CHECK(io::process_cost().resident_bytes < before + 8'000'000);
}
#endif
