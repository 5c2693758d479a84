#include "hub/api/api.h"

#include "broker/websocket_door.h"
#include "hub/api/embedded.h"
#include "hub/api/error_page.h"
#include "hub/api/handlers.h"

namespace brim::hub {

namespace {

constexpr std::string_view security_policy =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'";

std::string_view media_type(std::string_view path) {
    if (path.ends_with(".html"))
        return "text/html; charset=utf-8";
    if (path.ends_with(".js"))
        return "text/javascript; charset=utf-8";
    if (path.ends_with(".css"))
        return "text/css; charset=utf-8";
    if (path.ends_with(".svg"))
        return "image/svg+xml";
    if (path.ends_with(".json"))
        return "application/json";
    if (path.ends_with(".png"))
        return "image/png";
    if (path.ends_with(".woff2"))
        return "font/woff2";
    return "application/octet-stream";
}

/// The value of a cookie in a Cookie header; empty when absent.
std::string_view cookie(const io::HttpRequest& request, std::string_view name) {
    std::string_view rest = request.headers.value("Cookie");
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(';'), rest.size());
        std::string_view pair = rest.substr(0, end);
        while (pair.starts_with(' '))
            pair.remove_prefix(1);
        if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=') {
            return pair.substr(name.size() + 1);
        }
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return {};
}

io::HttpHeaders page_headers(std::string_view type, std::string_view caching) {
    io::HttpHeaders headers{{"Content-Type", std::string(type)}, {"Cache-Control", std::string(caching)}};
    headers.add("Content-Security-Policy", security_policy);
    headers.add("X-Content-Type-Options", "nosniff");
    headers.add("Referrer-Policy", "no-referrer");
    return headers;
}

/// Pages other than these come from the console's own router.
void answer_file(const io::HttpRequest& request, io::HttpResponder& responder, std::string id) {
    std::string path = request.path == "/" ? "/index.html" : request.path;
    const EmbeddedFile* file = find_embedded(path);
    // Below these the console has no pages of its own.
    const bool asset =
        path.starts_with("/assets/") || path.starts_with("/api/") || path.starts_with("/docs/");
    if (file == nullptr && !asset) {
        path = "/index.html";
        file = find_embedded(path);
    }
    if (file == nullptr) {
        return answer_problem(
            responder,
            {Errc::not_found,
             request.path,
             asset ? "no such file" : "this program was built without the console",
             asset ? "see / and /api/openapi.json"
                   : "build it with ./dev build, which builds the console first"},
            {std::move(id), {}, 0, {}}
        );
    }
    // Assets carry a hash in their name and never change; pages are asked for anew.
    auto headers = page_headers(media_type(path), asset ? "public, max-age=31536000, immutable" : "no-cache");
    const EmbeddedFile* packed = find_embedded(path + ".gz");
    if (packed != nullptr && request.headers.has_token("Accept-Encoding", "gzip")) {
        headers.add("Content-Encoding", "gzip");
        headers.add("Vary", "Accept-Encoding");
        file = packed;
    }
    responder.respond(200, headers, file->content);
}

} // namespace

struct Api::State {
    explicit State(ApiParts given, std::unique_ptr<Accounts> loaded)
        : accounts(std::move(loaded)), context{given, *accounts, given.env.loop().clock().wall(), {}, {}} {
        context.caller = [this](const io::HttpRequest& request) { return caller(request); };
    }

    Caller caller(const io::HttpRequest& request);
    void health(const io::HttpRequest& request, io::HttpResponder& responder, std::string id);
    std::string next_id();

    std::unique_ptr<Accounts> accounts;
    ApiContext context;
    std::unique_ptr<AnswerBook> answers;
    std::unique_ptr<Router> router;
    std::string errors_page;
    std::uint64_t requests = 0;
    std::vector<MqttDoor> mqtt_doors; ///< by HttpRequest::door
};

Caller Api::State::caller(const io::HttpRequest& request) {
    const std::string_view authorization = request.headers.value("Authorization");
    constexpr std::string_view scheme = "Bearer ";
    if (authorization.starts_with(scheme))
        return accounts->by_token(authorization.substr(scheme.size()));
    const std::string_view session = cookie(request, "brim_session");
    return session.empty() ? Caller{} : accounts->by_cookie(session);
}

std::string Api::State::next_id() {
    return "urn:brim:request:" + std::to_string(context.parts.registry.boot()) + "-" +
           std::to_string(++requests);
}

void Api::State::health(const io::HttpRequest& request, io::HttpResponder& responder, std::string id) {
    if (request.path == "/livez")
        return responder.respond(200, {{"Content-Type", "text/plain"}}, "ok\n");
    if (request.path == "/readyz") {
        const auto stats = context.parts.ingest.stats();
        const bool writable = stats.log.sync_errors == 0 || stats.log.durable + 1 == stats.log.next;
        const std::string text = std::string(writable ? "ok" : "not ready") + "\nlisteners " +
                                 std::to_string(context.listeners.size()) + "\nstore " +
                                 (writable ? "writable" : "failing") + "\n";
        return responder.respond(writable ? 200 : 503, {{"Content-Type", "text/plain"}}, text);
    }
    // Metrics name no device, but they are still not for strangers: loopback or a signed-in caller.
    // What a proxy says of its client is no proof of being here.
    const io::Peer& peer = request.peer;
    const bool local =
        peer.via.empty() && (peer.address.starts_with("127.") || peer.address.starts_with("[::1]") ||
                             peer.address.starts_with("unix:"));
    if (!local && caller(request).role < Role::viewer) {
        return answer_problem(
            responder,
            {Errc::unauthenticated,
             "/metrics",
             "nobody is signed in",
             "send a token, or ask from this machine"},
            {std::move(id), {}, 0, {}}
        );
    }
    responder.respond(
        200,
        {{"Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8"}},
        context.parts.env.metrics().text()
    );
}

Api::Api(std::unique_ptr<State> state) : state_(std::move(state)) {}

Api::~Api() = default;

Result<std::unique_ptr<Api>> Api::open(ApiParts parts) {
    auto accounts = Accounts::open(parts.env, parts.db);
    if (!accounts)
        return fail(std::move(accounts).error());
    auto state = std::make_unique<State>(parts, std::move(*accounts));
    Handlers handlers;
    add_access_handlers(handlers, state->context);
    add_product_handlers(handlers, state->context);
    add_device_handlers(handlers, state->context);
    add_connection_handlers(handlers, state->context);
    add_data_handlers(handlers, state->context);
    add_gateway_handlers(handlers, state->context);
    add_stream_handlers(handlers, state->context);
    add_system_handlers(handlers, state->context);
    auto router = Router::make(openapi_document(), std::move(handlers));
    if (!router)
        return fail(std::move(router).error());
    state->router = std::move(*router);
    state->router->log_to(parts.env.log());
    auto answers = AnswerBook::open(parts.env, parts.db);
    if (!answers)
        return fail(std::move(answers).error());
    state->answers = std::move(*answers);
    state->router->keep_answers(*state->answers);
    state->errors_page = error_page(errors_document());
    return std::unique_ptr<Api>(new Api(std::move(state)));
}

void Api::on_request(io::HttpRequest request, io::HttpResponder responder) {
    std::string id = state_->next_id();
    if (request.path.starts_with("/api/v1/")) {
        const Caller caller = state_->caller(request);
        return state_->router->run(std::move(request), std::move(responder), caller, std::move(id));
    }
    const bool reads = request.method == "GET" || request.method == "HEAD";
    if (!reads) {
        return answer_not_allowed(responder, request, "GET, HEAD", std::move(id));
    }
    if (request.path == "/api/openapi.json") {
        return responder.respond(200, {{"Content-Type", "application/json"}}, openapi_document());
    }
    if (request.path == "/mqtt" && request.door < state_->mqtt_doors.size()) {
        const MqttDoor& door = state_->mqtt_doors[request.door];
        io::WebSocketOptions options;
        options.subprotocols = {"mqtt"};
        options.check_origin = broker::origin_check(door.origins);
        auto socket = responder.upgrade_websocket(request, options);
        if (socket)
            door.adopt(io::websocket_stream(std::move(*socket)));
        return;
    }
    if (request.path == "/livez" || request.path == "/readyz" || request.path == "/metrics") {
        return state_->health(request, responder, std::move(id));
    }
    if (request.path == "/docs/errors")
        return responder.respond(
            200, page_headers("text/html; charset=utf-8", "no-cache"), state_->errors_page
        );
    answer_file(request, responder, std::move(id));
}

std::size_t Api::body_bytes_max(const io::HttpRequest& head, const io::HttpLimits& limits) {
    std::map<std::string, std::string, std::less<>> parameters;
    std::string allowed;
    const Operation* operation = state_->router->match(head.method, head.path, parameters, allowed);
    // Nobody's body is read beyond what its operation takes, a stranger's never beyond the smallest.
    if (operation == nullptr || state_->caller(head).role < operation->role)
        return 65'536;
    return std::min(operation->body_bytes_max, limits.body_bytes_max);
}

std::string Api::setup_token() const {
    return state_->accounts->setup_token();
}

void Api::set_listeners(std::vector<ApiListener> listeners) {
    state_->context.listeners = std::move(listeners);
}

unsigned Api::add_mqtt_door(MqttDoor door) {
    state_->mqtt_doors.push_back(std::move(door));
    return static_cast<unsigned>(state_->mqtt_doors.size() - 1);
}

} // namespace brim::hub
