#pragma once
// HTTP requests as handlers see them: parsed once, checked once.

#include "base/bytes.h"
#include "io/net.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brim::io {

/// ASCII case-insensitive, as header names compare.
bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// Header fields in the order they came. Names compare without case.
class HttpHeaders {
public:
    HttpHeaders() = default;

    HttpHeaders(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}

    void add(std::string_view name, std::string_view value) { fields_.emplace_back(name, value); }

    /// The first field of that name; null when absent.
    const std::string* find(std::string_view name) const noexcept;
    /// The first field's value; empty when absent.
    std::string_view value(std::string_view name) const noexcept;
    std::size_t count(std::string_view name) const noexcept;
    /// True when a field of that name lists `token` between commas, for example Connection and "upgrade".
    bool has_token(std::string_view name, std::string_view token) const noexcept;

    auto begin() const noexcept { return fields_.begin(); }

    auto end() const noexcept { return fields_.end(); }

    std::size_t size() const noexcept { return fields_.size(); }

private:
    std::vector<std::pair<std::string, std::string>> fields_;
};

/// The part behind '?', decoded; repeated names are kept in order.
class HttpQuery {
public:
    /// '+' is a space, %HH is strict. Errc::malformed, or Errc::too_large above `count_max` parameters.
    static Result<HttpQuery> parse(std::string_view text, std::size_t count_max);
    const std::string* find(std::string_view name) const noexcept;
    /// Empty when absent.
    std::string_view value(std::string_view name) const noexcept;

    auto begin() const noexcept { return parameters_.begin(); }

    auto end() const noexcept { return parameters_.end(); }

    std::size_t size() const noexcept { return parameters_.size(); }

private:
    std::vector<std::pair<std::string, std::string>> parameters_;
};

struct HttpRequest {
    std::string method; ///< as sent; no header overrides it
    std::string
        path; ///< decoded once: begins with '/', no NUL, no dot segments, no encoded slash, valid UTF-8
    std::string target; ///< as sent, for logs and signatures
    HttpQuery query;
    HttpHeaders headers;
    Bytes body;
    unsigned minor_version = 1; ///< HTTP/1.minor
    Peer peer;
    bool encrypted = false; ///< the connection is TLS
    unsigned door = 0;      ///< where it came in, as HttpServer::serve() was told
};

/// Decodes %HH exactly once. Refuses (Errc::malformed): a '%' without two hex digits, NUL and other control
/// characters,
/// '\\', an encoded '/', text that is not UTF-8, "." and ".." segments, no '/' at the start.
Result<std::string> decode_path(std::string_view raw);

/// The reason phrase of a status, "Unknown" for one that has none here.
std::string_view http_reason(int status) noexcept;
/// RFC 9110 section 5.6.7: "Sat, 21 Nov 2026 00:00:00 GMT".
std::string http_date(WallTime time);

} // namespace brim::io
