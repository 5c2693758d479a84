#include "edge/starts.h"

#include <doctest/doctest.h>

using namespace brim;
using namespace brim::edge;

namespace {

std::string digits(char digit) {
    return std::string(15, '0') + digit;
}

} // namespace

TEST_CASE("starts are told newest first, and only the newest once the hub knows it") {
    Starts starts;
    starts.begin(1, 1);
    CHECK(starts.text() == digits('1') + " 1");
    CHECK_FALSE(starts.known());
    starts.begin(2, 9);
    starts.begin(3, 4);
    CHECK(starts.text() == digits('3') + " 4 " + digits('2') + " 9 " + digits('1') + " 1");
    CHECK(starts.known());
    CHECK(starts.text() == digits('3') + " 4");
    CHECK_FALSE(starts.known());
}

TEST_CASE("kept_max starts are kept; of one more, the one after the oldest is told by its successor") {
    Starts starts;
    for (std::uint64_t name = 1; name <= Starts::kept_max; ++name)
        starts.begin(name, name == 2 ? 5 : 10 * name);
    CHECK(starts.count() == Starts::kept_max);
    CHECK(starts.text().ends_with(digits('3') + " 30 " + digits('2') + " 5 " + digits('1') + " 10"));
    starts.begin(9, 90);
    CHECK(starts.count() == Starts::kept_max);
    CHECK(starts.text().ends_with(digits('4') + " 40 " + digits('3') + " 5 " + digits('1') + " 10"));
}

TEST_CASE("starts come back from their bytes, and from nothing else") {
    Starts starts;
    for (std::uint64_t name = 1; name <= Starts::kept_max; ++name)
        starts.begin(name, 100 - name);
    const Bytes bytes = starts.encode();
    const auto again = Starts::decode(bytes);
    REQUIRE(again);
    CHECK(again->text() == starts.text());
    REQUIRE(Starts::decode({}));
    CHECK(Starts::decode({})->count() == 0);
    for (std::size_t cut = 1; cut < bytes.size(); ++cut)
        CHECK(Starts::decode(ByteView(bytes).substr(0, cut)).has_value() == (cut % 16 == 1));
    CHECK(Starts::decode(bytes + bytes.substr(1, 16)).error().code == Errc::corrupt);
    Bytes newer = bytes;
    newer[0] = 2;
    CHECK_FALSE(Starts::decode(newer));
    Bytes zero = bytes;
    zero.replace(9, 8, 8, '\0');
    CHECK_FALSE(Starts::decode(zero));
}
