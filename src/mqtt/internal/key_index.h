#pragma once
// Keys to numbers (sessions, places in a tree) in four bytes a place: the keys themselves stay where they
// are.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <vector>

namespace brim::mqtt {

/// Open addressing with linear probing; at most three quarters full. `KeyOf` is called with a stored number
/// and gives its key, which must not change while it is in here. Numbers are below 2^32 - 1. `Hash` must
/// spread well in its low bits.
template <class KeyOf, class Hash = std::hash<std::invoke_result_t<KeyOf, std::uint32_t>>> class KeyIndex {
public:
    using Key = std::invoke_result_t<KeyOf, std::uint32_t>;

    static constexpr std::uint32_t none = 0xFFFFFFFF;

    explicit KeyIndex(KeyOf key_of) : key_of_(std::move(key_of)) {}

    /// The number under a key, or `none`.
    std::uint32_t find(Key key) const {
        if (places_.empty())
            return none;
        for (std::size_t at = home(key);; at = next(at)) {
            if (places_[at] == none || key_of_(places_[at]) == key)
                return places_[at];
        }
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
        std::size_t hole = home(key);
        while (places_[hole] != none && key_of_(places_[hole]) != key)
            hole = next(hole);
        if (places_[hole] == none)
            return;
        --used_;
        // What was pushed past the hole moves back, so that no search stops too early.
        for (std::size_t at = next(hole); places_[at] != none; at = next(at)) {
            const std::size_t wanted = home(key_of_(places_[at]));
            if (((at - wanted) & mask()) < ((at - hole) & mask()))
                continue;
            places_[hole] = places_[at];
            hole = at;
        }
        places_[hole] = none;
    }

    std::size_t size() const { return used_; }

private:
    std::size_t mask() const { return places_.size() - 1; }

    std::size_t home(Key key) const { return Hash{}(key)&mask(); }

    std::size_t next(std::size_t at) const { return (at + 1) & mask(); }

    void put(std::uint32_t number) {
        std::size_t at = home(key_of_(number));
        while (places_[at] != none)
            at = next(at);
        places_[at] = number;
    }

    void grow() {
        std::vector<std::uint32_t> old(places_.empty() ? 16 : places_.size() * 2, none);
        old.swap(places_);
        for (const std::uint32_t number : old) {
            if (number != none)
                put(number);
        }
    }

    KeyOf key_of_;
    std::vector<std::uint32_t> places_; ///< a power of two of them
    std::size_t used_ = 0;
};

} // namespace brim::mqtt
