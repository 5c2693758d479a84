#include "io/net.h"

#include <charconv>

namespace brim::io {

namespace {

constexpr std::string_view endpoint_fix = "write tcp:HOST:PORT, tcp:[IPV6]:PORT or unix:/PATH";

std::unexpected<Error> bad_endpoint(std::string_view text, std::string cause) {
    return fail(
        Errc::malformed, "address \"" + std::string(text) + "\"", std::move(cause), std::string(endpoint_fix)
    );
}

} // namespace

Result<Endpoint> Endpoint::parse(std::string_view text) {
    Endpoint endpoint;
    if (text.starts_with("unix:")) {
        endpoint.kind = Kind::unix_socket;
        endpoint.host = text.substr(5);
        if (endpoint.host.empty())
            return bad_endpoint(text, "the path is missing");
        if (endpoint.host.find('\0') != std::string::npos)
            return bad_endpoint(text, "the path holds a zero byte");
        return endpoint;
    }
    if (!text.starts_with("tcp:"))
        return bad_endpoint(text, "it begins with neither tcp: nor unix:");
    std::string_view rest = text.substr(4);
    const std::size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos || rest.ends_with(']'))
        return bad_endpoint(text, "the port is missing");
    std::string_view host = rest.substr(0, colon);
    const std::string_view port = rest.substr(colon + 1);
    if (host.starts_with('[')) {
        if (!host.ends_with(']'))
            return bad_endpoint(text, "the bracket of the IPv6 address is not closed");
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return bad_endpoint(text, "an IPv6 address needs brackets");
    }
    if (host.empty())
        return bad_endpoint(text, "the host is missing");
    if (host.size() > 253)
        return bad_endpoint(text, "the host name is longer than 253 characters");
    if (host.find_first_of(std::string_view("[]/ \t\r\n\0", 8)) != std::string_view::npos)
        return bad_endpoint(text, "the host holds a character that no name has");
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    if (port.empty() || error != std::errc() || end != port.data() + port.size())
        return bad_endpoint(text, "the port is not a number from 0 to 65535");
    endpoint.host = host;
    return endpoint;
}

std::string Endpoint::text() const {
    if (kind == Kind::unix_socket)
        return "unix:" + host;
    const bool brackets = host.find(':') != std::string::npos;
    return "tcp:" + (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool Endpoint::is_local() const {
    if (kind == Kind::unix_socket)
        return true;
    if (host == "localhost" || host == "::1")
        return true;
    // "127.evil.example" is a name, not an address of this machine.
    return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}

} // namespace brim::io
