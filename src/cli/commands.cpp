#include "cli/commands.h"

#include "cli/hub_api.h"
#include "io/posix_disk.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <unistd.h>

namespace brim::cli {

namespace {

std::int64_t now_ms() {
    return SystemClock().wall().ms;
}

/// Runs `work` with the hub of the context; its error becomes the exit code.
template <class Work> Exit with_hub(const Common& common, Work work) {
    auto context = load_context(common.context);
    if (!context)
        return complain(context.error());
    HubApi api(std::move(*context));
    const Result<void> result = work(api);
    return result ? Exit::ok : complain(result.error());
}

Result<std::string> device_path(const std::string& device) {
    const std::size_t slash = device.find('/');
    if (slash == std::string::npos || slash == 0 || slash + 1 == device.size()) {
        return fail(
            Errc::invalid, "device \"" + device + "\"", "is not a full name", "write productKey/deviceName"
        );
    }
    return encoded(device.substr(0, slash)) + "/" + encoded(device.substr(slash + 1));
}

/// with_hub() for one device; `work` gets its path in the API too.
template <class Work> Exit on_device(const Common& common, const std::string& device, Work work) {
    return with_hub(common, [&](HubApi& api) -> Result<void> {
        const auto path = device_path(device);
        if (!path)
            return fail(path.error());
        return work(api, "/api/v1/devices/" + *path);
    });
}

Result<Json> read_json_file(const std::string& file) {
    constexpr std::size_t bytes_max = 1'048'576;
    io::PosixDisk disk;
    const auto text = io::read_file(disk, file, bytes_max);
    if (!text)
        return fail(text.error());
    auto json = Json::parse(*text);
    if (!json)
        return fail(Errc::malformed, "file " + file, json.error().cause, "write a JSON document");
    return json;
}

/// True to go on: --yes, or the name typed at a terminal. Never asks without one.
Result<void> confirm(const Common& common, const std::string& what, const std::string& name) {
    if (common.yes)
        return {};
    if (isatty(STDIN_FILENO) == 0) {
        return fail(
            Errc::denied, what, "deleting needs a confirmation and there is no terminal", "add --yes"
        );
    }
    std::fprintf(stderr, "This deletes %s and its history. Type %s to go on: ", what.c_str(), name.c_str());
    std::string typed;
    std::getline(std::cin, typed);
    if (typed != name)
        return fail(Errc::denied, what, "not confirmed; nothing was deleted");
    return {};
}

void show(const Common& common, const std::vector<Column>& columns, const Json& rows) {
    if (common.format == Format::json)
        print_json(rows);
    else
        print_table(columns, rows, now_ms());
}

const std::vector<Column>& device_columns() {
    static const std::vector<Column> columns{
        {"PRODUCT", "productKey"},
        {"DEVICE", "deviceName"},
        {"NAME", "nickname"},
        {"STATUS", "status"},
        {"SINCE", "@statusSince"},
        {"SEEN", "@lastSeen"},
        {"GATEWAY", "gateway.deviceName"}
    };
    return columns;
}

const std::vector<Column>& product_columns() {
    static const std::vector<Column> columns{
        {"PRODUCT", "productKey"},
        {"NAME", "name"},
        {"TYPE", "nodeType"},
        {"DEVICES", "deviceCount"},
        {"PROPERTIES", "propertyCount"},
        {"CREATED", "@createdAt"}
    };
    return columns;
}

} // namespace

Exit login(const Common& common, const LoginOptions& options) {
    (void)common;
    Context context{options.name, options.url, {}, options.ca_file};
    while (context.url.ends_with('/'))
        context.url.pop_back();
    if (context.name.empty()) {
        const std::size_t scheme = context.url.find("://");
        context.name = scheme == std::string::npos ? context.url : context.url.substr(scheme + 3);
    }
    std::string secret;
    if (!options.password_stdin && !options.token_stdin && isatty(STDIN_FILENO) != 0) {
        const char* typed = getpass("Password: "); // NOLINT: no other portable way to read without echo
        secret = typed == nullptr ? "" : typed;
    } else {
        std::getline(std::cin, secret);
    }
    HubApi api(context);
    if (options.token_stdin) {
        context.token = Secret(secret);
        HubApi known(context);
        if (const auto who = known.call("GET", "/api/v1/session"); !who)
            return complain(who.error());
    } else {
        if (const auto session = api.sign_in(options.user, Secret(secret)); !session)
            return complain(session.error());
        // The password is not kept: a token of its own can be revoked alone.
        const auto who = api.call("GET", "/api/v1/session");
        if (!who)
            return complain(who.error());
        char host[256] = "unknown";
        gethostname(host, sizeof host - 1);
        const Json body =
            Json::object({{"name", "brim on " + std::string(host).substr(0, 50)}, {"role", (*who)["role"]}});
        const auto made = api.call("POST", "/api/v1/tokens", &body);
        if (!made)
            return complain(made.error());
        context.token = Secret(std::string((*made)["token"].as_string()));
    }
    if (const auto saved = save_context(context); !saved)
        return complain(saved.error());
    std::fprintf(
        stderr, "signed in to %s; context \"%s\" is current\n", context.url.c_str(), context.name.c_str()
    );
    return Exit::ok;
}

Exit product_list(const Common& common) {
    return with_hub(common, [&](HubApi& api) -> Result<void> {
        auto rows = api.list("/api/v1/products");
        if (!rows)
            return fail(std::move(rows).error());
        show(common, product_columns(), *rows);
        return {};
    });
}

Exit product_get(const Common& common, const std::string& key) {
    return with_hub(common, [&](HubApi& api) -> Result<void> {
        auto product = api.call("GET", "/api/v1/products/" + encoded(key));
        if (!product)
            return fail(std::move(product).error());
        if (common.format == Format::json)
            print_json(*product);
        else
            print_table(product_columns(), Json::array({*product}), now_ms());
        return {};
    });
}

Exit product_create(
    const Common& common,
    const std::string& name,
    bool gateway,
    const std::string& model_file,
    const std::string& key
) {
    return with_hub(common, [&](HubApi& api) -> Result<void> {
        Json body = Json::object({{"name", name}, {"nodeType", gateway ? "gateway" : "device"}});
        if (!key.empty())
            body.set("productKey", key);
        if (!model_file.empty()) {
            auto model = read_json_file(model_file);
            if (!model)
                return fail(std::move(model).error());
            body.set("model", std::move(*model));
        }
        const auto made = api.call("POST", "/api/v1/products", &body);
        if (!made)
            return fail(made.error());
        if (common.format == Format::json)
            print_json(*made);
        else
            std::puts(std::string((*made)["productKey"].as_string()).c_str());
        return {};
    });
}

Exit product_delete(const Common& common, const std::string& key) {
    return with_hub(common, [&](HubApi& api) -> Result<void> {
        BRIM_TRY(confirm(common, "product " + key, key));
        const auto gone = api.call("DELETE", "/api/v1/products/" + encoded(key));
        if (!gone)
            return fail(gone.error());
        return {};
    });
}

Exit product_model_get(const Common& common, const std::string& key) {
    return with_hub(common, [&](HubApi& api) -> Result<void> {
        const auto model = api.call("GET", "/api/v1/products/" + encoded(key) + "/model");
        if (!model)
            return fail(model.error());
        print_json(*model);
        return {};
    });
}

Exit product_model_put(const Common& common, const std::string& key, const std::string& file) {
    return with_hub(common, [&](HubApi& api) -> Result<void> {
        const auto model = read_json_file(file);
        if (!model)
            return fail(model.error());
        const auto stored = api.call("PUT", "/api/v1/products/" + encoded(key) + "/model", &*model);
        if (!stored)
            return fail(stored.error());
        std::fprintf(stderr, "model of %s stored\n", key.c_str());
        return {};
    });
}

Exit device_list(const Common& common, const DeviceFilter& filter) {
    return with_hub(common, [&](HubApi& api) -> Result<void> {
        std::string query = "?values=false";
        const auto add = [&query](const char* name, const std::string& value) {
            if (!value.empty())
                query += std::string("&") + name + "=" + encoded(value);
        };
        add("productKey", filter.product);
        add("status", filter.status);
        add("gateway", filter.gateway);
        add("q", filter.text);
        auto rows = api.list("/api/v1/devices" + query);
        if (!rows)
            return fail(std::move(rows).error());
        show(common, device_columns(), *rows);
        return {};
    });
}

Exit device_get(const Common& common, const std::string& device) {
    return on_device(common, device, [&](HubApi& api, const std::string& path) -> Result<void> {
        const auto found = api.call("GET", path);
        if (!found)
            return fail(found.error());
        if (common.format == Format::json)
            print_json(*found);
        else
            print_table(device_columns(), Json::array({*found}), now_ms());
        return {};
    });
}

Exit device_create(const Common& common, const std::string& device, const std::string& nickname) {
    return with_hub(common, [&](HubApi& api) -> Result<void> {
        const std::size_t slash = device.find('/');
        Json body = Json::object({{"productKey", device.substr(0, slash)}});
        if (slash != std::string::npos)
            body.set("deviceName", device.substr(slash + 1));
        if (!nickname.empty())
            body.set("nickname", nickname);
        const auto made = api.call("POST", "/api/v1/devices", &body);
        if (!made)
            return fail(made.error());
        if (common.format == Format::json)
            std::puts(made->text().c_str());
        else
            print_table(
                {{"PRODUCT", "productKey"},
                 {"DEVICE", "deviceName"},
                 {"SECRET (shown this once)", "deviceSecret"}},
                Json::array({*made}),
                now_ms()
            );
        return {};
    });
}

Exit device_delete(const Common& common, const std::string& device) {
    return on_device(common, device, [&](HubApi& api, const std::string& path) -> Result<void> {
        BRIM_TRY(confirm(common, "device " + device, device));
        const auto gone = api.call("DELETE", path);
        if (!gone)
            return fail(gone.error());
        return {};
    });
}

Exit device_enable(const Common& common, const std::string& device, bool enable) {
    return on_device(common, device, [&](HubApi& api, const std::string& path) -> Result<void> {
        const auto changed = api.call("POST", path + (enable ? "/enable" : "/disable"));
        if (!changed)
            return fail(changed.error());
        std::fprintf(stderr, "device %s is %s\n", device.c_str(), enable ? "enabled" : "disabled");
        return {};
    });
}

namespace {

/// A session as lines: what it is, then each subscription.
Json connection_rows(const Json& connection) {
    Json rows = Json::array();
    const auto row = [&rows](std::string_view name, Json value) {
        rows.push(Json::object({{"name", name}, {"value", std::move(value)}}));
    };
    row("online", connection["online"]);
    if (const Json& gateway = connection["gateway"]; !gateway.is_null()) {
        row("gateway",
            std::string(gateway["productKey"].as_string()) + "/" +
                std::string(gateway["deviceName"].as_string()));
    }
    const Json& session = connection["session"];
    if (session.is_null())
        return rows;
    for (const char* name :
         {"protocol",
          "address",
          "proxy",
          "tls",
          "keepAliveSeconds",
          "connectedAt",
          "slow",
          "kept",
          "will",
          "expirySeconds",
          "expiresAt",
          "queued",
          "queuedBytes",
          "inflightOut",
          "inflightIn",
          "subscriptionCount"}) {
        const Json& value = session[name];
        if (!value.is_null() && !(value.is_string() && value.as_string().empty()))
            row(name, value);
    }
    for (const Json& each : session["subscriptions"].items())
        row("subscription", std::string(each["filter"].as_string()) + " (QoS " + each["qos"].text() + ")");
    return rows;
}

} // namespace

Exit device_connection(const Common& common, const std::string& device) {
    return on_device(common, device, [&](HubApi& api, const std::string& path) -> Result<void> {
        const auto found = api.call("GET", path + "/connection");
        if (!found)
            return fail(found.error());
        if (common.format == Format::json)
            print_json(*found);
        else
            print_table({{"FIELD", "name"}, {"VALUE", "value"}}, connection_rows(*found), now_ms());
        return {};
    });
}

Exit device_disconnect(const Common& common, const std::string& device) {
    return on_device(common, device, [&](HubApi& api, const std::string& path) -> Result<void> {
        const auto ended = api.call("DELETE", path + "/connection");
        if (!ended)
            return fail(ended.error());
        std::fprintf(stderr, "device %s is disconnected; it may come back\n", device.c_str());
        return {};
    });
}

namespace {

const std::vector<Column>& property_columns() {
    static const std::vector<Column> columns{
        {"PROPERTY", "identifier"},
        {"VALUE", "value"},
        {"UNIT", "unit"},
        {"AGE", "@time"},
        {"DESIRED", "desired.value"},
        {"STATE", "desired.state"}
    };
    return columns;
}

} // namespace

Exit property_get(const Common& common, const std::string& device, const std::vector<std::string>& names) {
    return on_device(common, device, [&](HubApi& api, const std::string& path) -> Result<void> {
        const auto found = api.call("GET", path + "/properties");
        if (!found)
            return fail(found.error());
        Json rows = Json::array();
        for (const Json& row : (*found)["items"].items()) {
            const bool wanted =
                std::find(names.begin(), names.end(), row["identifier"].as_string()) != names.end();
            if (names.empty() || wanted)
                rows.push(row);
        }
        if (!names.empty() && rows.items().size() < names.size()) {
            return fail(
                Errc::not_found,
                "property of " + device,
                "the thing model lacks one of these names",
                "brim property get " + device
            );
        }
        show(common, property_columns(), rows);
        return {};
    });
}

Exit property_set(
    const Common& common, const std::string& device, const std::vector<std::string>& assignments
) {
    return on_device(common, device, [&](HubApi& api, const std::string& path) -> Result<void> {
        Json values = Json::object();
        for (const std::string& assignment : assignments) {
            const std::size_t equals = assignment.find('=');
            if (equals == std::string::npos || equals == 0) {
                return fail(
                    Errc::invalid, "\"" + assignment + "\"", "is not an assignment", "write name=value"
                );
            }
            const std::string text = assignment.substr(equals + 1);
            auto value = Json::parse(text);
            values.set(assignment.substr(0, equals), value ? std::move(*value) : Json(text));
        }
        const Json body = Json::object({{"values", std::move(values)}});
        const auto result = api.call("PUT", path + "/properties", &body);
        if (!result)
            return fail(result.error());
        if (common.format == Format::json) {
            print_json(*result);
        } else {
            const bool sent = (*result)["delivered"].as_bool();
            std::fprintf(
                stderr,
                sent ? "sent; pending until the device reports it\n"
                     : "stored; sent when the device is back\n"
            );
            print_table(property_columns(), (*result)["properties"], now_ms());
        }
        return {};
    });
}

Exit property_watch(const Common& common, const std::string& device, std::size_t count) {
    return on_device(common, device, [&](HubApi& api, const std::string&) -> Result<void> {
        std::size_t printed = 0;
        const auto print = [&](std::string_view type, const Json& data) {
            if (type == "dropped")
                std::fprintf(stderr, "the hub left out events: this reader is too slow\n");
            if (type != "property")
                return true;
            for (const auto& [name, value] : data["values"].members()) {
                if (common.format == Format::json) {
                    Json line = Json::object({{"property", name}, {"value", value}, {"time", data["time"]}});
                    line.set("replayed", data["replayed"]);
                    std::puts(line.text().c_str());
                } else {
                    const std::string time = to_rfc3339({data["time"].as_int()});
                    const std::string shown = printable(value.text());
                    std::printf(
                        "%s  %s = %s%s\n",
                        time.c_str(),
                        name.c_str(),
                        shown.c_str(),
                        data["replayed"].as_bool() ? "  (replayed)" : ""
                    );
                }
                std::fflush(stdout);
                if (++printed == count)
                    return false;
            }
            return true;
        };
        return api.events("/api/v1/events?types=property&device=" + encoded(device), print);
    });
}

Exit property_history(
    const Common& common, const std::string& device, const std::string& name, std::size_t limit
) {
    return on_device(common, device, [&](HubApi& api, const std::string& path) -> Result<void> {
        const std::string query = "?order=desc&property=" + encoded(name) + "&limit=" + std::to_string(limit);
        auto page = api.call("GET", path + "/history" + query);
        if (!page)
            return fail(std::move(page).error());
        Json rows = Json::array();
        for (Json row : (*page)["points"].items()) {
            row.set("at", to_rfc3339({row["time"].as_int()}));
            rows.push(std::move(row));
        }
        show(common, {{"TIME", "at"}, {"VALUE", "value"}, {"REPLAYED", "replayed"}}, rows);
        return {};
    });
}

Exit gateway_list(const Common& common) {
    return with_hub(common, [&](HubApi& api) -> Result<void> {
        auto rows = api.list("/api/v1/gateways");
        if (!rows)
            return fail(std::move(rows).error());
        show(common, device_columns(), *rows);
        return {};
    });
}

Exit gateway_devices(const Common& common, const std::string& gateway) {
    return with_hub(common, [&](HubApi& api) -> Result<void> {
        const auto path = device_path(gateway);
        if (!path)
            return fail(path.error());
        auto rows = api.list("/api/v1/gateways/" + *path + "/devices");
        if (!rows)
            return fail(std::move(rows).error());
        show(common, device_columns(), *rows);
        return {};
    });
}

Exit gateway_bind(const Common& common, const std::string& gateway, const std::string& device, bool bind) {
    return with_hub(common, [&](HubApi& api) -> Result<void> {
        const auto path = device_path(gateway);
        if (!path)
            return fail(path.error());
        const auto sub = device_path(device);
        if (!sub)
            return fail(sub.error());
        const std::string base = "/api/v1/gateways/" + *path + "/devices";
        const std::size_t slash = device.find('/');
        const Json body =
            Json::object({{"productKey", device.substr(0, slash)}, {"deviceName", device.substr(slash + 1)}});
        const auto done = bind ? api.call("POST", base, &body) : api.call("DELETE", base + "/" + *sub);
        if (!done)
            return fail(done.error());
        return {};
    });
}

} // namespace brim::cli
