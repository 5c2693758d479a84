#pragma once
// The verbs of `brim`. Each runs to its end and returns the exit code.

#include "cli/context.h"
#include "cli/output.h"

#include <string>
#include <vector>

namespace brim::cli {

/// What every command line may carry.
struct Common {
    std::string context;
    Format format = Format::table;
    bool yes = false; ///< do not ask before deleting
};

struct LoginOptions {
    std::string url, name, user, ca_file;
    bool password_stdin = false;
    bool token_stdin = false;
};

Exit login(const Common& common, const LoginOptions& options);

Exit product_list(const Common& common);
Exit product_get(const Common& common, const std::string& key);
Exit product_create(
    const Common& common,
    const std::string& name,
    bool gateway,
    const std::string& model_file,
    const std::string& key
);
Exit product_delete(const Common& common, const std::string& key);
Exit product_model_get(const Common& common, const std::string& key);
Exit product_model_put(const Common& common, const std::string& key, const std::string& file);

struct DeviceFilter {
    std::string product, status, gateway, text;
};

Exit device_list(const Common& common, const DeviceFilter& filter);
Exit device_get(const Common& common, const std::string& device);
Exit device_create(const Common& common, const std::string& device, const std::string& nickname);
Exit device_delete(const Common& common, const std::string& device);
Exit device_enable(const Common& common, const std::string& device, bool enable);
/// Its session and what waits in it, a line each; --output json as the API has it.
Exit device_connection(const Common& common, const std::string& device);
/// Ends its connection. It may come back at once.
Exit device_disconnect(const Common& common, const std::string& device);

Exit property_get(const Common& common, const std::string& device, const std::vector<std::string>& names);
/// assignments: "name=value", the value as JSON or else as text.
Exit property_set(
    const Common& common, const std::string& device, const std::vector<std::string>& assignments
);
/// Prints each new value as a line until interrupted, or until `count` were printed (0 = no end).
Exit property_watch(const Common& common, const std::string& device, std::size_t count);
Exit property_history(
    const Common& common, const std::string& device, const std::string& name, std::size_t limit
);

Exit gateway_list(const Common& common);
Exit gateway_devices(const Common& common, const std::string& gateway);
Exit gateway_bind(const Common& common, const std::string& gateway, const std::string& device, bool bind);

struct DoctorOptions {
    std::string data_dir;    ///< to time fsync in; empty = the current folder
    std::string edge_socket; ///< status address of a brim-edge ("unix:/run/..", "tcp:127.0.0.1:9999"); empty
                             ///< = not asked
    bool skip_hub = false;
    std::string name;                      ///< by which devices reach the hub; empty = not known
    std::string ca_file;                   ///< that devices trust; empty = the context's
    std::vector<std::string> certificates; ///< PEM files to judge as a hub's
};

/// Exit::check_failed when anything is bad.
Exit doctor(const Common& common, const DoctorOptions& options);

} // namespace brim::cli
