#include "fuzz/client_owner.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

namespace brim::fuzz {

using namespace brim::mqtt;

namespace {

/// Small acknowledgements and DISCONNECT are sent even to a server that claims to take fewer bytes.
constexpr std::size_t least_packet_bytes = 32;

/// What the client sends must be a packet.
template <class Packet> Packet sound(const Decoded<Packet>& packet) {
    if (!packet)
        std::abort();
    return *packet;
}

} // namespace

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
    is_connack_read_ = false;
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
        require(open_qos1_ + open_qos2_.size() >= options.receive_maximum);
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
            const auto is_it = [&said](const auto& each) { return each.second == said.packet_id; };
            if (std::ranges::any_of(open_, is_it)) // else it is none of ours, and answered so
                released_.insert(said.packet_id);
        }
        break;
    case PacketType::puback:
    case PacketType::pubcomp:
        answered_.insert(said.packet_id);
        break;
    case PacketType::connack:
        is_connack_read_ = true;
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
    if (is_connack_read_)
        return; // what it settled showed that
    const Said* said = read_to([](const Said& each) { return each.type == PacketType::connack; });
    require(said != nullptr);
    pass(*said);
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

} // namespace brim::fuzz
