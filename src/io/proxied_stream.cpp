#include "io/proxied_stream.h"

#include "base/assert.h"
#include "io/proxy_protocol.h"

#include <utility>

namespace brim::io {

struct ProxiedStream::Reading {
    explicit Reading(Loop& loop) : deadline(loop) {}

    ProxyHeaderReader header;
    Timer deadline;
    Duration wait_max{};
    bool trusts_certificate_name = false;
    HeaderRead done;
    std::function<void(const Error&)> refused;
};

ProxiedStream::ProxiedStream(Loop& loop, std::unique_ptr<Stream> stream, const ProxyOptions& options)
    : loop_(loop), inner_(std::move(stream)), reading_(std::make_unique<Reading>(loop)) {
    reading_->wait_max = options.header_wait_max;
    reading_->trusts_certificate_name = options.trust_certificate_name;
    reading_->refused = options.refused;
}

ProxiedStream::~ProxiedStream() {
    *alive_ = false;
}

void ProxiedStream::read_header(HeaderRead done) {
    BRIM_ASSERT(phase_ == Phase::idle, "a header is read once");
    reading_->done = std::move(done);
    begin();
}

void ProxiedStream::start(StreamHandler& handler) {
    BRIM_ASSERT(handler_ == nullptr, "a stream is started once");
    if (phase_ == Phase::ended)
        return;
    handler_ = &handler;
    if (phase_ == Phase::idle) {
        begin();
    } else if (phase_ == Phase::open) {
        inner_->pause_reading(paused_);
        hand_on_later();
    }
}

void ProxiedStream::begin() {
    phase_ = Phase::reading;
    reading_->deadline.start(reading_->wait_max, [this] {
        end(
            {Errc::timeout,
             "connection from " + inner_->peer().address,
             "the PROXY protocol header did not come in time",
             "let the proxy send it (HAProxy: send-proxy-v2; nginx: proxy_protocol on)"}
        );
    });
    inner_->start(*this);
}

void ProxiedStream::on_data(ByteView bytes) {
    if (phase_ == Phase::reading && !read(bytes))
        return;
    if (phase_ != Phase::open || bytes.empty())
        return;
    if (handler_ == nullptr || paused_ || !held_.empty()) {
        held_.append(bytes); // no more than was on its way when reading was paused
        if (handler_ != nullptr && !paused_)
            hand_on_later();
        return;
    }
    handler_->on_data(bytes); // may destroy this stream
}

bool ProxiedStream::read(ByteView& bytes) {
    const auto is_whole = reading_->header.take(bytes);
    if (!is_whole) {
        Error why = is_whole.error();
        why.object = "connection from " + inner_->peer().address + ": " + why.object;
        end(std::move(why));
        return false;
    }
    if (!*is_whole)
        return true;
    const std::unique_ptr<Reading> reading = std::move(reading_);
    const ProxyHeader& header = reading->header.header();
    client_ = header.text();
    if (reading->trusts_certificate_name && !header.certificate_name.empty())
        certificate_name_ = std::make_unique<std::string>(header.certificate_name);
    reading->deadline.stop();
    phase_ = Phase::open;
    if (!reading->done) {
        if (paused_)
            inner_->pause_reading(true);
        return true;
    }
    // Nobody reads before start(): the client is held back by its own queue, not by ours.
    inner_->pause_reading(true);
    held_.append(bytes);
    reading->done({}); // may destroy this stream
    return false;
}

void ProxiedStream::hand_on_later() {
    if (held_.empty())
        return;
    loop_.at_turn_end([this, alive = alive_] {
        if (!*alive || handler_ == nullptr || paused_ || held_.empty())
            return;
        const Bytes bytes = std::exchange(held_, Bytes());
        handler_->on_data(bytes);
    });
}

void ProxiedStream::pause_reading(bool paused) {
    if (paused_ == paused)
        return;
    paused_ = paused;
    if (phase_ != Phase::open || handler_ == nullptr)
        return;
    inner_->pause_reading(paused);
    if (!paused)
        hand_on_later();
}

void ProxiedStream::on_drained() {
    if (handler_ != nullptr)
        handler_->on_drained();
}

void ProxiedStream::on_closed(const Error& why) {
    if (phase_ == Phase::ended)
        return;
    if (phase_ == Phase::reading)
        return end(
            {why.code,
             "connection from " + inner_->peer().address,
             "before its PROXY protocol header was whole: " + why.cause,
             "let the proxy send the header with its first bytes"}
        );
    phase_ = Phase::ended;
    if (handler_ == nullptr)
        return;
    if (!held_.empty() && !paused_) {
        // What came before the end is told before it.
        const Bytes bytes = std::exchange(held_, Bytes());
        const std::shared_ptr<bool> alive = alive_; // shared with this call alone
        handler_->on_data(bytes);
        if (!*alive || handler_ == nullptr)
            return;
    }
    std::exchange(handler_, nullptr)->on_closed(why);
}

void ProxiedStream::end(Error why) {
    phase_ = Phase::ended;
    const std::unique_ptr<Reading> reading = std::move(reading_);
    reading->deadline.stop();
    inner_->close();
    if (reading->refused)
        reading->refused(why);
    StreamHandler* const handler = std::exchange(handler_, nullptr);
    if (reading->done)
        reading->done(fail(std::move(why)));
    else if (handler != nullptr)
        handler->on_closed(why);
}

void ProxiedStream::close() {
    if (phase_ == Phase::ended)
        return;
    phase_ = Phase::ended;
    reading_.reset();
    handler_ = nullptr;
    held_ = Bytes();
    inner_->close();
}

Peer ProxiedStream::peer() const {
    Peer peer = inner_->peer();
    if (client_.empty())
        return peer;
    peer.via = std::exchange(peer.address, client_);
    peer.uid = peer.pid = -1;
    peer.certificate_name = certificate_name_ ? *certificate_name_ : std::string();
    peer.certificate_sha256.clear();
    return peer;
}

std::unique_ptr<ProxiedStream>
wrap_proxied(Loop& loop, std::unique_ptr<Stream> stream, const ProxyOptions& options) {
    const Peer peer = stream->peer();
    const bool is_unix = peer.address.starts_with("unix:");
    const auto address = IpAddress::of_peer(peer.address);
    if (is_unix || (address && options.trusted.contains(*address)))
        return std::make_unique<ProxiedStream>(loop, std::move(stream), options);
    stream->close();
    if (options.refused)
        options.refused(
            {Errc::denied,
             "connection from " + peer.address,
             "this listener serves trusted proxies only, and this peer is none",
             "add its address to the listener's trusted proxies, or let it connect elsewhere"}
        );
    return nullptr;
}

} // namespace brim::io
