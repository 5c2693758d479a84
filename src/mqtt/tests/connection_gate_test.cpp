#include "mqtt/internal/connection_gate.h"

#include <algorithm>
#include <deque>
#include <doctest/doctest.h>
#include <map>
#include <rapidcheck.h>

using namespace brim;
using namespace brim::mqtt;
using namespace std::chrono_literals;

namespace {

using Refusal = ConnectionGate::Refusal;

/// A gate, its clock, and the connections that are open.
struct Door {
    explicit Door(ConnectionLimits limits) : gate(limits, 42) {}

    std::optional<Refusal> come(std::optional<std::uint64_t> network) {
        if (const auto refusal = gate.enter())
            return refusal;
        std::uint32_t place = 0;
        if (const auto refusal = gate.admit(network, now, place))
            return refusal;
        open.push_back(place);
        return std::nullopt;
    }

    void go() {
        gate.leave(open.front());
        open.pop_front();
    }

    /// How many of `count` get in.
    int crowd(int count, std::uint64_t network) {
        int in = 0;
        for (int i = 0; i < count; ++i)
            in += come(network) ? 0 : 1;
        return in;
    }

    ConnectionGate gate;
    Mono now{1'000s};
    std::deque<std::uint32_t> open;
};

} // namespace

TEST_CASE("a gate without limits lets everybody in and counts no address") {
    Door door({});
    CHECK(door.crowd(10'000, 7) == 10'000);
    CHECK(door.gate.addresses() == 0);
}

TEST_CASE("[F-45] a listener takes as many connections as it may, and again when one has left") {
    Door door({.connections_max = 3});
    CHECK(door.crowd(3, 7) == 3);
    CHECK(door.come(8) == Refusal::listener_full);
    CHECK(door.come(std::nullopt) == Refusal::listener_full);
    door.go();
    CHECK(door.come(8) == std::nullopt);
    CHECK(door.come(8) == Refusal::listener_full);
    CHECK(door.gate.connections() == 3);
}

TEST_CASE("[B-85] an address takes its share and leaves the others theirs") {
    Door door({.connections_per_address_max = 2});
    CHECK(door.crowd(5, 7) == 2);
    CHECK(door.come(7) == Refusal::address_full);
    CHECK(door.come(8) == std::nullopt);
    CHECK(door.crowd(50, 9) == 2);
    for (int i = 0; i < 50; ++i)
        CHECK(door.come(std::nullopt) == std::nullopt); // a unix socket has no address
    door.go();
    CHECK(door.come(7) == std::nullopt);
    CHECK(door.come(7) == Refusal::address_full);
    CHECK(door.gate.addresses() == 3);
    while (!door.open.empty())
        door.go();
    CHECK(door.gate.addresses() == 0);
    CHECK(door.gate.connections() == 0);
}

TEST_CASE("[B-84] connects have a rate with a burst of a second, and refused ones do not count") {
    Door door({.connects_per_second = 5});
    CHECK(door.crowd(100, 7) == 5);
    CHECK(door.come(8) == Refusal::rate);
    door.now += 199ms;
    CHECK(door.crowd(100, 7) == 0);
    door.now += 1ms;
    CHECK(door.crowd(100, 7) == 1);
    door.now += 10s;
    CHECK(door.crowd(100, 7) == 5);
    int in = 0;
    for (int i = 0; i < 100; ++i) {
        door.now += 100ms;
        in += door.crowd(3, 7);
    }
    CHECK(in == 50);
}

TEST_CASE("[B-84] an address above its rate uses up nobody else's") {
    Door door({.connects_per_second = 10, .connects_per_address_per_second = 4});
    CHECK(door.crowd(1'000, 7) == 4);
    CHECK(door.come(7) == Refusal::address_rate);
    CHECK(door.crowd(1'000, 8) == 4);
    CHECK(door.crowd(1'000, 9) == 2);
    CHECK(door.come(10) == Refusal::rate);
    CHECK(door.come(std::nullopt) == Refusal::rate);
    CHECK(door.gate.connections() == 10);
}

TEST_CASE("addresses that have gone are swept out by those that come") {
    Door door({.connects_per_address_per_second = 1, .addresses_max = 100});
    for (std::uint64_t network = 0; network < 100; ++network)
        CHECK(door.come(network) == std::nullopt);
    CHECK(door.come(1'000) == Refusal::address_full);
    while (!door.open.empty())
        door.go();
    // Their rates are still to be kept.
    CHECK(door.come(7) == Refusal::address_rate);
    CHECK(door.come(1'000) == Refusal::address_full);
    door.now += 1s;
    for (std::uint64_t network = 1'000; network < 11'000; ++network) {
        CHECK(door.come(network) == std::nullopt);
        door.go();
        CHECK(door.gate.addresses() <= 100);
        door.now += 20ms;
    }
}

TEST_CASE("a gate counts like a list of all its connections") {
    CHECK(rc::check([] {
        ConnectionLimits limits;
        limits.connections_max = *rc::gen::inRange(1u, 30u);
        limits.connections_per_address_max = *rc::gen::inRange(1u, 6u);
        Door door(limits);
        std::deque<std::uint64_t> model;
        for (int i = 0; i < 200; ++i) {
            if (!model.empty() && *rc::gen::inRange(0, 3) == 0) {
                door.go();
                model.pop_front();
                continue;
            }
            const auto network = *rc::gen::inRange<std::uint64_t>(0, 12);
            const auto same = static_cast<std::uint32_t>(std::ranges::count(model, network));
            std::optional<Refusal> wanted;
            if (model.size() >= limits.connections_max)
                wanted = Refusal::listener_full;
            else if (same >= limits.connections_per_address_max)
                wanted = Refusal::address_full;
            else
                model.push_back(network);
            RC_ASSERT(door.come(network) == wanted);
            RC_ASSERT(door.gate.connections() == model.size());
            std::map<std::uint64_t, int> addresses;
            for (const std::uint64_t each : model)
                ++addresses[each];
            RC_ASSERT(door.gate.addresses() == addresses.size());
        }
    }));
}
