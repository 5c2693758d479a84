#pragma once
// The client side of an MQTT 3.1.1 or 5 session without sockets, clocks or threads: the edge's uplink, the
// command line and the tests drive it. Session state survives reconnects: what was not acknowledged is sent
// again with DUP and its packet id (MQTT 5 section 4.4).

#include "base/message.h"
#include "base/time.h"
#include "mqtt/packet.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brim::mqtt {

struct ClientOptions {
    ProtocolVersion version = ProtocolVersion::v5;
    std::string client_id;
    std::string username;
    std::string password; ///< the bytes that go on the wire
    std::uint16_t keepalive_s = 60;
    bool clean_start = true;
    std::uint32_t session_expiry_s = 0; ///< v5
    std::uint16_t receive_maximum = 128;
    std::uint32_t packet_bytes_max = 268'288; ///< larger ones from the server end the connection
    MessagePtr will;                          ///< may be null
    std::uint16_t inflight_max = 128;         ///< own bound; the server's Receive Maximum may lower it
    std::uint32_t will_delay_s = 0;           ///< v5
    std::vector<std::pair<std::string, std::string>> user_properties{}; ///< v5, of CONNECT
    Duration connack_wait_max =
        std::chrono::seconds{10}; ///< from connect() to CONNACK; an AUTH may take as long
    std::string auth_method{};    ///< v5, section 4.12; empty = none
    Bytes auth_data{};            ///< of CONNECT, only with a method
};

/// The caller's own number of a publish, handed back when it is settled.
using PublishTag = std::uint64_t;

class ClientHost {
public:
    virtual ~ClientHost() = default;
    virtual void send(ByteView bytes) = 0;
    /// The transport should be closed; the session object stays usable for the next connect().
    virtual void close(const Error& why) = 0;
    /// CONNACK with success. `session_present` false means the server forgot us: subscriptions must be made
    /// again.
    virtual void on_connected(const Connack& connack) = 0;
    /// A PUBLISH. QoS 1 is acknowledged when this returns true; false leaves it to a later
    /// acknowledge(packet_id).
    virtual bool on_message(const MessagePtr& message, std::uint16_t packet_id) = 0;
    /// PUBACK (or PUBCOMP) came: success when reason < 0x80. Each accepted publish with QoS > 0 is settled
    /// exactly once, unless abandon() is called.
    virtual void on_settled(PublishTag tag, ReasonCode reason) = 0;
    virtual void on_subscribed(std::string_view filter, ReasonCode reason) = 0;

    /// What the server says in an authentication exchange, with the method of CONNECT. 0x18 asks for more:
    /// answer with authenticate(), inside this call or later. Success comes with its last data before
    /// on_connected() and when a re-authentication is done. False ends the connection with
    /// Errc::unauthenticated (bad authentication method, 0x8C; DISCONNECT says 0x80, for it has no such
    /// code). `auth` is valid during the call only.
    virtual bool on_auth(const Auth&) { return false; }
};

class Client {
public:
    Client(ClientHost& host, ClientOptions options);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// A fresh transport is there: sends CONNECT. Options may be replaced before each connect (new password,
    /// time).
    void connect(Mono now);
    void set_options(ClientOptions options);
    void data(ByteView bytes, Mono now);
    /// The transport is gone; in-flight messages stay for the next connect().
    void closed(Mono now);
    /// Keep-alive: sends PINGREQ when due, closes with Errc::timeout when no PINGRESP comes within half the
    /// keep-alive. Returns when to call again.
    Mono tick(Mono now);

    bool connected() const;
    /// How many more QoS > 0 publishes may be sent now (0 when not connected).
    std::size_t quota() const;
    /// Sends now. Errc::closed when not connected, Errc::busy when the quota is used up, Errc::too_large over
    /// the server's maximum packet size. QoS 0 is settled by returning. QoS 2 is Errc::unsupported when the
    /// server says so.
    Result<void> publish(const Message& message, PublishTag tag, Mono now);
    /// Sends SUBSCRIBE now; Errc::closed when not connected, Errc::too_large over the server's maximum packet
    /// size, Errc::busy while 1,000 requests wait for their answers. The same for UNSUBSCRIBE.
    Result<void> subscribe(const std::vector<std::pair<std::string, std::uint8_t>>& filters, Mono now);
    Result<void> unsubscribe(const std::vector<std::string>& filters, Mono now);
    /// The same with all that MQTT 5 lets a SUBSCRIBE say; its packet id is chosen here.
    Result<void> subscribe_as(Subscribe packet, Mono now);
    void acknowledge(std::uint16_t packet_id, Mono now);
    /// Answers the server's 0x18 with AUTH 0x18. Errc::closed when there is no connection, Errc::conflict
    /// when nothing was asked, Errc::too_large over 65,535 bytes or the server's maximum packet size.
    Result<void> authenticate(ByteView auth_data, Mono now);
    /// Begins a re-authentication with AUTH 0x19; messages flow on. Errc::closed when not connected,
    /// Errc::unsupported when CONNECT named no method, Errc::busy while one is under way, Errc::too_large. A
    /// server that gives no answer within connack_wait_max is left.
    Result<void> reauthenticate(ByteView auth_data, Mono now);
    /// Sends DISCONNECT; the host should then close the transport.
    void disconnect(ReasonCode reason, Mono now);
    /// Forgets all in-flight publishes (their tags are not settled): the owner will send them again itself.
    void abandon();
    std::size_t inflight() const;

private:
    class Core;
    std::unique_ptr<Core> core_;
};

} // namespace brim::mqtt
