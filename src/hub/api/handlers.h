#pragma once
// The handlers behind the operations of openapi.json, by theme. Each is called with a checked Call.

#include "hub/api/accounts.h"
#include "hub/api/api.h"
#include "hub/api/router.h"

#include <map>
#include <string>
#include <vector>

namespace brim::hub {

/// What every handler works on.
struct ApiContext {
    ApiParts parts;
    Accounts& accounts;
    WallTime started;
    std::vector<ApiListener> listeners;
    /// Who sends a request, now: long answers ask again, for a session or token may have ended meanwhile.
    std::function<Caller(const io::HttpRequest&)> caller;
};

using Handlers = std::map<std::string, Router::Handler>;

void add_access_handlers(Handlers& handlers, ApiContext& context);
void add_product_handlers(Handlers& handlers, ApiContext& context);
void add_device_handlers(Handlers& handlers, ApiContext& context);
void add_connection_handlers(Handlers& handlers, ApiContext& context);
void add_data_handlers(Handlers& handlers, ApiContext& context); ///< properties, history, events, services
void add_gateway_handlers(Handlers& handlers, ApiContext& context);
void add_stream_handlers(Handlers& handlers, ApiContext& context);
void add_system_handlers(Handlers& handlers, ApiContext& context);

/// The device a call's path names; answers the call and returns null when there is none.
Device* device_of(Call& call, ApiContext& context);
/// True when the request's If-Match allows a change of what has this entity tag now; else answers 412.
bool may_change(Call& call, const std::string& tag, std::string_view object);
/// One page of devices in order of id, of those `keep` accepts.
void answer_devices(Call& call, ApiContext& context, const std::function<bool(const Device&)>& keep);
/// Cookie of a new session; Secure when the request came over TLS.
std::string session_cookie(const io::HttpRequest& request, const std::string& value);

} // namespace brim::hub
