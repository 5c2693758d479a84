#include "hub/delivered.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

using namespace brim;
using namespace brim::hub;

namespace {

const std::string store_a(32, 'a');
const std::string store_b(32, 'b');

std::string hex_name(char c) {
    return std::string(32, c);
}

} // namespace

TEST_CASE("a number is delivered once it was inserted, or is below the floor") {
    Delivered delivered(8);
    CHECK_FALSE(delivered.contains(1, store_a, 5));
    delivered.insert(1, store_a, 5, 1);
    CHECK(delivered.contains(1, store_a, 5));
    CHECK_FALSE(delivered.contains(1, store_a, 4));
    CHECK_FALSE(delivered.contains(1, store_b, 5)); // another log of the same gateway
    CHECK_FALSE(delivered.contains(2, store_a, 5)); // another gateway
    delivered.raise(1, store_a, 4);
    CHECK(delivered.contains(1, store_a, 3));
    CHECK_FALSE(delivered.contains(1, store_a, 4));
    delivered.raise(1, store_a, 2); // never back
    CHECK(delivered.contains(1, store_a, 3));
}

TEST_CASE("what is saved and restored says the same of every number") {
    CHECK(rc::check([](const std::vector<std::uint8_t>& numbers) {
        Delivered before(8);
        for (const std::uint8_t number : numbers)
            before.insert(7, store_a, std::uint64_t{number} + 1, 1);
        Delivered after(8);
        for (const store::HistoryNote& note : before.take_changed())
            RC_ASSERT(after.restore(note));
        for (std::uint64_t seq = 1; seq <= 257; ++seq)
            RC_ASSERT(after.contains(7, store_a, seq) == before.contains(7, store_a, seq));
    }));
}

TEST_CASE("only changes are taken, and given back when they were not saved") {
    Delivered delivered(8);
    CHECK(delivered.take_changed().empty());
    delivered.insert(1, store_a, 1, 1);
    const auto notes = delivered.take_changed();
    REQUIRE(notes.size() == 1);
    CHECK(delivered.take_changed().empty());
    delivered.give_back(notes);
    CHECK(delivered.take_changed().size() == 1);
}

TEST_CASE("a forgotten gateway leaves an empty note that deletes the old one, also after a failed save") {
    Delivered delivered(8);
    delivered.insert(1, store_a, 1, 1);
    delivered.insert(2, store_a, 1, 1);
    (void)delivered.take_changed();
    delivered.forget(1);
    CHECK_FALSE(delivered.contains(1, store_a, 1));
    CHECK(delivered.contains(2, store_a, 1));
    const auto notes = delivered.take_changed();
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].body.empty());
    delivered.give_back(notes);
    bool again = false;
    for (const store::HistoryNote& note : delivered.take_changed())
        again = again || (note.name == notes[0].name && note.body.empty());
    CHECK(again);
}

TEST_CASE("a gateway has a largest number of stores: the one unused for longest goes") {
    Delivered delivered(2);
    delivered.insert(1, hex_name('1'), 1, 1);
    delivered.insert(1, hex_name('2'), 1, 1);
    delivered.insert(1, hex_name('1'), 2, 1);
    delivered.insert(1, hex_name('3'), 1, 1);
    CHECK(delivered.contains(1, hex_name('1'), 2));
    CHECK_FALSE(delivered.contains(1, hex_name('2'), 1));
    CHECK(delivered.contains(1, hex_name('3'), 1));
}

TEST_CASE("pending numbers are known until they settle, and gaps have a bound") {
    Delivered delivered(8);
    CHECK_FALSE(delivered.pending(1, store_a, 9));
    delivered.note_pending(1, store_a, 9, 77);
    CHECK(delivered.pending(1, store_a, 9) == 77);
    delivered.settle_pending(1, store_a, 9);
    CHECK_FALSE(delivered.pending(1, store_a, 9));
    CHECK_FALSE(delivered.crowded(1, store_a));
    for (std::uint64_t i = 0; i + 2 < store::SeqSet::intervals_max_default; ++i)
        delivered.insert(1, store_a, 10 + 2 * i, 1);
    CHECK_FALSE(delivered.crowded(1, store_a));
    delivered.insert(1, store_a, 1'000'000, 1);
    CHECK(delivered.crowded(1, store_a));
}

TEST_CASE("a note that is not one of ours is refused") {
    Delivered delivered(8);
    const Bytes floor(8, '\0');
    CHECK(delivered.restore({"uplink/1/" + store_a, floor}));
    for (const char* name : {"", "uplink/", "uplink/1", "uplink/x/y", "uplink/1x/y", "other/1/y"})
        CHECK_FALSE(delivered.restore({name, floor}));
    CHECK_FALSE(delivered.restore({"uplink/1/" + store_a, Bytes(7, '\0')}));
}
