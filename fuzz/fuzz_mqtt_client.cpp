// A hostile server against one client that has subscriptions, publishes and authentications under way: its
// bytes come in pieces, cut anywhere, between what the client's owner does. Holds: every packet the client
// sends decodes and keeps to the server's limits; nothing is acknowledged that was not received, and nothing
// is received twice or lost; each publish is settled once, with success only when the server said so; memory
// does not grow with what the server claims.
#include "fuzz/require.h"
#include "mqtt/client.h"
#include "mqtt/codec.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <malloc.h>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#if __has_feature(address_sanitizer)
#include <sanitizer/allocator_interface.h>
#endif

using namespace brim;
using namespace brim::mqtt;

namespace {

using brim::fuzz::require;

constexpr std::uint32_t client_packet_bytes_max = 2'048;
constexpr std::size_t steps_max = 100;        // what more of them would show, other inputs show sooner
constexpr std::uint16_t publish_ids = 32'768; // requests use the ids above
/// Small acknowledgements and DISCONNECT are sent even to a server that claims to take fewer bytes.
constexpr std::size_t least_packet_bytes = 32;

std::size_t heap_bytes() {
#if __has_feature(address_sanitizer)
    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

/// What the client sends must be a packet.
template <class Packet> Packet sound(const Decoded<Packet>& packet) {
    if (!packet)
        std::abort();
    return *packet;
}

/// Ends an input that meets what docs/fuzzing.md lists as open.
struct KnownFinding {};

/// What the server has said on this connection, in order, and how far the client's answers show it has read.
struct Said {
    PacketType type = PacketType::reserved;
    std::uint16_t packet_id = 0;
    std::uint8_t qos = 0;
    ReasonCode reason = ReasonCode::success;
    std::string payload;
};

class Owner final : public ClientHost {
public:
    void send(ByteView bytes) override;
    void close(const Error& why) override;
    void on_connected(const Connack& connack) override;
    bool on_message(const MessagePtr& message, std::uint16_t packet_id) override;
    void on_settled(PublishTag tag, ReasonCode reason) override;
    void on_subscribed(std::string_view filter, ReasonCode reason) override;
    bool on_auth(const Auth& auth) override;

    void connect();
    void receive(ByteView bytes, std::size_t piece);
    void publish(std::uint8_t detail);
    void check_quiet();

    Client* client = nullptr;
    ClientOptions options;
    Mono now{std::chrono::seconds{1'000}};
    void accept(std::uint16_t packet_id);

    /// Messages of QoS 1 and 2 that we have not accepted yet, in their order: packet id and QoS.
    std::vector<std::pair<std::uint16_t, std::uint8_t>> deferred;
    std::uint16_t last_request = publish_ids + 1;

private:
    void hear(ByteView bytes);
    void hear(const Frame& frame);
    template <class Found> const Said* read_to(Found found);
    bool is_repeated(const Said& said) const;
    void pass(const Said& said);
    void sent_publish(const Publish& packet, std::size_t bytes);
    void sent_ack(PacketType type, const Ack& ack);
    void acknowledge_all();

    // the connection
    bool is_open_ = false;
    bool is_up_ = false;
    bool was_cut_ = false; ///< something ended it inside the present call
    ProtocolVersion version_ = ProtocolVersion::v5;
    Framer framer_{client_packet_bytes_max};
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
    bool is_forgotten_ = false;                 ///< the server has no session of ours, or cannot say
    // the session
    std::set<std::uint16_t> held_; ///< QoS 2 between our accepting it and the server's PUBREL
    std::map<PublishTag, std::uint16_t> open_;
    std::set<std::uint16_t> released_; ///< own QoS 2 whose PUBREC has come
    std::uint16_t last_publish_id_ = 0;
    PublishTag next_tag_ = 1;
};

void Owner::connect() {
    is_open_ = true;
    is_up_ = false;
    was_cut_ = true;
    version_ = options.version;
    framer_ = Framer(client_packet_bytes_max);
    is_sound_ = true;
    said_.clear();
    deferred.clear();
    owed_puback_.clear();
    owed_pubrec_.clear();
    owed_pubcomp_.clear();
    open_qos1_ = 0;
    open_qos2_.clear();
    pubrec_heard_.clear();
    answered_.clear();
    on_the_wire_.clear();
    released_again_.clear();
    is_forgotten_ = false;
    if (options.clean_start || (options.client_id.empty() && version_ != ProtocolVersion::v5))
        held_.clear();
    client->set_options(options);
    client->connect(now);
}

void Owner::close(const Error& why) {
    require(is_open_ && !why.cause.empty());
    if (why.cause.ends_with("Receive Maximum")) {
        (void
        )read_to([this](const Said& each) { return each.type == PacketType::publish && !is_repeated(each); });
        if (open_qos1_ + open_qos2_.size() < options.receive_maximum)
            throw KnownFinding(
            ); // a QoS 2 message that is accepted, but waits for one before it, counts twice
    }
    is_open_ = false;
    is_up_ = false;
    was_cut_ = true;
    deferred.clear(); // the client forgets them too: the server sends them again
}

/// Keeps what came, as far as it is sound; the client reads it in the same order.
void Owner::hear(ByteView bytes) {
    while (is_sound_) {
        const auto next = framer_.next(bytes);
        is_sound_ = next.has_value();
        const std::optional<Frame> frame = next ? *next : std::nullopt;
        if (!frame)
            return;
        hear(*frame);
    }
}

void Owner::hear(const Frame& frame) {
    Said said;
    said.type = frame.type;
    switch (frame.type) {
    case PacketType::publish: {
        const auto packet = decode_publish(frame, version_, Sender::server, {});
        if (!packet)
            return void(is_sound_ = false);
        said.packet_id = packet->packet_id;
        said.qos = packet->qos;
        said.payload = packet->payload;
        break;
    }
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubrel:
    case PacketType::pubcomp: {
        const auto packet = decode_ack(frame, version_, {});
        if (!packet)
            return void(is_sound_ = false);
        said.packet_id = packet->packet_id;
        said.reason = packet->reason;
        break;
    }
    case PacketType::connack: {
        const auto packet = decode_connack(frame, version_, {});
        if (!packet || packet->reason != ReasonCode::success)
            return void(is_sound_ = false);
        if (!is_up_) {
            server_packet_bytes_max_ = packet->packet_bytes_max;
            server_receive_maximum_ = packet->receive_maximum;
            is_up_ = true;
        }
        said.qos = packet->session_present ? 1 : 0;
        break;
    }
    default:
        break;
    }
    said_.push_back(std::move(said));
}

/// The client has handled this one.
void Owner::pass(const Said& said) {
    switch (said.type) {
    case PacketType::pubrel:
        held_.erase(said.packet_id);
        ++owed_pubcomp_[said.packet_id];
        break;
    case PacketType::publish:
        // One that was not given to us must be a QoS 2 that we hold: its answer is due again.
        if (said.qos == 2) {
            ++owed_pubrec_[said.packet_id];
            open_qos2_.insert(said.packet_id);
        }
        break;
    case PacketType::pubrec:
        if (is_failure(said.reason)) {
            answered_.insert(said.packet_id);
        } else {
            ++pubrec_heard_[said.packet_id];
            released_.insert(said.packet_id);
        }
        break;
    case PacketType::puback:
    case PacketType::pubcomp:
        answered_.insert(said.packet_id);
        break;
    case PacketType::connack:
        is_forgotten_ = said.qos == 0;
        if (is_forgotten_ && version_ != ProtocolVersion::v31) // which cannot say so
            held_.clear();
        break;
    default:
        break;
    }
}

/// A QoS 2 that we have, so that it must not be given to us again.
bool Owner::is_repeated(const Said& said) const {
    const auto is_same = [&said](const auto& each) {
        return each.second == 2 && each.first == said.packet_id;
    };
    return said.qos == 2 && (held_.contains(said.packet_id) || std::ranges::any_of(deferred, is_same));
}

/// The oldest of this id counts, should the server have given it twice.
void Owner::accept(std::uint16_t packet_id) {
    const auto is_it = [packet_id](const auto& each) { return each.first == packet_id; };
    const auto place = std::ranges::find_if(deferred, is_it);
    if (place == deferred.end())
        return;
    if (place->second == 2)
        held_.insert(packet_id);
    deferred.erase(place);
}

/// Passes what the client must have handled before the packet it shows to have reached now. Null: it never
/// came.
template <class Found> const Said* Owner::read_to(Found found) {
    static Said here;
    while (!said_.empty()) {
        here = std::move(said_.front());
        said_.pop_front();
        if (found(here))
            return &here;
        require(here.type != PacketType::publish || is_repeated(here));
        pass(here);
    }
    return nullptr;
}

bool Owner::on_message(const MessagePtr& message, std::uint16_t packet_id) {
    if (message->qos == 2 && std::ranges::count(deferred, std::pair(packet_id, message->qos)) > 0)
        throw KnownFinding(); // given twice while we have not accepted it
    const Said* said =
        read_to([this](const Said& each) { return each.type == PacketType::publish && !is_repeated(each); });
    require(said != nullptr && said->packet_id == packet_id && said->qos == message->qos);
    require(said->payload == message->payload && !message->topic.empty());
    if (message->qos == 1) {
        ++owed_puback_[packet_id];
        ++open_qos1_;
    }
    if (message->qos == 2) {
        ++owed_pubrec_[packet_id];
        open_qos2_.insert(packet_id);
    }
    if (packet_id != 0)
        deferred.emplace_back(packet_id, message->qos);
    const int choice = message->payload.empty() ? 0 : message->payload[0] & 15;
    const bool takes_it = choice != 1;
    switch (choice) {
    case 2:
        is_up_ = false;
        was_cut_ = true;
        client->disconnect(ReasonCode::normal_disconnection, now);
        is_open_ = false;
        deferred.clear();
        break;
    case 3:
        client->abandon();
        open_.clear();
        released_.clear();
        on_the_wire_.clear();
        break;
    case 4:
        publish(static_cast<std::uint8_t>(packet_id));
        break;
    case 5:
        connect();
        break;
    case 6:
        acknowledge_all();
        break;
    default:
        break;
    }
    if (takes_it && !was_cut_)
        accept(packet_id);
    return takes_it;
}

void Owner::acknowledge_all() {
    while (!deferred.empty()) {
        const std::uint16_t packet_id = deferred.front().first;
        accept(packet_id);
        client->acknowledge(packet_id, now);
    }
}

void Owner::sent_publish(const Publish& packet, std::size_t bytes) {
    require(is_up_ && (server_packet_bytes_max_ == 0 || bytes <= server_packet_bytes_max_));
    if (packet.qos == 0)
        return;
    require(packet.packet_id <= publish_ids && on_the_wire_.insert(packet.packet_id).second);
    require(on_the_wire_.size() <= std::min<std::size_t>(options.inflight_max, server_receive_maximum_));
    last_publish_id_ = packet.packet_id;
}

void Owner::sent_ack(PacketType type, const Ack& ack) {
    const auto take = [&ack](std::map<std::uint16_t, int>& owed) {
        const auto place = owed.find(ack.packet_id);
        require(place != owed.end() && place->second > 0);
        if (--place->second == 0)
            owed.erase(place);
    };
    // Of what we were given, not of what we have not accepted yet.
    const auto take_accepted = [&](std::map<std::uint16_t, int>& owed, std::uint8_t qos) {
        const auto waiting = std::ranges::count(deferred, std::pair(ack.packet_id, qos));
        require(owed[ack.packet_id] > waiting);
        take(owed);
    };
    const auto reach = [&](PacketType wanted, auto also) {
        const Said* said = read_to([&](const Said& each) {
            return each.type == wanted && each.packet_id == ack.packet_id && also(each);
        });
        require(said != nullptr);
        pass(*said);
    };
    require(is_up_);
    if (type == PacketType::puback) {
        --open_qos1_;
        return take_accepted(owed_puback_, 1);
    }
    if (type == PacketType::pubrec) {
        if (!owed_pubrec_.contains(ack.packet_id)) {
            reach(PacketType::publish, [](const Said& each) { return each.qos == 2; });
        }
        return take_accepted(owed_pubrec_, 2);
    }
    if (type == PacketType::pubcomp) {
        if (!owed_pubcomp_.contains(ack.packet_id))
            reach(PacketType::pubrel, [](const Said&) { return true; });
        open_qos2_.erase(ack.packet_id);
        return take(owed_pubcomp_);
    }
    // PUBREL: an answer to PUBREC, or said again on a new connection.
    if (pubrec_heard_.contains(ack.packet_id))
        return take(pubrec_heard_);
    if (released_.contains(ack.packet_id) && released_again_.insert(ack.packet_id).second)
        return;
    reach(PacketType::pubrec, [](const Said& each) { return !is_failure(each.reason); });
    take(pubrec_heard_);
}

void Owner::send(ByteView bytes) {
    require(is_open_);
    Framer framer(packet_bytes_format_max);
    const std::size_t size = bytes.size();
    const auto next = framer.next(bytes);
    const std::optional<Frame> whole = next ? *next : std::nullopt;
    if (!whole)
        std::abort();
    const Frame& frame = *whole;
    const std::size_t bytes_max = std::max<std::size_t>(server_packet_bytes_max_, least_packet_bytes);
    require(bytes.empty() && (!is_up_ || server_packet_bytes_max_ == 0 || size <= bytes_max));
    switch (frame.type) {
    case PacketType::connect:
        (void)sound(decode_connect(frame, {}));
        break;
    case PacketType::publish:
        sent_publish(sound(decode_publish(frame, version_, Sender::client, {})), size);
        break;
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubrel:
    case PacketType::pubcomp:
        sent_ack(frame.type, sound(decode_ack(frame, version_, {})));
        break;
    case PacketType::subscribe:
        last_request = sound(decode_subscribe(frame, version_, {})).packet_id;
        require(last_request > publish_ids);
        break;
    case PacketType::unsubscribe:
        last_request = sound(decode_unsubscribe(frame, version_, {})).packet_id;
        require(last_request > publish_ids);
        break;
    case PacketType::pingreq:
        require(is_valid_ping(frame));
        break;
    case PacketType::disconnect:
        (void)sound(decode_disconnect(frame, version_, Sender::client, {}));
        break;
    default:
        require(frame.type == PacketType::auth && !options.auth_method.empty());
        (void)sound(decode_auth(frame, version_, {}));
    }
}

void Owner::on_connected(const Connack& connack) {
    require(is_open_ && is_up_ && client->connected());
    require(connack.reason == ReasonCode::success);
}

void Owner::on_settled(PublishTag tag, ReasonCode reason) {
    const auto place = open_.find(tag);
    require(place != open_.end());
    const std::uint16_t packet_id = place->second;
    open_.erase(place);
    on_the_wire_.erase(packet_id);
    const bool is_own_doing = reason == ReasonCode::packet_too_large ||
                              reason == ReasonCode::qos_not_supported ||
                              reason == ReasonCode::retain_not_supported;
    const bool was_released = released_.contains(packet_id);
    // What had its PUBREC is the server's, also when the server has then forgotten the session.
    if (!is_own_doing && !answered_.contains(packet_id) && !(was_released && is_forgotten_)) {
        const Said* said = read_to([&](const Said& each) {
            if (each.type == PacketType::connack)
                return was_released && each.qos == 0;
            const bool is_last = each.type == PacketType::puback || each.type == PacketType::pubcomp ||
                                 (each.type == PacketType::pubrec && is_failure(each.reason));
            return is_last && each.packet_id == packet_id;
        });
        require(said != nullptr);
        require(said->reason == reason || said->type == PacketType::pubcomp);
        pass(*said);
    }
    released_.erase(packet_id);
    released_again_.erase(packet_id);
    answered_.erase(packet_id);
}

void Owner::on_subscribed(std::string_view filter, ReasonCode reason) {
    require(is_up_ && !filter.empty() && (is_failure(reason) || reason <= ReasonCode::granted_qos2));
}

bool Owner::on_auth(const Auth& auth) {
    require(is_open_ && auth.auth_method == options.auth_method);
    const int choice = auth.auth_data.empty() ? 0 : auth.auth_data[0] & 3;
    if (choice == 1)
        (void)client->authenticate("answer", now);
    return choice != 2;
}

void Owner::publish(std::uint8_t detail) {
    Message message;
    message.topic = (detail & 64) != 0 ? "topic/of/some/length" : "t";
    message.payload.assign(detail & 32, 'p');
    message.qos = detail % 3;
    message.retain = (detail & 128) != 0;
    const PublishTag tag = next_tag_++;
    const bool may = client->quota() > 0;
    const auto done = client->publish(message, tag, now);
    if (message.qos == 0 || !done)
        return;
    require(may && is_up_);
    open_.emplace(tag, last_publish_id_);
    answered_.erase(last_publish_id_);
    released_.erase(last_publish_id_);
}

void Owner::receive(ByteView bytes, std::size_t piece) {
    while (!bytes.empty() && is_open_) {
        const ByteView part = bytes.substr(0, piece);
        bytes.remove_prefix(part.size());
        was_cut_ = false;
        hear(part);
        client->data(part, now);
        if (was_cut_)
            return; // what followed is lost with the connection
        // All of it was handled: no message is left behind.
        (void)read_to([](const Said&) { return false; });
    }
}

void Owner::check_quiet() {
    require(client->inflight() == open_.size());
    require(client->quota() <= options.inflight_max);
    require(client->connected() ? is_open_ : client->quota() == 0);
}

Bytes connack(std::uint8_t detail, ProtocolVersion version) {
    Connack packet;
    packet.session_present = (detail & 1) != 0;
    if (version == ProtocolVersion::v5) {
        packet.receive_maximum = (detail & 2) != 0 ? 2 : 65'535;
        packet.packet_bytes_max = (detail & 4) != 0 ? 24 : 0;
        packet.qos_max = (detail & 8) != 0 ? 1 : 2;
        packet.retain_available = (detail & 16) == 0;
        packet.has_server_keepalive = (detail & 32) != 0;
        packet.server_keepalive_s = 7;
        packet.has_auth_method = (detail & 64) != 0;
        packet.auth_method = packet.has_auth_method ? "m" : "";
    }
    Bytes out;
    encode_connack(out, packet, version);
    return out;
}

Bytes server_publish(std::uint8_t detail, ProtocolVersion version) {
    Publish packet;
    packet.topic = "t";
    packet.qos = detail % 3;
    packet.packet_id = packet.qos == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(1 + (detail >> 2 & 3));
    packet.dup = packet.qos != 0 && (detail & 128) != 0;
    const char first = static_cast<char>(detail >> 3);
    packet.payload = ByteView(&first, 1);
    Bytes out;
    encode_publish(out, packet, version);
    return out;
}

Bytes server_ack(std::uint8_t detail, ProtocolVersion version) {
    Ack ack;
    ack.packet_id = static_cast<std::uint16_t>(1 + (detail & 7));
    ack.reason = (detail & 32) != 0 ? ReasonCode::quota_exceeded : ReasonCode::success;
    const auto type = static_cast<PacketType>(4 + (detail >> 3 & 3));
    if (type == PacketType::pubrel || type == PacketType::pubcomp)
        ack.reason = ReasonCode::success;
    Bytes out;
    encode_ack(out, type, ack, version);
    return out;
}

Bytes server_answer(std::uint8_t detail, std::uint16_t last_request, ProtocolVersion version) {
    Bytes out;
    const auto packet_id = static_cast<std::uint16_t>(last_request - (detail & 1));
    const std::vector<ReasonCode> reasons(1 + (detail >> 1 & 1), ReasonCode::granted_qos0);
    if ((detail & 4) != 0) {
        Unsuback packet;
        packet.packet_id = packet_id;
        packet.reasons = reasons;
        encode_unsuback(out, packet, version);
    } else {
        Suback packet;
        packet.packet_id = packet_id;
        packet.reasons = reasons;
        encode_suback(out, packet, version);
    }
    return out;
}

Bytes server_auth(std::uint8_t detail) {
    Auth auth;
    auth.reason = (detail & 1) != 0 ? ReasonCode::continue_authentication : ReasonCode::success;
    auth.auth_method = (detail & 128) != 0 ? "n" : "m";
    const char choice = static_cast<char>(detail >> 1 & 3);
    auth.auth_data = ByteView(&choice, 1);
    Bytes out;
    encode_auth(out, auth);
    return out;
}

Bytes server_end(std::uint8_t detail) {
    if ((detail & 1) != 0)
        return Bytes("\xD0\x00", 2); // PINGRESP
    Bytes out;
    Disconnect packet;
    packet.reason = ReasonCode::server_shutting_down;
    encode_disconnect(out, packet, ProtocolVersion::v5);
    return out;
}

void set_options(ClientOptions& options, std::uint8_t detail) {
    static constexpr std::array versions{
        ProtocolVersion::v5, ProtocolVersion::v5, ProtocolVersion::v311, ProtocolVersion::v31
    };
    options.version = versions[detail & 3];
    options.client_id = "c";
    options.clean_start = (detail & 4) != 0;
    options.session_expiry_s = 60;
    options.receive_maximum = (detail & 8) != 0 ? 2 : 8;
    options.inflight_max = (detail & 16) != 0 ? 2 : 6;
    options.auth_method = (detail & 32) != 0 ? "m" : "";
    options.keepalive_s = 10;
    options.packet_bytes_max = client_packet_bytes_max;
}

/// What the owner of the client does.
void act(Owner& owner, Client& client, std::uint8_t op, std::uint8_t detail) {
    switch (op) {
    case 0:
        owner.publish(detail);
        break;
    case 1:
        (void)client.subscribe({{(detail & 1) != 0 ? "#" : "a/b", detail % 3}}, owner.now);
        break;
    case 2:
        (void)client.unsubscribe({"a/b"}, owner.now);
        break;
    case 3:
        if (!owner.deferred.empty()) {
            const std::uint16_t packet_id = owner.deferred[detail % owner.deferred.size()].first;
            owner.accept(packet_id);
            client.acknowledge(packet_id, owner.now);
        }
        break;
    case 4:
        owner.now += std::chrono::milliseconds{detail * 100};
        require(client.tick(owner.now) > owner.now);
        break;
    case 5:
        if ((detail & 1) != 0)
            (void)client.reauthenticate("data", owner.now);
        else
            (void)client.authenticate("data", owner.now);
        break;
    case 6:
        set_options(owner.options, detail);
        [[fallthrough]];
    default:
        client.closed(owner.now);
        owner.connect();
    }
}

void run(const std::uint8_t* data, std::size_t size) {
    const std::size_t heap_before = heap_bytes();
    Owner owner;
    set_options(owner.options, size > 0 ? data[0] : 0);
    Client client(owner, owner.options);
    owner.client = &client;
    owner.connect();
    std::size_t at = std::min<std::size_t>(size, 1);
    const auto byte = [&]() -> std::uint8_t { return at < size ? data[at++] : std::uint8_t{0}; };
    Bytes wire; // bytes of the server that have not come yet
    for (std::size_t steps = 0; at < size && steps < steps_max; ++steps) {
        const std::uint8_t op = byte();
        const std::uint8_t detail = byte();
        const ProtocolVersion version = owner.options.version;
        switch (op & 15) {
        case 8:
            wire += connack(detail, version);
            break;
        case 9:
            wire += server_publish(detail, version);
            break;
        case 10:
            wire += server_ack(detail, version);
            break;
        case 11:
            wire += server_answer(detail, owner.last_request, version);
            break;
        case 12:
            wire += server_auth(detail);
            break;
        case 13:
            wire += server_end(detail);
            break;
        case 14:
        case 15: {
            const std::size_t count = std::min<std::size_t>(detail, size - at);
            wire.append(reinterpret_cast<const char*>(data) + at, count);
            at += count;
            break;
        }
        default:
            act(owner, client, op & 7, detail);
        }
        // Bit 7 keeps the server's bytes for later, so that several packets come at once.
        if (!wire.empty() && (op & 128) == 0) {
            const Bytes now_due = std::move(wire);
            wire.clear();
            owner.receive(now_due, (op >> 4 & 7) == 0 ? now_due.size() : op >> 4 & 7);
        }
        owner.check_quiet();
    }
    require(heap_bytes() <= heap_before + 131'072 + 64 * size);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        run(data, size);
    } catch (const KnownFinding&) {
        return 0; // the input ends there
    }
    return 0;
}
