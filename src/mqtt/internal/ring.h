#pragma once
// A queue in one flat array that grows by doubling: no allocation per element, none at all while empty and
// released.

#include "base/assert.h"

#include <cstddef>
#include <memory>
#include <utility>

namespace brim::mqtt {

template <class T> class Ring {
public:
    bool empty() const { return size_ == 0; }

    std::size_t size() const { return size_; }

    T& operator[](std::size_t i) { return slots_[(first_ + i) & (capacity_ - 1)]; }

    T& front() { return (*this)[0]; }

    void push_back(T value) {
        if (size_ == capacity_)
            grow();
        (*this)[size_] = std::move(value);
        ++size_;
    }

    void pop_front() {
        BRIM_ASSERT(size_ != 0, "a ring that is popped holds something");
        slots_[first_] = T{};
        first_ = (first_ + 1) & (capacity_ - 1);
        --size_;
    }

    T& back() { return (*this)[size_ - 1]; }

    void pop_back() {
        BRIM_ASSERT(size_ != 0, "a ring that is popped holds something");
        (*this)[size_ - 1] = T{};
        --size_;
    }

    /// Removes one from the middle, keeping order; cheap near the front.
    void erase(std::size_t i) {
        for (; i > 0; --i)
            (*this)[i] = std::move((*this)[i - 1]);
        pop_front();
    }

    /// Empties it and gives the memory back.
    void release() { *this = Ring{}; }

    Ring() = default;
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    Ring(Ring&& other) noexcept { *this = std::move(other); }

    ~Ring() = default;

    Ring& operator=(Ring&& other) noexcept {
        slots_ = std::move(other.slots_);
        capacity_ = std::exchange(other.capacity_, 0);
        first_ = std::exchange(other.first_, 0);
        size_ = std::exchange(other.size_, 0);
        return *this;
    }

private:
    void grow() {
        const std::uint32_t bigger = capacity_ == 0 ? 4 : capacity_ * 2;
        auto slots = std::make_unique<T[]>(bigger);
        for (std::size_t i = 0; i < size_; ++i)
            slots[i] = std::move((*this)[i]);
        slots_ = std::move(slots);
        capacity_ = bigger;
        first_ = 0;
    }

    std::unique_ptr<T[]> slots_;
    std::uint32_t capacity_ = 0; ///< a power of two, or 0
    std::uint32_t first_ = 0;
    std::uint32_t size_ = 0;
};

} // namespace brim::mqtt
