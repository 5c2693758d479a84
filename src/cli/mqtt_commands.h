#pragma once
// `brim mqtt ...`: an MQTT client for people and scripts, on the same client core as the edge's
// uplink. Each runs to its end and returns the exit code.

#include "cli/mqtt_options.h"
#include "cli/output.h"

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace brim::cli {

struct PubOptions {
    MqttWords words;
    std::string message, file;
    bool has_message = false;
    bool null_message = false; ///< -n
    bool lines = false;        ///< -l: each line of standard input is a message
    bool all_input = false;    ///< -s: standard input is one message
    bool retain = false;
    std::uint64_t repeat = 1;
    double repeat_delay_s = 0;
};

struct SubOptions {
    MqttWords words;
    std::vector<std::string> filter_out, unsubscribe;
    std::string format;
    bool verbose = false;       ///< topic before the payload
    bool no_line_end = false;   ///< -N
    bool fresh_only = false;    ///< -R
    bool retained_only = false; ///< and the end with the first that is not
    bool remove_retained = false;
    double share_percent = 100;   ///< of the messages, at random
    bool exit_subscribed = false; ///< -E
    bool retain_as_published = false;
    bool no_local = false;
    std::string retain_handling = "always";
    std::uint64_t count = 0; ///< -C; 0: no end
    double wait_s = 0;       ///< -W; 0: no end
};

struct BenchOptions {
    MqttWords words;
    unsigned publishers = 1;
    unsigned subscribers = 1;
    std::size_t payload_bytes = 64;
    double rate = 0;      ///< messages per second of all publishers together; 0: as many as the window takes
    unsigned window = 32; ///< unacknowledged messages of a publisher
    double seconds = 5;
    double warmup_s = 1;
};

/// `brim mqtt conns|kick|trace|stats`: administration of a Brim broker, over MQTT itself (docs/broker.md).
struct AdminOptions {
    MqttWords words;
    std::string command;   ///< "sessions", "session", "kick", "trace" or "stats"
    std::string client_id; ///< of whom; empty for all
    std::string user;
    bool online_only = false;
    bool forget = false;
    unsigned seconds = 60; ///< of a trace
};

Exit mqtt_admin(const AdminOptions& options, Format format);
Exit mqtt_pub(const PubOptions& options);
Exit mqtt_sub(const SubOptions& options);
Exit mqtt_bench(const BenchOptions& options, Format format);

/// Declares `mqtt` and its verbs; the one chosen is put into `run`. Returns the noun, for more verbs.
CLI::App& add_mqtt(CLI::App& app, std::function<Exit()>& run, const std::string& output);

} // namespace brim::cli
