// The client's messages: the outbound window, subscriptions, what comes in.

#include "mqtt/internal/client_core.h"
#include "mqtt/topic_filter.h"

#include <algorithm>

namespace brim::mqtt {

namespace {

/// Publishes use the ids 1..32,768 in turn and requests those above, so that they never meet.
constexpr std::uint32_t publish_ids = 32'768;
constexpr std::uint32_t request_ids = 65'535 - publish_ids;
constexpr std::size_t pending_requests_max = 1'000;
/// Places beyond those unacknowledged that the window may span when the server acknowledges out of order.
constexpr std::uint32_t span_factor = 2;

std::uint16_t id_of(std::uint64_t sequence) {
    return static_cast<std::uint16_t>(sequence % publish_ids + 1);
}

std::unexpected<Error> not_connected() {
    return fail(Errc::closed, "MQTT connection", "not connected", "try again when it is up");
}

} // namespace

std::uint32_t Client::Core::packet_bytes_max() const {
    return server_packet_bytes_max_ == 0 ? packet_bytes_format_max : server_packet_bytes_max_;
}

std::uint32_t Client::Core::window() const {
    return std::min<std::uint32_t>(
        std::max<std::uint16_t>(1, options_.inflight_max), server_receive_maximum_
    );
}

std::size_t Client::Core::quota() const {
    if (stage_ != Stage::up || resend_from_ != outbound_.size())
        return 0;
    const std::size_t span_max = std::min<std::size_t>(std::size_t{window()} * span_factor, publish_ids / 2);
    if (unacked_ >= window() || outbound_.size() >= span_max)
        return 0;
    return std::min<std::size_t>(window() - unacked_, span_max - outbound_.size());
}

Result<void> Client::Core::publish(const Message& message, PublishTag tag, Mono now) {
    if (stage_ != Stage::up)
        return not_connected();
    if (message.qos > server_qos_max_) {
        return fail(
            Errc::unsupported,
            "message to " + message.topic,
            "the server does not take this QoS",
            "publish with a lower QoS"
        );
    }
    if (message.retain && !server_retain_available_) {
        return fail(
            Errc::unsupported,
            "message to " + message.topic,
            "the server does not retain",
            "publish without retain"
        );
    }
    if (!is_sound(message, codec_limits_)) {
        return fail(
            Errc::invalid,
            "message",
            "its topic, QoS or properties are not such as MQTT allows",
            "use topic names without wildcards, UTF-8 text and QoS 0, 1 or 2"
        );
    }
    if (message.qos != 0 && quota() == 0) {
        return fail(Errc::busy, "MQTT connection", "the send quota is used up", "wait for acknowledgements");
    }
    Publish packet = publish_view(message);
    packet.packet_id = message.qos == 0 ? std::uint16_t{0} : id_of(out_sequence_);
    Bytes bytes;
    encode_publish(bytes, packet, version_);
    if (bytes.size() > packet_bytes_max()) {
        return fail(
            Errc::too_large,
            "message to " + message.topic,
            "over the server's maximum packet size",
            "split it"
        );
    }
    if (message.qos == 0) {
        send(bytes, now);
        return {};
    }
    Outbound place;
    place.packet = std::move(bytes);
    place.tag = tag;
    place.version = version_;
    place.state = message.qos == 1 ? State::wait_puback : State::wait_pubrec;
    place.is_sent = true;
    place.was_sent = true;
    outbound_.push_back(std::move(place));
    ++out_sequence_;
    ++unacked_;
    ++resend_from_;
    ++unsettled_;
    const Bytes copy =
        outbound_[outbound_.size() - 1].packet; // the host may settle or abandon from inside send()
    send(copy, now);
    return {};
}

void Client::Core::start_flow(bool session_present) {
    unacked_ = 0;
    resend_from_ = 0;
    if (!session_present)
        qos2_.clear();
    const std::uint64_t connection = connection_;
    for (std::size_t i = 0; i < outbound_.size(); ++i) {
        outbound_[i].is_sent = false;
        if (session_present)
            continue;
        outbound_[i].was_sent = false; // the server forgot: it is a first time again
        // PUBREC had come, so the message is the server's; with its session the id is free.
        if (outbound_[i].state == State::wait_pubcomp)
            settle(outbound_[i], ReasonCode::success);
        if (connection != connection_)
            return;
    }
    trim();
}

Bytes Client::Core::reencoded(const Outbound& place) const {
    Framer framer(packet_bytes_format_max);
    ByteView rest = place.packet;
    const auto frame = framer.next(rest);
    Bytes bytes;
    if (!frame || !*frame)
        return bytes;
    const auto packet =
        decode_publish(**frame, place.version, Sender::client, CodecLimits{65'535, 0, 65'535, 65'535});
    if (packet)
        encode_publish(bytes, *packet, version_);
    return bytes;
}

void Client::Core::resend_publish(Outbound& place, Mono now) {
    if (place.version != version_) {
        place.packet = reencoded(place);
        place.version = version_;
    }
    if (place.packet.size() > packet_bytes_max() || place.packet.empty()) {
        settle(place, ReasonCode::packet_too_large);
        return;
    }
    // The server may offer less than on the connection before.
    const bool is_retain = (static_cast<unsigned char>(place.packet[0]) & 1u) != 0;
    if ((place.state == State::wait_pubrec ? 2 : 1) > server_qos_max_) {
        settle(place, ReasonCode::qos_not_supported); // [MQTT-3.2.2-11]
        return;
    }
    if (is_retain && !server_retain_available_) {
        settle(place, ReasonCode::retain_not_supported); // [MQTT-3.2.2-14]
        return;
    }
    place.packet[0] = static_cast<char>(
        place.was_sent ? static_cast<unsigned char>(place.packet[0]) | 0x08u
                       : static_cast<unsigned char>(place.packet[0]) & ~0x08u
    );
    place.is_sent = true;
    place.was_sent = true;
    ++unacked_;
    const Bytes copy = place.packet;
    send(copy, now);
}

void Client::Core::resend(Mono now) {
    const std::uint64_t connection = connection_;
    while (resend_from_ < outbound_.size() && unacked_ < window()) {
        const std::uint16_t packet_id = id_of(out_sequence_ - outbound_.size() + resend_from_);
        Outbound& place = outbound_[resend_from_++];
        if (place.state == State::done)
            continue;
        if (place.state == State::wait_pubcomp) {
            place.is_sent = true;
            ++unacked_;
            send_ack(PacketType::pubrel, packet_id, ReasonCode::success, now);
        } else {
            resend_publish(place, now);
        }
        if (connection != connection_)
            return;
    }
    trim();
}

void Client::Core::settle(Outbound& place, ReasonCode reason) {
    const PublishTag tag = place.tag;
    unacked_ -= place.is_sent ? 1 : 0;
    place = Outbound{};
    --unsettled_;
    host_.on_settled(tag, reason);
}

void Client::Core::trim() {
    while (!outbound_.empty() && outbound_.front().state == State::done) {
        outbound_.pop_front();
        resend_from_ -= resend_from_ > 0 ? 1 : 0;
    }
}

void Client::Core::abandon() {
    out_sequence_ += outbound_.size(); // ids the server may still answer are not used again at once
    outbound_.release();
    unacked_ = 0;
    resend_from_ = 0;
    unsettled_ = 0;
}

void Client::Core::handle_ack(const Frame& frame, Mono now) {
    const Decoded<Ack> packet = decode_ack(frame, version_, codec_limits_);
    if (!packet) {
        refuse(packet.error());
        return;
    }
    const std::uint64_t first = out_sequence_ - outbound_.size();
    const std::uint64_t offset = (packet->packet_id + publish_ids - id_of(first)) % publish_ids;
    const bool is_ours = packet->packet_id <= publish_ids && offset < outbound_.size();
    if (!is_ours || outbound_[offset].state == State::done) {
        // Nothing of ours: it must not open the window.
        if (frame.type == PacketType::pubrec && !is_failure(packet->reason)) {
            send_ack(PacketType::pubrel, packet->packet_id, ReasonCode::packet_identifier_not_found, now);
        }
        return;
    }
    Outbound& place = outbound_[offset];
    const bool is_puback = frame.type == PacketType::puback && place.state == State::wait_puback;
    const bool is_pubrec = frame.type == PacketType::pubrec &&
                           (place.state == State::wait_pubrec || place.state == State::wait_pubcomp);
    const bool is_pubcomp = frame.type == PacketType::pubcomp && place.state == State::wait_pubcomp;
    if (!is_puback && !is_pubrec && !is_pubcomp) {
        refuse({ReasonCode::protocol_error, "an acknowledgement of the wrong kind"});
        return;
    }
    if (is_pubrec && !is_failure(packet->reason)) {
        place.state = State::wait_pubcomp;
        place.packet = Bytes{};
        send_ack(PacketType::pubrel, packet->packet_id, ReasonCode::success, now);
        return;
    }
    // PUBCOMP "not found" means that the server has finished with it before: that is success.
    const ReasonCode reason = is_pubcomp ? ReasonCode::success : packet->reason;
    const std::uint64_t connection = connection_;
    settle(place, reason);
    if (connection != connection_)
        return;
    trim();
    resend(now);
}

std::vector<Client::Core::InboundQos2>::iterator Client::Core::find_qos2(std::uint16_t packet_id) {
    return std::find_if(qos2_.begin(), qos2_.end(), [packet_id](const InboundQos2& known) {
        return known.packet_id == packet_id;
    });
}

std::size_t Client::Core::inbound_count() {
    std::size_t count = 0;
    for (std::size_t i = 0; i < acks_.size(); ++i)
        count += acks_[i].is_ready && acks_[i].type == PacketType::pubrec ? 0 : 1; // that is in qos2_ already
    for (const InboundQos2& known : qos2_)
        count += known.connection == connection_ ? 1 : 0;
    return count;
}

bool Client::Core::is_pubrec_waiting(std::uint16_t packet_id) {
    for (std::size_t i = 0; i < acks_.size(); ++i) {
        if (acks_[i].packet_id == packet_id && acks_[i].type == PacketType::pubrec)
            return true;
    }
    return false;
}

/// Answers a QoS 2 PUBLISH that the host was given before [MQTT-4.3.3-10]. While PUBREC waits, for the host
/// or for its turn, that one answers both.
bool Client::Core::is_repeated_qos2(std::uint16_t packet_id, Mono now) {
    if (is_pubrec_waiting(packet_id))
        return true;
    const auto known = find_qos2(packet_id);
    if (known == qos2_.end())
        return false;
    known->connection = connection_;
    send_ack(PacketType::pubrec, packet_id, ReasonCode::success, now);
    return true;
}

void Client::Core::handle_publish(const Frame& frame, Mono now) {
    const Decoded<Publish> packet = decode_publish(frame, version_, Sender::server, codec_limits_);
    if (!packet) {
        refuse(packet.error());
        return;
    }
    if (packet->topic_alias != 0) {
        refuse({ReasonCode::topic_alias_invalid, "a topic alias although none was allowed"});
        return;
    }
    const std::uint16_t packet_id = packet->packet_id;
    if (packet->qos == 2 && is_repeated_qos2(packet_id, now))
        return;
    if (packet->qos != 0) {
        if (inbound_count() >= std::max<std::uint16_t>(1, options_.receive_maximum)) {
            refuse({ReasonCode::receive_maximum_exceeded, "more messages than our Receive Maximum"});
            return;
        }
        acks_.push_back({packet_id, packet->qos == 1 ? PacketType::puback : PacketType::pubrec, false});
    }
    auto message = std::make_shared<Message>(message_from(*packet, packet->topic));
    message->accepted = now;
    const std::uint64_t connection = connection_;
    const bool is_taken = host_.on_message(message, packet_id);
    if (connection != connection_ || packet_id == 0)
        return;
    if (is_taken)
        acknowledge(packet_id, now);
}

void Client::Core::acknowledge(std::uint16_t packet_id, Mono now) {
    for (std::size_t i = 0; i < acks_.size(); ++i) {
        if (acks_[i].packet_id != packet_id || acks_[i].is_ready)
            continue;
        acks_[i].is_ready = true;
        if (acks_[i].type == PacketType::pubrec)
            qos2_.push_back({packet_id, connection_});
        break;
    }
    flush_acks(now);
}

void Client::Core::flush_acks(Mono now) {
    // In the order of the messages [MQTT-4.6.0-2].
    while (stage_ == Stage::up && !acks_.empty() && acks_.front().is_ready) {
        const Inbound ack = acks_.front();
        acks_.pop_front();
        send_ack(ack.type, ack.packet_id, ReasonCode::success, now);
    }
}

void Client::Core::send_ack(PacketType type, std::uint16_t packet_id, ReasonCode reason, Mono now) {
    Ack ack;
    ack.packet_id = packet_id;
    ack.reason = reason;
    Bytes bytes;
    encode_ack(bytes, type, ack, version_);
    send(bytes, now);
}

void Client::Core::handle_pubrel(const Frame& frame, Mono now) {
    const Decoded<Ack> packet = decode_ack(frame, version_, codec_limits_);
    if (!packet) {
        refuse(packet.error());
        return;
    }
    if (is_pubrec_waiting(packet->packet_id)) {
        refuse({ReasonCode::protocol_error, "a PUBREL before our PUBREC"});
        return;
    }
    const auto place = find_qos2(packet->packet_id);
    const bool is_known = place != qos2_.end();
    if (is_known)
        qos2_.erase(place);
    send_ack(
        PacketType::pubcomp,
        packet->packet_id,
        is_known ? ReasonCode::success : ReasonCode::packet_identifier_not_found,
        now
    );
}

std::uint16_t Client::Core::next_request_id() {
    const auto is_in_use = [this](std::uint16_t id) {
        return std::any_of(requests_.begin(), requests_.end(), [id](const PendingRequest& pending) {
            return pending.packet_id == id;
        });
    };
    std::uint16_t id = 0;
    do {
        id = static_cast<std::uint16_t>(publish_ids + 1 + request_counter_);
        request_counter_ = static_cast<std::uint16_t>((request_counter_ + 1u) % request_ids);
    } while (is_in_use(id)); // [MQTT-2.2.1-3]; far fewer wait than there are
    return id;
}

Result<void> Client::Core::send_request(PendingRequest pending, ByteView bytes, Mono now) {
    if (requests_.size() >= pending_requests_max) {
        return fail(
            Errc::busy, "MQTT connection", "too many requests without an answer", "wait for on_subscribed"
        );
    }
    if (bytes.size() > packet_bytes_max()) { // [MQTT-3.2.2-15]
        return fail(
            Errc::too_large,
            "MQTT connection",
            "a request is over the server's maximum packet size",
            "ask for fewer or shorter filters at a time"
        );
    }
    requests_.push_back(std::move(pending));
    send(bytes, now);
    return {};
}

Result<void>
Client::Core::subscribe(const std::vector<std::pair<std::string, std::uint8_t>>& filters, Mono now) {
    Subscribe packet;
    for (const auto& [text, qos] : filters)
        packet.filters.push_back({text, qos, false, false, RetainHandling::send});
    return subscribe_as(std::move(packet), now);
}

Result<void> Client::Core::subscribe_as(Subscribe packet, Mono now) {
    if (stage_ != Stage::up)
        return not_connected();
    if (packet.filters.empty())
        return {};
    packet.packet_id = next_request_id();
    PendingRequest pending{packet.packet_id, PacketType::suback, {}};
    for (const SubscribeFilter& wanted : packet.filters) {
        const auto filter = TopicFilter::parse(wanted.filter, {65'535, 65'535});
        if (!filter)
            return std::unexpected<Error>(filter.error());
        if (wanted.qos > 2)
            return fail(
                Errc::invalid, "subscription to " + std::string(wanted.filter), "QoS above 2", "use 0, 1 or 2"
            );
        pending.filters.emplace_back(wanted.filter);
    }
    Bytes bytes;
    encode_subscribe(bytes, packet, version_);
    return send_request(std::move(pending), bytes, now);
}

Result<void> Client::Core::unsubscribe(const std::vector<std::string>& filters, Mono now) {
    if (stage_ != Stage::up)
        return not_connected();
    if (filters.empty())
        return {};
    Unsubscribe packet;
    packet.packet_id = next_request_id();
    for (const std::string& text : filters) {
        const auto filter = TopicFilter::parse(text, {65'535, 65'535});
        if (!filter)
            return std::unexpected<Error>(filter.error());
        packet.filters.push_back(text);
    }
    Bytes bytes;
    encode_unsubscribe(bytes, packet, version_);
    return send_request({packet.packet_id, PacketType::unsuback, filters}, bytes, now);
}

bool Client::Core::take_request(std::uint16_t packet_id, PacketType answer, PendingRequest& request) {
    const auto place = std::find_if(requests_.begin(), requests_.end(), [&](const PendingRequest& pending) {
        return pending.packet_id == packet_id && pending.answer == answer;
    });
    if (place == requests_.end())
        return false;
    request = std::move(*place);
    requests_.erase(place);
    return true;
}

void Client::Core::handle_unsuback(const Frame& frame) {
    const Decoded<Unsuback> packet = decode_unsuback(frame, version_, codec_limits_);
    PendingRequest pending;
    if (!packet) {
        refuse(packet.error());
    } else if (!take_request(packet->packet_id, PacketType::unsuback, pending)) {
        refuse({ReasonCode::protocol_error, "an UNSUBACK that nothing asked for"});
    } else if (version_ == ProtocolVersion::v5 && packet->reasons.size() != pending.filters.size()) {
        refuse({ReasonCode::protocol_error, "an UNSUBACK with another number of answers than filters"});
    }
}

void Client::Core::handle_suback(const Frame& frame) {
    const Decoded<Suback> packet = decode_suback(frame, version_, codec_limits_);
    if (!packet) {
        refuse(packet.error());
        return;
    }
    PendingRequest pending;
    if (!take_request(packet->packet_id, PacketType::suback, pending)) {
        refuse({ReasonCode::protocol_error, "a SUBACK that nothing asked for"});
        return;
    }
    if (packet->reasons.size() != pending.filters.size()) {
        refuse({ReasonCode::protocol_error, "a SUBACK with another number of answers than filters"});
        return;
    }
    const std::uint64_t connection = connection_;
    for (std::size_t i = 0; i < pending.filters.size(); ++i) {
        host_.on_subscribed(pending.filters[i], packet->reasons[i]);
        if (connection != connection_)
            return;
    }
}

} // namespace brim::mqtt
