// SeqSet against a naive set of numbers, its limit on both sides, and its stored form.

#include "store/seq_set.h"

#include "base/random.h"

#include <doctest/doctest.h>

#include <set>

using brim::SeededRandom;
using brim::store::SeqSet;

namespace {

std::uint64_t naive_missing(const std::set<std::uint64_t>& in, std::uint64_t first, std::uint64_t end) {
    std::uint64_t count = 0;
    for (std::uint64_t seq = first; seq < end; ++seq)
        count += in.contains(seq) ? 0 : 1;
    return count;
}

} // namespace

TEST_CASE("a SeqSet answers as a naive set does, whatever is inserted and raised") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        SeededRandom random(seed);
        SeqSet set;
        std::set<std::uint64_t> naive;
        for (int step = 0; step < 200; ++step) {
            const std::uint64_t seq = 1 + random.below(120);
            if (random.below(12) == 0) {
                std::uint64_t added = 0;
                for (std::uint64_t i = 1; i < seq; ++i)
                    added += naive.insert(i).second ? 1 : 0;
                REQUIRE(set.raise(seq) == added);
            } else {
                const bool fresh = naive.insert(seq).second;
                REQUIRE(set.insert(seq) == (fresh ? SeqSet::Insert::added : SeqSet::Insert::already));
            }
            const std::uint64_t from = 1 + random.below(130);
            std::uint64_t next = from;
            while (naive.contains(next))
                ++next;
            REQUIRE(set.next_missing(from) == next);
            REQUIRE(set.contains(from) == naive.contains(from));
            REQUIRE(set.low() == [&] {
                std::uint64_t low = 1;
                while (naive.contains(low))
                    ++low;
                return low;
            }());
            const std::uint64_t end = from + random.below(60);
            REQUIRE(set.missing(from, end) == naive_missing(naive, from, end));
            auto again = SeqSet::decode(set.low() - 1, set.encode(65'536));
            REQUIRE(again.has_value());
            REQUIRE(*again == set);
        }
    }
}

TEST_CASE("a cut takes out what a naive set takes out, the floor included, and what follows is as before") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        SeededRandom random(seed);
        SeqSet set;
        std::set<std::uint64_t> naive;
        for (int step = 0; step < 200; ++step) {
            const std::uint64_t seq = 1 + random.below(60);
            const std::uint64_t what = random.below(20);
            if (what == 0) {
                const bool any = naive.lower_bound(seq) != naive.end();
                naive.erase(naive.lower_bound(seq), naive.end());
                REQUIRE(set.cut(seq) == any);
            } else if (what == 1) {
                for (std::uint64_t i = 1; i < seq; ++i)
                    naive.insert(i);
                (void)set.raise(seq);
            } else {
                naive.insert(seq);
                (void)set.insert(seq);
            }
            SeqSet rebuilt; // says the same of each number, and is in the one form it may have
            for (const std::uint64_t number : naive)
                (void)rebuilt.insert(number);
            REQUIRE(set == rebuilt);
        }
    }
}

TEST_CASE("a SeqSet at its limit of runs refuses a new run and still joins existing ones") {
    SeqSet set(2);
    CHECK(set.insert(10) == SeqSet::Insert::added);
    CHECK(set.insert(20) == SeqSet::Insert::added);
    CHECK(set.insert(30) == SeqSet::Insert::full);
    CHECK_FALSE(set.contains(30));
    CHECK(set.insert(11) == SeqSet::Insert::added);
    CHECK(set.insert(19) == SeqSet::Insert::added);
    CHECK(set.insert(1) == SeqSet::Insert::added);
    CHECK(set.low() == 2);
    CHECK(set.first_run() == 10);
    CHECK(set.raise(10) == 8);
    CHECK(set.low() == 12);
    CHECK(set.insert(30) == SeqSet::Insert::added);
}

TEST_CASE("the stored form of a SeqSet is cut off at its byte limit and then knows less, never more") {
    SeqSet set;
    for (std::uint64_t seq = 3; seq < 3'000; seq += 3)
        (void)set.insert(seq);
    const auto all = set.encode(65'536);
    for (std::size_t limit :
         {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{7}, all.size() - 1, all.size()}) {
        const auto bytes = set.encode(limit);
        REQUIRE(bytes.size() <= limit);
        auto part = SeqSet::decode(0, bytes);
        REQUIRE(part.has_value());
        for (std::uint64_t seq = 1; seq < 3'000; ++seq) {
            if (part->contains(seq))
                REQUIRE(set.contains(seq));
        }
    }
    CHECK(set.encode(all.size()) == all);
}

TEST_CASE("stored bytes that no SeqSet wrote are refused") {
    using namespace std::string_literals;
    CHECK_FALSE(SeqSet::decode(5, "\x02"s).has_value());     // no length
    CHECK_FALSE(SeqSet::decode(5, "\x01\x00"s).has_value()); // touches the floor
    CHECK_FALSE(SeqSet::decode(5, std::string(12, '\xff')).has_value());
    CHECK(SeqSet::decode(5, "\x02\x00\x02\x00"s, 2).has_value());
    auto full = SeqSet::decode(5, "\x02\x00\x02\x00\x02\x00"s, 2);
    REQUIRE_FALSE(full.has_value());
    CHECK(full.error().code == brim::Errc::too_large);
}
