#include "broker/principal.h"

#include <doctest/doctest.h>

#include <string>

using brim::broker::is_plain_name;

TEST_CASE("[B-37] a name that would mean more than itself in a permission is no plain name") {
    using namespace std::string_view_literals;
    for (const auto name : {"ann"sv, "pump-7"sv, "a b"sv, "\xe6\xb3\xb5"sv, "a$"sv, "..."sv})
        CHECK(is_plain_name(name));
    for (const auto name :
         {""sv, "#"sv, "+"sv, "a/b"sv, "$SYS"sv, "a#"sv, "a\0b"sv, "a\nb"sv, "\x7f"sv, "\xff"sv, "\xc0\xaf"sv
         })
        CHECK_FALSE(is_plain_name(name));
    CHECK(is_plain_name(std::string(256, 'a')));
    CHECK_FALSE(is_plain_name(std::string(257, 'a')));
}
