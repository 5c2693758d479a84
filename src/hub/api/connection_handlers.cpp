// The connection of one device: what stands between it and the hub now, and how to end it.

#include "hub/api/handlers.h"
#include "hub/api/shapes.h"

namespace brim::hub {

namespace {

constexpr std::size_t filters_shown_max = 200;

Json session_json(const mqtt::SessionView& session, const std::optional<io::Peer>& peer, const Clock& clock) {
    const auto wall_of = [&clock](Mono at) {
        const auto ahead = std::chrono::duration_cast<std::chrono::milliseconds>(at - clock.mono());
        return Json(to_rfc3339(WallTime{clock.wall().ms + ahead.count()}));
    };
    constexpr std::uint32_t for_ever = UINT32_MAX;
    Json json = Json::object({
        {"online", session.is_online},
        {"protocol", mqtt::version_text(session.who.version)},
        {"kept", session.is_durable},
        {"queued", session.queued},
        {"queuedBytes", session.queued_bytes},
        {"inflightOut", session.inflight_out},
        {"inflightIn", session.inflight_in},
        {"will", session.has_will},
        {"expirySeconds", session.expiry_s == for_ever ? Json() : Json(std::int64_t{session.expiry_s})},
    });
    if (session.is_online) {
        json.set("address", peer ? peer->address : std::string{});
        json.set("proxy", peer ? peer->via : std::string{});
        json.set("tls", peer && peer->encrypted);
        json.set("keepAliveSeconds", int{session.keepalive_s});
        json.set("connectedAt", wall_of(session.up_since));
        json.set("slow", session.is_congested);
    } else if (session.expiry_s != for_ever) {
        json.set("expiresAt", wall_of(session.expires));
    }
    return json;
}

void show(Call& call, ApiContext& context) {
    const Device* device = device_of(call, context);
    if (device == nullptr)
        return;
    const Access& access = context.parts.access;
    const Device* carrier = access.carrier(*device);
    Json session;
    access.visit_session(*device, [&](const mqtt::SessionView& view, const std::optional<io::Peer>& peer) {
        session = session_json(view, peer, context.parts.env.loop().clock());
    });
    if (!session.is_null()) {
        Json filters = Json::array();
        std::size_t count = 0;
        access.visit_subscriptions(*device, [&](std::string_view filter, int qos) {
            if (++count <= filters_shown_max)
                filters.push(Json::object({{"filter", filter}, {"qos", qos}}));
        });
        session.set("subscriptionCount", count);
        session.set("subscriptions", std::move(filters));
    }
    Json json = Json::object({{"online", carrier != nullptr}});
    json.set("gateway", device_ref_json(carrier == device ? nullptr : carrier));
    json.set("session", std::move(session));
    call.answer(200, json);
}

void end(Call& call, ApiContext& context) {
    Device* device = device_of(call, context);
    if (device == nullptr)
        return;
    if (!context.parts.access.disconnect(*device)) {
        return call.answer(
            {Errc::conflict,
             "device \"" + device->key().text() + "\"",
             "is not online",
             "nothing has to be ended; see GET on the same path"}
        );
    }
    call.answer_empty();
}

} // namespace

void add_connection_handlers(Handlers& handlers, ApiContext& context) {
    handlers["getConnection"] = [&context](Call call) { show(call, context); };
    handlers["endConnection"] = [&context](Call call) { end(call, context); };
}

} // namespace brim::hub
