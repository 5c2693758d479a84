#pragma once
// Records that keep their address, named by index and generation. A name outlives its record harmlessly: it
// then finds nothing, also when the place was given to another record.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace brim::mqtt {

template <class T> class Slab {
public:
    /// index + 1 in the low half, generation in the high one; never 0.
    using Name = std::uint64_t;

    static std::uint32_t index_of(Name name) { return static_cast<std::uint32_t>(name) - 1; }

    Name take() {
        std::uint32_t index = 0;
        if (free_.empty()) {
            index = static_cast<std::uint32_t>(count_++);
            if (index / chunk_size == chunks_.size())
                chunks_.push_back(std::make_unique<Slot[]>(chunk_size));
        } else {
            index = free_.back();
            free_.pop_back();
        }
        Slot& slot = at(index);
        slot.is_used = true;
        ++used_;
        return std::uint64_t{slot.generation} << 32 | (index + 1);
    }

    void release(Name name) {
        Slot& slot = at(index_of(name));
        static_cast<T&>(slot) = T{};
        slot.is_used = false;
        ++slot.generation;
        --used_;
        free_.push_back(index_of(name));
    }

    T* find(Name name) {
        const std::uint32_t index = index_of(name);
        if (index >= count_)
            return nullptr;
        Slot& slot = at(index);
        return slot.is_used && slot.generation == name >> 32 ? &slot : nullptr;
    }

    /// The record in use at an index, or null.
    T* at_index(std::uint32_t index) { return index < count_ && at(index).is_used ? &at(index) : nullptr; }

    /// The current name of an index in use.
    Name name_at(std::uint32_t index) { return std::uint64_t{at(index).generation} << 32 | (index + 1); }

    std::size_t used() const { return used_; }

    /// Indices are below this.
    std::size_t extent() const { return count_; }

private:
    static constexpr std::size_t chunk_size = 256;

    /// The record is a base, so that these two lie in the room it leaves at its end. Assigning to it must not
    /// be a copy of bytes, which would take them along.
    struct Slot : T {
        bool is_used = false;
        std::uint32_t generation = 1;
    };

    static_assert(!std::is_trivially_copyable_v<T>);

    Slot& at(std::uint32_t index) { return chunks_[index / chunk_size][index % chunk_size]; }

    std::vector<std::unique_ptr<Slot[]>> chunks_;
    std::vector<std::uint32_t> free_;
    std::size_t count_ = 0;
    std::size_t used_ = 0;
};

} // namespace brim::mqtt
