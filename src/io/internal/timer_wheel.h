#pragma once
// Timers in O(1): seven wheels of 64 slots, each 64 times coarser than the one before. A timer sits on the
// wheel of the highest 6-bit group in which its due tick differs from the current tick, and moves down when
// that slot is reached. Pure: ticks go in, work comes out. One tick is 1 ms for the loop.

#include "io/loop.h"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace brim::io {

class TimerWheel {
public:
    static constexpr unsigned level_count = 7;
    static constexpr unsigned slot_bits = 6;
    static constexpr unsigned slot_count = 1U << slot_bits;
    /// Later timers are due at this tick: 2^42 ms are 139 years.
    static constexpr std::uint64_t tick_max = (std::uint64_t{1} << (level_count * slot_bits)) - 1;

    TimerWheel();

    /// A timer due at `tick`; one that is due already fires with the next collect(). Never 0.
    TimerId start(std::uint64_t tick, Work work);
    /// False when it fired, was cancelled or never was. The work is destroyed before the call returns.
    bool cancel(TimerId timer);

    /// Moves the current tick to `now` (never backwards) and makes the timers due by then ready for pop().
    void collect(std::uint64_t now);
    /// The next ready timer in order of due tick, those of one tick in order of start; empty when there is
    /// none. A timer started since collect() is never among them.
    std::optional<Work> pop();

    /// A tick at which collect() should be called next: the first timer's, or earlier. Empty without timers.
    std::optional<std::uint64_t> next_tick() const;

    std::size_t size() const noexcept { return count_; }

private:
    static constexpr std::uint32_t none = 0xffff'ffff;
    static constexpr std::uint16_t ready_list = level_count * slot_count;
    static constexpr std::uint16_t late_list = ready_list + 1;
    static constexpr std::uint16_t no_list = ready_list + 2;

    struct Node {
        Work work;
        std::uint64_t tick = 0;
        std::uint32_t previous = none;
        std::uint32_t next = none;
        std::uint32_t generation = 1;
        std::uint16_t list = no_list;
    };

    struct List {
        std::uint32_t first = none;
        std::uint32_t last = none;
    };

    std::uint16_t list_for(std::uint64_t tick) const;
    void append(std::uint16_t list, std::uint32_t index);
    void unlink(std::uint32_t index);
    Work release(std::uint32_t index);
    void move_all(std::uint16_t from, std::uint16_t to);
    /// The earliest occupied slot: its list, and the first tick it stands for.
    std::optional<std::pair<std::uint16_t, std::uint64_t>> first_slot() const;

    std::vector<Node> nodes_;
    std::uint32_t free_ = none;
    std::array<List, no_list> lists_;
    std::array<std::uint64_t, level_count> occupied_{};
    std::uint64_t now_ = 0;
    std::size_t count_ = 0;
};

} // namespace brim::io
