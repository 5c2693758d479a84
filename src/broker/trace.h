#pragma once
// Packet traces of single clients: one JSON object for each packet, sent to whoever asked. Payloads are shown
// as their size and, when they are short text, as text; passwords and authentication data never.

#include "broker/control.h"

#include <functional>
#include <list>
#include <string>
#include <string_view>

namespace brim::broker {

/// A packet as a trace shows it: {"packet":"PUBLISH","topic":...,"qos":1,...}. What does not decode is shown
/// as such.
Json packet_json(
    mqtt::PacketType type, std::uint8_t flags, ByteView body, mqtt::ProtocolVersion version, bool is_inbound
);

/// The traces under way. Loop thread only.
class Traces {
public:
    static constexpr std::size_t traces_max = 16;

    /// Sends `event` to the one who asked for `order`.
    using Send = std::function<void(const TraceOrder& order, Json event)>;

    explicit Traces(Send send) : send_(std::move(send)) {}

    /// Errc::full above traces_max. One more of the same asker about the same client replaces the first.
    Result<void> start(const TraceOrder& order, Mono now);
    /// `asker` has gone.
    void stop_of(std::string_view asker);
    /// Ends those whose time is over; each is told {"event":"end"}.
    void expire(Mono now);

    bool empty() const { return traces_.empty(); }

    bool wants(std::string_view client_id) const;
    /// Shows an event of a client to all who trace it.
    void show(std::string_view client_id, Json event);

private:
    struct Trace {
        TraceOrder order;
        Mono until{};
    };

    Send send_;
    std::list<Trace> traces_;
};

} // namespace brim::broker
