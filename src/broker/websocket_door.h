#pragma once
// MQTT over WebSocket (MQTT 5 section 6) on a listener of its own: nothing but the upgrade to the subprotocol
// "mqtt" is answered, on "/" and "/mqtt".

#include "io/http_server.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brim::broker {

/// Says yes to web pages of `origins` ("https://app.example"; "*" is any); empty for none: then a page must
/// come from the same host. A client certificate would let any page in as its owner.
std::function<bool(std::string_view origin, std::string_view host)>
origin_check(std::vector<std::string> origins);

/// Loop thread only.
class WebSocketDoor final : private io::HttpHandler {
public:
    /// `adopt` gets what comes out: a stream of MQTT bytes. `origins` are as in origin_check().
    WebSocketDoor(io::Env& env, std::vector<std::string> origins, io::Accepted adopt);

    /// A connection that was accepted, its TLS handshake included.
    void serve(std::unique_ptr<io::Stream> stream) { server_.serve(std::move(stream)); }

private:
    void on_request(io::HttpRequest request, io::HttpResponder responder) override;

    std::size_t body_bytes_max(const io::HttpRequest&, const io::HttpLimits&) override { return 0; }

    std::vector<std::string> origins_;
    io::Accepted adopt_;
    io::HttpServer server_;
};

} // namespace brim::broker
