#pragma once
// Router and permission table, both read from openapi.json: a request is matched, its parameters and body are
// checked against the document, its caller against x-brim-role. A handler sees valid input only.

#include "base/json.h"
#include "hub/api/accounts.h"
#include "hub/api/answer_book.h"
#include "hub/api/schema.h"
#include "io/http_server.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brim::hub {

/// One operation of the document.
struct Operation {
    struct Parameter {
        std::string name;
        bool required = false;
        const Json* schema = nullptr; ///< into the document
    };

    std::string id;
    std::string method;                ///< GET, POST, ...
    std::vector<std::string> segments; ///< "{name}" for a parameter
    Role role = Role::admin;
    std::size_t body_bytes_max = 65'536;
    bool idempotent = false; ///< takes an Idempotency-Key
    std::vector<Parameter> query;
    const Json* body = nullptr; ///< schema of the JSON body; null = no body
};

/// A checked request on its way through a handler. Movable; answer exactly once.
struct Call {
    const Operation* operation = nullptr;
    io::HttpRequest request;
    io::HttpResponder responder;
    std::map<std::string, std::string, std::less<>> path; ///< path parameters, decoded
    std::map<std::string, Json, std::less<>> query;       ///< given or defaulted, typed
    Json body;
    Caller caller;
    std::string id{}; ///< of the request, a URN; in problems and in the log
    Log* log = nullptr;
    std::string etag{}; ///< sent with the answer when not empty
    /// With an Idempotency-Key: keeps the answer, then sends it.
    std::function<void(AnswerBook::Answer, io::HttpResponder)> keep{};

    std::string_view at(std::string_view path_parameter) const;
    std::string_view text(std::string_view query_parameter) const; ///< empty when absent
    std::int64_t integer(std::string_view query_parameter, std::int64_t otherwise) const;

    void answer(int status, const Json& json);
    void answer_empty(int status = 204);
    /// `status` 0 means that of the code.
    void answer(const Error& error, const std::vector<SchemaProblem>& problems = {}, int status = 0);
};

/// HTTP status of a code: invalid -> 422, malformed -> 400, not_found -> 404, ...
int http_status(Errc code) noexcept;

/// What a problem says beside its error.
struct ProblemDetails {
    std::string instance;              ///< id of the request
    std::vector<SchemaProblem> errors; ///< one by one
    int status = 0;                    ///< 0 = that of the code
    std::string allow;                 ///< methods, for 405
};

/// RFC 9457 document.
std::string problem_text(const Error& error, const ProblemDetails& details = {});
/// Sends it; used where no Call exists yet.
void answer_problem(io::HttpResponder& responder, const Error& error, const ProblemDetails& details);
/// 405 with the methods that are allowed.
void answer_not_allowed(
    io::HttpResponder& responder, const io::HttpRequest& request, std::string allow, std::string id
);

class Router {
public:
    using Handler = std::function<void(Call)>;

    /// `document` is openapi.json's text. Errors when an operation lacks a handler or the other way round:
    /// such a program must not start.
    static Result<std::unique_ptr<Router>>
    make(std::string_view document, std::map<std::string, Handler> handlers);

    /// The operation a request head asks for; null when there is none. `allowed` lists the path's methods.
    const Operation* match(
        std::string_view method,
        std::string_view path,
        std::map<std::string, std::string, std::less<>>& parameters,
        std::string& allowed
    ) const;
    /// Checks everything and runs the handler, or answers with the problem. `id` names the request.
    void
    run(io::HttpRequest request, io::HttpResponder responder, const Caller& caller, std::string id = {}
    ) const;

    /// Where answers of 500 and above are noted.
    void log_to(Log& log) { log_ = &log; }

    /// Where answers to requests with an Idempotency-Key are kept; without one the header means nothing.
    void keep_answers(AnswerBook& book) { book_ = &book; }

    const std::vector<Operation>& operations() const { return operations_; }

private:
    Router() = default;
    Result<void> read_operation(const std::string& path, std::string_view method, const Json& item);
    bool check_query(Call& call) const;
    void run_once(Call call, const std::string& key) const;

    Json document_;
    std::unique_ptr<Schemas> schemas_;
    std::vector<Operation> operations_;
    std::map<std::string, Handler> handlers_;
    Log* log_ = nullptr;
    AnswerBook* book_ = nullptr;
};

} // namespace brim::hub
