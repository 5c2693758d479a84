#pragma once
// Outgoing HTTP/1.1 requests on the loop, by libcurl's multi interface. http and https only; redirects are
// not followed and no proxy is used unless asked for; every response has a size limit. Loop thread only.

#include "base/bytes.h"
#include "io/epoll_loop.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace brim::io {

struct HttpFetch {
    std::string method = "GET";
    std::string url{};
    std::vector<std::pair<std::string, std::string>> headers{};
    Bytes body{};
    Duration timeout = 30s; ///< for all of it; 0: none, for streams that stay open
    Duration connect_timeout = 10s;
    std::size_t response_bytes_max = 16 * 1024 * 1024; ///< of the collected body
    std::string ca_file{};         ///< https: trust these authorities and no others; empty: the system's
    std::string proxy{};           ///< "http://host:port"; empty: none, whatever the environment says
    bool follow_redirects = false; ///< at most 5, to http and https
    /// With it, a 2xx body is handed over as it comes and not collected (no size limit then); other bodies
    /// are collected.
    std::function<void(ByteView)> on_chunk{};
    /// With it, only addresses ("192.0.2.7", "2001:db8::1") it says yes to are connected to, after name
    /// resolution and after redirects: the place to keep webhooks away from inner networks.
    std::function<bool(const std::string& address)> allow_address{};
};

struct HttpAnswer {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers; ///< names in lower case, of the last response
    Bytes body;

    /// The first header of this lower-case name; empty when absent.
    std::string_view header(std::string_view name) const noexcept;
};

using HttpDone = std::move_only_function<void(Result<HttpAnswer>)>;

/// A request under way; destroying it cancels it (no further call). May be destroyed inside its callbacks.
class HttpExchange {
public:
    virtual ~HttpExchange() = default;
};

/// Outlives its exchanges; not destroyed inside their callbacks. Keeps connections alive between requests.
class HttpClient {
public:
    static constexpr std::size_t header_bytes_max = 64 * 1024;

    explicit HttpClient(EpollLoop& loop);
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    /// `done` runs once, never from inside this call. A status of 400 or 500 is a response, not an error.
    std::unique_ptr<HttpExchange> request(HttpFetch request, HttpDone done);

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace brim::io
