// Sequences of packets, cuts, time and host decisions against one broker. Holds: each up has one down, nobody
// is sent what the host denied, every packet the broker sends decodes, each authentication exchange ends once
// and nobody with a method is up without one, and when all have gone and time has passed nothing is left.
#include "mqtt/broker.h"
#include "mqtt/codec.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

using namespace brim;
using namespace brim::mqtt;

namespace {

class Host final : public BrokerHost {
public:
    void send(ConnId conn, ByteView bytes) override {
        if (ended.contains(conn))
            std::abort();
        Framer framer(packet_bytes_format_max);
        const auto frame = framer.next(bytes);
        if (!frame || !*frame || !bytes.empty())
            std::abort();
        const ProtocolVersion version = versions[conn];
        if ((*frame)->type == PacketType::auth &&
            (!methods.contains(conn) || !decode_auth(**frame, version, {})))
            std::abort();
        if ((*frame)->type != PacketType::publish)
            return;
        const auto packet = decode_publish(**frame, version, Sender::server, {});
        if (!packet || packet->topic == "denied")
            std::abort();
    }

    void close(ConnId conn) override { ended.insert(conn); }

    void pause(ConnId, bool) override {}

    void on_connect(ConnId conn, const Connect& connect) override {
        versions[conn] = connect.version;
        if (connect.has_auth_method) {
            if (connect.auth_method != "m" || !methods.insert(conn).second)
                std::abort();
            begin(conn);
            answer(conn, connect.auth_data);
            return;
        }
        if (connect.keepalive_s % 16 == 15) {
            waiting.push_back(conn);
            return;
        }
        admit(conn, connect.client_id);
    }

    void admit(ConnId conn, std::string_view client_id) {
        Admission admission;
        admission.session_key = "k" + std::string(client_id.substr(0, 1));
        admission.qos_max = static_cast<std::uint8_t>(2 - client_id.size() % 2);
        broker->accept(conn, admission, now);
    }

    bool offers_auth(ConnId, std::string_view method) const override { return method == "m"; }

    void on_auth(ConnId conn, const Auth& auth) override {
        if (!methods.contains(conn) || auth.auth_method != "m")
            std::abort();
        if (auth.reason == ReasonCode::re_authenticate)
            begin(conn);
        if (!exchanges.contains(conn))
            std::abort();
        answer(conn, auth.auth_data);
    }

    void on_auth_over(ConnId conn) override {
        thinking.erase(conn);
        if (exchanges.erase(conn) != 1)
            std::abort();
    }

    void begin(ConnId conn) {
        if (!exchanges.insert(conn).second)
            std::abort();
    }

    /// What the host says in an exchange, by the first byte of the client's data.
    void answer(ConnId conn, ByteView data) {
        const int choice = data.empty() ? 0 : data[0] & 7;
        thinking.erase(conn);
        const bool is_up = online_conns.contains(conn);
        switch (choice) {
        case 0:
            broker->continue_auth(conn, "more", "text", now);
            return;
        case 1:
            thinking.insert(conn);
            return;
        case 2:
            exchanges.erase(conn);
            broker->refuse(conn, ReasonCode::not_authorized, "no", now);
            return;
        default:
            exchanges.erase(conn);
            if (is_up) {
                broker->reauthenticated(conn, "other", 1, "done", now);
            } else {
                admit(conn, "a");
            }
        }
    }

    bool authorise(const ConnView&, Action action, std::string_view topic) override {
        return action != Action::receive || topic != "denied";
    }

    Verdict on_publish(const ConnView& who, const MessagePtr& message, AckToken token) override {
        if (message->topic.empty())
            std::abort();
        switch (message->payload.empty() ? 0 : message->payload[0] & 7) {
        case 1:
            tokens.push_back(token);
            return Verdict::pending;
        case 2:
            return Verdict::denied;
        case 3:
            return Verdict::close;
        case 4:
            broker->kick(who.session_key, ReasonCode::banned, true, now);
            return Verdict::route;
        case 5:
            broker->complete(token, ReasonCode::success, now);
            return Verdict::pending;
        case 6:
            return Verdict::consumed;
        default:
            return Verdict::route;
        }
    }

    void on_up(const ConnView& who) override {
        if (who.epoch <= epoch)
            std::abort();
        if (exchanges.contains(who.id))
            std::abort();
        epoch = who.epoch;
        ++ups;
        online_conns.insert(who.id);
        if (!online.insert(std::string(who.session_key)).second)
            std::abort();
    }

    void on_down(const ConnView& who, Ended) override {
        ++downs;
        online_conns.erase(who.id);
        if (online.erase(std::string(who.session_key)) != 1)
            std::abort();
    }

    void on_dropped(std::string_view, std::string_view reason, std::uint64_t count) override {
        if (reason.empty() || count == 0)
            std::abort();
    }

    Broker* broker = nullptr;
    Mono now{std::chrono::seconds{1'000}};
    std::unordered_map<ConnId, ProtocolVersion> versions;
    std::set<ConnId> ended;
    std::set<std::string> online;
    std::vector<ConnId> waiting;
    std::set<ConnId> thinking;     ///< exchanges it is the host's turn in
    std::set<ConnId> methods;      ///< connections that named one
    std::set<ConnId> exchanges;    ///< under way
    std::set<ConnId> online_conns; ///< up
    std::vector<AckToken> tokens;
    std::uint64_t epoch = 0;
    std::uint64_t ups = 0;
    std::uint64_t downs = 0;
};

BrokerLimits small_limits() {
    BrokerLimits limits;
    limits.packet_bytes_max = 2'048;
    limits.inflight_count_max = 3;
    limits.queue_count_max = 4;
    limits.subscriptions_max = 4;
    limits.sessions_max = 3;
    limits.retained_count_max = 3;
    limits.session_expiry_s_max = 30;
    return limits;
}

/// Good packets, so that the fuzzer need not find CONNECT by chance.
Bytes ready_made(std::uint8_t kind, std::uint8_t detail) {
    Bytes out;
    const ProtocolVersion version = (detail & 1) != 0 ? ProtocolVersion::v5 : ProtocolVersion::v311;
    if (kind == 0) {
        Connect packet;
        packet.version = version;
        static constexpr std::array<std::string_view, 4> ids{"a", "b", "cc", "d"};
        packet.client_id = ids[detail >> 1 & 3];
        packet.clean_start = (detail & 8) != 0;
        packet.session_expiry_s = detail & 16;
        packet.keepalive_s = detail;
        packet.topic_alias_max = detail & 3;
        if ((detail & 32) != 0) {
            Message will;
            will.topic = "t";
            will.payload = "7";
            will.qos = 1;
            packet.will = std::make_shared<Message>(std::move(will));
            packet.will_delay_s = detail & 4;
        }
        encode_connect(out, packet);
    } else if (kind == 1) {
        Publish packet;
        packet.topic = (detail & 64) != 0 ? "denied" : "t";
        packet.qos = detail % 3;
        packet.packet_id =
            packet.qos == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(1 + (detail >> 2 & 3));
        packet.retain = (detail & 128) != 0;
        const char first = static_cast<char>(detail >> 3);
        packet.payload = ByteView(&first, 1);
        encode_publish(out, packet, version);
    } else {
        Subscribe packet;
        packet.packet_id = 1;
        static constexpr std::array<std::string_view, 4> filters{"t", "#", "$share/g/t", "+"};
        packet.filters.push_back(
            {filters[detail >> 1 & 3],
             static_cast<std::uint8_t>((detail >> 3) % 3),
             false,
             false,
             RetainHandling::send}
        );
        encode_subscribe(out, packet, version);
    }
    return out;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Host host;
    Broker broker(host, small_limits());
    host.broker = &broker;
    std::array<ConnId, 4> conns{};
    std::size_t at = 0;
    const auto byte = [&]() -> std::uint8_t { return at < size ? data[at++] : std::uint8_t{0}; };
    while (at < size) {
        const std::uint8_t op = byte();
        ConnId& conn = conns[op >> 6];
        if (conn == 0 || host.ended.contains(conn))
            conn = broker.open(host.now);
        const std::uint8_t detail = byte();
        switch (op & 15) {
        case 0:
        case 1:
        case 2:
            broker.data(conn, ready_made(op & 15, detail), host.now);
            break;
        case 3: {
            const std::size_t count = std::min<std::size_t>(detail, size - at);
            broker.data(conn, ByteView(reinterpret_cast<const char*>(data) + at, count), host.now);
            at += count;
            break;
        }
        case 4:
            broker.closed(conn, host.now);
            host.ended.insert(conn);
            break;
        case 5:
            host.now += std::chrono::milliseconds{detail * 50};
            broker.tick(host.now);
            break;
        case 6:
            broker.congested(conn, (detail & 1) != 0, host.now);
            break;
        case 7:
            if (!host.tokens.empty()) {
                const auto reason = (detail & 1) != 0 ? ReasonCode::quota_exceeded : ReasonCode::success;
                broker.complete(host.tokens[detail % host.tokens.size()], reason, host.now);
            }
            break;
        case 8:
            broker.kick(
                std::string("k") + static_cast<char>('a' + (detail & 3)),
                ReasonCode::banned,
                (detail & 4) != 0,
                host.now
            );
            break;
        case 9: {
            Ack ack;
            ack.packet_id = static_cast<std::uint16_t>(1 + (detail & 15));
            Bytes out;
            encode_ack(out, static_cast<PacketType>(4 + (detail >> 4 & 3)), ack, ProtocolVersion::v311);
            broker.data(conn, out, host.now);
            break;
        }
        case 11: {
            Auth auth;
            auth.reason =
                (detail & 1) != 0 ? ReasonCode::continue_authentication : ReasonCode::re_authenticate;
            auth.auth_method = (detail & 128) != 0 ? "n" : "m";
            const char choice = static_cast<char>(detail >> 1 & 7);
            auth.auth_data = ByteView(&choice, 1);
            Bytes out;
            encode_auth(out, auth);
            broker.data(conn, out, host.now);
            break;
        }
        case 12: {
            Connect packet;
            packet.client_id = "a";
            packet.has_auth_method = true;
            packet.auth_method = (detail & 128) != 0 ? "n" : "m";
            packet.packet_bytes_max = (detail & 64) != 0 ? 16 : 0;
            const char choice = static_cast<char>(detail & 7);
            packet.auth_data = ByteView(&choice, 1);
            Bytes out;
            encode_connect(out, packet);
            broker.data(conn, out, host.now);
            break;
        }
        case 13:
            if (!host.thinking.empty()) {
                const char choice = static_cast<char>(detail & 3);
                host.answer(*host.thinking.begin(), ByteView(&choice, 1));
            }
            break;
        case 10:
            if (!host.waiting.empty()) {
                const ConnId waiting = host.waiting.back();
                host.waiting.pop_back();
                if (!host.ended.contains(waiting))
                    host.admit(waiting, "a");
            }
            break;
        default:
            break;
        }
    }
    for (const ConnId conn : conns) {
        broker.closed(conn, host.now);
        host.ended.insert(conn);
    }
    for (int i = 0; i < 40; ++i) {
        host.now += std::chrono::seconds{1};
        broker.tick(host.now);
    }
    const BrokerStats stats = broker.stats();
    if (!host.exchanges.empty())
        std::abort();
    if (host.ups != host.downs || stats.connections != 0 || stats.sessions != 0 || stats.subscriptions != 0 ||
        stats.queued != 0) {
        std::abort();
    }
    return 0;
}
