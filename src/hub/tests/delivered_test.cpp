#include "hub/delivered.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

using namespace brim;
using namespace brim::hub;

namespace {

const std::string store_a(32, 'a');
const std::string store_b(32, 'b');
const std::string run_a(16, '1');
const std::string run_b(16, '2');

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

TEST_CASE("a new run takes out its numbers once, also those on their way, and of no other store") {
    Delivered delivered(8);
    for (std::uint64_t seq = 1; seq <= 9; ++seq) {
        delivered.insert(1, store_a, seq, 1);
        delivered.insert(1, store_b, seq, 1);
    }
    delivered.note_pending(1, store_a, 10, 5);
    delivered.note_pending(1, store_a, 3, 6);
    CHECK(delivered.run(1, store_a).empty());
    CHECK(delivered.begin_run(1, store_a, run_a, 4));
    CHECK(delivered.run(1, store_a) == run_a);
    CHECK(delivered.run(1, store_b).empty());
    CHECK(delivered.contains(1, store_a, 3));
    CHECK_FALSE(delivered.contains(1, store_a, 4));
    CHECK(delivered.contains(1, store_b, 4));
    CHECK_FALSE(delivered.pending(1, store_a, 10));
    CHECK(delivered.pending(1, store_a, 3) == 6);
    delivered.insert(1, store_a, 4, 1);
    CHECK_FALSE(delivered.begin_run(1, store_a, run_a, 4)); // known: nothing again
    CHECK(delivered.contains(1, store_a, 4));
    CHECK_FALSE(delivered.begin_run(1, store_a, run_b, 5)); // above all there is
    CHECK(delivered.contains(1, store_a, 4));
}

TEST_CASE("a note names the run when one is known; one without is of the form it always had") {
    Delivered before(8);
    before.insert(1, store_a, 1, 1);
    before.insert(1, store_a, 3, 1);
    const auto plain = before.take_changed();
    REQUIRE(plain.size() == 1);
    CHECK(plain[0].body == Bytes("\0\0\0\0\0\0\0\1\2\0", 10));
    CHECK_FALSE(before.begin_run(1, store_a, run_a, 7));
    const auto named = before.take_changed();
    REQUIRE(named.size() == 1);
    for (const bool with_run : {false, true}) {
        Delivered after(8);
        REQUIRE(after.restore(with_run ? named[0] : plain[0]));
        CHECK((after.run(1, store_a) == run_a) == with_run);
        for (std::uint64_t seq = 1; seq <= 5; ++seq)
            CHECK(after.contains(1, store_a, seq) == before.contains(1, store_a, seq));
    }
    const Bytes& body = named[0].body;
    const std::size_t head = body.size() - 2; // up to the gaps: a set may have none
    for (std::size_t cut = 0; cut < head; ++cut)
        CHECK_FALSE(Delivered(8).restore({named[0].name, body.substr(0, cut)}));
    Bytes newer = body;
    newer[8] = 2;
    CHECK_FALSE(Delivered(8).restore({named[0].name, newer}));
}
