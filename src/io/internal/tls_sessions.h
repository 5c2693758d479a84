#pragma once
// What connections share with their context: a client's tickets, one for each host, the oldest host dropped
// first; and the connections whose peer showed a certificate.

#include "io/tls.h"

#include <deque>
#include <openssl/ssl.h>
#include <set>
#include <utility>

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

struct TlsContext::Peers {
    /// When the certificate that ends first of a stream's chain does, in ms of wall time, and the stream.
    std::set<std::pair<std::int64_t, TlsStream*>> streams;
    std::function<void(const Error&)> refused; ///< may be empty
    std::shared_ptr<SSL_CTX> newest;           ///< null before the first reload; shared with work under way
};

} // namespace brim::io
