#pragma once
// The native HTTP API: what openapi.json describes, the console's files, and health and metrics. Loop thread
// only.

#include "hub/access.h"
#include "hub/feed.h"
#include "hub/ingest.h"
#include "hub/registry.h"
#include "io/http_server.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace brim::hub {

/// What the API works on; all outlive it.
struct ApiParts {
    io::Env& env;
    MetaDb& db;
    Registry& registry;
    Ingest& ingest;
    Access& access;
    Feed& feed;
};

struct ApiListener {
    std::string protocol, address, security;
};

/// MQTT over WebSocket at one HTTP listener.
struct MqttDoor {
    std::vector<std::string> origins; ///< of web pages that may connect; empty = of the same host
    std::function<void(std::unique_ptr<io::Stream>)> adopt;
};

class Api final : public io::HttpHandler {
public:
    /// Reads the OpenAPI document built into the program, checks that each of its operations has a handler
    /// and each handler an operation, and loads accounts. Blocking; at start only.
    static Result<std::unique_ptr<Api>> open(ApiParts parts);
    ~Api() override;

    // HttpHandler
    void on_request(io::HttpRequest request, io::HttpResponder responder) override;
    std::size_t body_bytes_max(const io::HttpRequest& head, const io::HttpLimits& limits) override;

    /// The one-time token of the setup link, new at each start; empty once an administrator exists.
    std::string setup_token() const;
    /// For GET /api/v1/system and the console's badges.
    void set_listeners(std::vector<ApiListener> listeners);
    /// Answers WebSocket upgrades of "/mqtt"; the number that HttpServer::serve() is told.
    unsigned add_mqtt_door(MqttDoor door);

private:
    struct State;
    explicit Api(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

} // namespace brim::hub
