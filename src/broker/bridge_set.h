#pragma once
// All bridges of one broker, and what keeps messages from going round in circles.

#include "broker/bridge.h"
#include "broker/bridge_mark.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace brim::broker {

/// Lives on the Env's loop; env and local broker outlive it.
///
/// How a broker uses it, in BrokerHost::on_publish (wills come there too, with token 0), after permissions:
///
///     LocalBroker::Done done;
///     if (token != 0)
///         done = [this, token](auto kept) { broker().complete(token, kept ? success : quota_exceeded,
///         now()); };
///     auto taken = bridges.take(message, std::move(done));
///     if (taken.route == message && !taken.pending) return Verdict::route;
///     if (taken.route) broker().publish(taken.route, now());  // before complete(): it waits for the journal
///     return taken.pending && token != 0 ? Verdict::pending : Verdict::consumed;
///
/// and in LocalBroker::publish (what came from outside; loops are cut already): broker().publish(message),
/// then `done` when what that wrote is on disk.
class BridgeSet final : private LocalBroker {
public:
    /// `broker_id`: is_broker_id(), the same at every start, unlike any other broker's it may meet.
    BridgeSet(io::Env& env, LocalBroker& local, std::string broker_id);
    ~BridgeSet() override;
    BridgeSet(const BridgeSet&) = delete;
    BridgeSet& operator=(const BridgeSet&) = delete;

    /// Opens one more. Blocking: used at start. Errc::exists for a name that is taken.
    Result<Bridge*> add(BridgeSettings settings, mqtt::Link::Wrap wrap = {});
    void start();
    /// Stops all, then calls `done`.
    void stop(std::function<void()> done);

    struct Taken {
        MessagePtr route;     ///< to deliver locally: the message, or a copy with its mark; null: to nobody
        bool pending = false; ///< `done` will be called, never from inside take()
    };

    /// A message that a local client published. Cuts loops, marks what bridges carry, hands it to each bridge
    /// that wants it. `done` has an error (Errc::full, ...) when a bridge could not keep it: then it was
    /// delivered to nobody, for the publisher will try again. A null `done` (QoS 0, wills) is one who cannot:
    /// the message is delivered locally all the same.
    Taken take(const MessagePtr& message, LocalBroker::Done done);

    const std::vector<std::unique_ptr<Bridge>>& bridges() const { return bridges_; }

    std::uint64_t loops_cut() const { return loops_cut_; } ///< had been here, or came a second time

    std::uint64_t bad_marks() const { return bad_marks_; } ///< dropped: they carried a mark that is none

    std::uint64_t too_far() const { return too_far_; } ///< handed on by 8 brokers: delivered, not carried

private:
    // LocalBroker, for the bridges
    void publish(const MessagePtr& message, Done done) override;

    /// Counts down until the last bridge (and the local broker) has it.
    struct Wait {
        std::size_t left = 1;
        std::optional<Error> error;
        std::string id; ///< of the mark; empty when it has none
        Done done;
    };

    enum class Entry : std::uint8_t { go_on, drop, wait };
    Entry enter(const MessagePtr& message, MessagePtr& route, std::string& id, bool& carry, const Done& done);
    std::size_t offer(const Message& message, const std::shared_ptr<Wait>& wait);
    void landed(Wait& wait, const Result<void>& outcome);
    void later(Done done, Result<void> outcome);
    bool touched(std::string_view topic) const;

    io::Env& env_;
    LocalBroker& local_;
    std::string id_;
    std::string run_; ///< random, of this start
    std::uint64_t count_ = 0;
    SeenMessages seen_;
    std::uint64_t loops_cut_ = 0;
    std::uint64_t bad_marks_ = 0;
    std::uint64_t too_far_ = 0;
    std::vector<std::unique_ptr<Bridge>> bridges_;
    std::shared_ptr<char> alive_; ///< shared with callbacks given away, which only ask whether we are here
};

} // namespace brim::broker
