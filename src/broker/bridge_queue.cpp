#include "broker/bridge_queue.h"

#include "broker/bridge_record.h"

#include <algorithm>
#include <utility>

namespace brim::broker {

namespace {

constexpr std::string_view cursor_name = "remote";
constexpr std::size_t cursor_extra_max = 65'536; // Log::set_cursor's limit
constexpr std::size_t gaps_max = 65'536;
constexpr unsigned sends_per_turn = 256; // then the loop's other work has its turn
constexpr std::chrono::milliseconds save_every{200};
constexpr std::chrono::milliseconds retry_min{1'000};
constexpr std::chrono::milliseconds retry_max{60'000};

/// The remote broker asks for patience; everything else that fails is about the message itself.
bool is_temporary(mqtt::ReasonCode reason) {
    using enum mqtt::ReasonCode;
    return reason == unspecified_error || reason == quota_exceeded || reason == server_busy ||
           reason == server_unavailable || reason == message_rate_too_high ||
           reason == packet_identifier_in_use;
}

} // namespace

BridgeQueue::BridgeQueue(io::Env& env, std::unique_ptr<store::Log> log, BridgePort& port, std::string name)
    : env_(env), log_(std::move(log)), port_(port), name_(std::move(name)), done_(gaps_max),
      wake_(env.loop()), save_(env.loop()), alive_(std::make_shared<char>()) {
    const auto cursor = log_->cursor(cursor_name);
    auto stored = store::SeqSet::decode(cursor.position, cursor.extra, gaps_max);
    if (stored)
        done_ = std::move(*stored);
    else // knowing less only costs sending twice
        done_.raise(cursor.position + 1);
    done_.cut(log_->stats().next); // a power cut took the tail: its numbers are given again
    done_.raise(log_->stats().first);
    position_ = done_.low();
}

BridgeQueue::~BridgeQueue() {
    save();
}

Result<void> BridgeQueue::accept(const Message& message, std::move_only_function<void(Result<void>)> done) {
    const auto seq = log_->append(encode_bridge_record(message));
    note_retention();
    if (!seq)
        return fail(seq.error());
    auto landed = [this, alive = std::weak_ptr(alive_), seq = *seq, done = std::move(done)](
                      Result<void> outcome
                  ) mutable {
        if (alive.expired())
            return;
        note_retention(); // the log makes room when it writes
        if (outcome)
            kick();
        else // whoever published it still has it; what is left of it on disk is not ours to send
            settle(seq);
        done(std::move(outcome));
    };
    log_->when_durable(*seq, std::move(landed));
    return {};
}

std::uint64_t BridgeQueue::held() const {
    const auto stats = log_->stats();
    return done_.missing(stats.first, stats.next);
}

void BridgeQueue::begin() {
    active_ = true;
    retry_ = {};
    not_before_ = {};
    kick();
}

void BridgeQueue::end() {
    active_ = false;
    wake_.stop();
}

void BridgeQueue::kick() {
    if (!active_ || kicked_)
        return;
    kicked_ = true;
    env_.loop().at_turn_end([this, alive = std::weak_ptr(alive_)] {
        if (!alive.expired())
            pump();
    });
}

void BridgeQueue::pump() {
    kicked_ = false;
    if (!active_)
        return;
    note_retention();
    const Mono now = env_.loop().now();
    if (now < not_before_)
        return wake_after(not_before_ - now);
    unsigned budget = sends_per_turn;
    while (active_ && budget > 0 && port_.quota() > 0 && send_next())
        --budget;
    if (active_ && budget == 0 && !kicked_) {
        kicked_ = true;
        env_.loop().post([this, alive = std::weak_ptr(alive_)] {
            if (!alive.expired())
                pump();
        });
    }
}

// Handles one record; false when there is none to send now.
bool BridgeQueue::send_next() {
    position_ = done_.next_missing(position_);
    while (inflight_.contains(position_))
        position_ = done_.next_missing(position_ + 1);
    if (position_ > log_->stats().durable)
        return false;
    if (!reader_)
        reader_ = log_->read_from(position_);
    else if (reader_at_ != position_)
        reader_->seek(position_);
    store::Record record;
    const auto found = reader_->next(record);
    if (!found) {
        env_.log().error(
            "bridge", "cannot read the queue", {{"bridge", name_}, {"error", found.error().text()}}
        );
        wake_after(std::chrono::seconds{1});
        return false;
    }
    if (!*found)
        return false;
    reader_at_ = record.seq + 1;
    if (record.seq > position_) { // quarantined, or gone for room
        note_retention();
        for (; position_ < record.seq; ++position_) {
            if (done_.contains(position_) || inflight_.contains(position_))
                continue;
            port_.dropped("quarantined", 1);
            settle(position_);
        }
        return true;
    }
    auto message = decode_bridge_record(record.body);
    if (!message || !take_off_age(*message, env_.loop().clock().wall())) {
        port_.dropped(message ? "expired" : "unreadable", 1);
        settle(position_);
        return true;
    }
    const store::Seq seq = position_;
    inflight_.emplace(seq, false); // the answer may come from inside the call
    const auto sent = port_.send(*message, seq);
    if (!sent && (sent.error().code == Errc::closed || sent.error().code == Errc::busy)) {
        inflight_.erase(seq);
        return false;
    }
    position_ = std::max(position_, seq + 1);
    if (sent && *sent)
        return true;
    inflight_.erase(seq);
    if (!sent)
        port_.dropped(sent.error().code == Errc::too_large ? "too_large" : "unsupported", 1);
    settle(seq);
    return true;
}

void BridgeQueue::settled(store::Seq seq, mqtt::ReasonCode reason) {
    const auto place = inflight_.find(seq);
    if (place == inflight_.end())
        return;
    const bool was_given_up = place->second;
    inflight_.erase(place);
    const bool failed = mqtt::is_failure(reason);
    if (was_given_up) {
        if (failed)
            port_.dropped("full", 1);
        return kick();
    }
    if (failed && is_temporary(reason)) {
        const Mono now = env_.loop().now();
        if (now >= not_before_) { // one step for a refused window, not for each message of it
            retry_ = std::clamp(retry_ * 2, retry_min, retry_max);
            const auto half = static_cast<std::uint64_t>(retry_.count()) / 2;
            not_before_ = now + std::chrono::milliseconds(half + env_.random().below(half + 1));
        }
        position_ = std::min(position_, seq);
        return kick();
    }
    if (failed) {
        port_.dropped("refused", 1);
        env_.log().warn(
            "bridge",
            "the remote broker refused a message for good",
            {{"bridge", name_}, {"reason", mqtt::reason_text(reason)}}
        );
    } else {
        retry_ = {};
    }
    settle(seq);
}

void BridgeQueue::settle(store::Seq seq) {
    while (done_.insert(seq) == store::SeqSet::Insert::full) {
        const std::uint64_t gone = done_.raise(done_.first_run());
        port_.dropped("gaps", gone);
    }
    if (!save_.running())
        save_.start(save_every, [this] { save(); });
    kick();
}

void BridgeQueue::note_retention() {
    const store::Seq first = log_->stats().first;
    if (first <= done_.low())
        return;
    std::uint64_t flying = 0;
    for (auto flight = inflight_.begin(); flight != inflight_.end() && flight->first < first; ++flight) {
        flying += flight->second ? 0 : 1;
        flight->second = true; // its acknowledgement may still come
    }
    const std::uint64_t gone = done_.raise(first);
    if (gone > flying) {
        port_.dropped("full", gone - flying);
        env_.log().warn("bridge", "the queue is full: the oldest messages go", {{"bridge", name_}});
    }
}

void BridgeQueue::save() {
    const store::Seq position = done_.low() - 1;
    if (log_->set_cursor(cursor_name, position, done_.encode(cursor_extra_max)))
        log_->trim(position);
}

void BridgeQueue::wake_after(Duration wait) {
    wake_.start(wait, [this] { kick(); });
}

void BridgeQueue::close(std::move_only_function<void()> done) {
    end();
    save_.stop();
    save();
    log_->close(std::move(done));
}

} // namespace brim::broker
