// Any HTTP request against the routes of the built-in OpenAPI document: "METHOD target", then the body. A
// handler is reached with what the document allows and nothing else; cursors in the query are read as the
// handlers do.
#include "fuzz/require.h"
#include "hub/api/embedded.h"
#include "hub/api/router.h"
#include "hub/api/shapes.h"
#include "io/http_message.h"
#include "store/internal/history_cursor.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace brim;
using namespace brim::hub;

namespace {

using brim::fuzz::require;

constexpr std::size_t parameters_max = 64;

std::size_t reached = 0;

void read_cursors(std::string_view text) {
    if (const auto position = read_cursor(text); position && !text.empty()) {
        const auto again = read_cursor(make_cursor(*position));
        require(again && *again == *position && make_cursor(*position).size() == text.size());
    }
    if (const auto key = store::decode_history_cursor(text)) {
        const auto again = store::decode_history_cursor(store::encode_history_cursor(*key));
        require(again && *again == *key);
    }
}

/// In place of every handler.
void handle(const Call& call) {
    ++reached;
    const Operation& operation = *call.operation;
    require(operation.method == call.request.method && call.caller.role >= operation.role);
    std::string path;
    for (const std::string& segment : operation.segments) {
        const bool is_parameter = segment.starts_with('{');
        const std::string_view value =
            is_parameter ? call.at(std::string_view(segment).substr(1, segment.size() - 2)) : segment;
        require(!value.empty() && value.find('/') == std::string_view::npos);
        path.append("/").append(value);
    }
    require(path == call.request.path);
    for (const auto& [name, value] : call.query) {
        const auto known = std::ranges::find(operation.query, name, &Operation::Parameter::name);
        require(known != operation.query.end() && !value.is_null());
        if ((*known->schema)["type"].as_string() == "integer")
            require(value.is_int());
    }
    for (const Operation::Parameter& parameter : operation.query)
        require(!parameter.required || call.query.contains(parameter.name));
    require(operation.body == nullptr || !call.body.is_null());
    read_cursors(call.text("cursor"));
}

const Router& router() {
    static const auto made = [] {
        std::map<std::string, Router::Handler> handlers;
        const auto document = Json::parse(openapi_document());
        require(document.has_value());
        for (const auto& [path, methods] : (*document)["paths"].members()) {
            for (const auto& [method, item] : methods.members())
                handlers.emplace(item["operationId"].as_string(), [](const Call& call) { handle(call); });
        }
        auto router = Router::make(openapi_document(), std::move(handlers));
        require(router.has_value());
        return std::move(*router);
    }();
    return *made;
}

/// As io::HttpParser makes it of a request line.
bool read_target(std::string_view target, io::HttpRequest& request) {
    const std::size_t mark = std::min(target.find('?'), target.size());
    auto path = io::decode_path(target.substr(0, mark));
    if (!path)
        return false;
    require(is_utf8(*path) && path->starts_with('/'));
    auto query = io::HttpQuery::parse(target.substr(std::min(mark + 1, target.size())), parameters_max);
    if (!query)
        return false;
    require(query->size() <= parameters_max);
    request.target = target;
    request.path = std::move(*path);
    request.query = std::move(*query);
    return true;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1)
        return 0;
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const std::size_t blank = std::min(line.find(' '), line.size());
    io::HttpRequest request;
    request.method = line.substr(0, blank);
    if (!read_target(line.substr(std::min(blank + 1, line.size())), request))
        return 0;
    request.body = rest;
    Caller caller;
    caller.role = static_cast<Role>(data[0] & 3);
    caller.by_cookie = (data[0] & 4) != 0;
    if ((data[0] & 8) != 0)
        request.headers.add("X-Brim-Request", "1");
    for (const auto& [name, value] : request.query)
        read_cursors(value);
    const bool is_refused =
        caller.by_cookie && (data[0] & 8) == 0 && request.method != "GET" && request.method != "HEAD";
    const std::size_t before = reached;
    router().run(std::move(request), io::HttpResponder({}, 0), caller);
    require(reached - before <= (is_refused ? 0 : 1));
    return 0;
}
