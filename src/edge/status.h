#pragma once
// What the edge says about itself: /livez, /readyz, /metrics and /status, on a unix socket or a loopback
// address.

#include "base/json.h"
#include "io/http_server.h"

#include <memory>

namespace brim::edge {

class Edge;

/// One check of /readyz.
struct ReadyCheck {
    std::string name;
    bool ok = false;
    bool critical = true;
    std::string detail;
};

std::vector<ReadyCheck> ready_checks(const Edge& edge);
/// Everything `brim doctor` asks for: identity, configuration, uplink, backlog, ledger, drivers, devices,
/// clock, disk. No secrets.
Json status_of(Edge& edge);

/// Read-only, without authentication: whoever reaches the socket may read. Lives on the loop.
class StatusServer final : private io::HttpHandler {
public:
    StatusServer(io::Env& env, Edge& edge);
    /// Returns the bound address.
    Result<io::Endpoint> listen(const io::Endpoint& at);
    void stop();

private:
    void on_request(io::HttpRequest request, io::HttpResponder responder) override;

    std::size_t body_bytes_max(const io::HttpRequest&, const io::HttpLimits&) override { return 0; }

    io::Env& env_;
    Edge& edge_;
    io::HttpServer server_;
    std::unique_ptr<io::Listener> listener_;
};

} // namespace brim::edge
