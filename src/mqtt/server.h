#pragma once
// A broker on real (or simulated) streams: owns listeners and connections, moves bytes between io::Stream and
// Broker, and drives its timers. What is allowed is decided by the class that derives from it (hub access,
// edge bus).

#include "io/env.h"
#include "io/memory_watch.h"
#include "io/proxied_stream.h"
#include "mqtt/broker.h"
#include "mqtt/session_log.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace brim::mqtt {

/// Bounds of Server itself, beside those of its broker; see README.md, "When memory is short".
struct ServerLimits {
    static constexpr std::uint64_t pressed_opening_max =
        64; ///< while memory is short: connections before CONNACK
    /// At Pressure::critical: who sent more between two looks (1/4 s at most) is not read from until the
    /// next.
    static constexpr std::uint32_t pressed_read_bytes_max = 65'536;
};

/// What one listener bears; 0 is no limit. A connection above a limit is closed before anything is made for
/// it, and counted as brim_mqtt_rejected{reason="..."}. An address is an IPv4 address or an IPv6 network of
/// 64 bits; a peer on a unix socket has none. Rates allow a burst of one second's worth; refused attempts do
/// not count.
struct ConnectionLimits {
    std::uint32_t connections_max = 0;                 ///< listener_full
    std::uint32_t connections_per_address_max = 0;     ///< address_full
    std::uint32_t connects_per_second = 0;             ///< rate; 5,000 suits a hub
    std::uint32_t connects_per_address_per_second = 0; ///< address_rate; 200 leaves room for a site's gateway
    /// Addresses counted at a time: those with connections, or with one in the last second. One more is
    /// address_full. Only used when there is a limit per address; about 40 bytes each.
    std::uint32_t addresses_max = 1'000'000;
};

/// How connections of one kind come in.
struct ListenerOptions {
    unsigned tag = 0; ///< comes back from Server::listener_tag()
    /// Turns an accepted byte stream into what MQTT runs on (TLS, WebSocket); empty = as it is, null result =
    /// refused.
    std::function<std::unique_ptr<io::Stream>(std::unique_ptr<io::Stream>)> wrap{};
    /// Set: only these proxies may connect, and `limits` per address count their clients. A connection has
    /// its place among connections_max from the accept on, the rest is judged once its header is read.
    /// Refusals are counted under the reasons proxy_untrusted and proxy_header.
    std::optional<io::ProxyOptions> proxy{};
    ConnectionLimits limits{};
    /// Of each client that comes by it, as in Admission; limit_rates() hands them on. 0 = no limit.
    std::uint32_t publish_rate_max = 0;
    std::uint32_t publish_bytes_rate_max = 0;
    /// Set: streams that were let in go there and not to MQTT: HTTP, whose WebSocket upgrades come back by
    /// adopt() at an entrance without limits of its own. A stream has its place until it is closed or
    /// destroyed; the server outlives it.
    std::function<void(std::unique_ptr<io::Stream>)> serve{};
};

class ConnectionGate;

/// Names the ListenerOptions a connection came by.
enum class EntranceId : std::uint16_t {};

/// Lives on the Env's loop. Derived classes implement the policy part of BrokerHost and must call stop() (or
/// be destroyed) before the Env goes.
class Server : public BrokerHost {
public:
    using Wrap = decltype(ListenerOptions::wrap);

    /// Headers of proxies that are waited for at a time; one more is listener_full.
    static constexpr std::size_t arriving_max = 10'000;

    /// With `sessions` (opened for this server alone) what is kept is restored here and survives the process.
    Server(io::Env& env, BrokerLimits limits, std::unique_ptr<SessionLog> sessions = nullptr);
    ~Server() override;
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Opens a listener. Returns the bound address.
    Result<io::Endpoint> listen(const io::Endpoint& at, ListenerOptions options);
    /// For streams that come another way (a WebSocket upgrade of the HTTP server); at most 65,536 with the
    /// listeners. Only `tag`, `limits` and the rates are looked at: who hands the stream over has wrapped it.
    EntranceId add_entrance(ListenerOptions options);
    /// Takes over such a stream, or closes it when it is above a limit.
    void adopt(std::unique_ptr<io::Stream> stream, EntranceId by);

    Broker& broker() { return broker_; }

    const Broker& broker() const { return broker_; }

    /// Nothing when the connection is gone. Its text is made for the call.
    std::optional<io::Peer> peer(ConnId conn) const;
    unsigned listener_tag(ConnId conn) const;

    /// Clients that take less than they are sent, or are not read from for now (their rate, their window,
    /// memory).
    std::uint64_t slow() const { return slow_; }

    /// Connections closed at the door, by reason: the limits of ListenerOptions. At most six reasons.
    const std::map<std::string, std::uint64_t, std::less<>>& rejected() const { return rejected_; }

    /// Connections closed unheard because memory was short.
    std::uint64_t turned_away() const { return turned_away_; }

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
    void tick_by(Mono due) final;
    std::size_t queued(ConnId conn) final;

protected:
    io::Env& env() { return env_; }

    Mono now() const { return env_.loop().now(); }

    /// The peer's certificate is refused by now (Errc::denied): said before the connection ends.
    virtual void on_refused(ConnId) {}

    /// Puts the publishing rates of the listener that `conn` came by into its admission.
    void limit_rates(ConnId conn, Admission& admission) const;

private:
    struct Connection;
    struct Entrance;

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
    void accepted(std::unique_ptr<io::Stream> stream, EntranceId by);
    void read_header(std::unique_ptr<io::Stream> stream, EntranceId by);
    /// Of a stream that has entered its gate: judges its address, then begins.
    void admit(std::unique_ptr<io::Stream> stream, EntranceId by, const Wrap& wrap);
    void begin(std::unique_ptr<io::Stream> stream, EntranceId by, std::uint32_t place_at_gate);

    Entrance& entrance(EntranceId id) const { return *entrances_[static_cast<std::size_t>(id)]; }

    void rejected(Entrance& at, std::string_view reason, std::string_view what);
    void schedule_tick(Mono due);
    void retire(ConnId conn);
    void sweep_retired();
    bool has_room();
    void on_pressure(Pressure pressure);
    void slow_down(Pressure pressure);
    void count_read(ConnId conn, std::size_t count);
    void count_shed();

    /// One class of what is given up while memory is short.
    struct Shed {
        Counter& shown;
        std::uint64_t counted = 0;
    };

    io::Env& env_;
    std::unique_ptr<SessionLog> sessions_;
    Broker broker_;
    std::vector<std::unique_ptr<Entrance>> entrances_;
    std::vector<std::unique_ptr<io::Listener>> listeners_;
    /// Their header is not read yet.
    std::unordered_map<const io::Stream*, std::unique_ptr<io::ProxiedStream>> arriving_;
    std::vector<std::unique_ptr<Connection[]>> connections_; ///< by place_of(id), in chunks that do not move
    /// By place_of(id): since the last look at the memory. Empty unless that was short.
    std::vector<std::uint32_t> read_bytes_;
    std::vector<Retired> retired_;
    io::Timer tick_;
    Mono tick_due_{};
    io::Timer sweep_;
    bool stopped_ = false;
    std::uint64_t turned_away_ = 0; ///< connections closed before they were read from
    std::uint64_t slow_ = 0;
    std::map<std::string, std::uint64_t, std::less<>> rejected_;
    Shed shed_door_;
    Shed shed_connects_;
    Shed shed_qos0_;
    Shed shed_publishes_;
    io::MemoryWatch memory_;
};

} // namespace brim::mqtt
