#include "broker/principal.h"

#include <doctest/doctest.h>

#include <string>

using namespace brim::broker;

TEST_CASE("a principal is the same after it was kept with a session") {
    for (const Proof proof :
         {Proof::none, Proof::unsafe, Proof::password, Proof::certificate, Proof::token}) {
        Principal who;
        who.proof = proof;
        who.name = proof == Proof::none || proof == Proof::unsafe ? "" : "ann of the plant";
        who.client_id = "c1";
        const Principal again = principal_of(principal_text(who), "c1");
        CHECK(again.proof == who.proof);
        CHECK(again.name == who.name);
        CHECK(again.client_id == "c1");
    }
    for (const char* unknown : {"", "admin", "admin ann", "user", "anonymous ann"})
        CHECK(principal_of(unknown, "c").proof == Proof::none);
}

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
