#pragma once
// One transport loop of a SpreadNetwork, as the home loop sees it, and the streams whose sockets live there.
// Private to io.

#include "io/internal/transport_mail.h"
#include "io/socket_network.h"

#include <memory>
#include <optional>
#include <vector>

namespace brim::io {

class SpreadStream;
class TransportFar;

/// Home loop's thread only. Outlives its streams.
class TransportLoop {
public:
    TransportLoop(EpollLoop& home, Log& log, unsigned number);
    ~TransportLoop();
    TransportLoop(const TransportLoop&) = delete;
    TransportLoop& operator=(const TransportLoop&) = delete;

    std::unique_ptr<Stream> take(LooseSocket socket);

    std::size_t streams() const noexcept { return places_.size() - free_.size(); }

    void release_buffers();

private:
    friend class SpreadStream;
    using Kind = TransportMail::Kind;

    /// Who has a slot.
    struct Place {
        SpreadStream* stream = nullptr;
        std::uint32_t generation = 0;
    };

    /// Tells work on the home loop whether this object is there; only used on that loop.
    struct Alive {
        TransportLoop* loop;
    };

    /// For the stream's entry; the mail leaves at the end of the turn.
    TransportMail& mail();

    void put(Kind kind, std::uint32_t slot) { mail().entries.push_back({slot, 0, 0, kind}); }

    void send();
    void receive(std::unique_ptr<TransportMail> mail);
    /// Null when the stream that was meant is gone.
    SpreadStream* find(std::uint32_t slot, std::uint32_t generation) const;
    void forget(std::uint32_t slot);
    void deliver_later(std::uint32_t slot);
    void deliver_held();

    EpollLoop& home_;
    std::unique_ptr<TransportMail> out_;
    std::unique_ptr<TransportMail> spare_;
    bool leaving_ = false;      ///< out_ goes at the end of this turn
    std::size_t untold_ = 0;    ///< bytes of data taken, for the next credit
    std::vector<Place> places_; ///< by slot
    std::vector<std::uint32_t> free_;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> resumed_; ///< slots and generations with held bytes
    std::shared_ptr<Alive> alive_;
    std::unique_ptr<TransportFar> far_;
};

/// A stream of the home loop; the socket is the transport loop's.
class SpreadStream final : public Stream {
public:
    SpreadStream(TransportLoop& loop, std::uint32_t slot, const PeerRecord& peer)
        : loop_(loop), slot_(slot), peer_(peer) {}

    ~SpreadStream() override { loop_.forget(slot_); }

    void start(StreamHandler& handler) override;
    bool write(ByteView bytes) override;

    std::size_t queued() const override { return waiting_; }

    void pause_reading(bool paused) override;
    void close() override;

    Peer peer() const override { return peer_.peer(); }

    // What the mail says. Each may destroy the stream.
    void arrived(ByteView bytes);
    void gone(std::size_t count);
    void full(bool is_full);
    void ended(Error why);
    /// What came while reading was paused, if it is no longer.
    void deliver();

private:
    /// What was under way when reading was paused.
    struct Held {
        Bytes bytes;
        std::optional<Error> end;
    };

    void look_whether_drained();

    TransportLoop& loop_;
    StreamHandler* handler_ = nullptr; ///< null before start, after the end and after close()
    std::unique_ptr<Held> held_;
    std::size_t waiting_ = 0; ///< written, and not known to be with the kernel
    std::uint32_t slot_;
    PeerRecord peer_;
    bool started_ = false;
    bool paused_ = false;
    bool is_full_ = false; ///< at the far side
    bool over_high_water_ = false;
    bool done_ = false; ///< ended, or closed
};

} // namespace brim::io
