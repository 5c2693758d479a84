#include "edge/status.h"

#include "edge/edge.h"

namespace brim::edge {

namespace {

std::int64_t whole_ms(Duration span) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
}

Json reasons(const Ledger::Reasons& counts) {
    Json out = Json::object();
    for (const auto& [reason, count] : counts)
        out.set(reason, count);
    return out;
}

Json error_of(const Error& error) {
    return Json::object({
        {"code", errc_name(error.code)},
        {"object", error.object},
        {"cause", error.cause},
        {"fix", error.fix},
    });
}

Json config_of(const Edge& edge) {
    const ConfigState& state = edge.config_state();
    Json out = Json::object({
        {"revision", state.revision},
        {"appliedAt", to_rfc3339(state.applied_at)},
        {"source", state.from_files ? "files" : "applied"},
    });
    if (!state.next.empty()) {
        Json keys = Json::array();
        for (const std::string& key : state.waits_for)
            keys.push(key);
        out.set("next", Json::object({{"revision", state.next}, {"waitsFor", std::move(keys)}}));
    }
    if (state.error)
        out.set("error", error_of(*state.error));
    return out;
}

Json uplink_of(const Edge& edge) {
    const UplinkState& state = edge.uplink().state();
    // Kept as a monotonic time: a clock that is set meanwhile must not change how long it has been.
    const WallTime since{edge.clock_floor().now().ms - whole_ms(edge.now() - state.since)};
    Json out = Json::object({
        {"to", edge.config().uplink.to.text()},
        {"security", edge.config().uplink.tls ? "tls" : "plain"},
        {"caFile", edge.config().uplink.ca_file},
        {"state", state.up ? "up" : "down"},
        {"since", to_rfc3339(since)},
        {"connects", state.connects},
        {"openSessions", edge.uplink().sessions().open_count()},
    });
    if (state.last_error) {
        out.set("error", error_of(*state.last_error));
        out.set("retryInMs", state.retry_in.count());
    }
    return out;
}

Json backlog_of(Edge& edge) {
    Forwarder& forwarder = edge.forwarder();
    const auto stats = edge.log_stats();
    Json out = Json::object({
        {"records", forwarder.held()},
        {"inflight", forwarder.inflight()},
        {"replaying", forwarder.replaying()},
        {"bytes", stats.bytes},
        {"bytesMax", edge.config().buffer.bytes_max},
        {"syncErrors", stats.sync_errors},
    });
    const auto oldest = forwarder.oldest();
    if (oldest)
        out.set("oldest", to_rfc3339(*oldest));
    return out;
}

Json ledger_of(const Edge& edge) {
    const Ledger& ledger = edge.ledger();
    return Json::object({
        {"heldAtStart", ledger.held_at_start},
        {"accepted", ledger.accepted},
        {"stored", ledger.stored},
        {"unsaved", ledger.unsaved},
        {"sent", ledger.sent},
        {"acknowledged", ledger.acknowledged},
        {"rejected", reasons(ledger.rejected())},
        {"dropped", reasons(ledger.dropped())},
        {"refused", reasons(ledger.refused())},
        {"leftOut", reasons(ledger.left_out())},
    });
}

Json drivers_of(const Edge& edge) {
    Json out = Json::array();
    if (!edge.supervisor())
        return out;
    for (const DriverView& driver : edge.supervisor()->view()) {
        Json entry = Json::object({
            {"name", driver.name},
            {"state", driver_state_name(driver.state)},
            {"connected", edge.bus().connected(driver.name)},
            {"restarts", driver.restarts},
        });
        if (driver.pid > 0)
            entry.set("pid", driver.pid);
        if (!driver.reason.empty())
            entry.set("reason", driver.reason);
        out.push(std::move(entry));
    }
    return out;
}

Json devices_of(const Edge& edge) {
    Json::Array out;
    for (const auto& [key, device] : edge.devices()) {
        const auto session = edge.uplink().sessions().view(key);
        Json entry = Json::object({
            {"productKey", key.product_key},
            {"deviceName", key.device_name},
            {"driver", device.driver},
            {"online", device.online},
            {"session", step_name(session.step)},
            {"values", edge.twin().values(device)},
        });
        if (session.failure) {
            entry.set(
                "sessionError",
                Json::object({
                    {"code", session.failure->code},
                    {"cause", session.failure->message},
                    {"fix", session.failure->fix},
                })
            );
        }
        out.push_back(std::move(entry));
    }
    return Json(std::move(out));
}

} // namespace

std::vector<ReadyCheck> ready_checks(const Edge& edge) {
    const auto stats = edge.log_stats();
    const UplinkState& uplink = edge.uplink().state();
    std::vector<ReadyCheck> checks;
    checks.push_back({"running", !edge.draining(), true, edge.draining() ? "stopping" : "ok"});
    const bool caught_up = stats.durable + 1 >= stats.next || stats.sync_errors == 0;
    checks.push_back({"buffer", caught_up, true, std::to_string(stats.sync_errors) + " sync errors"});
    checks.push_back({"uplink", uplink.up, false, uplink.up ? "up" : "down; reports are kept on disk"});
    const ConfigState& config = edge.config_state();
    const std::string runs = "runs on " + config.revision;
    checks.push_back(
        {"configuration", !config.error, false, config.error ? runs + ": " + config.error->text() : runs}
    );
    if (edge.supervisor()) {
        for (const DriverView& driver : edge.supervisor()->view()) {
            const bool ok = driver.state != DriverState::parked;
            checks.push_back({"driver " + driver.name, ok, false, ok ? "ok" : "parked: " + driver.reason});
        }
    }
    return checks;
}

Json status_of(Edge& edge) {
    const TimeFloor& floor = edge.clock_floor();
    return Json::object({
        {"gateway",
         Json::object(
             {{"productKey", edge.config().gateway.product_key},
              {"deviceName", edge.config().gateway.device_name}}
         )},
        {"config", config_of(edge)},
        {"uplink", uplink_of(edge)},
        {"backlog", backlog_of(edge)},
        {"ledger", ledger_of(edge)},
        {"drivers", drivers_of(edge)},
        {"devices", devices_of(edge)},
        {"clock",
         Json::object(
             {{"now", to_rfc3339(floor.now())},
              {"floor", to_rfc3339(floor.floor())},
              {"behind", floor.clock_is_behind()},
              {"doubted", floor.clock_is_doubted()}}
         )},
        {"disk", Json::object({{"syncMs", whole_ms(edge.disk_sync_time())}})},
    });
}

StatusServer::StatusServer(io::Env& env, Edge& edge)
    : env_(env), edge_(edge), server_(env, io::HttpLimits{}, *this) {}

Result<io::Endpoint> StatusServer::listen(const io::Endpoint& at) {
    auto listener = env_.net().listen(at, [this](std::unique_ptr<io::Stream> stream) {
        server_.serve(std::move(stream));
    });
    if (!listener)
        return fail(listener.error());
    listener_ = std::move(*listener);
    return listener_->local();
}

void StatusServer::stop() {
    listener_.reset();
    server_.drain();
}

void StatusServer::on_request(io::HttpRequest request, io::HttpResponder responder) {
    const io::HttpHeaders text{{"content-type", "text/plain; charset=utf-8"}};
    if (request.method != "GET" && request.method != "HEAD") {
        responder.respond(405, {{"allow", "GET, HEAD"}}, "only GET\n");
    } else if (request.path == "/livez") {
        responder.respond(200, text, "ok\n");
    } else if (request.path == "/readyz") {
        const auto checks = ready_checks(edge_);
        bool ready = true;
        std::string lines;
        for (const ReadyCheck& check : checks) {
            ready = ready && (check.ok || !check.critical);
            lines += (check.ok         ? "[+] "
                      : check.critical ? "[-] "
                                       : "[!] ") +
                     check.name + ": " + check.detail + "\n";
        }
        const bool verbose = request.query.find("verbose") != nullptr || !ready;
        responder.respond(ready ? 200 : 503, text, verbose ? lines : "ok\n");
    } else if (request.path == "/metrics") {
        const io::HttpHeaders type{
            {"content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8"}
        };
        responder.respond(200, type, env_.metrics().text());
    } else if (request.path == "/status") {
        responder.respond(200, {{"content-type", "application/json"}}, status_of(edge_).text(true) + "\n");
    } else {
        responder.respond(404, text, "there is /livez, /readyz?verbose, /metrics and /status\n");
    }
}

} // namespace brim::edge
