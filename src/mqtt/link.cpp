#include "mqtt/link.h"

#include <algorithm>
#include <utility>

namespace brim::mqtt {

Link::Link(io::Env& env, LinkEvents& events, LinkOptions options, Wrap wrap)
    : env_(env), events_(events), options_(std::move(options)), wrap_(std::move(wrap)),
      client_(*this, ClientOptions{}), tick_(env.loop()), retry_(env.loop()), login_wait_(env.loop()) {}

Link::~Link() = default;

void Link::start() {
    if (running_)
        return;
    running_ = true;
    gone_ = nullptr;
    dial();
}

void Link::stop() {
    running_ = false;
    gone_ = nullptr;
    retry_.stop();
    tick_.stop();
    login_wait_.stop();
    connecting_.reset();
    if (client_.connected())
        client_.disconnect(ReasonCode::normal_disconnection, now());
    if (stream_)
        stream_->close();
    client_.closed(now());
}

void Link::leave(std::chrono::milliseconds wait, std::function<void()> gone) {
    const bool says_goodbye = stream_ && client_.connected();
    if (says_goodbye) {
        running_ = false;
        retry_.stop();
        tick_.stop();
        client_.disconnect(ReasonCode::normal_disconnection, now());
    } else {
        stop();
        wait = {};
    }
    gone_ = std::move(gone);
    login_wait_.start(wait, [this] { left(); });
}

void Link::left() {
    login_wait_.stop();
    if (stream_)
        stream_->close();
    client_.closed(now());
    if (const auto gone = std::exchange(gone_, nullptr))
        gone();
}

void Link::restart(const Error& why) {
    fail(why);
}

std::size_t Link::queued() const {
    return stream_ ? stream_->queued() : 0;
}

void Link::dial() {
    stream_.reset();
    auto done = [this](Result<std::unique_ptr<io::Stream>> dialled) {
        connecting_.reset();
        if (!dialled)
            return fail(dialled.error());
        stream_ = wrap_ ? wrap_(std::move(*dialled)) : std::move(*dialled);
        client_.set_options(events_.login());
        stream_->start(*this);
        client_.connect(now());
        login_wait_.start(options_.connect_wait_max, [this] {
            fail(Error{
                Errc::timeout,
                options_.to.text(),
                "no answer to CONNECT in time",
                "check that the address and port are those of an MQTT listener"
            });
        });
        pump();
    };
    connecting_ = env_.net().connect(options_.to, options_.connect_wait_max, std::move(done));
}

void Link::fail(const Error& why) {
    if (failing_ || !running_)
        return;
    failing_ = true;
    const bool was_up = client_.connected();
    if (was_up && now() - up_since_ >= options_.stable_after)
        attempt_ = 0;
    tick_.stop();
    login_wait_.stop();
    connecting_.reset();
    if (stream_)
        stream_->close();
    client_.closed(now());
    // Full jitter: a thousand gateways that lost the hub together must not come back together.
    const std::chrono::milliseconds doubled =
        options_.backoff_min * (std::int64_t{1} << std::min(attempt_, 20U));
    const std::chrono::milliseconds ceiling = std::min(options_.backoff_max, doubled);
    const auto wait = std::chrono::milliseconds{
        static_cast<std::int64_t>(env_.random().below(static_cast<std::uint64_t>(ceiling.count()) + 1))
    };
    ++attempt_;
    retry_.start(wait, [this] { dial(); });
    events_.on_down(why, wait);
    failing_ = false;
}

void Link::pump() {
    const Duration wait = std::clamp<Duration>(
        client_.tick(now()) - now(), std::chrono::milliseconds{10}, std::chrono::seconds{1}
    );
    if (stream_ && !retry_.running())
        tick_.start(wait, [this] { pump(); });
}

void Link::send(ByteView bytes) {
    if (stream_)
        stream_->write(bytes);
}

void Link::close(const Error& why) {
    fail(why);
}

void Link::on_connected(const Connack& connack) {
    login_wait_.stop();
    up_since_ = now();
    events_.on_up(connack);
}

bool Link::on_message(const MessagePtr& message, std::uint16_t packet_id) {
    return events_.on_message(message, packet_id);
}

void Link::on_settled(PublishTag tag, ReasonCode reason) {
    events_.on_settled(tag, reason);
}

void Link::on_subscribed(std::string_view filter, ReasonCode reason) {
    events_.on_subscribed(filter, reason);
}

bool Link::on_auth(const Auth& auth) {
    return events_.on_auth(auth);
}

void Link::on_data(ByteView bytes) {
    client_.data(bytes, now());
}

void Link::on_closed(const Error& why) {
    if (gone_)
        return left();
    fail(why);
}

} // namespace brim::mqtt
