#include "sim/broker_recorder.h"

#include "base/assert.h"

#include <algorithm>
#include <utility>

namespace brim::sim {

SharedName split_shared(std::string_view text) {
    constexpr std::string_view prefix = "$share/";
    if (!text.starts_with(prefix))
        return {{}, text};
    text.remove_prefix(prefix.size());
    const std::size_t slash = text.find('/');
    return {text.substr(0, slash), text.substr(slash + 1)};
}

std::size_t
BrokerRecorder::add_client(std::string name, mqtt::ProtocolVersion version, std::uint32_t expiry_s) {
    ClientFacts facts;
    facts.name = std::move(name);
    facts.version = version;
    facts.expiry_s = expiry_s;
    clients_.push_back(std::move(facts));
    return clients_.size() - 1;
}

Moment BrokerRecorder::now() {
    return {++order_, world_.now()};
}

ClientFacts* BrokerRecorder::by_name(std::string_view name) {
    const auto found = std::ranges::find(clients_, name, &ClientFacts::name);
    return found == clients_.end() ? nullptr : &*found;
}

void BrokerRecorder::doubt(ClientFacts& facts, std::size_t who, const Moment& moment) {
    for (Wish& wish : facts.wishes) {
        if (!wish.doubted)
            wish.doubted = moment;
    }
    for (const auto& [number, message] : open_) {
        if (message->publisher == who)
            message->is_exact = false;
    }
}

Moment
BrokerRecorder::dialled(std::size_t who, bool clean_start, SentMessage* will, std::uint32_t will_delay_s) {
    ClientFacts& facts = clients_[who];
    Attempt attempt;
    attempt.clean_start = clean_start;
    attempt.will_delay_s = will_delay_s;
    if (will != nullptr) {
        will->is_will = true;
        attempt.will = submitted(*will).number;
        will->number = attempt.will;
    }
    attempt.began = now();
    world_.note(facts.name, clean_start ? "dials, clean" : "dials");
    if (clean_start || facts.expiry_s == 0) {
        doubt(facts, who, attempt.began);
        ++facts.generation; // it has forgotten what it received, whether or not the broker hears of it
    }
    facts.attempts.push_back(attempt);
    return attempt.began;
}

void BrokerRecorder::came_up(std::size_t who, bool is_present) {
    ClientFacts& facts = clients_[who];
    Attempt& attempt = facts.attempts.back();
    attempt.up = now();
    world_.note(facts.name, is_present ? "up" : "up anew");
    const bool is_lost = !is_present && facts.has_session && !attempt.clean_start && !facts.may_be_expired;
    if (is_lost)
        breach(1, facts.name + " was told that its session is gone, which it should not be");
    if (!is_present) {
        ++facts.generation;
        doubt(facts, who, attempt.up);
        for (Wish& wish : facts.wishes) {
            if (!wish.gone)
                wish.gone = attempt.up;
        }
    }
    for (const auto& [number, message] : open_) {
        if (message->publisher == who)
            ++message->sendings;
    }
    facts.has_session = facts.expiry_s != 0;
    facts.may_be_expired = false;
}

void BrokerRecorder::left(std::size_t who) {
    clients_[who].attempts.back().left = now();
}

SentMessage& BrokerRecorder::submitted(SentMessage message) {
    message.number = ++last_number_;
    message.submitted = now();
    SentMessage& kept = messages_[message.number] = std::move(message);
    world_.note(
        clients_[kept.publisher].name,
        (kept.is_will ? "wills " : "sends ") + std::to_string(kept.number) + " on " + kept.topic + " QoS " +
            std::to_string(kept.qos) + (kept.payload_bytes == 0 ? " empty" : "")
    );
    if (kept.qos != 0 && !kept.is_will)
        open_[kept.number] = &kept;
    return kept;
}

void BrokerRecorder::settled(std::uint64_t number, bool is_success) {
    const auto found = open_.find(number);
    BRIM_ASSERT(found != open_.end(), "a message is settled once");
    found->second->settled = now();
    found->second->is_acked = is_success;
    acked_count_ += is_success ? 1 : 0;
    world_.note(
        clients_[found->second->publisher].name,
        std::to_string(number) + (is_success ? " acknowledged" : " refused")
    );
    open_.erase(found);
    settled_lately_.push_back(number);
}

void BrokerRecorder::withdrawn(std::uint64_t number) {
    open_.erase(number);
    messages_.erase(number);
}

void BrokerRecorder::asked(std::size_t who, std::string_view filter, std::uint8_t qos, bool wants_retained) {
    const SharedName name = split_shared(filter);
    Wish wish;
    wish.filter = name.filter;
    wish.group = name.group;
    wish.qos = qos;
    wish.wants_retained = wants_retained;
    wish.asked = now();
    clients_[who].wishes.push_back(std::move(wish));
}

namespace {

bool is_of(const Wish& wish, const SharedName& name) {
    return wish.filter == name.filter && wish.group == name.group;
}

} // namespace

void BrokerRecorder::granted(std::size_t who, std::string_view filter) {
    // One SUBSCRIBE at a time is under way: the answer is to the newest.
    auto& wishes = clients_[who].wishes;
    for (auto wish = wishes.rbegin(); wish != wishes.rend(); ++wish) {
        if (!is_of(*wish, split_shared(filter)))
            continue;
        wish->granted = now();
        return;
    }
}

void BrokerRecorder::asked_release(std::size_t who, std::string_view filter) {
    const Moment moment = now();
    for (Wish& wish : clients_[who].wishes) {
        if (is_of(wish, split_shared(filter)) && !wish.release_asked)
            wish.release_asked = moment;
    }
}

void BrokerRecorder::released(std::size_t who, std::string_view filter) {
    const Moment moment = now();
    for (Wish& wish : clients_[who].wishes) {
        if (is_of(wish, split_shared(filter)) && wish.release_asked && !wish.released)
            wish.released = moment;
    }
}

bool BrokerRecorder::is_granted(std::size_t who, std::string_view filter) const {
    return std::ranges::any_of(clients_[who].wishes, [&](const Wish& wish) {
        return is_of(wish, split_shared(filter)) && wish.granted && !wish.doubted && !wish.release_asked;
    });
}

void BrokerRecorder::received(std::size_t who, Receipt receipt) {
    receipt.generation = clients_[who].generation;
    ++received_count_;
    world_.note(
        clients_[who].name, "takes " + std::to_string(receipt.number) + (receipt.retain ? ", retained" : "")
    );
    clients_[who].receipts.push_back(std::move(receipt));
}

void BrokerRecorder::breach(unsigned law, std::string text) {
    world_.note("model", text);
    breaches_.push_back({law, std::move(text)});
}

bool BrokerRecorder::is_allowed(std::string_view principal, std::string_view topic) const {
    const auto found = std::ranges::find(clients_, principal, &ClientFacts::name);
    if (found == clients_.end() || topic.empty())
        return false;
    return std::ranges::none_of(found->bans, [&](const Ban& ban) {
        return ban.family == topic.front() && !ban.until;
    });
}

void BrokerRecorder::broker_has(std::string_view session_key, std::uint64_t attempt) {
    ClientFacts* facts = by_name(session_key);
    if (facts == nullptr)
        return;
    const Moment moment = now();
    const Duration gap = moment.at - facts->offline_since + clock_gained_;
    if (!facts->is_up_at_broker && facts->expiry_s != 0 && gap >= std::chrono::seconds{facts->expiry_s}) {
        facts->may_be_expired = true;
        doubt(*facts, static_cast<std::size_t>(facts - clients_.data()), moment);
    }
    facts->is_up_at_broker = true;
    if (attempt != 0)
        facts->attempts[attempt - 1].known = moment;
}

void BrokerRecorder::broker_lost(std::string_view session_key, std::uint64_t attempt, mqtt::Ended why) {
    ClientFacts* facts = by_name(session_key);
    if (facts == nullptr)
        return;
    const Moment moment = now();
    facts->is_up_at_broker = false;
    // A connection that the client knew nothing of is one that the broker may forget.
    if (attempt != 0 && facts->attempts[attempt - 1].up)
        facts->offline_since = moment.at;
    if (why == mqtt::Ended::protocol_error)
        breach(2, facts->name + " is told of a protocol error it did not make");
    if (attempt == 0)
        return;
    facts->attempts[attempt - 1].down = moment;
    facts->attempts[attempt - 1].why = why;
}

void BrokerRecorder::broker_dropped(
    std::string_view session_key, std::string_view reason, std::uint64_t count
) {
    ClientFacts* const facts = by_name(session_key);
    if (facts == nullptr)
        return;
    facts->dropped[std::string(reason)] += count;
    if (reason != "not_stored")
        return;
    // Refused for the disk's sake; if the publisher does not hear of it, it sends the message again.
    for (const auto& [number, message] : open_) {
        if (&clients_[message->publisher] == facts)
            message->met_bad_disk = true;
    }
}

void BrokerRecorder::broker_died() {
    const Moment moment = now();
    deaths_.push_back(moment);
    for (ClientFacts& facts : clients_) {
        facts.is_up_at_broker = false;
        for (Attempt& attempt : facts.attempts) {
            if (attempt.down || !attempt.known)
                continue;
            if (attempt.up)
                facts.offline_since = moment.at;
            attempt.down = moment;
            attempt.died = true;
        }
    }
}

void BrokerRecorder::journal_failed() {
    journal_failures_.push_back(now());
    for (const std::uint64_t number : std::exchange(settled_lately_, {}))
        messages_[number].met_bad_disk = true;
    for (const auto& [number, message] : open_)
        message->met_bad_disk = true;
}

void BrokerRecorder::ban(std::size_t who, char family) {
    clients_[who].bans.push_back({family, now(), {}});
}

void BrokerRecorder::lift(std::size_t who) {
    const Moment moment = now();
    for (Ban& ban : clients_[who].bans) {
        if (!ban.until)
            ban.until = moment;
    }
}

void BrokerRecorder::clock_jumped(std::chrono::milliseconds by) {
    if (by.count() > 0)
        clock_gained_ += by;
}

} // namespace brim::sim
