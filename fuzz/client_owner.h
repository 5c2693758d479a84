#pragma once
// The owner of a client that a hostile server talks to: it keeps its own account of what came and what was
// sent, and ends the process where the client's does not agree.

#include "fuzz/require.h"
#include "mqtt/client.h"
#include "mqtt/codec.h"

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brim::fuzz {

inline constexpr std::uint32_t client_packet_bytes_max = 2'048;
inline constexpr std::uint16_t publish_ids = 32'768; // requests use the ids above

/// One packet of the server that the client has not shown to have read yet.
struct Said {
    mqtt::PacketType type = mqtt::PacketType::reserved;
    std::uint16_t packet_id = 0;
    std::uint8_t qos = 0;
    mqtt::ReasonCode reason = mqtt::ReasonCode::success;
    std::string payload;
};

class Owner final : public mqtt::ClientHost {
public:
    void send(ByteView bytes) override;
    void close(const Error& why) override;
    void on_connected(const mqtt::Connack& connack) override;
    bool on_message(const MessagePtr& message, std::uint16_t packet_id) override;
    void on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) override;
    void on_subscribed(std::string_view filter, mqtt::ReasonCode reason) override;
    bool on_auth(const mqtt::Auth& auth) override;

    void connect();
    /// Bytes of the server, `piece` at a time; what is left when the connection ends is lost.
    void receive(ByteView bytes, std::size_t piece);
    void publish(std::uint8_t detail);
    /// To be called before the client's acknowledge(): from then on the message is ours.
    void accept(std::uint16_t packet_id);
    /// What holds between any two calls.
    void check_quiet();

    mqtt::Client* client = nullptr;
    mqtt::ClientOptions options; ///< of the next connect()
    Mono now{std::chrono::seconds{1'000}};
    /// Messages of QoS 1 and 2 that we have not accepted yet, in their order: packet id and QoS.
    std::vector<std::pair<std::uint16_t, std::uint8_t>> deferred;
    std::uint16_t last_request = publish_ids + 1;

private:
    // Bytes are heard before the client is given them. What the client does then tells how far it has read,
    // so that messages are compared one by one and in their order.
    void hear(ByteView bytes);
    void hear(const mqtt::Frame& frame);
    template <class Found> const Said* read_to(Found found);
    bool is_repeated(const Said& said) const;
    void pass(const Said& said);
    void sent_publish(const mqtt::Publish& packet, std::size_t bytes);
    void sent_ack(mqtt::PacketType type, const mqtt::Ack& ack);
    void acknowledge_all();

    // the connection
    bool is_open_ = false;
    bool is_up_ = false;
    bool was_cut_ = false; ///< something ended it inside the present call
    mqtt::ProtocolVersion version_ = mqtt::ProtocolVersion::v5;
    mqtt::Framer framer_{client_packet_bytes_max};
    bool is_sound_ = true; ///< so far; what is behind means nothing
    std::deque<Said> said_;
    std::uint32_t server_packet_bytes_max_ = 0;
    std::uint16_t server_receive_maximum_ = 65'535;
    std::map<std::uint16_t, int> owed_puback_; ///< delivered on this connection, not acknowledged
    std::map<std::uint16_t, int> owed_pubrec_;
    std::map<std::uint16_t, int> owed_pubcomp_;
    std::size_t open_qos1_ = 0; ///< of the server, of this connection: what our Receive Maximum is about
    std::set<std::uint16_t> open_qos2_;
    std::map<std::uint16_t, int> pubrec_heard_; ///< of this connection, without a PUBREL of ours
    std::set<std::uint16_t> answered_;          ///< publish ids the server has acknowledged for good
    std::set<std::uint16_t> on_the_wire_;       ///< own publishes sent on this connection, not settled
    std::set<std::uint16_t> released_again_;    ///< own PUBREL said without a PUBREC on this connection
    bool is_connack_read_ = false;
    bool is_forgotten_ = false; ///< the server has no session of ours, or cannot say
    // the session
    std::set<std::uint16_t> held_; ///< QoS 2 between our accepting it and the server's PUBREL
    std::map<mqtt::PublishTag, std::uint16_t> open_;
    std::set<std::uint16_t> released_; ///< own QoS 2 whose PUBREC has come
    std::uint16_t last_publish_id_ = 0;
    mqtt::PublishTag next_tag_ = 1;
};

} // namespace brim::fuzz
