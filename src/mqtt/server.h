#pragma once
// A broker on real (or simulated) streams: owns listeners and connections, moves bytes between io::Stream and
// Broker, and drives its timers. What is allowed is decided by the class that derives from it (hub access,
// edge bus).

#include "io/env.h"
#include "mqtt/broker.h"
#include "mqtt/session_log.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brim::mqtt {

/// Lives on the Env's loop. Derived classes implement the policy part of BrokerHost and must call stop() (or
/// be destroyed) before the Env goes.
class Server : public BrokerHost {
public:
    /// Turns an accepted byte stream into what MQTT runs on (TLS, WebSocket); null = as it is.
    using Wrap = std::function<std::unique_ptr<io::Stream>(std::unique_ptr<io::Stream>)>;

    /// With `sessions` (opened for this server alone) what is kept is restored here and survives the process.
    Server(io::Env& env, BrokerLimits limits, std::unique_ptr<SessionLog> sessions = nullptr);
    ~Server() override;
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Opens a listener; `tag` comes back from listener_tag(). Returns the bound address.
    Result<io::Endpoint> listen(const io::Endpoint& at, unsigned tag, Wrap wrap = {});
    /// Takes over a stream that came another way (a WebSocket upgrade of the HTTP server).
    void adopt(std::unique_ptr<io::Stream> stream, unsigned tag);

    Broker& broker() { return broker_; }

    /// Nothing when the connection is gone. Its text is made for the call.
    std::optional<io::Peer> peer(ConnId conn) const;
    unsigned listener_tag(ConnId conn) const;

    /// Stops listening, says goodbye to all clients, lets what is queued be sent.
    void stop();
    /// After stop(): calls `done` once what the sessions were at the end is on disk.
    void close_sessions(std::move_only_function<void()> done);

    /// Null when sessions live in memory only.
    const SessionLog* sessions() const { return sessions_.get(); }

    // BrokerHost, transport part
    void send(ConnId conn, ByteView bytes) final;
    void close(ConnId conn) final;
    void pause(ConnId conn, bool paused) final;

protected:
    io::Env& env() { return env_; }

    Mono now() const { return env_.loop().now(); }

private:
    struct Connection;

    /// A stream that is closing: freed a while after its last bytes are out.
    struct Retired {
        Mono since{};
        std::unique_ptr<io::Stream> stream;
    };

    static constexpr std::size_t chunk_size = 256;

    /// The low half of a ConnId is its index in the broker's records, counted from 1.
    static std::size_t place_of(ConnId conn) { return static_cast<std::uint32_t>(conn) - 1; }

    /// Null when the connection is gone.
    Connection* find(ConnId conn) const;
    void schedule_tick(Mono due);
    void retire(ConnId conn);
    void sweep_retired();

    io::Env& env_;
    std::unique_ptr<SessionLog> sessions_;
    Broker broker_;
    std::vector<std::unique_ptr<io::Listener>> listeners_;
    std::vector<std::unique_ptr<Connection[]>> connections_; ///< by place_of(id), in chunks that do not move
    std::vector<Retired> retired_;
    io::Timer tick_;
    io::Timer sweep_;
    bool stopped_ = false;
};

} // namespace brim::mqtt
