#include "edge/forwarder.h"

#include <algorithm>
#include <utility>

namespace brim::edge {

namespace {

constexpr std::string_view cursor_name = "uplink";
constexpr std::string_view starts_name = "uplink-starts";
constexpr std::size_t cursor_extra_max = 65'536; // Log::set_cursor's limit
constexpr unsigned looks_per_turn = 256;         // then the loop's other work has its turn

/// The hub asks for patience; everything else that fails is about the report itself.
bool is_temporary(mqtt::ReasonCode reason) {
    using enum mqtt::ReasonCode;
    return reason != not_authorized && reason != topic_name_invalid && reason != payload_format_invalid &&
           reason != implementation_specific_error && reason != packet_too_large;
}

std::string_view rejection_label(mqtt::ReasonCode reason) {
    using enum mqtt::ReasonCode;
    if (reason == not_authorized)
        return "not_authorized";
    if (reason == topic_name_invalid)
        return "topic_name_invalid";
    if (reason == payload_format_invalid)
        return "payload_format_invalid";
    if (reason == packet_too_large)
        return "too_large";
    return "implementation_specific";
}

} // namespace

Forwarder::Forwarder(io::Env& env, store::Log& log, ForwardPort& port, Ledger& ledger, ForwardOptions options)
    : env_(env), log_(log), port_(port), ledger_(ledger), options_(options), done_(options.gaps_max),
      share_(options.replay_share), rate_(options.replay_rate), wake_(env.loop()), save_(env.loop()) {
    const auto cursor = log_.cursor(cursor_name);
    auto stored = store::SeqSet::decode(cursor.position, cursor.extra, options_.gaps_max);
    if (stored) {
        done_ = std::move(*stored);
    } else { // knowing less only costs transmissions the hub recognises
        env_.log().warn(
            "forward",
            "stored progress is unreadable, starting at its floor",
            {{"cause", stored.error().cause}}
        );
        done_.raise(cursor.position + 1);
    }
    if (const store::Seq next = log_.stats().next; done_.cut(next)) {
        env_.log().warn(
            "forward", "the buffer ends before what was settled: numbers are given again", {{"next", next}}
        );
    }
    done_.raise(log_.stats().first); // what retention took before this start was counted then
    ledger_.held_at_start = held();
}

Result<void> Forwarder::begin_run() {
    if (auto before = Starts::decode(log_.cursor(starts_name).extra)) {
        starts_ = std::move(*before);
    } else {
        env_.log().warn("forward", "earlier starts are unreadable", {{"cause", before.error().cause}});
    }
    starts_.begin(env_.random().u64(), log_.stats().next);
    run_ = starts_.text();
    BRIM_TRY(log_.set_cursor(starts_name, 0, starts_.encode()));
    return log_.sync_cursors();
}

void Forwarder::note_known() {
    if (!starts_.known())
        return;
    run_ = starts_.text();
    if (const auto saved = log_.set_cursor(starts_name, 0, starts_.encode()); !saved)
        env_.log().warn("forward", "cannot store this start", {{"error", saved.error().text()}});
}

std::uint64_t Forwarder::held() const {
    const auto stats = log_.stats();
    return done_.missing(stats.first, stats.next) - waiting_ +
           static_cast<std::uint64_t>(std::ranges::count_if(inflight_, [](const auto& f) {
               return f.second.dropped;
           }));
}

Result<store::Seq> Forwarder::accept(ByteView record, std::move_only_function<void(Result<void>)> done) {
    auto seq = log_.append(record);
    note_retention();
    if (!seq)
        return seq;
    ++ledger_.accepted;
    ++waiting_;
    auto landed = [this, seq = *seq, done = std::move(done)](Result<void> outcome) mutable {
        --waiting_;
        note_retention(); // the log makes room when it writes, after accept() has looked
        if (outcome) {
            ++ledger_.stored;
            kick();
        } else { // the driver still has it; whatever is left of it on disk is not ours to send
            ++ledger_.unsaved;
            settle(seq);
        }
        done(std::move(outcome));
    };
    log_.when_durable(*seq, lease_.wrap(std::move(landed)));
    return seq;
}

void Forwarder::begin() {
    const store::Seq head = log_.stats().next;
    active_ = true;
    const auto lane = [this](store::Seq from, store::Seq end) {
        Walk walk;
        walk.reader = log_.read_from(from);
        walk.reader_at = from;
        walk.position = from;
        walk.end = end;
        return walk;
    };
    backlog_ = lane(done_.low(), head);
    live_ = lane(head, UINT64_MAX);
    kick();
}

void Forwarder::end() {
    active_ = false;
    note_retention(); // at the end of the program nobody comes after this to count
    for (const auto& [seq, flight] : inflight_) {
        if (flight.dropped)
            ledger_.drop("full", 1);
    }
    inflight_.clear();
    skipped_.clear();
    backlog_.candidate.reset();
    live_.candidate.reset();
    wake_.stop();
}

void Forwarder::kick() {
    if (!active_ || kicked_)
        return;
    kicked_ = true;
    env_.loop().at_turn_end(lease_.wrap([this] { pump(); }));
}

void Forwarder::pump() {
    kicked_ = false;
    if (!active_)
        return;
    note_retention();
    const Mono now = env_.loop().now();
    unsigned budget = looks_per_turn;
    while (active_ && port_.quota() > 0) {
        const bool live = ready(live_, budget);
        bool backlog = ready(backlog_, budget);
        if (backlog && !rate_.ready(now)) {
            backlog = false;
            wake_after(rate_.wait(now));
        }
        const auto lane = share_.pick(backlog, live);
        if (!lane || !send(*lane))
            break;
    }
    if (budget == 0) { // more to look at: let the loop do its other work first
        kicked_ = true;
        env_.loop().post(lease_.wrap([this] { pump(); }));
    }
}

bool Forwarder::ready(Walk& lane, unsigned& budget) {
    if (lane.candidate)
        return true;
    const Mono now = env_.loop().now();
    if (now < lane.not_before) {
        wake_after(lane.not_before - now);
        return false;
    }
    const store::Seq durable = log_.stats().durable;
    while (budget > 0) {
        lane.position = done_.next_missing(lane.position);
        if (lane.position >= lane.end || lane.position > durable)
            return false;
        --budget;
        if (!look(lane))
            return false;
        if (lane.candidate)
            return true;
    }
    return false;
}

// Reads one record at the lane's position and moves past it unless it becomes the candidate. False when
// nothing is there.
bool Forwarder::look(Walk& lane) {
    if (lane.reader_at != lane.position)
        lane.reader->seek(lane.position);
    store::Record record;
    const auto found = lane.reader->next(record);
    if (!found) {
        env_.log().error("forward", "cannot read the buffer", {{"error", found.error().text()}});
        wake_after(std::chrono::seconds{1});
        return false;
    }
    if (!*found)
        return false;
    lane.reader_at = record.seq + 1;
    if (record.seq > lane.position) {
        note_retention();
        lose(lane.position, std::min(record.seq, lane.end));
        lane.position = record.seq;
        if (record.seq >= lane.end) {
            lane.reader_at = 0; // read past the end: the next look seeks
            return true;
        }
    }
    if (done_.contains(record.seq) || inflight_.contains(record.seq)) {
        ++lane.position;
        return true;
    }
    const auto report = decode_report(record.body);
    if (!report) {
        env_.log().error(
            "forward",
            "a stored report is unreadable",
            {{"seq", record.seq}, {"error", report.error().text()}}
        );
        ledger_.drop("unreadable", 1);
        ++lane.position;
        settle(record.seq);
        return true;
    }
    if (!port_.gate(report->product_key, report->device_name)) {
        skipped_.try_emplace(report->device().text(), record.seq);
        ++lane.position;
        return true;
    }
    Candidate& next = lane.candidate.emplace(Candidate{});
    next.seq = record.seq;
    next.message.topic = report->topic;
    next.message.payload = report->payload;
    next.message.qos = 1;
    next.device = report->device().text();
    next.counted = report->kind != ReportKind::other;
    return true;
}

bool Forwarder::send(Lane lane) {
    Walk& walk = this->walk(lane);
    Candidate next = std::move(*walk.candidate);
    walk.candidate.reset();
    auto& properties = next.message.user_properties;
    properties.emplace_back("brim-store", log_.store_id());
    properties.emplace_back("brim-seq", std::to_string(next.seq));
    properties.emplace_back("brim-low", std::to_string(done_.low()));
    properties.emplace_back("brim-run", run_);
    if (lane == Lane::backlog)
        properties.emplace_back("brim-replay", "1");
    const auto sent = port_.publish(next.message, next.seq);
    if (sent) {
        inflight_.emplace(next.seq, Flight{lane, std::move(next.device), next.counted, false});
        walk.position = next.seq + 1;
        ++ledger_.sent;
        if (lane == Lane::backlog)
            rate_.take();
        return true;
    }
    if (sent.error().code != Errc::too_large)
        return false; // the candidate is read again
    env_.log().error(
        "forward", "a report is larger than the hub takes", {{"seq", next.seq}, {"topic", next.message.topic}}
    );
    ledger_.reject("too_large");
    walk.position = next.seq + 1;
    settle(next.seq);
    return true;
}

void Forwarder::settled(store::Seq seq, mqtt::ReasonCode reason) {
    const auto found = inflight_.find(seq);
    if (found == inflight_.end())
        return;
    const Flight flight = std::move(found->second);
    inflight_.erase(found);
    const bool denied = reason == mqtt::ReasonCode::not_authorized && !flight.dropped;
    if (denied && !denied_.contains(seq) && port_.doubt(flight.device)) {
        denied_.insert(seq);
        const auto [skipped, fresh] = skipped_.try_emplace(flight.device, seq);
        if (!fresh)
            skipped->second = std::min(skipped->second, seq);
        kick();
        return;
    }
    if (!mqtt::is_failure(reason)) {
        ++ledger_.acknowledged;
        if (flight.counted)
            note_known();
        walk(flight.lane).retry = {};
    } else if (is_temporary(reason) && !flight.dropped) {
        patience(flight.lane, seq);
        return;
    } else if (is_temporary(reason)) {
        ledger_.drop("full", 1);
    } else {
        ledger_.reject(rejection_label(reason));
        env_.log().warn(
            "forward",
            "the hub refused a report for good",
            {{"seq", seq}, {"reason", mqtt::reason_text(reason)}}
        );
    }
    settle(seq);
}

void Forwarder::patience(Lane lane, store::Seq seq) {
    Walk& walk = this->walk(lane);
    const Mono now = env_.loop().now();
    if (now >= walk.not_before) { // one step per refused window, not per refused report
        walk.retry = std::clamp(walk.retry * 2, options_.retry_min, options_.retry_max);
        const auto half = static_cast<std::uint64_t>(walk.retry.count()) / 2;
        walk.not_before = now + std::chrono::milliseconds(half + env_.random().below(half + 1));
    }
    rewind(walk, seq);
    wake_after(walk.not_before - now);
}

void Forwarder::rewind(Walk& lane, store::Seq seq) {
    lane.position = std::min(lane.position, seq);
    lane.candidate.reset();
}

void Forwarder::opened(const std::string& device) {
    const auto found = skipped_.find(device);
    if (found == skipped_.end())
        return;
    // The backlog lane revisits up to where the live lane is: it sends what is neither done nor in flight.
    rewind(backlog_, found->second);
    backlog_.end = std::max(backlog_.end, live_.position);
    skipped_.erase(found);
    kick();
}

void Forwarder::settle(store::Seq seq) {
    while (done_.insert(seq) == store::SeqSet::Insert::full) {
        // Devices that may not log in hold back this many runs: the oldest of theirs go, so that others go
        // on.
        give_up_below(done_.first_run(), "no_session");
    }
    denied_.erase(seq);
    changed();
    kick();
}

void Forwarder::lose(store::Seq first, store::Seq end) {
    std::uint64_t lost = 0;
    for (store::Seq seq = done_.next_missing(first); seq < end; seq = done_.next_missing(seq + 1)) {
        if (const auto flight = inflight_.find(seq); flight != inflight_.end())
            continue;
        ++lost;
        settle(seq);
    }
    if (lost == 0)
        return;
    ledger_.drop("quarantined", lost);
    env_.log().error(
        "forward", "stored reports were damaged and are lost", {{"count", lost}, {"from", first}}
    );
}

void Forwarder::give_up_below(store::Seq low, std::string_view reason) {
    std::uint64_t flying = 0;
    for (auto flight = inflight_.begin(); flight != inflight_.end() && flight->first < low; ++flight) {
        if (flight->second.dropped)
            continue;
        flight->second.dropped = true; // its acknowledgement may still come
        ++flying;
    }
    const std::uint64_t gone = done_.raise(low) - flying;
    denied_.erase(denied_.begin(), denied_.lower_bound(low));
    if (gone == 0)
        return;
    ledger_.drop(reason, gone);
    env_.log().warn("forward", "stored reports were given up", {{"reason", reason}, {"count", gone}});
    changed();
}

void Forwarder::note_retention() {
    const store::Seq first = log_.stats().first;
    if (first > done_.low())
        give_up_below(first, "full");
}

bool Forwarder::passed(store::Seq mark) const {
    if (!active_ || live_.position < mark)
        return false;
    if (backlog_.position < std::min(mark, backlog_.end))
        return false;
    return inflight_.empty() || inflight_.begin()->first >= mark;
}

std::optional<WallTime> Forwarder::oldest() {
    if (held() == 0)
        return std::nullopt;
    const auto reader = log_.read_from(done_.low());
    store::Record record;
    const auto found = reader->next(record);
    if (!found || !*found)
        return std::nullopt;
    const auto report = decode_report(record.body);
    return report ? std::optional(report->time) : std::nullopt;
}

void Forwarder::changed() {
    if (!save_.running())
        save_.start(options_.save_every, [this] { save(); });
}

void Forwarder::save() {
    const store::Seq position = done_.low() - 1;
    const auto saved = log_.set_cursor(cursor_name, position, done_.encode(cursor_extra_max));
    if (!saved)
        env_.log().warn("forward", "cannot store progress", {{"error", saved.error().text()}});
    else
        log_.trim(std::min(position, keep_above_));
}

void Forwarder::wake_after(Duration wait) {
    const Mono at = env_.loop().now() + wait;
    if (wake_.running() && wake_at_ <= at)
        return;
    wake_at_ = at;
    wake_.start(wait, [this] { kick(); });
}

} // namespace brim::edge
