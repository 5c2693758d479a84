#pragma once
// The keys that session tickets are sealed with: a new one each hour, the one before it still opens.

#include "base/time.h"

#include <array>
#include <optional>

struct ssl_st;
struct evp_cipher_ctx_st;
struct evp_mac_ctx_st;

namespace brim::io {

/// Of one server context, and gone with it: no ticket outlives a reload. Loop thread only.
class TicketKeys {
public:
    static constexpr Duration key_life = std::chrono::hours{1};

    struct Key {
        std::array<unsigned char, 16> name{};
        std::array<unsigned char, 32> cipher{};
        std::array<unsigned char, 32> mac{};
        Mono made{};
    };

    ~TicketKeys();

    /// The one to seal with; null when there is no randomness (then there is no ticket).
    const Key* current(Mono now);
    /// The one of that name if it may still open: at most two lives old.
    const Key* find(const unsigned char* name, Mono now) const;

private:
    std::optional<Key> current_;
    std::optional<Key> previous_;
};

/// OpenSSL's callback: sets up cipher and MAC of one ticket with `keys`
/// (SSL_CTX_set_tlsext_ticket_key_evp_cb).
int use_ticket_key(
    TicketKeys& keys,
    Mono now,
    unsigned char* name,
    unsigned char* iv,
    evp_cipher_ctx_st* cipher,
    evp_mac_ctx_st* mac,
    bool seals
);

} // namespace brim::io
