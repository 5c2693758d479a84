#include "hub/api/router.h"

#include <algorithm>
#include <charconv>

namespace brim::hub {

namespace {

std::vector<std::string> split(std::string_view path) {
    std::vector<std::string> segments;
    std::size_t start = 1;
    while (start <= path.size()) {
        const std::size_t slash = std::min(path.find('/', start), path.size());
        segments.emplace_back(path.substr(start, slash - start));
        start = slash + 1;
    }
    return segments;
}

bool is_parameter(std::string_view segment) {
    return segment.starts_with('{') && segment.ends_with('}');
}

std::string upper(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    return out;
}

/// A query parameter's text as the type its schema names; null when it is not of that type.
Json typed(const Json& schema, const std::string& text) {
    const std::string_view type = schema["type"].as_string();
    if (type == "integer") {
        std::int64_t number = 0;
        const auto end = text.data() + text.size();
        const auto parsed = std::from_chars(text.data(), end, number);
        return parsed.ec == std::errc{} && parsed.ptr == end ? Json(number) : Json();
    }
    if (type == "boolean")
        return text == "true" ? Json(true) : text == "false" ? Json(false) : Json();
    return text;
}

} // namespace

int http_status(Errc code) noexcept {
    switch (code) {
    case Errc::malformed:
        return 400;
    case Errc::invalid:
        return 422;
    case Errc::too_large:
        return 413;
    case Errc::not_found:
        return 404;
    case Errc::exists:
    case Errc::conflict:
        return 409;
    case Errc::unauthenticated:
        return 401;
    case Errc::denied:
        return 403;
    case Errc::busy:
        return 429;
    case Errc::full:
        return 507;
    case Errc::timeout:
        return 504;
    case Errc::closed:
    case Errc::unavailable:
        return 503;
    case Errc::unsupported:
        return 501;
    case Errc::corrupt:
    case Errc::io:
        return 500;
    }
    return 500;
}

std::string problem_text(const Error& error, const ProblemDetails& details) {
    Json problem = Json::object();
    const std::string code(errc_name(error.code));
    problem.set("type", "/docs/errors#" + code);
    problem.set("title", error.cause.empty() ? code : error.cause);
    problem.set("status", details.status == 0 ? http_status(error.code) : details.status);
    problem.set("detail", error.text());
    if (!details.instance.empty())
        problem.set("instance", details.instance);
    problem.set("code", code);
    problem.set("object", error.object);
    problem.set("cause", error.cause);
    problem.set("fix", error.fix);
    if (!details.errors.empty()) {
        Json list = Json::array();
        for (const SchemaProblem& each : details.errors) {
            list.push(Json::object({{"pointer", each.pointer}, {"detail", each.detail}}));
        }
        problem.set("errors", std::move(list));
    }
    return problem.text();
}

void answer_problem(io::HttpResponder& responder, const Error& error, const ProblemDetails& details) {
    io::HttpHeaders headers{{"Content-Type", "application/problem+json"}, {"Cache-Control", "no-store"}};
    if (error.code == Errc::busy)
        headers.add("Retry-After", "5");
    if (!details.allow.empty())
        headers.add("Allow", details.allow);
    const int status = details.status == 0 ? http_status(error.code) : details.status;
    responder.respond(status, headers, problem_text(error, details));
}

void answer_not_allowed(
    io::HttpResponder& responder, const io::HttpRequest& request, std::string allow, std::string id
) {
    constexpr int method_not_allowed = 405;
    const Error error{
        Errc::unsupported, request.path, request.method + " is not possible here", "use " + allow
    };
    answer_problem(responder, error, {std::move(id), {}, method_not_allowed, std::move(allow)});
}

std::string_view Call::at(std::string_view path_parameter) const {
    const auto found = path.find(path_parameter);
    return found == path.end() ? std::string_view{} : std::string_view(found->second);
}

std::string_view Call::text(std::string_view query_parameter) const {
    const auto found = query.find(query_parameter);
    return found == query.end() ? std::string_view{} : found->second.as_string();
}

std::int64_t Call::integer(std::string_view query_parameter, std::int64_t otherwise) const {
    const auto found = query.find(query_parameter);
    return found == query.end() ? otherwise : found->second.as_int(otherwise);
}

void Call::answer(int status, const Json& json) {
    if (keep)
        return keep({status, "application/json", json.text()}, std::move(responder));
    io::HttpHeaders headers{{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
    if (!etag.empty())
        headers.add("ETag", etag);
    responder.respond(status, headers, json.text());
}

void Call::answer_empty(int status) {
    responder.respond(status, {{"Cache-Control", "no-store"}}, {});
}

void Call::answer(const Error& error, const std::vector<SchemaProblem>& problems, int status) {
    constexpr int first_own_fault = 500;
    if (log != nullptr && (status == 0 ? http_status(error.code) : status) >= first_own_fault) {
        log->warn(
            "api",
            "request failed",
            {{"request", id}, {"method", request.method}, {"path", request.path}, {"cause", error.text()}}
        );
    }
    const ProblemDetails details{id, problems, status, {}};
    const int sent = status == 0 ? http_status(error.code) : status;
    if (keep)
        return keep({sent, "application/problem+json", problem_text(error, details)}, std::move(responder));
    answer_problem(responder, error, details);
}

Result<std::unique_ptr<Router>>
Router::make(std::string_view document, std::map<std::string, Handler> handlers) {
    auto parsed = Json::parse(document);
    if (!parsed)
        return fail(std::move(parsed).error());
    std::unique_ptr<Router> router(new Router);
    router->document_ = std::move(*parsed);
    router->schemas_ = std::make_unique<Schemas>(router->document_["components"]["schemas"]);
    router->handlers_ = std::move(handlers);
    for (const auto& [path, methods] : router->document_["paths"].members()) {
        for (const auto& [method, item] : methods.members())
            BRIM_TRY(router->read_operation(path, method, item));
    }
    for (const auto& [id, handler] : router->handlers_) {
        const auto& all = router->operations_;
        if (std::none_of(all.begin(), all.end(), [&id](const Operation& each) { return each.id == id; })) {
            return fail(
                Errc::not_found, "handler " + id, "openapi.json has no such operation", "describe it there"
            );
        }
    }
    return router;
}

Result<void> Router::read_operation(const std::string& path, std::string_view method, const Json& item) {
    Operation operation;
    operation.id = item["operationId"].as_string();
    operation.method = upper(method);
    operation.segments = split(path);
    const std::string object = "operation " + operation.id;
    const auto role = parse_role(item["x-brim-role"].as_string());
    if (!role)
        return fail(Errc::invalid, object, "has no valid x-brim-role", "name the least role it needs");
    if (!handlers_.contains(operation.id))
        return fail(Errc::not_found, object, "has no handler", "write one");
    operation.role = *role;
    operation.idempotent = item["x-brim-idempotent"].as_bool();
    operation.body_bytes_max = static_cast<std::size_t>(item["x-brim-body-bytes-max"].as_int(65'536));
    for (const Json& given : item["parameters"].items()) {
        const Json* parameter = &given;
        constexpr std::string_view prefix = "#/components/parameters/";
        if (const std::string_view target = given["$ref"].as_string(); target.starts_with(prefix)) {
            parameter = &document_["components"]["parameters"][target.substr(prefix.size())];
        }
        if ((*parameter)["in"].as_string() != "query")
            continue;
        operation.query.push_back(
            {std::string((*parameter)["name"].as_string()),
             (*parameter)["required"].as_bool(),
             parameter->find("schema")}
        );
    }
    operation.body = item["requestBody"]["content"]["application/json"].find("schema");
    operations_.push_back(std::move(operation));
    return {};
}

const Operation* Router::match(
    std::string_view method,
    std::string_view path,
    std::map<std::string, std::string, std::less<>>& parameters,
    std::string& allowed
) const {
    const std::vector<std::string> segments = split(path);
    for (const Operation& operation : operations_) {
        if (operation.segments.size() != segments.size())
            continue;
        bool fits = true;
        for (std::size_t i = 0; i < segments.size() && fits; ++i) {
            fits = operation.segments[i] == segments[i] ||
                   (is_parameter(operation.segments[i]) && !segments[i].empty());
        }
        if (!fits)
            continue;
        if (operation.method != method) {
            allowed += (allowed.empty() ? "" : ", ") + operation.method;
            continue;
        }
        for (std::size_t i = 0; i < segments.size(); ++i) {
            const std::string& name = operation.segments[i];
            if (is_parameter(name))
                parameters[name.substr(1, name.size() - 2)] = segments[i];
        }
        return &operation;
    }
    return nullptr;
}

bool Router::check_query(Call& call) const {
    std::vector<SchemaProblem> problems;
    const std::vector<Operation::Parameter>& known = call.operation->query;
    for (const auto& [name, value] : call.request.query) {
        const auto parameter =
            std::find_if(known.begin(), known.end(), [&n = name](const Operation::Parameter& each) {
                return each.name == n;
            });
        if (parameter == known.end()) {
            problems.push_back({"?" + name, "is not a known parameter"});
            continue;
        }
        Json converted = typed(*parameter->schema, value);
        for (SchemaProblem& problem : schemas_->check(*parameter->schema, converted)) {
            problems.push_back({"?" + name, std::move(problem.detail)});
        }
        call.query[name] = std::move(converted);
    }
    for (const Operation::Parameter& parameter : known) {
        if (call.query.contains(parameter.name))
            continue;
        if (parameter.required)
            problems.push_back({"?" + parameter.name, "is required"});
        if (const Json* fallback = parameter.schema->find("default"))
            call.query[parameter.name] = *fallback;
    }
    if (problems.empty())
        return true;
    call.answer(
        {Errc::malformed, "query", problems[0].pointer + " " + problems[0].detail, "see the API description"},
        problems
    );
    return false;
}

void Router::run(io::HttpRequest request, io::HttpResponder responder, const Caller& caller, std::string id)
    const {
    std::map<std::string, std::string, std::less<>> parameters;
    std::string allowed;
    const Operation* operation = match(request.method, request.path, parameters, allowed);
    if (operation == nullptr) {
        if (!allowed.empty())
            return answer_not_allowed(responder, request, allowed, std::move(id));
        const Error error{Errc::not_found, request.path, "the API has no such path", "see /api/openapi.json"};
        return answer_problem(responder, error, {std::move(id), {}, 0, {}});
    }
    if (caller.role < operation->role) {
        const bool unknown = caller.role == Role::none;
        return answer_problem(
            responder,
            unknown
                ? Error{Errc::unauthenticated, operation->id, "nobody is signed in", "sign in, or send a valid token"}
                : Error{Errc::denied, operation->id, "needs the role " + std::string(role_name(operation->role)), "ask an administrator"},
            {std::move(id), {}, 0, {}}
        );
    }
    Call call{
        operation,
        std::move(request),
        std::move(responder),
        std::move(parameters),
        {},
        {},
        caller,
        std::move(id),
        log_
    };
    const bool writes = call.request.method != "GET" && call.request.method != "HEAD";
    if (writes && caller.by_cookie && call.request.headers.find("X-Brim-Request") == nullptr) {
        // A foreign page can make a browser send the cookie, but not this header.
        return call.answer(
            {Errc::denied, operation->id, "header X-Brim-Request is missing", "use a token, or send it"}
        );
    }
    if (!check_query(call))
        return;
    if (operation->body != nullptr) {
        auto body = Json::parse(call.request.body, {.bytes_max = operation->body_bytes_max, .depth_max = 32});
        if (!body)
            return call.answer({Errc::malformed, "body", body.error().cause, "send a JSON document"});
        const auto problems = schemas_->check(*operation->body, *body);
        if (!problems.empty()) {
            const std::string first =
                (problems[0].pointer.empty() ? "it" : problems[0].pointer) + " " + problems[0].detail;
            return call.answer({Errc::invalid, "body", first, "see the API description"}, problems);
        }
        call.body = std::move(*body);
    }
    if (const std::string* key = call.request.headers.find("Idempotency-Key");
        key != nullptr && operation->idempotent && book_ != nullptr) {
        return run_once(std::move(call), std::string(*key));
    }
    handlers_.at(operation->id)(std::move(call));
}

namespace {

/// Nothing was done, so a later try may do it.
bool was_not_done(int status) {
    return status == 429 || status == 500 || status == 503 || status == 507;
}

Error key_error(AnswerBook::State state) {
    if (state == AnswerBook::State::other)
        return {Errc::invalid, "Idempotency-Key", "was used for another request", "send a new one"};
    if (state == AnswerBook::State::running)
        return {Errc::conflict, "Idempotency-Key", "the first request is under way", "ask again in a second"};
    return {
        Errc::conflict,
        "Idempotency-Key",
        "the first request was cut short by a restart of the hub",
        "look whether it was done, then use a new key"
    };
}

} // namespace

void Router::run_once(Call call, const std::string& key) const {
    const std::string scope = call.caller.account + '\n' + call.operation->id + '\n' + call.request.target;
    const std::string body = call.request.body;
    auto begun = [this, key, call = std::move(call)](Result<AnswerBook::Found> found) mutable {
        using State = AnswerBook::State;
        if (!found)
            return call.answer(found.error());
        if (found->state == State::answered) {
            const io::HttpHeaders headers{
                {"Content-Type", found->answer.type},
                {"Cache-Control", "no-store"},
                {"Idempotency-Replayed", "true"}
            };
            return call.responder.respond(found->answer.status, headers, found->answer.body);
        }
        if (found->state != State::fresh)
            return call.answer(key_error(found->state));
        call.keep =
            [book = book_, key, id = found->id](AnswerBook::Answer answer, io::HttpResponder responder) {
                // Shared with the completion, which must be copyable.
                auto waiting = std::make_shared<io::HttpResponder>(std::move(responder));
                auto send = [answer, waiting] {
                    io::HttpHeaders headers{{"Content-Type", answer.type}, {"Cache-Control", "no-store"}};
                    if (answer.status == 429)
                        headers.add("Retry-After", "5");
                    waiting->respond(answer.status, headers, answer.body);
                };
                if (was_not_done(answer.status))
                    book->release(id, std::move(send));
                else
                    book->finish(id, key, answer, std::move(send));
            };
        auto& handler = handlers_.at(call.operation->id);
        handler(std::move(call));
    };
    book_->begin(scope, key, body, std::move(begun));
}

} // namespace brim::hub
