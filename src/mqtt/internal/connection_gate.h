#pragma once
// Who may still connect at one listener: how many, how fast, in all and from one address. Pure: the caller
// says what happens and when.

#include "base/time.h"
#include "mqtt/internal/key_index.h"
#include "mqtt/internal/token_bucket.h"
#include "mqtt/server.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace brim::mqtt {

/// Each call is O(1) but for the growth of a table. A connection goes through enter(), then admit(), and ends
/// with leave(); one that is refused by either has left already.
class ConnectionGate {
public:
    enum class Refusal : std::uint8_t { listener_full, address_full, rate, address_rate };

    static constexpr std::uint32_t no_place = 0xFFFFFFFF;

    /// `secret` keeps strangers from choosing addresses that fall together in the table.
    ConnectionGate(const ConnectionLimits& limits, std::uint64_t secret);

    ConnectionGate(const ConnectionGate&) = delete; // the index points into it
    ConnectionGate& operator=(const ConnectionGate&) = delete;

    /// A socket was accepted; who it is may show only later.
    std::optional<Refusal> enter();
    /// `network` is IpAddress::network(), nothing for who has no address. `place` names the address until
    /// leave(); no_place when it is not counted.
    std::optional<Refusal> admit(std::optional<std::uint64_t> network, Mono now, std::uint32_t& place);
    void leave(std::uint32_t place);

    /// Whether admit() looks at the network at all.
    bool counts_addresses() const {
        return limits_.connections_per_address_max != 0 || limits_.connects_per_address_per_second != 0;
    }

    std::uint32_t connections() const { return connections_; }

    /// Addresses in the table, those not yet swept out included.
    std::size_t addresses() const { return places_.size() - free_.size(); }

    /// The value of the label `reason`.
    static std::string_view name_of(Refusal refusal);

private:
    /// An address with connections, or that had one within the last second.
    struct Place {
        std::uint64_t key = 0; ///< its network and the secret
        TokenBucket connects;
        std::uint32_t connections = 0;
        bool is_used = false;
    };

    struct KeyOfPlace {
        const std::vector<Place>* places;

        std::string_view operator()(std::uint32_t number) const { return view((*places)[number].key); }
    };

    static std::string_view view(const std::uint64_t& key) {
        return {reinterpret_cast<const char*>(&key), sizeof key};
    }

    std::optional<Refusal> refuse(Refusal refusal);
    /// no_place when the table is full.
    std::uint32_t place_of(std::uint64_t key);
    void sweep(Mono now);
    void free_place(std::uint32_t number);

    ConnectionLimits limits_;
    std::uint64_t secret_;
    std::uint32_t connections_ = 0;
    TokenBucket connects_;
    std::vector<Place> places_;
    std::vector<std::uint32_t> free_;
    KeyIndex<KeyOfPlace> by_key_{KeyOfPlace{&places_}};
    std::uint32_t swept_ = 0; ///< where the sweep looks next
};

} // namespace brim::mqtt
