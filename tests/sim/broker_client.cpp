#include "sim/broker_client.h"

#include "mqtt/topic_filter.h"
#include "sim/broker_node.h"

#include <algorithm>
#include <charconv>

namespace brim::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t packet_bytes_max = 1'048'576;
constexpr Duration dial_max = 5s;
constexpr std::uint16_t keepalive_s = 20;
constexpr std::uint64_t never = UINT64_MAX;

} // namespace

/// A connection: what is written and read may end at any byte.
struct BrokerClient::Wire final : io::StreamHandler {
    void on_data(ByteView bytes) override {
        if (owner != nullptr)
            owner->wire_has(*this, bytes);
    }

    void on_closed(const Error&) override {
        is_over = true;
        if (owner != nullptr)
            owner->hang_up(owner->soon(500));
    }

    BrokerClient* owner = nullptr; ///< null: left open, or over
    std::unique_ptr<io::Stream> stream;
    std::uint64_t may_send = never; ///< bytes until it ends
    std::uint64_t may_read = never;
    bool is_over = false;
};

BrokerClient::BrokerClient(io::SimWorld& world, BrokerRecorder& recorder, BrokerClientOptions options)
    : world_(world), recorder_(recorder), options_(std::move(options)),
      env_(world.machine(options_.name).env()),
      index_(recorder.add_client(options_.name, options_.version, options_.expiry_s)),
      client_(*this, mqtt::ClientOptions{}), act_(env_.loop()), redial_(env_.loop()), pump_(env_.loop()),
      pay_(env_.loop()), read_again_(env_.loop()) {}

BrokerClient::~BrokerClient() = default;

void BrokerClient::post(io::Work work) {
    env_.loop().post(std::move(work));
}

Duration BrokerClient::soon(std::uint64_t ms_max) {
    return std::chrono::milliseconds(1 + below(is_calm_ ? std::min<std::uint64_t>(ms_max, 300) : ms_max));
}

void BrokerClient::start() {
    post([this] {
        dial();
        act();
    });
}

void BrokerClient::dial() {
    if (wire_ != nullptr)
        return;
    std::erase_if(wires_, [](const std::unique_ptr<Wire>& old) { return old->is_over; });
    auto done = [this](Result<std::unique_ptr<io::Stream>> dialled) {
        connecting_.reset();
        if (!dialled) {
            redial_.start(soon(800), [this] { dial(); });
            return;
        }
        wires_.push_back(std::make_unique<Wire>());
        wire_ = wires_.back().get();
        wire_->owner = this;
        wire_->stream = std::move(*dialled);
        wire_->stream->start(*wire_);
        start_session();
    };
    connecting_ = env_.net().connect(
        {io::Endpoint::Kind::tcp, std::string(broker_machine), broker_port}, dial_max, std::move(done)
    );
}

void BrokerClient::start_session() {
    mqtt::ClientOptions login;
    login.version = options_.version;
    login.client_id = options_.name;
    login.keepalive_s = keepalive_s;
    login.session_expiry_s = options_.version == mqtt::ProtocolVersion::v5 ? options_.expiry_s : 0;
    login.receive_maximum = options_.receive_maximum;
    login.inflight_max = options_.inflight_max;
    login.packet_bytes_max = packet_bytes_max;
    // A 3.x session that is kept was not begun clean, and a fleeting one is.
    login.clean_start = !is_kept() || (options_.starts_clean && !is_calm_ && below(6) == 0);
    SentMessage will;
    const bool has_will = options_.has_wills && below(4) != 0;
    if (has_will) {
        will.publisher = index_;
        will.topic = "w/" + options_.name;
        will.qos = below(4) == 0 ? 1 : 2;
        will.payload_bytes = 40;
    }
    const std::uint32_t delay_s = options_.version == mqtt::ProtocolVersion::v5 ? options_.will_delay_s : 0;
    began_ = recorder_.dialled(index_, login.clean_start, has_will ? &will : nullptr, delay_s);
    if (has_will) {
        auto message = std::make_shared<Message>();
        message->topic = will.topic;
        message->qos = will.qos;
        message->payload = std::to_string(will.number) + "|";
        message->payload.resize(will.payload_bytes, 'w');
        login.will = std::move(message);
        login.will_delay_s = delay_s;
    }
    login.username = std::to_string(recorder_.clients()[index_].attempts.size());
    tap_ = mqtt::Framer(packet_bytes_max);
    client_.set_options(std::move(login));
    client_.connect(now());
    pump();
}

void BrokerClient::hang_up(Duration back_in) {
    if (wire_ != nullptr) {
        wire_->owner = nullptr;
        wire_->is_over = true;
        wire_->stream->close();
        wire_ = nullptr;
    }
    client_.closed(now());
    owed_.clear();
    asking_.clear();
    is_paused_ = false;
    pump_.stop();
    pay_.stop();
    read_again_.stop();
    redial_.start(back_in, [this] { dial(); });
}

void BrokerClient::pump() {
    const Duration wait = std::clamp<Duration>(client_.tick(now()) - now(), 10ms, 1s);
    if (wire_ != nullptr)
        pump_.start(wait, [this] { pump(); });
}

void BrokerClient::send(ByteView bytes) {
    if (wire_ == nullptr)
        return;
    if (bytes.size() < wire_->may_send) {
        wire_->may_send -= wire_->may_send == never ? 0 : bytes.size();
        wire_->stream->write(bytes);
        return;
    }
    wire_->stream->write(bytes.substr(0, wire_->may_send));
    wire_->may_send = 0;
    // Not from here: this may be inside one of the client's own calls.
    post([this, wire = wire_] {
        if (wire == wire_)
            hang_up(soon(1'500));
    });
}

void BrokerClient::wire_has(Wire& wire, ByteView bytes) {
    const bool is_last = bytes.size() >= wire.may_read;
    if (is_last)
        bytes = bytes.substr(0, wire.may_read);
    else if (wire.may_read != never)
        wire.may_read -= bytes.size();
    look_at(bytes);
    client_.data(bytes, now());
    if (is_last && wire.owner == this)
        hang_up(soon(1'500));
}

/// What the client itself does not tell: UNSUBACK, subscription identifiers.
void BrokerClient::look_at(ByteView bytes) {
    for (;;) {
        const auto frame = tap_.next(bytes);
        if (!frame || !*frame)
            return;
        if ((*frame)->type == mqtt::PacketType::publish)
            check_ids(**frame);
        if ((*frame)->type != mqtt::PacketType::unsuback || !is_releasing_ || asking_.empty())
            continue;
        recorder_.released(index_, asking_);
        asking_.clear();
        post([this] { ask_next(); });
    }
}

void BrokerClient::close(const Error& why) {
    const std::string text = why.text();
    for (const std::string_view part : {"the server sent", "protocol error", "malformed", "eceive "}) {
        if (text.find(part) != std::string::npos)
            recorder_.breach(2, options_.name + ": " + text);
    }
    hang_up(soon(1'000));
}

void BrokerClient::on_connected(const mqtt::Connack& connack) {
    recorder_.came_up(index_, connack.session_present);
    asking_.clear();
    post([this] { ask_next(); });
}

/// One request at a time, until the session holds what it should.
void BrokerClient::ask_next() {
    if (!client_.connected() || !asking_.empty())
        return;
    for (const auto& [filter, qos] : options_.filters) {
        if (filter == unwanted_ || recorder_.is_granted(index_, filter))
            continue;
        ask(filter, qos);
        return;
    }
}

void BrokerClient::ask(const std::string& filter, std::uint8_t qos) {
    mqtt::Subscribe packet;
    packet.filters.push_back({filter, qos, false, false, mqtt::RetainHandling::send});
    if (options_.version == mqtt::ProtocolVersion::v5)
        packet.subscription_id = subscription_id(filter);
    recorder_.asked(index_, filter, qos, !filter.starts_with('$'));
    asking_ = filter;
    is_releasing_ = false;
    (void)client_.subscribe_as(std::move(packet), now());
}

/// Each filter has an identifier of its own.
std::uint32_t BrokerClient::subscription_id(std::string_view filter) const {
    const auto& filters = options_.filters;
    const auto place = std::ranges::find(filters, filter, [](const auto& wanted) { return wanted.first; });
    return static_cast<std::uint32_t>(place - filters.begin()) + 1;
}

/// A message names exactly those of our subscriptions that it comes for.
void BrokerClient::check_ids(const mqtt::Frame& frame) {
    const auto packet = mqtt::decode_publish(frame, options_.version, mqtt::Sender::server, {});
    if (!packet || packet->subscription_ids.empty())
        return;
    for (const std::uint32_t id : packet->subscription_ids) {
        const bool is_right =
            id <= options_.filters.size() &&
            mqtt::filter_matches(split_shared(options_.filters[id - 1].first).filter, packet->topic);
        if (!is_right)
            recorder_.breach(
                2,
                options_.name + " has a message on " + std::string(packet->topic) + " for subscription " +
                    std::to_string(id)
            );
    }
}

void BrokerClient::on_subscribed(std::string_view filter, mqtt::ReasonCode reason) {
    asking_.clear();
    if (!mqtt::is_failure(reason)) {
        recorder_.granted(index_, filter);
        post([this] { ask_next(); });
    } // else at the next act()
}

void BrokerClient::let_go() {
    if (!asking_.empty() || options_.filters.empty())
        return;
    const auto& [filter, qos] = options_.filters[below(options_.filters.size())];
    if (!recorder_.is_granted(index_, filter))
        return;
    if (below(2) == 0) { // asks again for what it has: the retained messages come once more
        ask(filter, qos);
        return;
    }
    unwanted_ = filter;
    recorder_.asked_release(index_, filter);
    asking_ = filter;
    is_releasing_ = true;
    (void)client_.unsubscribe({filter}, now());
}

void BrokerClient::act() {
    act_.start(soon(2 * static_cast<std::uint64_t>(options_.act_every / 1ms)), [this] { act(); });
    if (!client_.connected())
        return;
    if (is_calm_)
        unwanted_.clear();
    ask_next();
    if (is_calm_ || options_.is_steady)
        return;
    const std::uint64_t roll = below(40);
    if (roll == 0)
        let_go();
    else if (roll < 3)
        unwanted_.clear();
    else
        publish_some();
}

void BrokerClient::publish_some() {
    for (std::uint64_t count = 1 + below(4); count > 0; --count) {
        const std::uint8_t qos = static_cast<std::uint8_t>(below(3));
        const std::uint64_t roll = below(20);
        if (roll < 4)
            publish_one("s/" + std::to_string(below(3)), qos, false);
        else if (roll < 8)
            publish_retained();
        else if (roll == 8)
            publish_one("x/" + options_.name, qos, false);
        else
            publish_one("t/" + std::to_string(below(3)), qos, false);
    }
}

/// A topic has one QoS: a QoS 1 message sent again would take the place of a QoS 2 message sent after it,
/// which is known and not taken again. That is MQTT's, not the broker's.
void BrokerClient::publish_retained() {
    const std::uint64_t topic = below(4);
    const auto qos = static_cast<std::uint8_t>(1 + topic % 2);
    publish_one("r/" + options_.name + "/" + std::to_string(topic), qos, true);
}

void BrokerClient::publish_one(const std::string& topic, std::uint8_t qos, bool retain) {
    if (!client_.connected() || (qos != 0 && client_.quota() == 0))
        return;
    SentMessage sent;
    sent.publisher = index_;
    sent.topic = topic;
    sent.qos = qos;
    sent.retain = retain;
    sent.is_forbidden = topic.starts_with("x/");
    sent.may_expire = options_.version == mqtt::ProtocolVersion::v5 && !retain && below(12) == 0;
    const bool is_clear = retain && below(8) == 0;
    if (!is_clear)
        sent.payload_bytes = below(30) == 0 ? 2'000 + below(40'000) : 16 + below(200);
    const SentMessage& kept = recorder_.submitted(sent);
    Message message;
    message.topic = topic;
    message.qos = qos;
    message.retain = retain;
    message.expiry_s = kept.may_expire ? static_cast<std::int64_t>(1 + below(5)) : -1;
    if (!is_clear) {
        message.payload = std::to_string(kept.number) + "|";
        message.payload.resize(kept.payload_bytes, 'x');
    }
    const std::uint64_t number = kept.number;
    if (const auto published = client_.publish(message, number, now()); !published)
        recorder_.withdrawn(number);
}

void BrokerClient::on_settled(mqtt::PublishTag tag, mqtt::ReasonCode reason) {
    recorder_.settled(tag, !mqtt::is_failure(reason));
}

bool BrokerClient::on_message(const MessagePtr& message, std::uint16_t packet_id) {
    Receipt receipt;
    const std::string_view payload = message->payload;
    std::from_chars(payload.data(), payload.data() + payload.size(), receipt.number);
    receipt.topic = message->topic;
    receipt.payload_bytes = payload.size();
    receipt.qos = message->qos;
    receipt.retain = message->retain;
    receipt.began = began_;
    receipt.arrived = recorder_.now();
    if (packet_id == 0 || !options_.is_lazy) {
        recorder_.received(index_, std::move(receipt));
        return true;
    }
    // What is not acknowledged is not taken: it may come again.
    owed_.push_back({packet_id, std::move(receipt)});
    if (!pay_.running())
        pay_.start(soon(is_calm_ ? 5 : 400), [this] { pay(); });
    return false;
}

void BrokerClient::pay() {
    for (std::uint64_t count = 1 + below(8); count > 0 && !owed_.empty(); --count) {
        Owed owed = std::move(owed_.front());
        owed_.pop_front();
        recorder_.received(index_, std::move(owed.receipt));
        client_.acknowledge(owed.packet_id, now());
    }
    if (!owed_.empty())
        pay_.start(soon(is_calm_ ? 5 : 200), [this] { pay(); });
}

void BrokerClient::cut_after_sending(std::uint64_t bytes) {
    post([this, bytes] {
        if (wire_ != nullptr)
            wire_->may_send = std::min(wire_->may_send, bytes);
    });
}

void BrokerClient::cut_after_reading(std::uint64_t bytes) {
    post([this, bytes] {
        if (wire_ != nullptr)
            wire_->may_read = std::min(wire_->may_read, bytes + 1);
    });
}

void BrokerClient::leave(Duration span) {
    post([this, span] {
        if (!client_.connected())
            return;
        recorder_.left(index_);
        client_.disconnect(mqtt::ReasonCode::normal_disconnection, now());
        hang_up(span);
    });
}

void BrokerClient::take_over() {
    post([this] {
        if (wire_ == nullptr)
            return;
        wire_->owner = nullptr; // and nobody closes it
        wire_ = nullptr;
        hang_up(1ms);
    });
}

void BrokerClient::read_nothing_for(Duration span) {
    post([this, span] {
        if (wire_ == nullptr || is_paused_)
            return;
        is_paused_ = true;
        wire_->stream->pause_reading(true);
        read_again_.start(span, [this] {
            is_paused_ = false;
            if (wire_ != nullptr)
                wire_->stream->pause_reading(false);
        });
    });
}

void BrokerClient::calm() {
    post([this] {
        is_calm_ = true;
        if (wire_ == nullptr && redial_.running())
            redial_.start(soon(300), [this] { dial(); });
    });
}

bool BrokerClient::is_settled() const {
    // What came to a frozen machine is not taken yet, and it believes in its connection.
    const bool is_frozen = world_.now() < world_.machine(options_.name).frozen_until();
    return !is_frozen && client_.connected() && client_.inflight() == 0 && owed_.empty() && asking_.empty() &&
           std::ranges::all_of(options_.filters, [this](const auto& wanted) {
               return recorder_.is_granted(index_, wanted.first);
           });
}

std::string BrokerClient::state() const {
    return options_.name + (client_.connected() ? " is connected, " : " is not connected, ") +
           std::to_string(client_.inflight()) + " in flight, " + std::to_string(owed_.size()) +
           " not acknowledged yet" + (asking_.empty() ? "" : ", asking for " + asking_);
}

} // namespace brim::sim
