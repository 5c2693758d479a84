#pragma once
// What `brim mqtt ...` runs on: loop, TLS and signals of one command, and links made from them.

#include "cli/mqtt_options.h"
#include "cli/output.h"
#include "io/epoll_loop.h"
#include "io/real_env.h"
#include "io/tls.h"
#include "mqtt/link.h"

#include <functional>
#include <memory>
#include <optional>

namespace brim::cli {

/// One command's world. Links made from it are destroyed before it. One thread.
class MqttSession {
public:
    /// Reads the words; says what is wrong with them and leaves `exit` for it. Null then.
    static std::unique_ptr<MqttSession> make(const MqttWords& words, Exit& exit);

    const MqttTarget& target() const { return target_; }

    io::RealEnv& env() { return env_; }

    io::Loop& loop() { return env_.loop(); }

    std::unique_ptr<mqtt::Link> link(mqtt::LinkEvents& events);
    /// Runs the loop until finish(). `interrupted` hears of SIGINT and SIGTERM.
    Exit run(std::function<void()> interrupted);
    /// Ends run() with `exit` once everything queued is sent and the server has closed. It waits 5 s for a
    /// byte to go out and 2 s for the server. Only the first call counts. May be called from inside a link's
    /// events.
    void finish(mqtt::Link& link, Exit exit);

    bool finishing() const { return exit_.has_value(); }

    /// With --debug: a line on standard error.
    void debug(const std::string& text) const;

private:
    MqttSession() : log_(clock_, {.level = LogLevel::error}), env_(log_, metrics_), leave_(env_.loop()) {}

    Result<void> open_tls();
    void leave(mqtt::Link& link, std::size_t queued, Mono since);

    SystemClock clock_;
    Log log_;
    Metrics metrics_;
    io::RealEnv env_;
    MqttTarget target_;
    std::unique_ptr<io::TlsContext> tls_;
    std::unique_ptr<io::SignalWatch> signals_;
    std::function<void()> interrupted_;
    std::optional<Exit> exit_;
    io::Timer leave_;
};

/// For --debug: what the server said, and a message without its payload.
std::string connack_text(const mqtt::Connack& connack);
std::string message_text(const Message& message);

/// A connection's end in words a person at a terminal can act on.
Error explained(Error why, const MqttTarget& target);

} // namespace brim::cli
