#pragma once
// One simulated TCP (or unix socket) connection: two ends, packets in between. Private to sim/.

#include "io/net.h"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brim::io {

class SimEnv;
class SimLinks;
class SimStream;

/// Shared by its two streams and by the events that carry its packets; the last of them ends it.
struct SimConnection : std::enable_shared_from_this<SimConnection> {
    struct Packet {
        std::uint64_t sequence = 0;
        Bytes bytes;
        bool fin = false;
    };

    struct End {
        SimEnv* env = nullptr; ///< outlives the connection (SimMachine keeps dead processes)
        std::string machine;
        Peer peer;                   ///< who this end sees
        SimStream* stream = nullptr; ///< null: closed by its owner
        StreamHandler* handler = nullptr;
        bool paused = false;
        bool dead = false;              ///< its process was killed
        Bytes outgoing;                 ///< written, not yet taken by the kernel
        std::uint64_t sent = 0;         ///< bytes put on the wire
        std::uint64_t acknowledged = 0; ///< of those, consumed by the other end as far as this end knows
        std::uint64_t next_sequence = 0;
        std::vector<Packet> stalled; ///< sent into a partition, to be retransmitted
        std::uint64_t stall = 0;     ///< counts the times `stalled` began to fill
        Mono last_arrival{};         ///< packets of a stream do not overtake each other
        bool fin_wanted = false;
        bool fin_sent = false;
        bool waits_for_drain = false;
        Bytes incoming; ///< arrived, not yet given to the handler
        std::uint64_t consumed = 0;
        std::uint64_t expected = 0;
        std::map<std::uint64_t, Packet> early;
        bool fin_arrived = false;
        std::optional<Error> fate; ///< why this end is over
        bool offering = false;     ///< an event that will call the handler is scheduled
    };

    SimConnection(SimLinks& network, std::uint64_t lane_number) : links(network), lane(lane_number) {}

    SimLinks& links;
    std::uint64_t lane;
    std::array<End, 2> ends;

    std::string name() const;
    bool joins(const std::string& a, const std::string& b) const;

    bool open() const { return !ends[0].fate && !ends[1].fate && (ends[0].stream || ends[1].stream); }

    /// Moves what is written at `side` onto the wire, as far as the window allows.
    void pump(unsigned side);
    /// Gives `side` what has arrived, in a turn of its own loop.
    void offer(unsigned side);
    /// `side` is over: its handler hears `why` next.
    void abort(unsigned side, Error why);
    /// The owner of `side` closed it; with `drop`, unsent bytes are lost.
    void close(unsigned side, bool drop);
    void process_died(unsigned side, bool silent);
    /// Packets from `side` get through again.
    void path_healed(unsigned side);

private:
    void send(unsigned side, Packet packet);
    void put_on_wire(unsigned side, Packet packet, Duration extra);
    void stall(unsigned side, Packet packet);
    void arrive(unsigned side, Packet packet);
    void send_reset(unsigned from);
    void send_acknowledgement(unsigned from);
    void give(unsigned side);
    void consume(unsigned side, std::size_t count);
    bool reachable(unsigned side) const;
};

/// What a program holds of one end.
class SimStream final : public Stream {
public:
    static constexpr std::size_t high_water_bytes = 256 * 1024;
    static constexpr std::size_t low_water_bytes = 64 * 1024;

    SimStream(std::shared_ptr<SimConnection> connection, unsigned side);
    ~SimStream() override;

    void start(StreamHandler& handler) override;
    bool write(ByteView bytes) override;
    std::size_t queued() const override;
    void pause_reading(bool paused) override;
    void close() override;
    Peer peer() const override;

private:
    SimConnection::End& end() const { return connection_->ends[side_]; }

    std::shared_ptr<SimConnection> connection_;
    unsigned side_;
    bool flush_planned_ = false;
};

} // namespace brim::io
