#pragma once
// A connected socket as a Stream, and one that only flushes.

#include "io/internal/peer_record.h"
#include "io/socket_network.h"

#include <memory>

namespace brim::io {

class SocketStream final : public Stream, private Watcher {
public:
    SocketStream(SocketNetwork& network, Descriptor fd, const PeerRecord& peer);
    ~SocketStream() override;

    void start(StreamHandler& handler) override;
    bool write(ByteView bytes) override;

    std::size_t queued() const override { return out_ ? out_->size() : 0; }

    void pause_reading(bool paused) override;
    void close() override;

    Peer peer() const override { return peer_.peer(); }

    /// Of a stream that was not started, nor written to.
    LooseSocket take_apart();

    /// Called by the network at the end of a turn in which something was written. May destroy the stream.
    void flush_turn();

private:
    static constexpr std::uint32_t not_dirty = ~std::uint32_t{0};

    void on_ready(std::uint32_t events) override;
    void receive();
    /// Sends what it can. False when the stream ended (and may be gone).
    bool flush();
    bool send_failed(int errno_value);
    std::uint32_t wanted_events() const;
    void update_watch();
    void mark_dirty();
    void end(Error why);
    void release_output();

    // There may be a hundred thousand idle ones of these: the largest members first, flags together.
    SocketNetwork& network_;
    StreamHandler* handler_ = nullptr;
    WatchId watch_ = 0;
    std::unique_ptr<OutputBuffer> out_; ///< only while bytes wait
    /// Noticed where the handler may not be called; told at the end of the turn. Apart: most streams never
    /// fail, and there are many idle ones.
    std::unique_ptr<Error> failure_;
    Descriptor fd_;
    std::uint32_t dirty_position_ = not_dirty;
    PeerRecord peer_;
    std::uint8_t watched_events_ = 0; ///< EPOLLIN and EPOLLOUT
    bool paused_ = false;
    bool blocked_ = false; ///< the socket's send buffer is full
    bool over_high_water_ = false;
};

/// What is left of a stream after close(): sends the rest, announces the end, waits for the peer's.
class LingeringSocket final : private Watcher {
public:
    LingeringSocket(SocketNetwork& network, Descriptor fd, std::unique_ptr<OutputBuffer> unsent);
    ~LingeringSocket() override;
    /// False when there is nothing left to wait for.
    bool begin();

private:
    void on_ready(std::uint32_t events) override;
    bool advance();
    std::uint32_t wanted_events() const;

    SocketNetwork& network_;
    Descriptor fd_;
    std::unique_ptr<OutputBuffer> unsent_; ///< null once all is out
    std::size_t discarded_ = 0;
    bool shut_ = false; ///< our end is announced
    bool peer_ended_ = false;
    WatchId watch_ = 0;
    Timer deadline_;
};

/// Error of a stream's system call, in words for a person.
Error stream_error(const PeerRecord& peer, int errno_value);

} // namespace brim::io
