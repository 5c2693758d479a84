#include "broker/control.h"

#include "broker/principal.h"

#include <algorithm>

namespace brim::broker {

namespace {

constexpr JsonLimits request_limits{.bytes_max = 4'096, .depth_max = 4, .values_max = 64};

Result<Json> read_request(const Message& request) {
    if (request.payload.empty())
        return Json::object();
    auto wanted = Json::parse(request.payload, request_limits);
    if (!wanted)
        return fail(Errc::malformed, request.topic, wanted.error().cause, "send a JSON object");
    if (!wanted->is_object())
        return fail(Errc::malformed, request.topic, "the payload is no JSON object", "send a JSON object");
    return wanted;
}

Json error_json(const Error& error) {
    return Json::object(
        {{"error",
          Json::object(
              {{"code", errc_name(error.code)},
               {"object", error.object},
               {"cause", error.cause},
               {"fix", error.fix}}
          )}}
    );
}

bool is_wanted(const mqtt::SessionView& session, const Json& wanted) {
    const std::string_view client_id = wanted["clientId"].as_string();
    const std::string_view user = wanted["user"].as_string();
    if (!client_id.empty() && session.who.client_id != client_id)
        return false;
    if (wanted["online"].is_bool() && session.is_online != wanted["online"].as_bool())
        return false;
    return user.empty() || principal_of(session.who.principal, {}).name == user;
}

} // namespace

void Control::handle(const mqtt::ConnView& who, const Message& request, Mono now) {
    const std::string asker(who.session_key);
    const std::string command = request.topic.substr(root.size());
    const auto wanted = read_request(request);
    if (!wanted)
        return host_.answer(asker, request, error_json(wanted.error()));
    Result<Json> outcome = fail(
        Errc::not_found,
        "command \"" + command + "\"",
        "there is none of this name",
        "use sessions, session, kick, stats or trace"
    );
    if (command == "sessions")
        outcome = list(*wanted);
    else if (command == "session")
        outcome = show(*wanted);
    else if (command == "kick")
        outcome = kick(*wanted, who, now);
    else if (command == "stats")
        outcome = host_.stats_json();
    else if (command == "trace")
        outcome = trace(*wanted, who, request);
    host_.answer(asker, request, outcome ? *outcome : error_json(outcome.error()));
}

Result<Json> Control::list(const Json& wanted) {
    const std::int64_t asked = wanted["limit"].as_int(100);
    const auto limit =
        static_cast<std::size_t>(std::clamp<std::int64_t>(asked, 1, ControlLimits::sessions_per_answer_max));
    constexpr std::int64_t place_max = UINT32_MAX;
    auto place = static_cast<std::uint32_t>(std::clamp<std::int64_t>(wanted["from"].as_int(), 0, place_max));
    Json::Array sessions;
    std::size_t looked_at = 0;
    do {
        place = host_.core().visit_sessions(place, 1, [&](const mqtt::SessionView& session) {
            if (is_wanted(session, wanted))
                sessions.push_back(host_.session_json(session));
        });
        ++looked_at;
    } while (place != 0 && sessions.size() < limit && looked_at < ControlLimits::sessions_looked_at_max);
    Json answer = Json::object({{"sessions", std::move(sessions)}});
    if (place != 0)
        answer.set("next", place);
    return answer;
}

/// The session that `wanted` names by client id, and by user where several have it.
Result<std::string> Control::session_key(const Json& wanted) {
    const std::string_view client_id = wanted["clientId"].as_string();
    if (client_id.empty())
        return fail(Errc::invalid, "clientId", "is missing", "name the client");
    std::vector<std::string> keys;
    std::uint32_t place = 0;
    std::size_t looked_at = 0;
    do {
        place = host_.core().visit_sessions(place, 1'000, [&](const mqtt::SessionView& session) {
            if (is_wanted(session, wanted))
                keys.emplace_back(session.who.session_key);
        });
        looked_at += 1'000;
    } while (place != 0 && looked_at < ControlLimits::sessions_looked_at_max);
    const std::string object = "client \"" + std::string(client_id) + "\"";
    if (keys.empty() && place != 0)
        return fail(Errc::busy, object, "there are too many sessions to look through", "name its user too");
    if (keys.empty())
        return fail(Errc::not_found, object, "has no session", "list them with the command sessions");
    if (keys.size() > 1)
        return fail(Errc::conflict, object, "several users have one of this name", "name the user too");
    return std::move(keys.front());
}

Result<Json> Control::show(const Json& wanted) {
    const auto key = session_key(wanted);
    if (!key)
        return fail(key.error());
    Json shown = Json::object();
    host_.core().visit_session(*key, [&](const mqtt::SessionView& session) {
        shown = host_.session_json(session);
    });
    Json::Array filters;
    host_.core().visit_subscriptions(*key, [&](std::string_view filter, int qos) {
        if (filters.size() < ControlLimits::sessions_per_answer_max)
            filters.push_back(Json::object({{"filter", filter}, {"qos", qos}}));
    });
    shown.set("subscribedTo", std::move(filters));
    return shown;
}

Result<Json> Control::kick(const Json& wanted, const mqtt::ConnView& who, Mono now) {
    const auto key = session_key(wanted);
    if (!key)
        return fail(key.error());
    if (*key == who.session_key)
        return fail(Errc::invalid, "clientId", "is the asking client itself", "just disconnect");
    const bool forget = wanted["forget"].as_bool();
    host_.core().kick(*key, mqtt::ReasonCode::administrative_action, forget, now);
    return Json::object({{"kicked", wanted["clientId"].as_string()}, {"forgotten", forget}});
}

Result<Json> Control::trace(const Json& wanted, const mqtt::ConnView& who, const Message& request) {
    TraceOrder order;
    order.asker = who.session_key;
    order.client_id = wanted["clientId"].as_string();
    if (order.client_id.empty())
        return fail(Errc::invalid, "clientId", "is missing", "name the client to trace");
    order.length = std::chrono::seconds{
        std::clamp<std::int64_t>(wanted["seconds"].as_int(60), 1, ControlLimits::trace_seconds_max)
    };
    order.response_topic = request.response_topic;
    order.correlation = request.correlation;
    BRIM_TRY(host_.start_trace(order));
    return Json::object({{"tracing", order.client_id}, {"seconds", order.length.count()}});
}

} // namespace brim::broker
