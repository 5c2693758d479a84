#include "cli/output.h"

#include <doctest/doctest.h>

using namespace brim::cli;

TEST_CASE("a hub's time is read as RFC 3339 writes it, and nothing else is") {
    CHECK(parse_time("1970-01-01T00:00:01Z") == 1'000);
    CHECK(parse_time("1970-01-01T00:00:01.234Z") == 1'234);
    CHECK(parse_time("1970-01-01T00:00:01.5Z") == 1'500);
    CHECK(parse_time("1970-01-01T00:00:01.23456Z") == 1'234);
    for (const char* text : {"", "never", "1970-01-01", "1970-01-01T00:00:01", "1970-01-01T00:00:01Zx"})
        CHECK_FALSE(parse_time(text).has_value());
    // Ends where the fraction should be: once read behind the text.
    CHECK_FALSE(parse_time("1970-01-01T00:00:01.").has_value());
    CHECK_FALSE(parse_time("1970-01-01T00:00:01.2").has_value());
}

TEST_CASE("text of others has no control characters on a terminal") {
    CHECK(printable("a\x1b[2Jb\n\x7f") == "a?[2Jb??");
}
