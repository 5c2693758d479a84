#pragma once
// Keys to numbers (sessions, places in a tree) in four bytes a place: the keys themselves stay where they
// are.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <vector>

namespace brim::mqtt {

enum class IndexTags : bool {
    none,
    /// A byte of the hash beside each place: keys that are not in here are found missing without a look at
    /// others. Costs a byte a place.
    byte
};

/// Open addressing with linear probing; at most three quarters full. `KeyOf` is called with a stored number
/// and gives its key, which must not change while it is in here. Numbers are below 2^32 - 1. `Hash` must
/// spread well in its low bits, with tags in its highest eight too.
template <
    class KeyOf,
    class Hash = std::hash<std::invoke_result_t<KeyOf, std::uint32_t>>,
    IndexTags tags = IndexTags::none>
class KeyIndex {
public:
    using Key = std::invoke_result_t<KeyOf, std::uint32_t>;

    static constexpr std::uint32_t none = 0xFFFFFFFF;

    explicit KeyIndex(KeyOf key_of) : key_of_(std::move(key_of)) {}

    /// The number under a key, or `none`.
    std::uint32_t find(Key key) const {
        if (places_.empty())
            return none;
        const std::size_t at = place_of(key);
        return places_[at];
    }

    /// The key of `number` is not in here yet.
    void insert(std::uint32_t number) {
        if ((used_ + 1) * 4 > places_.size() * 3)
            grow();
        put(number);
        ++used_;
    }

    void erase(Key key) {
        if (places_.empty())
            return;
        std::size_t hole = place_of(key);
        if (places_[hole] == none)
            return;
        --used_;
        // What was pushed past the hole moves back, so that no search stops too early.
        for (std::size_t at = next(hole); places_[at] != none; at = next(at)) {
            const std::size_t wanted = Hash{}(key_of_(places_[at]))&mask();
            if (((at - wanted) & mask()) < ((at - hole) & mask()))
                continue;
            places_[hole] = places_[at];
            if constexpr (tags == IndexTags::byte)
                tags_[hole] = tags_[at];
            hole = at;
        }
        places_[hole] = none;
    }

    std::size_t size() const { return used_; }

private:
    std::size_t mask() const { return places_.size() - 1; }

    std::size_t next(std::size_t at) const { return (at + 1) & mask(); }

    static std::uint8_t tag_of(std::size_t hash) { return static_cast<std::uint8_t>(hash >> 56); }

    /// Where a key is, or the first free place behind where it would be. Not of an empty table.
    std::size_t place_of(Key key) const {
        const std::size_t hash = Hash{}(key);
        std::size_t at = hash & mask();
        for (; places_[at] != none; at = next(at)) {
            if constexpr (tags == IndexTags::byte) {
                if (tags_[at] != tag_of(hash))
                    continue;
            }
            if (key_of_(places_[at]) == key)
                break;
        }
        return at;
    }

    void put(std::uint32_t number) {
        const std::size_t hash = Hash{}(key_of_(number));
        std::size_t at = hash & mask();
        while (places_[at] != none)
            at = next(at);
        places_[at] = number;
        if constexpr (tags == IndexTags::byte)
            tags_[at] = tag_of(hash);
    }

    void grow() {
        std::vector<std::uint32_t> old(places_.empty() ? 16 : places_.size() * 2, none);
        old.swap(places_);
        if constexpr (tags == IndexTags::byte)
            tags_.resize(places_.size());
        for (const std::uint32_t number : old) {
            if (number != none)
                put(number);
        }
    }

    KeyOf key_of_;
    std::vector<std::uint32_t> places_; ///< a power of two of them
    std::vector<std::uint8_t> tags_;    ///< beside the places; empty without
    std::size_t used_ = 0;
};

} // namespace brim::mqtt
