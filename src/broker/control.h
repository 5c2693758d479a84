#pragma once
// Administration over MQTT itself: requests are messages below $CONTROL/broker/v1/, permitted by the ACL like
// any other topic, so that whoever reaches the broker can look after it with the same means on hub and edge.
// Payloads are JSON; the answer goes to the Response Topic of the request, or to $CONTROL/broker/v1/response,
// to the asking client alone. docs/broker.md lists the commands.

#include "base/json.h"
#include "base/message.h"
#include "mqtt/broker.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace brim::broker {

/// What a trace is asked to show.
struct TraceOrder {
    std::string asker;     ///< session key of who asked
    std::string client_id; ///< of whom; exact
    std::chrono::seconds length{60};
    std::string response_topic;
    Bytes correlation;
};

/// What the commands need of the service.
class ControlHost {
public:
    virtual ~ControlHost() = default;
    virtual mqtt::Broker& core() = 0;
    virtual WallTime wall() = 0;
    virtual Json session_json(const mqtt::SessionView& session) = 0;
    virtual Json stats_json() = 0;
    /// Sends `body` to the client that sent `request`.
    virtual void answer(std::string_view session_key, const Message& request, const Json& body) = 0;
    /// Errc::full when there are too many traces already.
    virtual Result<void> start_trace(const TraceOrder& order) = 0;
};

struct ControlLimits {
    static constexpr std::size_t sessions_per_answer_max = 200;
    static constexpr std::size_t sessions_looked_at_max = 20'000; ///< by one request
    static constexpr std::int64_t trace_seconds_max = 3'600;
};

/// Loop thread only.
class Control {
public:
    static constexpr std::string_view root = "$CONTROL/broker/v1/";

    explicit Control(ControlHost& host) : host_(host) {}

    /// A message below `root` from a client that may publish it. Always answers: with what was asked for, or
    /// {"error":{"code","cause","fix"}}.
    void handle(const mqtt::ConnView& who, const Message& request, Mono now);

private:
    Result<Json> list(const Json& wanted);
    Result<Json> show(const Json& wanted);
    Result<Json> kick(const Json& wanted, const mqtt::ConnView& who, Mono now);
    Result<Json> trace(const Json& wanted, const mqtt::ConnView& who, const Message& request);
    Result<std::string> session_key(const Json& wanted);

    ControlHost& host_;
};

} // namespace brim::broker
