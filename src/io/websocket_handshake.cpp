// RFC 6455 section 4.2: which upgrade requests are accepted.
#include "base/hash.h"
#include "io/websocket.h"

#include <algorithm>
#include <utility>

namespace brim::io {

namespace {

constexpr std::string_view guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string to_base64(ByteView bytes) {
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto left = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k)
            group = (group << 8) | (k < left ? static_cast<unsigned char>(bytes[i + k]) : 0U);
        for (std::size_t k = 0; k < 4; ++k)
            text += k <= left ? base64_digits[(group >> (18 - 6 * k)) & 63] : '=';
    }
    return text;
}

/// 16 bytes in base64: 22 digits, of which the last carries 4 bits, and "==".
bool is_nonce(std::string_view key) {
    return key.size() == 24 && key.ends_with("==") &&
           key.substr(0, 22).find_first_not_of(base64_digits) == std::string_view::npos;
}

std::string_view host_of(std::string_view origin) {
    const auto scheme = origin.find("://");
    return scheme == std::string_view::npos ? std::string_view{} : origin.substr(scheme + 3);
}

bool origin_allowed(const HttpRequest& request, const WebSocketOptions& options) {
    const auto* origin = request.headers.find("Origin");
    if (!origin)
        return true; // not a browser: nothing rides on somebody else's cookies
    const auto host = request.headers.value("Host");
    if (options.check_origin)
        return options.check_origin(*origin, host);
    return !host.empty() && equal_ignoring_case(host_of(*origin), host);
}

} // namespace

Result<WebSocketAccept> accept_websocket(const HttpRequest& request, const WebSocketOptions& options) {
    const auto& headers = request.headers;
    const auto bad = [](std::string cause) {
        return fail(Errc::malformed, "WebSocket upgrade", std::move(cause), "use a WebSocket client");
    };
    if (request.method != "GET" || request.minor_version < 1)
        return bad("it is not a GET of HTTP/1.1");
    if (!request.body.empty())
        return bad("it has a body");
    if (!headers.has_token("Upgrade", "websocket") || !headers.has_token("Connection", "upgrade"))
        return bad("Upgrade: websocket and Connection: Upgrade are needed");
    if (headers.count("Sec-WebSocket-Version") != 1 || headers.value("Sec-WebSocket-Version") != "13")
        return fail(
            Errc::unsupported, "WebSocket upgrade", "only version 13 is spoken here", "use version 13"
        );
    const auto key = headers.value("Sec-WebSocket-Key");
    if (headers.count("Sec-WebSocket-Key") != 1 || !is_nonce(key))
        return bad("Sec-WebSocket-Key is not 16 bytes in base64");
    if (!origin_allowed(request, options))
        return fail(
            Errc::denied,
            "WebSocket upgrade from " + std::string(headers.value("Origin")),
            "this origin may not connect",
            "open the page from this server, or allow its origin"
        );
    WebSocketAccept accept{to_base64(digest(Digest::sha1, std::string(key) + std::string(guid))), {}};
    for (const auto& ours : options.subprotocols) {
        if (!headers.has_token("Sec-WebSocket-Protocol", ours))
            continue;
        accept.subprotocol = ours;
        break;
    }
    if (options.subprotocol_required && accept.subprotocol.empty())
        return bad("none of the offered subprotocols is spoken here");
    return accept;
}

} // namespace brim::io
