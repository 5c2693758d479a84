#pragma once
// A connected socket as a Stream, and one that only flushes.

#include "io/socket_network.h"

#include <memory>

namespace brim::io {

class SocketStream final : public Stream, private Watcher {
public:
    SocketStream(SocketNetwork& network, Descriptor fd, Peer peer);
    ~SocketStream() override;

    void start(StreamHandler& handler) override;
    bool write(ByteView bytes) override;

    std::size_t queued() const override { return out_.size() - sent_; }

    void pause_reading(bool paused) override;
    void close() override;

    const Peer& peer() const override { return peer_; }

    /// Called by the network at the end of a turn in which something was written. May destroy the stream.
    void flush_turn();

private:
    static constexpr std::size_t not_dirty = ~std::size_t{0};

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

    SocketNetwork& network_;
    Descriptor fd_;
    Peer peer_;
    StreamHandler* handler_ = nullptr;
    WatchId watch_ = 0;
    std::uint32_t watched_events_ = 0;
    Bytes out_;
    std::size_t sent_ = 0; ///< leading bytes of out_ that are gone
    std::size_t dirty_position_ = not_dirty;
    bool paused_ = false;
    bool blocked_ = false; ///< the socket's send buffer is full
    bool over_high_water_ = false;
    /// Noticed where the handler may not be called; told at the end of the turn. Apart: most streams never
    /// fail, and there are many idle ones.
    std::unique_ptr<Error> failure_;
    bool* gone_ = nullptr; ///< set by the destructor, for the call that is on the stack
};

/// What is left of a stream after close(): sends the rest, announces the end, waits for the peer's.
class LingeringSocket final : private Watcher {
public:
    LingeringSocket(SocketNetwork& network, Descriptor fd, Bytes unsent, std::size_t sent);
    ~LingeringSocket() override;
    /// False when there is nothing left to wait for.
    bool begin();

private:
    void on_ready(std::uint32_t events) override;
    bool advance();
    std::uint32_t wanted_events() const;

    SocketNetwork& network_;
    Descriptor fd_;
    Bytes unsent_;
    std::size_t sent_;
    std::size_t discarded_ = 0;
    bool shut_ = false; ///< our end is announced
    bool peer_ended_ = false;
    WatchId watch_ = 0;
    Timer deadline_;
};

/// Error of a stream's system call, in words for a person.
Error stream_error(const Peer& peer, int errno_value);

} // namespace brim::io
