#include "io/internal/tls_tickets.h"

#include <algorithm>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

namespace brim::io {

TicketKeys::~TicketKeys() {
    if (current_)
        OPENSSL_cleanse(&*current_, sizeof *current_);
    if (previous_)
        OPENSSL_cleanse(&*previous_, sizeof *previous_);
}

const TicketKeys::Key* TicketKeys::current(Mono now) {
    if (current_ && now - current_->made < key_life)
        return &*current_;
    Key fresh;
    fresh.made = now;
    if (RAND_bytes(fresh.name.data(), static_cast<int>(fresh.name.size())) != 1 ||
        RAND_priv_bytes(fresh.cipher.data(), static_cast<int>(fresh.cipher.size())) != 1 ||
        RAND_priv_bytes(fresh.mac.data(), static_cast<int>(fresh.mac.size())) != 1)
        return nullptr;
    previous_ = current_;
    current_ = fresh;
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return &*current_;
}

const TicketKeys::Key* TicketKeys::find(const unsigned char* name, Mono now) const {
    for (const auto* key : {&current_, &previous_}) {
        const bool is_it = *key && std::equal((*key)->name.begin(), (*key)->name.end(), name);
        if (is_it && now - (*key)->made < 2 * key_life)
            return &**key;
    }
    return nullptr;
}

int use_ticket_key(
    TicketKeys& keys,
    Mono now,
    unsigned char* name,
    unsigned char* iv,
    evp_cipher_ctx_st* cipher,
    evp_mac_ctx_st* mac,
    bool seals
) {
    constexpr int unknown = 0; // a full handshake follows
    constexpr int usable = 1;
    constexpr int usable_renew = 2;
    const TicketKeys::Key* const key = seals ? keys.current(now) : keys.find(name, now);
    if (key == nullptr)
        return unknown;
    const EVP_CIPHER* const kind = EVP_aes_256_cbc();
    if (seals) {
        std::ranges::copy(key->name, name);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(kind)) != 1)
            return -1;
    }
    char hash[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0), OSSL_PARAM_construct_end()
    };
    if (EVP_MAC_init(mac, key->mac.data(), key->mac.size(), parameters) != 1 ||
        EVP_CipherInit_ex(cipher, kind, nullptr, key->cipher.data(), iv, seals ? 1 : 0) != 1)
        return -1;
    return !seals && now - key->made >= TicketKeys::key_life ? usable_renew : usable;
}

} // namespace brim::io
