#include "io/internal/tls_tickets.h"

#include <doctest/doctest.h>

namespace brim::io {

TEST_CASE("[tls] a ticket key seals for an hour and opens for two") {
    TicketKeys keys;
    const Mono start{1h};
    const TicketKeys::Key first = *keys.current(start);
    CHECK(keys.current(start + TicketKeys::key_life - 1ns)->name == first.name);
    CHECK(keys.find(first.name.data(), start + TicketKeys::key_life) != nullptr);
    const TicketKeys::Key second = *keys.current(start + TicketKeys::key_life);
    CHECK(second.name != first.name);
    CHECK(second.cipher != first.cipher);
    CHECK(second.mac != first.mac);
    CHECK(keys.find(first.name.data(), start + 2 * TicketKeys::key_life - 1ns) != nullptr);
    CHECK(keys.find(first.name.data(), start + 2 * TicketKeys::key_life) == nullptr);
    CHECK(keys.find(second.name.data(), start + 2 * TicketKeys::key_life) != nullptr);
}

TEST_CASE("[tls] a key is gone after two changes, and a name that was never given opens nothing") {
    TicketKeys keys;
    const Mono start{1h};
    const TicketKeys::Key first = *keys.current(start);
    (void)keys.current(start + TicketKeys::key_life);
    (void)keys.current(start + 2 * TicketKeys::key_life);
    CHECK(keys.find(first.name.data(), start + TicketKeys::key_life) == nullptr);
    TicketKeys other;
    CHECK(other.find(first.name.data(), start) == nullptr);
    (void)other.current(start);
    CHECK(other.find(first.name.data(), start) == nullptr);
}

} // namespace brim::io
