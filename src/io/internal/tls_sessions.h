#pragma once
// The client's tickets, for resumption: one for each host, the oldest host dropped first.

#include "io/tls.h"

#include <deque>
#include <openssl/ssl.h>

namespace brim::io {

struct TlsContext::Sessions {
    struct Free {
        void operator()(SSL_SESSION* session) const noexcept { SSL_SESSION_free(session); }
    };

    struct Kept {
        std::string host;
        std::unique_ptr<SSL_SESSION, Free> session;
    };

    std::deque<Kept> kept;

    /// Null when there is none.
    SSL_SESSION* find(const std::string& host) const {
        for (const Kept& entry : kept)
            if (entry.host == host)
                return entry.session.get();
        return nullptr;
    }

    void keep(const std::string& host, SSL_SESSION* session) {
        std::erase_if(kept, [&host](const Kept& entry) { return entry.host == host; });
        kept.push_back({host, std::unique_ptr<SSL_SESSION, Free>(session)});
        if (kept.size() > TlsLimits::sessions_kept_max)
            kept.pop_front();
    }
};

} // namespace brim::io
