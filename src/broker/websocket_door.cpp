#include "broker/websocket_door.h"

#include <algorithm>

namespace brim::broker {

std::function<bool(std::string_view, std::string_view)> origin_check(std::vector<std::string> origins) {
    if (origins.empty())
        return {};
    return [origins = std::move(origins)](std::string_view origin, std::string_view) {
        return std::any_of(origins.begin(), origins.end(), [origin](const std::string& each) {
            return each == "*" || each == origin;
        });
    };
}

WebSocketDoor::WebSocketDoor(io::Env& env, std::vector<std::string> origins, io::Accepted adopt)
    : origins_(std::move(origins)), adopt_(std::move(adopt)), server_(env, io::HttpLimits{}, *this) {}

void WebSocketDoor::on_request(io::HttpRequest request, io::HttpResponder responder) {
    if (request.path != "/" && request.path != "/mqtt") {
        return responder.respond(
            404, {{"Content-Type", "text/plain"}}, "MQTT over WebSocket is served on / and /mqtt\n"
        );
    }
    io::WebSocketOptions options;
    options.subprotocols = {"mqtt"};
    options.subprotocol_required = true;
    options.check_origin = origin_check(origins_);
    auto socket = responder.upgrade_websocket(request, options);
    if (socket)
        adopt_(io::websocket_stream(std::move(*socket)));
}

} // namespace brim::broker
