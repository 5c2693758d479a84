// GET /api/v1/system.

#include "hub/api/handlers.h"
#include "io/resident.h"

namespace brim::hub {

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
        system.set("store", Json::object({{"logBytes", ingest.log.bytes}, {"historyPoints", ingest.values}}));
        system.set("memoryBytes", io::process_cost().resident_bytes);
        call.answer(200, system);
    };
}

} // namespace brim::hub
