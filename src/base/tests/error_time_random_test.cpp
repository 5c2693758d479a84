#include "base/assert.h"
#include "base/error.h"
#include "base/random.h"
#include "base/time.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <doctest/doctest.h>
#include <map>
#include <rapidcheck.h>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

using namespace brim;

namespace {

Result<int> passes_on(Result<int> inner) {
    BRIM_TRY(inner);
    return *inner + 1;
}

} // namespace

TEST_CASE("an error names object, cause, code and fix") {
    const Error error{Errc::not_found, "device \"x\"", "no such device", "create it first"};
    CHECK(error.text() == "device \"x\": no such device (not_found); create it first");
    CHECK(Error{Errc::io, "", "gone", ""}.text() == "gone (io)");
}

TEST_CASE("every error code has its own stable name") {
    std::set<std::string_view> names;
    for (int code = 0; code <= static_cast<int>(Errc::io); ++code) {
        const std::string_view name = errc_name(static_cast<Errc>(code));
        CHECK(name != "unknown");
        CHECK(names.insert(name).second);
    }
}

TEST_CASE("BRIM_TRY passes an error on and leaves a value alone") {
    CHECK(passes_on(1).value() == 2);
    const auto failed = passes_on(fail(Errc::busy, "gate", "too many"));
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == Errc::busy);
}

TEST_CASE("errno becomes the code that a caller can branch on") {
    const std::map<int, Errc> expected{
        {ENOENT, Errc::not_found},
        {EACCES, Errc::denied},
        {EPERM, Errc::denied},
        {EEXIST, Errc::exists},
        {ENOSPC, Errc::full},
        {EDQUOT, Errc::full},
        {EIO, Errc::io},
        {ENOTTY, Errc::io},
    };
    for (const auto& [value, code] : expected)
        CHECK(errno_error("file x", value).code == code);
    CHECK(errno_error("file x", ENOENT).cause == "No such file or directory");
    CHECK(errno_error("file x", 99'999).cause == "system error 99999");
}

TEST_CASE("a broken invariant ends the process, a kept one does nothing") {
    BRIM_ASSERT(1 + 1 == 2, "arithmetic holds");
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL); // doctest catches it otherwise
        close(2);                 // its complaint is not this test's output
        BRIM_ASSERT(1 + 1 == 3, "must end here");
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGABRT);
}

TEST_CASE("times are written as RFC 3339 in UTC with milliseconds") {
    CHECK(to_rfc3339({0}) == "1970-01-01T00:00:00.000Z");
    CHECK(to_rfc3339({-1}) == "1969-12-31T23:59:59.999Z");
    CHECK(to_rfc3339({951'782'400'007}) == "2000-02-29T00:00:00.007Z");
    CHECK(to_rfc3339({1'795'226'821'250}) == "2026-11-21T02:07:01.250Z");
    CHECK(to_rfc3339({INT64_MAX}) == "9999-12-31T23:59:59.999Z");
    CHECK(to_rfc3339({INT64_MIN}) == "0000-01-01T00:00:00.000Z");
}

TEST_CASE("the machine's monotonic clock never goes back, and its wall clock is in this century") {
    const SystemClock clock;
    Mono last = clock.mono();
    for (int i = 0; i < 1'000; ++i) {
        const Mono now = clock.mono();
        CHECK(now >= last);
        last = now;
    }
    CHECK(clock.wall() > WallTime{1'700'000'000'000});
}

TEST_CASE("the same seed gives the same numbers, another seed others") {
    SeededRandom a(7);
    SeededRandom b(7);
    SeededRandom c(8);
    bool differs = false;
    for (int i = 0; i < 100; ++i) {
        const std::uint64_t value = a.u64();
        CHECK(value == b.u64());
        differs = differs || value != c.u64();
    }
    CHECK(differs);
}

TEST_CASE("below() stays below any bound and reaches every value of a small one") {
    CHECK(rc::check([](std::uint64_t seed, std::uint64_t bound) {
        if (bound == 0)
            bound = 1;
        SeededRandom random(seed);
        for (int i = 0; i < 20; ++i)
            RC_ASSERT(random.below(bound) < bound);
    }));
    SeededRandom random(1);
    std::array<int, 6> seen{};
    for (int i = 0; i < 60'000; ++i)
        ++seen[random.below(6)];
    for (const int count : seen)
        CHECK((count > 9'500 && count < 10'500));
}

TEST_CASE("alnum is unbiased: each of 62 characters comes up equally often") {
    SeededRandom random(42);
    std::map<char, int> seen;
    for (const char c : random.alnum(620'000))
        ++seen[c];
    CHECK(seen.size() == 62);
    for (const auto& [c, count] : seen) {
        CAPTURE(c);
        CHECK((count > 9'500 && count < 10'500)); // five standard deviations
    }
}

TEST_CASE("alnum and hex have the length that was asked for") {
    SystemRandom random;
    for (std::size_t count = 0; count < 70; ++count) {
        CHECK(random.alnum(count).size() == count);
        const std::string hex = random.hex(count);
        CHECK(hex.size() == 2 * count);
        CHECK(hex.find_first_not_of("0123456789abcdef") == std::string::npos);
    }
}

TEST_CASE("the kernel's randomness does not repeat") {
    SystemRandom random;
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 1'000; ++i)
        CHECK(seen.insert(random.u64()).second);
}
