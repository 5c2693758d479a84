#pragma once
// A client core with a host that remembers.

#include "mqtt/client.h"
#include "mqtt/codec.h"

#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace brim::mqtt::bench {

class ClientRecorder final : public ClientHost {
public:
    void send(ByteView bytes) override { out += bytes; }

    void close(const Error& why) override { closes.push_back(why); }

    void on_connected(const Connack& connack) override {
        ++connects;
        session_present = connack.session_present;
        if (connected_hook)
            connected_hook();
    }

    bool on_message(const MessagePtr& message, std::uint16_t packet_id) override {
        messages.push_back(message);
        ids.push_back(packet_id);
        return acknowledges;
    }

    void on_settled(PublishTag tag, ReasonCode reason) override {
        ++settled[tag];
        reasons[tag] = reason;
    }

    void on_subscribed(std::string_view filter, ReasonCode reason) override {
        subscribed[std::string(filter)] = reason;
    }

    bool on_auth(const Auth& auth) override {
        auths.emplace_back(auth.reason, auth.auth_data);
        return auth_hook && auth_hook(auth);
    }

    Bytes out;
    std::vector<Error> closes;
    int connects = 0;
    bool session_present = false;
    bool acknowledges = true;
    std::vector<MessagePtr> messages;
    std::vector<std::uint16_t> ids;
    std::map<PublishTag, int> settled;
    std::map<PublishTag, ReasonCode> reasons;
    std::map<std::string, ReasonCode> subscribed;
    std::function<void()> connected_hook;
    std::vector<std::pair<ReasonCode, Bytes>> auths;
    std::function<bool(const Auth&)> auth_hook;
};

inline Message to(std::string topic, std::uint8_t qos = 1) {
    Message message;
    message.topic = std::move(topic);
    message.payload = "x";
    message.qos = qos;
    return message;
}

/// A client and a server's side in raw bytes: a kept session of client "c", other options as given.
struct Line {
    explicit Line(ProtocolVersion version = ProtocolVersion::v5, ClientOptions options = {})
        : version_(version), client(host, with(version, std::move(options))) {}

    /// The options as they are.
    explicit Line(ClientOptions options) : version_(options.version), client(host, std::move(options)) {}

    static ClientOptions with(ProtocolVersion version, ClientOptions options) {
        options.version = version;
        options.client_id = "c";
        options.clean_start = false;
        options.session_expiry_s = version == ProtocolVersion::v5 ? 100 : 0;
        return options;
    }

    void up(bool present = false, Connack connack = {}) {
        client.connect(now);
        CHECK(take().type == PacketType::connect);
        connack.session_present = present;
        Bytes bytes;
        encode_connack(bytes, connack, version_);
        client.data(bytes, now);
        CHECK(client.connected());
    }

    /// The same for a client with options of its own: a new session.
    void up_as_is() {
        client.connect(now);
        CHECK(take().type == PacketType::connect);
        Bytes bytes;
        encode_connack(bytes, Connack{}, version_);
        client.data(bytes, now);
        CHECK(client.connected());
    }

    Frame take() {
        Framer framer(packet_bytes_format_max);
        held_ = host.out;
        ByteView rest = held_;
        const auto frame = framer.next(rest);
        REQUIRE(frame.has_value());
        if (!*frame)
            return {};
        host.out = Bytes(rest);
        return **frame;
    }

    Publish take_publish() {
        const auto packet = decode_publish(take(), version_, Sender::client, {});
        REQUIRE(packet.has_value());
        return *packet;
    }

    Ack take_ack(PacketType type) {
        const Frame frame = take();
        CHECK(static_cast<int>(frame.type) == static_cast<int>(type));
        const auto packet = decode_ack(frame, version_, {});
        REQUIRE(packet.has_value());
        return *packet;
    }

    void ack(PacketType type, std::uint16_t id, ReasonCode reason = ReasonCode::success) {
        Ack packet;
        packet.packet_id = id;
        packet.reason = reason;
        Bytes bytes;
        encode_ack(bytes, type, packet, version_);
        client.data(bytes, now);
    }

    void publish(std::uint8_t qos, std::uint16_t id) {
        Publish packet;
        packet.topic = "t";
        packet.qos = qos;
        packet.packet_id = id;
        Bytes bytes;
        encode_publish(bytes, packet, version_);
        client.data(bytes, now);
    }

    ProtocolVersion version_;
    Mono now{std::chrono::seconds{1'000}};
    ClientRecorder host;
    Client client;
    Bytes held_;
};

/// A client that has a name and nothing else that is not the default.
inline ClientOptions named(ProtocolVersion version) {
    ClientOptions options;
    options.version = version;
    options.client_id = "c";
    return options;
}

} // namespace brim::mqtt::bench
