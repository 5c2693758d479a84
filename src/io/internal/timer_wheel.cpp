#include "io/internal/timer_wheel.h"

#include "base/assert.h"

#include <algorithm>
#include <bit>

namespace brim::io {

TimerWheel::TimerWheel() = default;

TimerId TimerWheel::start(std::uint64_t tick, Work work) {
    std::uint32_t index = free_;
    if (index != none) {
        free_ = nodes_[index].next;
    } else {
        BRIM_ASSERT(nodes_.size() < none - 1, "fewer than 2^32 timers are pending");
        index = static_cast<std::uint32_t>(nodes_.size());
        nodes_.emplace_back();
    }
    Node& node = nodes_[index];
    node.work = std::move(work);
    node.tick = std::min(tick, tick_max);
    ++count_;
    append(list_for(node.tick), index);
    return (TimerId{node.generation} << 32) | (index + 1);
}

bool TimerWheel::cancel(TimerId timer) {
    const auto position = static_cast<std::uint32_t>(timer);
    if (position == 0 || position > nodes_.size())
        return false;
    const Node& node = nodes_[position - 1];
    if (node.generation != timer >> 32 || node.list == no_list)
        return false;
    // Destroyed only here, with the wheel consistent: the work may own timers that cancel themselves.
    const Work dropped = release(position - 1);
    return true;
}

void TimerWheel::collect(std::uint64_t now) {
    now = std::min(now, tick_max);
    move_all(late_list, ready_list);
    while (const auto slot = first_slot()) {
        const auto [list, tick] = *slot;
        if (tick > now)
            break;
        now_ = std::max(now_, tick);
        if (list < slot_count) {
            move_all(list, ready_list);
            continue;
        }
        for (std::uint32_t index = lists_[list].first; index != none; index = lists_[list].first) {
            unlink(index);
            const std::uint64_t due = nodes_[index].tick;
            append(due <= now_ ? ready_list : list_for(due), index);
        }
    }
    now_ = std::max(now_, now);
}

std::optional<Work> TimerWheel::pop() {
    const std::uint32_t index = lists_[ready_list].first;
    if (index == none)
        return std::nullopt;
    return release(index);
}

std::optional<std::uint64_t> TimerWheel::next_tick() const {
    if (lists_[late_list].first != none || lists_[ready_list].first != none)
        return now_;
    if (const auto slot = first_slot())
        return slot->second;
    return std::nullopt;
}

std::uint16_t TimerWheel::list_for(std::uint64_t tick) const {
    if (tick <= now_)
        return late_list;
    const unsigned level = static_cast<unsigned>(std::bit_width(tick ^ now_) - 1) / slot_bits;
    const auto slot = static_cast<unsigned>(tick >> (level * slot_bits)) & (slot_count - 1);
    return static_cast<std::uint16_t>(level * slot_count + slot);
}

void TimerWheel::append(std::uint16_t list, std::uint32_t index) {
    Node& node = nodes_[index];
    node.list = list;
    node.previous = lists_[list].last;
    node.next = none;
    (node.previous == none ? lists_[list].first : nodes_[node.previous].next) = index;
    lists_[list].last = index;
    if (list < ready_list)
        occupied_[list / slot_count] |= std::uint64_t{1} << (list % slot_count);
}

void TimerWheel::unlink(std::uint32_t index) {
    Node& node = nodes_[index];
    List& list = lists_[node.list];
    (node.previous == none ? list.first : nodes_[node.previous].next) = node.next;
    (node.next == none ? list.last : nodes_[node.next].previous) = node.previous;
    if (list.first == none && node.list < ready_list)
        occupied_[node.list / slot_count] &= ~(std::uint64_t{1} << (node.list % slot_count));
    node.list = no_list;
}

Work TimerWheel::release(std::uint32_t index) {
    unlink(index);
    Node& node = nodes_[index];
    Work work = std::move(node.work);
    node.work = nullptr;
    ++node.generation;
    node.next = free_;
    free_ = index;
    --count_;
    return work;
}

void TimerWheel::move_all(std::uint16_t from, std::uint16_t to) {
    for (std::uint32_t index = lists_[from].first; index != none; index = lists_[from].first) {
        unlink(index);
        append(to, index);
    }
}

std::optional<std::pair<std::uint16_t, std::uint64_t>> TimerWheel::first_slot() const {
    for (unsigned level = 0; level < level_count; ++level) {
        if (occupied_[level] == 0)
            continue;
        // All slots of a wheel lie ahead of the current tick inside its one turn, so the lowest is the first.
        const auto slot = static_cast<unsigned>(std::countr_zero(occupied_[level]));
        const unsigned shift = level * slot_bits;
        const std::uint64_t turn = now_ >> (shift + slot_bits) << (shift + slot_bits);
        return std::pair{
            static_cast<std::uint16_t>(level * slot_count + slot), turn + (std::uint64_t{slot} << shift)
        };
    }
    return std::nullopt;
}

} // namespace brim::io
