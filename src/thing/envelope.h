#pragma once
// The request and reply envelopes of the device protocol (hub-protocol 3.0) and the topics they travel on.

#include "base/json.h"
#include "thing/value.h"

#include <string>
#include <string_view>

namespace brim::thing {

/// A request in either direction. Tolerates a missing id, method, version or params, `params` as the text
/// "{}".
struct Request {
    std::string id; ///< raw JSON of the id, empty when absent
    std::string method;
    Json params;
    bool ack_wanted = true;
};

Result<Request> parse_request(std::string_view payload, std::size_t bytes_max = 262'144);
/// `id` must be a decimal text that fits 64 bits.
std::string make_request(std::string_view id, std::string_view method, const Json& params);

struct Reply {
    std::string id; ///< raw JSON of the id
    int code = 200;
    std::string message = "success";
    Json data = Json::object(); ///< {} rather than null
};

Result<Reply> parse_reply(std::string_view payload, std::size_t bytes_max = 262'144);
/// `id_raw` is echoed with its JSON type; an empty one becomes "". Always has code, data, id, message,
/// method, version.
std::string make_reply(
    std::string_view id_raw, int code, std::string_view message, const Json& data, std::string_view method
);
/// The reply to a property post: data lists the rejected properties, code stays 200 (weak validation).
std::string make_post_reply(const PropertyPost& post);

/// Who a device is.
struct DeviceKey {
    std::string product_key;
    std::string device_name;
    auto operator<=>(const DeviceKey&) const = default;

    /// "{pk}/{dn}": unique, neither part may hold a '/'.
    std::string text() const { return product_key + "/" + device_name; }

    static std::optional<DeviceKey> parse(std::string_view text);
};

bool valid_product_key(std::string_view text) noexcept; ///< 1..20 letters and digits
bool valid_device_name(std::string_view text) noexcept; ///< 1..32 of letters, digits, - _ @ . :

/// What a topic of the device protocol means. `rest` is what follows "/sys/{pk}/{dn}/" and so on.
enum class TopicKind : std::uint8_t {
    property_post,  ///< /sys/{pk}/{dn}/thing/event/property/post
    history_post,   ///< /sys/{pk}/{dn}/thing/event/property/history/post
    pack_post,      ///< /sys/{pk}/{dn}/thing/event/property/pack/post
    batch_post,     ///< /sys/{pk}/{dn}/thing/event/property/batch/post
    event_post,     ///< /sys/{pk}/{dn}/thing/event/{name}/post
    property_set,   ///< /sys/{pk}/{dn}/thing/service/property/set
    set_reply,      ///< /sys/{pk}/{dn}/thing/service/property/set_reply
    property_get,   ///< /sys/{pk}/{dn}/thing/service/property/get
    get_reply,      ///< /sys/{pk}/{dn}/thing/service/property/get_reply
    service,        ///< /sys/{pk}/{dn}/thing/service/{name}
    service_reply,  ///< /sys/{pk}/{dn}/thing/service/{name}_reply
    desired_get,    ///< /sys/{pk}/{dn}/thing/property/desired/get
    desired_delete, ///< /sys/{pk}/{dn}/thing/property/desired/delete
    tags_update,    ///< /sys/{pk}/{dn}/thing/deviceinfo/update
    tags_delete,    ///< /sys/{pk}/{dn}/thing/deviceinfo/delete
    model_get,      ///< /sys/{pk}/{dn}/thing/dsltemplate/get
    sub_register,
    sub_unregister,
    topo_add,
    topo_delete,
    topo_get,
    list_found, ///< /sys/{gpk}/{gdn}/thing/...
    combine_login,
    combine_logout,
    combine_batch_login,
    combine_batch_logout, ///< /ext/session/{gpk}/{gdn}/combine/...
    ntp_request,          ///< /ext/ntp/{pk}/{dn}/request
    rrpc_response,        ///< /sys/{pk}/{dn}/rrpc/response/{id} (name = id), /ext/rrpc/{id}/... (name = id)
    custom,               ///< /{pk}/{dn}/user/... and the older /{pk}/{dn}/...
    other_sys, ///< any other /sys/{pk}/{dn}/..., /ota/..., /shadow/..., /ext/..., /broadcast/{pk}/... with a
               ///< device in it
    unknown,
};

struct DeviceTopic {
    TopicKind kind = TopicKind::unknown;
    std::string_view product_key; ///< views into the parsed topic
    std::string_view device_name;
    std::string_view name; ///< event or service identifier, rrpc id
};

/// Never fails: what is not understood is `unknown`. No allocation. Works on topic names and on filters
/// (wildcards in the product or device place come out as they are).
DeviceTopic parse_topic(std::string_view topic) noexcept;

/// "/sys/{pk}/{dn}/{rest}"
std::string sys_topic(const DeviceKey& device, std::string_view rest);

} // namespace brim::thing
