#include "mqtt/internal/connection_gate.h"

#include "base/assert.h"

namespace brim::mqtt {

namespace {

/// More than an accept can add, so that what is idle goes faster than it comes.
constexpr unsigned looks_per_accept = 2;

} // namespace

ConnectionGate::ConnectionGate(const ConnectionLimits& limits, std::uint64_t secret)
    : limits_(limits), secret_(secret) {}

std::string_view ConnectionGate::name_of(Refusal refusal) {
    switch (refusal) {
    case Refusal::listener_full:
        return "listener_full";
    case Refusal::address_full:
        return "address_full";
    case Refusal::rate:
        return "rate";
    default:
        return "address_rate";
    }
}

std::optional<ConnectionGate::Refusal> ConnectionGate::enter() {
    if (limits_.connections_max != 0 && connections_ >= limits_.connections_max)
        return Refusal::listener_full;
    ++connections_;
    return std::nullopt;
}

std::optional<ConnectionGate::Refusal> ConnectionGate::refuse(Refusal refusal) {
    --connections_;
    return refusal;
}

std::optional<ConnectionGate::Refusal>
ConnectionGate::admit(std::optional<std::uint64_t> network, Mono now, std::uint32_t& place) {
    BRIM_ASSERT(connections_ > 0, "who is admitted has entered");
    place = no_place;
    sweep(now);
    // All are asked before one is charged: a single address above its own rate must not use up everybody's.
    if (limits_.connects_per_second != 0 && !connects_.has(now, limits_.connects_per_second))
        return refuse(Refusal::rate);
    if (network && counts_addresses()) {
        const std::uint32_t number = place_of(*network ^ secret_);
        if (number == no_place)
            return refuse(Refusal::address_full);
        Place& from = places_[number];
        if (limits_.connections_per_address_max != 0 &&
            from.connections >= limits_.connections_per_address_max)
            return refuse(Refusal::address_full);
        if (const auto rate = limits_.connects_per_address_per_second; rate != 0) {
            if (!from.connects.has(now, rate))
                return refuse(Refusal::address_rate);
            from.connects.take(now, 1, rate);
        }
        ++from.connections;
        place = number;
    }
    if (limits_.connects_per_second != 0)
        connects_.take(now, 1, limits_.connects_per_second);
    return std::nullopt;
}

void ConnectionGate::leave(std::uint32_t place) {
    BRIM_ASSERT(connections_ > 0, "who leaves has entered");
    --connections_;
    if (place == no_place)
        return;
    Place& from = places_[place];
    BRIM_ASSERT(from.is_used && from.connections > 0, "who leaves was counted at this address");
    --from.connections;
    if (from.connections == 0 && limits_.connects_per_address_per_second == 0)
        free_place(place);
}

std::uint32_t ConnectionGate::place_of(std::uint64_t key) {
    if (const std::uint32_t known = by_key_.find(view(key)); known != by_key_.none)
        return known;
    if (addresses() >= limits_.addresses_max)
        return no_place;
    std::uint32_t number = static_cast<std::uint32_t>(places_.size());
    if (free_.empty()) {
        places_.emplace_back();
    } else {
        number = free_.back();
        free_.pop_back();
    }
    places_[number] = {key, {}, 0, true};
    by_key_.insert(number);
    return number;
}

void ConnectionGate::sweep(Mono now) {
    for (unsigned looks = 0; looks < looks_per_accept && !places_.empty(); ++looks) {
        swept_ = (swept_ + 1) % static_cast<std::uint32_t>(places_.size());
        const Place& place = places_[swept_];
        if (place.is_used && place.connections == 0 && place.connects.is_full(now))
            free_place(swept_);
    }
}

void ConnectionGate::free_place(std::uint32_t number) {
    by_key_.erase(view(places_[number].key));
    places_[number].is_used = false;
    free_.push_back(number);
}

} // namespace brim::mqtt
