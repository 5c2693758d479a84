#pragma once
// A broker on a bench: a host that remembers what it was told, a clock moved by hand, and peers that speak
// raw bytes.

#include "mqtt/broker.h"
#include "mqtt/codec.h"

#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace brim::mqtt::bench {

struct Down {
    std::string key;
    std::uint64_t epoch;
    Ended why;
};

struct SaidAuth {
    ConnId conn;
    ReasonCode reason;
    Bytes data;
};

struct Published {
    std::string key;
    MessagePtr message;
    AckToken token;
};

class Host final : public BrokerHost {
public:
    void send(ConnId conn, ByteView bytes) override {
        out[conn] += bytes;
        if (after_send)
            after_send(conn);
    }

    void close(ConnId conn) override { closed.insert(conn); }

    void pause(ConnId conn, bool is_paused) override {
        if (is_paused) {
            paused.insert(conn);
        } else {
            paused.erase(conn);
        }
    }

    void on_connect(ConnId conn, const Connect& connect) override {
        ++connects;
        last_password = connect.password;
        last_connect_user_properties = connect.user_properties.size();
        if (connect_hook) {
            connect_hook(conn, connect);
            return;
        }
        if (answer_later) {
            waiting.push_back(conn);
            return;
        }
        if (refusal != ReasonCode::success) {
            broker->refuse(conn, refusal, "no", now);
            return;
        }
        Admission admission = prototype;
        if (admission.session_key.empty())
            admission.session_key = connect.client_id;
        if (connect.client_id.empty()) {
            admission.assigned_client_id = "assigned-" + std::to_string(conn);
            if (admission.session_key.empty())
                admission.session_key = admission.assigned_client_id;
        }
        admission.principal = admission.session_key;
        broker->accept(conn, admission, now);
    }

    void on_packet(const ConnView&, bool is_inbound, PacketType type, std::uint8_t, ByteView) override {
        if (packet_hook)
            packet_hook(is_inbound, type);
    }

    bool offers_auth(ConnId, std::string_view method) const override {
        return !auth_method.empty() && method == auth_method;
    }

    void on_auth(ConnId conn, const Auth& auth) override {
        auths.push_back({conn, auth.reason, Bytes(auth.auth_data)});
        if (auth_hook)
            auth_hook(conn, auth);
    }

    void on_auth_over(ConnId conn) override { auths_over.push_back(conn); }

    void tick_by(Mono due) override { tick_due = due; }

    std::size_t queued(ConnId conn) override { return waiting_bytes[conn]; }

    bool authorise(const ConnView& who, Action action, std::string_view topic) override {
        asked.emplace_back(action, topic);
        if (asked.size() > 100'000)
            asked.clear();
        return !permit || permit(who, action, topic);
    }

    Verdict on_publish(const ConnView& who, const MessagePtr& message, AckToken token) override {
        published.push_back({std::string(who.session_key), message, token});
        return judge ? judge(who, message, token) : Verdict::route;
    }

    void on_up(const ConnView& who) override {
        epochs.push_back(who.epoch);
        ups.emplace_back(who.session_key);
        if (up_hook)
            up_hook(who);
    }

    void on_down(const ConnView& who, Ended why) override {
        downs.push_back({std::string(who.session_key), who.epoch, why});
    }

    void on_dropped(std::string_view, std::string_view reason, std::uint64_t count) override {
        dropped[std::string(reason)] += count;
    }

    Broker* broker = nullptr;
    Mono now{std::chrono::seconds{1'000}};
    std::map<ConnId, Bytes> out;
    std::set<ConnId> closed;
    std::set<ConnId> paused;
    std::vector<ConnId> waiting;
    Mono tick_due = Mono::max();                 ///< what tick_by() said last
    std::map<ConnId, std::size_t> waiting_bytes; ///< output, as queued() tells
    std::vector<std::pair<Action, std::string>> asked;
    std::string auth_method; ///< the one that is offered; empty = none
    std::vector<SaidAuth> auths;
    std::vector<ConnId> auths_over;
    std::vector<Published> published;
    std::vector<std::string> ups;
    std::vector<std::uint64_t> epochs;
    std::vector<Down> downs;
    std::map<std::string, std::uint64_t> dropped;
    std::string last_password;
    std::size_t last_connect_user_properties = 0;
    std::size_t connects = 0;
    Admission prototype;
    bool answer_later = false;
    ReasonCode refusal = ReasonCode::success;
    std::function<bool(const ConnView&, Action, std::string_view)> permit;
    std::function<Verdict(const ConnView&, const MessagePtr&, AckToken)> judge;
    std::function<void(const ConnView&)> up_hook;
    std::function<void(ConnId, const Connect&)> connect_hook;
    std::function<void(ConnId, const Auth&)> auth_hook;
    std::function<void(ConnId)> after_send;
    std::function<void(bool, PacketType)> packet_hook;
};

/// The broker, its host and its clock.
class Bench {
public:
    explicit Bench(BrokerLimits limits = {}, Journal* journal = nullptr) : broker(host, limits, journal) {
        host.broker = &broker;
    }

    /// Moves the clock and runs the timers as often as the broker asks for it.
    void advance(Duration by) {
        const Mono end = host.now + by;
        for (;;) {
            const Mono next = broker.tick(host.now);
            if (next > end)
                break;
            host.now = std::max(next, host.now + std::chrono::milliseconds{1});
            if (host.now > end)
                break;
        }
        host.now = end;
        broker.tick(host.now);
    }

    Host host;
    Broker broker;
};

/// What a peer received, kept alive.
struct Received {
    PacketType type = PacketType::reserved;
    std::uint8_t flags = 0;
    Bytes body;

    Frame frame() const { return {type, flags, body}; }
};

inline constexpr ProtocolVersion both[] = {ProtocolVersion::v311, ProtocolVersion::v5};

/// One client connection in raw bytes.
class Peer {
public:
    explicit Peer(Bench& bench, ProtocolVersion version = ProtocolVersion::v5)
        : bench_(bench), version_(version), id_(bench.broker.open(bench.host.now)) {}

    ConnId id() const { return id_; }

    ProtocolVersion version() const { return version_; }

    bool is_closed() const { return bench_.host.closed.contains(id_); }

    Peer& raw(ByteView bytes) {
        bench_.broker.data(id_, bytes, bench_.host.now);
        return *this;
    }

    void cut() { bench_.broker.closed(id_, bench_.host.now); }

    Peer& connect(Connect packet) {
        packet.version = version_;
        Bytes bytes;
        encode_connect(bytes, packet);
        return raw(bytes);
    }

    /// CONNECT and its CONNACK. Views in answers live until the next packet is taken.
    Connack join(std::string_view client_id, bool clean_start = true, std::uint32_t session_expiry_s = 0) {
        Connect packet;
        packet.client_id = client_id;
        packet.clean_start = clean_start;
        packet.session_expiry_s = session_expiry_s;
        return join(packet);
    }

    Connack join(const Connect& packet) {
        connect(packet);
        return connack();
    }

    Connack connack() {
        const auto packet = decode_connack((last_ = take(PacketType::connack)).frame(), version_, {});
        REQUIRE(packet.has_value());
        return *packet;
    }

    Peer& publish(
        std::string_view topic,
        ByteView payload,
        std::uint8_t qos = 0,
        std::uint16_t id = 0,
        bool retain = false
    ) {
        Publish packet;
        packet.topic = topic;
        packet.payload = payload;
        packet.qos = qos;
        packet.packet_id = id;
        packet.retain = retain;
        return publish(packet);
    }

    Peer& publish(const Publish& packet) {
        Bytes bytes;
        encode_publish(bytes, packet, version_);
        return raw(bytes);
    }

    Peer& ack(PacketType type, std::uint16_t id, ReasonCode reason = ReasonCode::success) {
        Ack packet;
        packet.packet_id = id;
        packet.reason = reason;
        Bytes bytes;
        encode_ack(bytes, type, packet, version_);
        return raw(bytes);
    }

    std::vector<ReasonCode>
    subscribe(std::vector<SubscribeFilter> filters, std::uint32_t id = 0, std::uint16_t packet_id = 1) {
        Subscribe packet;
        packet.packet_id = packet_id;
        packet.subscription_id = id;
        packet.filters = std::move(filters);
        Bytes bytes;
        encode_subscribe(bytes, packet, version_);
        raw(bytes);
        if (is_closed())
            return {};
        const auto answer = decode_suback(take(PacketType::suback).frame(), version_, {});
        REQUIRE(answer.has_value());
        CHECK(answer->packet_id == packet_id);
        return answer->reasons;
    }

    ReasonCode subscribe(std::string_view filter, std::uint8_t qos = 0, std::uint32_t id = 0) {
        SubscribeFilter wanted;
        wanted.filter = filter;
        wanted.qos = qos;
        const auto reasons = subscribe({wanted}, id);
        return reasons.empty() ? ReasonCode::unspecified_error : reasons[0];
    }

    Peer& unsubscribe(std::string_view filter) {
        Unsubscribe packet;
        packet.packet_id = 9;
        packet.filters.push_back(filter);
        Bytes bytes;
        encode_unsubscribe(bytes, packet, version_);
        return raw(bytes);
    }

    Peer& disconnect(ReasonCode reason = ReasonCode::normal_disconnection) {
        Disconnect packet;
        packet.reason = reason;
        Bytes bytes;
        encode_disconnect(bytes, packet, version_);
        return raw(bytes);
    }

    /// The next packet; type reserved when there is none.
    Received next() {
        Bytes& out = bench_.host.out[id_];
        Framer framer(packet_bytes_format_max);
        ByteView rest = out;
        const auto frame = framer.next(rest);
        REQUIRE(frame.has_value());
        if (!*frame)
            return {};
        Received received{(*frame)->type, (*frame)->flags, Bytes((*frame)->body)};
        out.erase(0, out.size() - rest.size());
        return received;
    }

    bool is_quiet() { return bench_.host.out[id_].empty(); }

    Received take(PacketType type) {
        Received received = next();
        CHECK(static_cast<int>(received.type) == static_cast<int>(type));
        return received;
    }

    /// The next packet, which must be a PUBLISH. Views point into the peer and live until the next call.
    Publish message() {
        last_ = take(PacketType::publish);
        const auto packet = decode_publish(last_.frame(), version_, Sender::server, {});
        REQUIRE(packet.has_value());
        return *packet;
    }

    Ack acked(PacketType type) {
        const auto packet = decode_ack((last_ = take(type)).frame(), version_, {});
        REQUIRE(packet.has_value());
        return *packet;
    }

    /// The reason of the DISCONNECT that came before the close.
    ReasonCode goodbye() {
        CHECK(is_closed());
        Received received = next();
        while (received.type != PacketType::disconnect && received.type != PacketType::reserved)
            received = next();
        const auto packet = decode_disconnect(received.frame(), version_, Sender::server, {});
        REQUIRE(packet.has_value());
        return received.type == PacketType::disconnect ? packet->reason : ReasonCode::success;
    }

private:
    Bench& bench_;
    ProtocolVersion version_;
    ConnId id_;
    Received last_;
};

inline MessagePtr message(std::string topic, std::string payload, std::uint8_t qos = 0, bool retain = false) {
    auto made = std::make_shared<Message>();
    made->topic = std::move(topic);
    made->payload = std::move(payload);
    made->qos = qos;
    made->retain = retain;
    return made;
}

} // namespace brim::mqtt::bench
