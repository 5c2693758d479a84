#pragma once
// What is due next, in 16 bytes an entry. Entries are not taken back: who was armed anew sees that an old one
// is stale.

#include "base/time.h"

#include <algorithm>
#include <cstdint>
#include <deque>

namespace brim::mqtt {

class TimerHeap {
public:
    struct Entry {
        Mono due;
        std::uint64_t id = 0;
    };

    void push(Mono due, std::uint64_t id) {
        entries_.push_back({due, id});
        std::push_heap(entries_.begin(), entries_.end(), later);
    }

    bool empty() const { return entries_.empty(); }

    Mono next() const { return entries_.front().due; }

    Entry pop() {
        std::pop_heap(entries_.begin(), entries_.end(), later);
        const Entry entry = entries_.back();
        entries_.pop_back();
        return entry;
    }

private:
    static bool later(const Entry& a, const Entry& b) { return a.due > b.due; }

    /// In pieces: there may be a hundred thousand entries that never go, and a table that moves as it grows
    /// leaves a hole of its size in the heap.
    std::deque<Entry> entries_;
};

} // namespace brim::mqtt
