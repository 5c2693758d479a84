#pragma once
// What an MQTT 3.1.1 broker will send back to us: it has no No Local and carries no mark.

#include "base/message.h"
#include "base/time.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>

namespace brim::broker {

/// Counts what was sent on topics we also subscribe to, by topic and payload. Each is expected back once; the
/// first equal message that comes is taken for it. An equal message that somebody else published meanwhile
/// cannot be told apart and need not: one of the two is let through. Loop thread only.
class EchoMemory {
public:
    explicit EchoMemory(std::size_t count_max = 65'536, Duration age_max = std::chrono::seconds{60})
        : count_max_(count_max), age_max_(age_max) {}

    void sent(std::string_view topic, ByteView payload, Mono now);
    /// True when this is what we sent: drop it.
    bool is_echo(std::string_view topic, ByteView payload, Mono now);

    std::size_t size() const { return order_.size(); }

private:
    using Key = std::pair<std::uint64_t, std::uint64_t>;

    static Key key_of(std::string_view topic, ByteView payload);
    void forget_old(Mono now);

    std::size_t count_max_;
    Duration age_max_; ///< a message the remote broker never returned must not eat a later one
    std::map<Key, std::deque<Mono>> expected_;
    std::deque<std::pair<Key, Mono>> order_; ///< also of those that came back since; they find nothing
};

} // namespace brim::broker
