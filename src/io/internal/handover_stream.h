#pragma once
// A stream whose handler may be exchanged once a protocol has been agreed on (HTTP -> WebSocket). Private to
// io.

#include "io/net.h"

#include <memory>
#include <optional>

namespace brim::io {

/// Wraps a stream that was not started. start() may be called again after hold(): what arrived in between,
/// and the bytes given to hold(), reach the new handler first.
class HandoverStream final : public Stream, private StreamHandler {
public:
    HandoverStream(Loop& loop, std::unique_ptr<Stream> inner);
    ~HandoverStream() override;

    void start(StreamHandler& handler) override;
    /// Detaches the handler; `unread` were delivered to it, but belong to the next one.
    void hold(ByteView unread);

    bool write(ByteView bytes) override { return inner_->write(bytes); }

    std::size_t queued() const override { return inner_->queued(); }

    void pause_reading(bool paused) override;
    void close() override;

    Peer peer() const override { return inner_->peer(); }

private:
    void on_data(ByteView bytes) override;
    void on_drained() override;
    void on_closed(const Error& why) override;
    void deliver_held();

    std::unique_ptr<Stream> inner_;
    StreamHandler* handler_ = nullptr;
    bool started_ = false;
    bool paused_ = false;
    bool closed_ = false;
    Bytes held_;
    std::optional<Error> held_end_;
    Timer delivery_; ///< of what was held, never from inside start()
};

} // namespace brim::io
