#pragma once
// The store and forward of a bridge: what was accepted for the remote broker lies in a log until the remote
// broker has acknowledged it.

#include "base/message.h"
#include "io/env.h"
#include "mqtt/packet.h"
#include "store/log.h"
#include "store/seq_set.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace brim::broker {

/// What the queue needs of the connection.
class BridgePort {
public:
    virtual ~BridgePort() = default;
    /// How many more may be sent now.
    virtual std::size_t quota() = 0;
    /// Sends now; `message` may be lowered to what the remote broker takes. True: settled() follows. False:
    /// it was sent with QoS 0 and nothing follows. Errc::closed and Errc::busy: try again later; anything
    /// else: it can never be sent.
    virtual Result<bool> send(Message& message, store::Seq seq) = 0;
    /// `reason` is a metric label.
    virtual void dropped(std::string_view reason, std::uint64_t count) = 0;
};

/// Lives on the log's loop; port outlives it. Owns the log.
///
/// Laws: a record leaves only when it was settled: acknowledged, refused for good, expired, or given up for
/// room and counted. Sent in the order of the log; what is in flight over a cut connection is the client's to
/// send again. The stored progress may lie behind, never ahead: after a crash some are sent twice.
class BridgeQueue {
public:
    BridgeQueue(io::Env& env, std::unique_ptr<store::Log> log, BridgePort& port, std::string name);
    /// Notes the progress as far as the log still takes it.
    ~BridgeQueue();
    BridgeQueue(const BridgeQueue&) = delete;
    BridgeQueue& operator=(const BridgeQueue&) = delete;

    /// `done` runs on the loop when it is on disk, or with why it is not; never from inside this call. An
    /// error of this call means that nothing was taken: Errc::too_large, Errc::full, Errc::busy, Errc::io.
    Result<void> accept(const Message& message, std::move_only_function<void(Result<void>)> done);

    /// The connection is up: sends what is next, in order.
    void begin();
    /// The connection is gone. What was in flight is kept by the client.
    void end();
    void settled(store::Seq seq, mqtt::ReasonCode reason);
    /// Something changed (quota, congestion): look again at the end of this turn.
    void kick();

    /// Records neither settled nor lost.
    std::uint64_t held() const;

    store::LogStats log_stats() const { return log_->stats(); }

    /// Writes and syncs all, then calls `done`. Nothing is accepted any more.
    void close(std::move_only_function<void()> done);

private:
    void pump();
    bool send_next();
    void settle(store::Seq seq);
    void note_retention();
    void save();
    void wake_after(Duration wait);

    io::Env& env_;
    std::unique_ptr<store::Log> log_;
    BridgePort& port_;
    std::string name_;
    store::SeqSet done_;
    std::map<store::Seq, bool> inflight_; ///< true: its record was given up for room meanwhile
    std::unique_ptr<store::LogReader> reader_;
    store::Seq position_ = 1; ///< everything below was sent or settled
    store::Seq reader_at_ = 0;
    std::chrono::milliseconds retry_{0};
    Mono not_before_{};
    io::Timer wake_;
    io::Timer save_;
    bool active_ = false;
    bool kicked_ = false;
    std::shared_ptr<char> alive_; ///< shared with work that waits, which only asks whether we are still here
};

} // namespace brim::broker
