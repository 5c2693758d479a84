#include "io/internal/handover_stream.h"

#include <utility>

namespace brim::io {

HandoverStream::HandoverStream(Loop& loop, std::unique_ptr<Stream> inner)
    : inner_(std::move(inner)), delivery_(loop) {}

HandoverStream::~HandoverStream() = default;

void HandoverStream::start(StreamHandler& handler) {
    handler_ = &handler;
    if (!std::exchange(started_, true)) {
        inner_->start(*this);
        return;
    }
    delivery_.start(Duration{}, [this] { deliver_held(); });
}

void HandoverStream::hold(ByteView unread) {
    handler_ = nullptr;
    held_ += unread;
    inner_->pause_reading(true); // nobody bounds what would be held here
}

void HandoverStream::deliver_held() {
    if (!handler_ || paused_)
        return;
    inner_->pause_reading(false);
    const auto bytes = std::exchange(held_, {});
    const auto end = held_end_;
    auto* handler = handler_;
    // The handler may destroy this stream in either call; the end is therefore told in a turn of its own.
    if (end && !bytes.empty())
        delivery_.start(Duration{}, [this] { deliver_held(); });
    if (!bytes.empty())
        handler->on_data(bytes);
    else if (end)
        handler->on_closed(*end);
}

void HandoverStream::pause_reading(bool paused) {
    paused_ = paused;
    inner_->pause_reading(paused);
    if (!paused && (!held_.empty() || held_end_))
        delivery_.start(Duration{}, [this] { deliver_held(); });
}

void HandoverStream::close() {
    handler_ = nullptr;
    delivery_.stop();
    if (!std::exchange(closed_, true))
        inner_->close();
}

void HandoverStream::on_data(ByteView bytes) {
    // Behind bytes that still wait for delivery, or they would overtake them.
    if (!handler_ || !held_.empty())
        held_ += bytes;
    else
        handler_->on_data(bytes);
}

void HandoverStream::on_drained() {
    if (handler_)
        handler_->on_drained();
}

void HandoverStream::on_closed(const Error& why) {
    closed_ = true;
    if (!handler_ || !held_.empty())
        held_end_ = why;
    else
        handler_->on_closed(why);
}

} // namespace brim::io
