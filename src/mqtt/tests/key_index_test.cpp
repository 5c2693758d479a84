#include "mqtt/internal/key_index.h"
#include "mqtt/internal/timer_heap.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace brim::mqtt {

namespace {

struct NameOf {
    const std::vector<std::string>* names;

    std::string_view operator()(std::uint32_t number) const { return (*names)[number]; }
};

using Plain = KeyIndex<NameOf>;
using Tagged = KeyIndex<NameOf, std::hash<std::string_view>, IndexTags::byte>;

} // namespace

TEST_CASE_TEMPLATE(
    "the key index agrees with a map under random inserts and erasures", Index, Plain, Tagged
) {
    constexpr std::uint32_t count = 2'000;
    std::vector<std::string> names;
    for (std::uint32_t i = 0; i < count; ++i)
        names.push_back("client-" + std::to_string(i * 7));
    Index index{NameOf{&names}};
    std::map<std::string, std::uint32_t> model;
    std::mt19937 random(5);
    for (int step = 0; step < 60'000; ++step) {
        // Fills up first, then empties, so that chains of every length are torn.
        const bool inserts = random() % 100 < (step < 30'000 ? 60u : 40u);
        const std::uint32_t number = random() % count;
        const bool is_there = model.contains(names[number]);
        CHECK(index.find(names[number]) == (is_there ? number : index.none));
        if (inserts && !is_there) {
            index.insert(number);
            model[names[number]] = number;
        } else if (!inserts) {
            index.erase(names[number]);
            model.erase(names[number]);
        }
    }
    CHECK(index.size() == model.size());
    for (std::uint32_t i = 0; i < count; ++i)
        CHECK(index.find(names[i]) == (model.contains(names[i]) ? i : index.none));
    CHECK(index.find("somebody else") == index.none);
}

TEST_CASE("an empty key index finds and erases nothing") {
    const std::vector<std::string> names;
    KeyIndex<NameOf> index{NameOf{&names}};
    CHECK(index.find("a") == index.none);
    index.erase("a");
    CHECK(index.size() == 0);
}

TEST_CASE("the timer heap gives what is due next") {
    TimerHeap heap;
    CHECK(heap.empty());
    std::mt19937 random(7);
    for (std::uint64_t i = 0; i < 500; ++i)
        heap.push(Mono{} + std::chrono::milliseconds{random() % 1'000}, i);
    Mono last{};
    for (int i = 0; i < 500; ++i) {
        const Mono next = heap.next();
        CHECK(heap.pop().due == next);
        CHECK(next >= last);
        last = next;
    }
    CHECK(heap.empty());
}

} // namespace brim::mqtt
