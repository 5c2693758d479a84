#pragma once
// Reading the settings again while the hub runs (SIGHUP): what can change live is taken, the rest is named.

#include "hub/hub_config.h"

#include <string>
#include <vector>

namespace brim::hub {

class Reload {
public:
    struct Outcome {
        HubConfig settings;
        LogLevel log_level = LogLevel::info;
        std::vector<std::string> taken; ///< keys that changed since the last reading and take effect now
        std::vector<std::string>
            later; ///< keys that differ from what the hub was started with and need a restart
    };

    /// `started` is the configuration the hub runs with, `source` where it came from.
    Reload(Config started, ConfigSource source)
        : started_(started), running_(std::move(started)), source_(std::move(source)) {}

    /// Reads everything again. On an error (as Config::load() and make_hub_config() say it) nothing changes.
    Result<Outcome> read();

private:
    Config started_;
    Config running_; ///< as last read
    ConfigSource source_;
};

/// True for keys that take effect without a restart.
bool is_live(std::string_view key);

} // namespace brim::hub
