#pragma once
// Store and forward: every accepted report is a record in the log before its driver is acknowledged, and
// stays there until the hub has acknowledged it. The heart of the edge.

#include "base/message.h"
#include "edge/alive.h"
#include "edge/lanes.h"
#include "edge/ledger.h"
#include "edge/record.h"
#include "edge/starts.h"
#include "io/env.h"
#include "mqtt/packet.h"
#include "store/log.h"
#include "store/seq_set.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace brim::edge {

/// What the forwarder needs of the uplink.
class ForwardPort {
public:
    virtual ~ForwardPort() = default;
    /// How many more reports may be sent now.
    virtual std::size_t quota() = 0;
    /// QoS 1. Errc::closed, Errc::busy: try again later. Errc::too_large: this one can never be sent.
    virtual Result<void> publish(const Message& message, store::Seq seq) = 0;
    /// True when reports of this device may be sent now. False remembers the wish: opened() follows when it
    /// may.
    virtual bool gate(std::string_view product_key, std::string_view device_name) = 0;
    /// The hub refused a report of this device ("{pk}/{dn}") for lack of rights. True: the gate is closed
    /// until its session is renewed, and the report should be tried once more. False: the refusal is meant.
    virtual bool doubt(const std::string& device) = 0;
};

struct ForwardOptions {
    double replay_rate = 0;
    unsigned replay_share = 50;
    std::size_t gaps_max =
        65'536; ///< runs of settled records above unsettled ones (devices that may not log in)
    std::chrono::milliseconds save_every{200}; ///< how far the stored progress may lag behind
    std::chrono::milliseconds retry_min{1'000};
    std::chrono::milliseconds retry_max{60'000};
};

/// Lives on the log's loop; log, port and ledger outlive it. Between begin() and end() two lanes send: the
/// backlog lane walks what was in the log at begin(), the live lane what came after, sharing the window by
/// LaneShare.
///
/// Laws: a record is settled once (acknowledged, rejected for good, or dropped and counted); a cut costs at
/// most the records in flight a second transmission; the stored progress may lag behind, never run ahead.
/// Numbers are only unique within a run (one start of the program): a log that lost its tail gives them
/// again, so each message says which run sends it and where that run began, and the same of the runs before
/// it that the hub may not know of.
class Forwarder {
public:
    Forwarder(io::Env& env, store::Log& log, ForwardPort& port, Ledger& ledger, ForwardOptions options);

    /// Begins this start of the program: on disk before it gives a number or tells the hub of itself. Once,
    /// before all else, on a log that was just opened; blocking.
    Result<void> begin_run();

    /// Appends an encoded report. `done` runs when it is on disk, or with why it is not. Errors: those of
    /// Log::append; then nothing was taken and `done` is not called.
    Result<store::Seq> accept(ByteView record, std::move_only_function<void(Result<void>)> done);

    void begin(); ///< the uplink is up
    void end();   ///< the uplink is gone: what was in flight will be taken from the log again
    void settled(store::Seq seq, mqtt::ReasonCode reason);
    /// Reports of this device ("{pk}/{dn}") may be sent now: those passed over are revisited.
    void opened(const std::string& device);
    /// Something changed (quota, congestion): look again at the end of this turn.
    void kick();

    /// True when every record below `mark` that may be sent was sent and settled.
    bool passed(store::Seq mark) const;

    /// The number the next report gets.
    store::Seq next() const { return log_.stats().next; }

    /// Reports neither settled nor waiting for the disk.
    std::uint64_t held() const;

    std::uint64_t waiting_for_disk() const { return waiting_; }

    std::size_t inflight() const { return inflight_.size(); }

    bool replaying() const { return active_ && backlog_.position < backlog_.end; }

    /// When the oldest held report was accepted; nothing when none is held. Reads the disk.
    std::optional<WallTime> oldest();

    /// Records above `seq` are kept even when settled: somebody else still needs them.
    void keep_above(store::Seq seq) { keep_above_ = seq; }

    /// Writes the progress into the log now.
    void save();

    const store::SeqSet& done() const { return done_; }

    /// What messages say of this start and of those the hub may not know of.
    const std::string& run() const { return run_; }

private:
    struct Candidate {
        store::Seq seq = 0;
        Message message;
        std::string device;   ///< "{pk}/{dn}"
        bool counted = false; ///< the hub that acknowledges it counts its number, and knows this start
    };

    struct Walk {
        std::unique_ptr<store::LogReader> reader;
        store::Seq reader_at = 0;           ///< the reader's next record is this one or later
        store::Seq position = 1;            ///< everything below was looked at
        store::Seq end = 0;                 ///< not walked by this lane
        std::optional<Candidate> candidate; ///< at `position`
        Mono not_before{};                  ///< the hub asked for patience
        std::chrono::milliseconds retry{0};
    };

    struct Flight {
        Lane lane = Lane::live;
        std::string device;
        bool counted = false; ///< of Candidate
        bool dropped = false; ///< retention took the record while it was in flight
    };

    Walk& walk(Lane lane) { return lane == Lane::backlog ? backlog_ : live_; }

    void pump();
    bool ready(Walk& lane, unsigned& budget);
    bool look(Walk& lane);
    bool send(Lane lane);
    void rewind(Walk& lane, store::Seq seq);
    void settle(store::Seq seq);
    void patience(Lane lane, store::Seq seq);
    void lose(store::Seq first, store::Seq end);
    void give_up_below(store::Seq low, std::string_view reason);
    void note_retention();
    void note_known();
    void changed();
    void wake_after(Duration wait);

    io::Env& env_;
    store::Log& log_;
    ForwardPort& port_;
    Ledger& ledger_;
    ForwardOptions options_;
    store::SeqSet done_;
    Starts starts_;
    std::string run_; ///< of starts_
    std::map<store::Seq, Flight> inflight_;
    std::map<std::string, store::Seq, std::less<>> skipped_; ///< device -> its first record passed over
    std::set<store::Seq> denied_; ///< refused for lack of rights once, to be tried once more
    Walk backlog_;
    Walk live_;
    LaneShare share_;
    RecordRate rate_;
    io::Timer wake_;
    Mono wake_at_{};
    io::Timer save_;
    std::uint64_t waiting_ = 0;
    store::Seq keep_above_ = UINT64_MAX;
    bool active_ = false;
    bool kicked_ = false;
    Lease lease_;
};

} // namespace brim::edge
