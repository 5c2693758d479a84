#pragma once
// The client's inside. client_session.cpp holds what leads to and from a connection, client_auth.cpp its AUTH
// packets, client_flow.cpp the messages.

#include "mqtt/client.h"
#include "mqtt/codec.h"
#include "mqtt/internal/ring.h"

#include <utility>
#include <vector>

namespace brim::mqtt {

/// tick() is to be called again within this.
inline constexpr Duration client_tick_max = std::chrono::seconds{60};

class Client::Core {
public:
    Core(ClientHost& host, ClientOptions options);

    // client_session.cpp
    void connect(Mono now);

    void set_options(ClientOptions options) { options_ = std::move(options); }

    void data(ByteView bytes, Mono now);
    void closed();
    Mono tick(Mono now);

    bool connected() const { return stage_ == Stage::up; }

    void disconnect(ReasonCode reason, Mono now);

    // client_auth.cpp
    Result<void> authenticate(ByteView auth_data, Mono now);
    Result<void> reauthenticate(ByteView auth_data, Mono now);

    // client_flow.cpp
    std::size_t quota() const;
    Result<void> publish(const Message& message, PublishTag tag, Mono now);
    Result<void> subscribe(const std::vector<std::pair<std::string, std::uint8_t>>& filters, Mono now);
    Result<void> subscribe_as(Subscribe packet, Mono now);
    Result<void> unsubscribe(const std::vector<std::string>& filters, Mono now);
    void acknowledge(std::uint16_t packet_id, Mono now);
    void abandon();

    std::size_t inflight() const { return unsettled_; }

private:
    enum class Stage : std::uint8_t { idle, connecting, up };
    enum class AuthTurn : std::uint8_t { over, own, server };
    enum class State : std::uint8_t { wait_puback, wait_pubrec, wait_pubcomp, done };

    /// One place in the outbound window; places follow each other by packet id.
    struct Outbound {
        Bytes packet; ///< as encoded for `version`; given up once PUBREC came
        PublishTag tag = 0;
        ProtocolVersion version = ProtocolVersion::v5;
        State state = State::done;
        bool is_sent = false;  ///< on the present connection
        bool was_sent = false; ///< on any connection the server's session remembers
    };

    struct Inbound {
        std::uint16_t packet_id = 0;
        PacketType type = PacketType::puback; ///< or pubrec
        bool is_ready = false;
    };

    struct InboundQos2 {
        std::uint16_t packet_id = 0;
        std::uint64_t connection = 0; ///< the last one its PUBLISH came on
    };

    struct PendingRequest {
        std::uint16_t packet_id = 0;
        PacketType answer = PacketType::suback; ///< or unsuback
        std::vector<std::string> filters;
    };

    // client_session.cpp
    void handle(const Frame& frame, Mono now);
    void handle_connack(const Frame& frame, Mono now);
    void handle_disconnect(const Frame& frame);
    void stop(Error why);
    void refuse(const PacketError& error);
    void send(ByteView bytes, Mono now);

    // client_auth.cpp
    void handle_auth(const Frame& frame, Mono now);
    bool take_auth_success(const Connack& connack, Mono now);
    void refuse_auth(Mono now);
    Result<void> send_auth(ReasonCode reason, ByteView auth_data, Mono now);
    Mono tick_auth(Mono now);

    // client_flow.cpp
    void start_flow(bool session_present);
    void resend(Mono now);
    void resend_publish(Outbound& place, Mono now);
    Bytes reencoded(const Outbound& place) const;
    void settle(Outbound& place, ReasonCode reason);
    void trim();
    void handle_ack(const Frame& frame, Mono now);
    void handle_publish(const Frame& frame, Mono now);
    void handle_pubrel(const Frame& frame, Mono now);
    std::vector<InboundQos2>::iterator find_qos2(std::uint16_t packet_id);
    bool is_pubrec_waiting(std::uint16_t packet_id);
    bool is_repeated_qos2(std::uint16_t packet_id, Mono now);
    /// PUBLISH of this connection that have no last answer: what Receive Maximum is about. Those of earlier
    /// ones do not count, for the server may send again what came before them (MQTT 5 section 4.9).
    std::size_t inbound_count();
    void handle_suback(const Frame& frame);
    void handle_unsuback(const Frame& frame);
    Result<void> send_request(PendingRequest pending, ByteView bytes, Mono now);
    bool take_request(std::uint16_t packet_id, PacketType answer, PendingRequest& request);
    void flush_acks(Mono now);
    void send_ack(PacketType type, std::uint16_t packet_id, ReasonCode reason, Mono now);
    std::uint32_t packet_bytes_max() const;
    std::uint32_t window() const;
    std::uint16_t next_request_id();

    ClientHost& host_;
    ClientOptions options_;
    CodecLimits codec_limits_;
    Framer framer_{0};
    Stage stage_ = Stage::idle;
    ProtocolVersion version_ = ProtocolVersion::v5;
    std::uint64_t connection_ = 0; ///< counts connections: what a callback ended is not gone on with
    bool is_ping_pending_ = false;
    bool has_connected_before_ = false;
    std::uint16_t keepalive_s_ = 0;
    Mono last_sent_{};
    Mono last_received_{};
    Mono ping_sent_{};
    Mono connect_sent_{};
    std::string auth_method_; ///< of the present CONNECT; empty = none
    AuthTurn auth_turn_ = AuthTurn::over;
    unsigned auth_rounds_ = 0; ///< AUTH 0x18 of the server in this exchange
    Mono auth_sent_{};         ///< what the server has to answer
    // of the server, from CONNACK
    std::uint32_t server_packet_bytes_max_ = 0;
    std::uint16_t server_receive_maximum_ = 65'535;
    std::uint8_t server_qos_max_ = 2;
    bool server_retain_available_ = true;

    Ring<Outbound> outbound_;
    std::uint64_t out_sequence_ = 0; ///< of the next publish
    std::uint32_t unacked_ = 0;
    std::uint32_t resend_from_ = 0;
    std::size_t unsettled_ = 0;
    Ring<Inbound> acks_;
    std::vector<InboundQos2> qos2_; ///< between PUBLISH and PUBREL
    std::vector<PendingRequest> requests_;
    std::uint16_t request_counter_ = 0;
    Bytes scratch_;
};

} // namespace brim::mqtt
