// GET /api/v1/system.

#include "hub/api/handlers.h"
#include "io/resident.h"

namespace brim::hub {

namespace {

Json limit_or_null(std::int64_t limit) {
    return limit == 0 ? Json() : Json(limit);
}

Json store_json(const IngestStats& stats, const store::RetentionLimits& limits) {
    constexpr std::int64_t day_ms = 86'400'000;
    Json json = Json::object();
    json.set("logBytes", stats.log.bytes);
    json.set("historyPoints", stats.history_points);
    json.set("historyBytes", stats.history_bytes);
    json.set("historyBytesMax", limit_or_null(static_cast<std::int64_t>(limits.bytes_max)));
    json.set("historyDaysMax", limit_or_null(limits.age_ms_max / day_ms));
    json.set("historyDropped", stats.dropped_by_age + stats.dropped_by_bytes);
    if (stats.log.sync_ms_p50 > 0)
        json.set("syncMsP50", stats.log.sync_ms_p50);
    if (stats.free_bytes >= 0)
        json.set("freeBytes", stats.free_bytes);
    return json;
}

} // namespace

void add_system_handlers(Handlers& handlers, ApiContext& context) {
    handlers["getSystem"] = [&context](Call call) {
        const Registry& registry = context.parts.registry;
        const IngestStats ingest = context.parts.ingest.stats();
        Json system = Json::object();
        system.set("version", BRIM_VERSION);
        system.set("startedAt", to_rfc3339(context.started));
        system.set("time", to_rfc3339(context.parts.env.loop().clock().wall()));
        Json listeners = Json::array();
        for (const ApiListener& each : context.listeners) {
            listeners.push(Json::object(
                {{"protocol", each.protocol}, {"address", each.address}, {"security", each.security}}
            ));
        }
        system.set("listeners", std::move(listeners));
        const std::size_t total = registry.devices().size() - registry.gateway_count();
        const std::size_t online = registry.online_devices() - registry.online_gateways();
        system.set("devices", Json::object({{"total", total}, {"online", online}}));
        system.set(
            "gateways",
            Json::object({{"total", registry.gateway_count()}, {"online", registry.online_gateways()}})
        );
        Json messages = Json::object();
        messages.set("received", ingest.received);
        messages.set("stored", ingest.stored);
        messages.set("rejected", ingest.failed);
        messages.set("duplicates", ingest.duplicates);
        system.set("messages", std::move(messages));
        system.set("store", store_json(ingest, context.parts.ingest.retention()));
        system.set("memoryBytes", io::process_cost().resident_bytes);
        call.answer(200, system);
    };
}

} // namespace brim::hub
