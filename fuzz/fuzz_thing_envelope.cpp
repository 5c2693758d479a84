// Requests and replies of devices: whatever they send, our answer is JSON that carries their id as it was,
// and what we understood of a reply survives being written and read again.
#include "fuzz/require.h"
#include "thing/envelope.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

using namespace brim;
using namespace brim::thing;

namespace {

using brim::fuzz::require;

constexpr std::size_t bytes_max = 8'192;

/// Numbers may be too large for a Json: there the text counts.
void check_id(const std::string& id_raw, const Json& sent) {
    if (id_raw.empty())
        return require(!sent["id"].is_string() && !sent["id"].is_number());
    const auto id = Json::parse(id_raw);
    require(id && (id->is_string() || id->is_number()));
    require(*id == sent["id"]);
}

void read_request(std::string_view payload, const Json* sent) {
    const auto request = parse_request(payload, bytes_max);
    require(request.has_value() == (sent != nullptr && sent->is_object() && payload.size() <= bytes_max));
    if (!request)
        return require(!request.error().cause.empty());
    check_id(request->id, *sent);
    require(!request->params.is_null());
    const std::string answer = make_reply(request->id, 200, "success", request->params, request->method);
    const auto reply = Json::parse(answer);
    require(
        reply && (*reply)["method"].as_string() == request->method && (*reply)["data"] == request->params
    );
    check_id(request->id.empty() ? "\"\"" : request->id, *reply);
    const auto asked = Json::parse(make_request("18446744073709551615", request->method, request->params));
    require(asked && (*asked)["params"] == request->params);
}

void read_reply(std::string_view payload, const Json* sent) {
    const auto reply = parse_reply(payload, bytes_max);
    if (!reply)
        return require(!reply.error().cause.empty());
    require(sent != nullptr && sent->is_object() && reply->code >= 0);
    check_id(reply->id, *sent);
    const std::string text = make_reply(reply->id, reply->code, reply->message, reply->data, "m");
    const auto again = parse_reply(text, 4 * bytes_max);
    require(again && again->code == reply->code && again->message == reply->message);
    require(again->data == reply->data || reply->data.is_string());
    require(reply->id.empty() ? again->id == "\"\"" : again->id == reply->id);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view payload(reinterpret_cast<const char*>(data), size);
    const auto sent = Json::parse(payload, {.bytes_max = bytes_max, .depth_max = 32, .values_max = 50'000});
    read_request(payload, sent ? &*sent : nullptr);
    read_reply(payload, sent ? &*sent : nullptr);
    return 0;
}
