#include "sim/broker_model.h"

#include <algorithm>
#include <array>

namespace brim::sim {

namespace {

constexpr std::size_t reports_max = 12; ///< of one run; a broken law is broken often

std::string_view take_level(std::string_view& text, bool& is_over) {
    const std::size_t slash = text.find('/');
    const std::string_view level = text.substr(0, slash);
    is_over = slash == std::string_view::npos;
    text = is_over ? std::string_view{} : text.substr(slash + 1);
    return level;
}

bool is_promised(const SentMessage& sent) {
    return sent.qos != 0 && sent.is_acked && !sent.is_forbidden && !sent.may_expire &&
           sent.payload_bytes != 0;
}

} // namespace

bool topic_matches(std::string_view filter, std::string_view topic) {
    bool is_filter_over = false, is_topic_over = false;
    for (;;) {
        const std::string_view wanted = take_level(filter, is_filter_over);
        if (wanted == "#")
            return true;
        if (is_topic_over)
            return false;
        const std::string_view level = take_level(topic, is_topic_over);
        if (wanted != "+" && wanted != level)
            return false;
        if (is_filter_over)
            return is_topic_over;
        if (is_topic_over)
            return filter == "#"; // "a/#" is for "a" too
    }
}

void BrokerModel::report(unsigned law, std::string text) {
    if (violations_.size() < reports_max)
        violations_.push_back({law, std::move(text)});
}

const SentMessage* BrokerModel::message(std::uint64_t number) const {
    const auto found = recorder_.messages().find(number);
    return found == recorder_.messages().end() ? nullptr : &found->second;
}

std::string BrokerModel::name_of(const SentMessage& sent) const {
    return (sent.is_will ? "will " : "message ") + std::to_string(sent.number) + " of " +
           recorder_.clients()[sent.publisher].name + " on " + sent.topic + " (QoS " +
           std::to_string(sent.qos) + ")";
}

std::uint64_t BrokerModel::dropped_full(const ClientFacts& facts) {
    std::uint64_t sum = 0;
    for (const char* reason : {"queue_full", "too_large"}) {
        if (const auto found = facts.dropped.find(reason); found != facts.dropped.end())
            sum += found->second;
    }
    return sum;
}

bool BrokerModel::is_banned(const ClientFacts& facts, std::string_view topic, const Moment& since) const {
    return std::ranges::any_of(facts.bans, [&](const Ban& ban) {
        return ban.family == topic.front() && (!ban.until || since.before(ban.until));
    });
}

bool BrokerModel::has_wish(const ClientFacts& facts, const Receipt& receipt, const SentMessage& sent) const {
    return std::ranges::any_of(facts.wishes, [&](const Wish& wish) {
        const bool is_too_late = wish.released && wish.released.before(sent.submitted);
        const bool is_gone = wish.gone && wish.gone.before(receipt.arrived);
        return wish.asked.before(receipt.arrived) && !is_too_late && !is_gone &&
               topic_matches(wish.filter, receipt.topic) && !(receipt.retain && !wish.group.empty());
    });
}

bool BrokerModel::is_owed(const Wish& wish, const SentMessage& sent) const {
    return wish.granted && wish.granted.before(sent.submitted) && !wish.release_asked && !wish.doubted &&
           wish.qos != 0 && topic_matches(wish.filter, sent.topic);
}

bool BrokerModel::has_stood(const ClientFacts& facts, const Receipt& receipt, const SentMessage& sent) const {
    return std::ranges::any_of(facts.wishes, [&](const Wish& wish) {
        const bool is_over = (wish.release_asked && wish.release_asked.before(receipt.arrived)) ||
                             (wish.doubted && wish.doubted.before(receipt.arrived));
        return wish.granted && wish.granted.before(sent.submitted) && !is_over &&
               topic_matches(wish.filter, receipt.topic);
    });
}

void BrokerModel::check_receipt(const ClientFacts& facts, const Receipt& receipt) {
    const SentMessage* sent = message(receipt.number);
    if (sent == nullptr || sent->topic != receipt.topic || sent->payload_bytes != receipt.payload_bytes ||
        receipt.qos > sent->qos) {
        report(
            2,
            facts.name + " got what nobody sent: " + std::to_string(receipt.number) + " on " + receipt.topic
        );
        return;
    }
    if (sent->is_forbidden)
        report(4, facts.name + " got " + name_of(*sent) + ", which nobody may publish");
    if (!has_wish(facts, receipt, *sent))
        report(4, facts.name + " got " + name_of(*sent) + " without a subscription");
    // What was under way when the permission went may still arrive; what was sent since may not.
    const bool is_new = !receipt.retain && receipt.began.before(sent->submitted) && !sent->is_will;
    const Moment& sent_after = is_new ? sent->submitted : receipt.began;
    for (const Ban& ban : facts.bans) {
        if (ban.family == receipt.topic.front() && ban.from.before(sent_after) &&
            (!ban.until || receipt.arrived.before(ban.until)))
            report(4, facts.name + " got " + name_of(*sent) + " after it was forbidden");
    }
}

void BrokerModel::check_receipts(std::size_t who) {
    const ClientFacts& facts = recorder_.clients()[who];
    for (const Receipt& receipt : facts.receipts) {
        if (receipt.payload_bytes != 0)
            check_receipt(facts, receipt);
    }
}

/// QoS 2 from end to end: once in the life of the receiver's session.
void BrokerModel::check_once(std::size_t who) {
    const ClientFacts& facts = recorder_.clients()[who];
    std::set<std::pair<unsigned, std::uint64_t>> seen;
    for (const Receipt& receipt : facts.receipts) {
        const SentMessage* sent = message(receipt.number);
        if (sent == nullptr || receipt.retain || receipt.qos != 2 || !sent->is_exact)
            continue;
        if (sent->met_bad_disk && facts.expiry_s == 0)
            continue;
        if (!seen.emplace(receipt.generation, receipt.number).second)
            report(2, facts.name + " got " + name_of(*sent) + " twice");
    }
}

/// What another member of a shared subscription left behind comes after what was the receiver's own.
bool BrokerModel::is_inherited(std::size_t who, const Receipt& receipt) const {
    const auto has_left = [&](const Wish& own, const ClientFacts& other) {
        return std::ranges::any_of(other.wishes, [&](const Wish& wish) {
            // Its client may learn only later that its session was over.
            return wish.group == own.group && (wish.doubted || other.expiry_s == 0);
        });
    };
    const std::vector<ClientFacts>& clients = recorder_.clients();
    return std::ranges::any_of(clients[who].wishes, [&](const Wish& own) {
        if (own.group.empty() || !topic_matches(own.filter, receipt.topic))
            return false;
        for (std::size_t other = 0; other < clients.size(); ++other) {
            if (other != who && has_left(own, clients[other]))
                return true;
        }
        return false;
    });
}

/// First deliveries of one publisher, topic and QoS come in the order they were sent in.
void BrokerModel::check_order(std::size_t who) {
    const ClientFacts& facts = recorder_.clients()[who];
    const bool is_in_group =
        std::ranges::any_of(facts.wishes, [](const Wish& wish) { return !wish.group.empty(); });
    // A message sent twice may be new to a receiver only the second time, when others are there already: if
    // the first copy was dropped, forbidden, or another member's, or came between two subscriptions.
    const bool takes_repeated = !is_in_group && facts.bans.empty() && facts.dropped.empty();
    std::map<std::tuple<unsigned, std::size_t, std::string_view, int>, std::uint64_t> last;
    std::set<std::pair<unsigned, std::uint64_t>> seen;
    for (const Receipt& receipt : facts.receipts) {
        const SentMessage* sent = message(receipt.number);
        if (sent == nullptr || receipt.retain || sent->is_will)
            continue;
        if (!seen.emplace(receipt.generation, receipt.number).second)
            continue;
        if (sent->sendings > 1 &&
            (!takes_repeated || sent->may_expire || receipt.qos == 0 || !sent->is_exact ||
             sent->met_bad_disk || !has_stood(facts, receipt, *sent)))
            continue;
        std::uint64_t& before =
            last[{receipt.generation, sent->publisher, sent->topic, sent->qos * 3 + receipt.qos}];
        if (receipt.number < before && !is_inherited(who, receipt))
            report(3, facts.name + " got " + name_of(*sent) + " after " + std::to_string(before));
        before = std::max(before, receipt.number);
    }
}

void BrokerModel::check_delivered(std::size_t who) {
    const ClientFacts& facts = recorder_.clients()[who];
    std::set<std::uint64_t> got;
    for (const Receipt& receipt : facts.receipts)
        got.insert(receipt.number);
    std::uint64_t missing = 0;
    const SentMessage* first = nullptr;
    for (const auto& [number, sent] : recorder_.messages()) {
        if (!is_promised(sent) || got.contains(number) || is_banned(facts, sent.topic, sent.submitted))
            continue;
        const bool is_missing = std::ranges::any_of(facts.wishes, [&](const Wish& wish) {
            return wish.group.empty() && is_owed(wish, sent);
        });
        if (!is_missing)
            continue;
        ++missing;
        first = first == nullptr ? &sent : first;
    }
    if (missing > dropped_full(facts))
        report(
            1,
            facts.name + " lacks " + std::to_string(missing) + " acknowledged messages, " +
                std::to_string(dropped_full(facts)) + " were dropped and counted; the first is " +
                name_of(*first)
        );
}

BrokerModel::BrokerModel(const BrokerRecorder& recorder) : recorder_(recorder) {
    for (const auto& [number, sent] : recorder.messages()) {
        if (sent.retain)
            retained_[sent.topic].push_back(&sent);
    }
}

std::uint64_t BrokerModel::retained_before(const Moment& moment, const std::string& topic) const {
    std::uint64_t last = 0;
    for (const SentMessage* sent : retained_.at(topic)) {
        if (sent->is_acked && sent->settled.before(moment))
            last = sent->number;
    }
    // What the disk refused and its publisher sent again came after what was taken meanwhile.
    for (const SentMessage* sent : retained_.at(topic)) {
        if (sent->met_bad_disk && sent->sendings > 1)
            last = std::min(last, sent->number);
    }
    return last;
}

/// What is retained: a new subscription gets the last acknowledged value or a later one, never an older one.
void BrokerModel::check_retained_answers(std::size_t who) {
    const ClientFacts& facts = recorder_.clients()[who];
    std::map<std::pair<unsigned, std::string>, std::uint64_t> floor; // of the earliest wish of a session
    for (const Receipt& receipt : facts.receipts) {
        if (!receipt.retain || receipt.payload_bytes == 0)
            continue;
        // The earliest wish that may have asked for it.
        const auto wish = std::ranges::find_if(facts.wishes, [&](const Wish& one) {
            return one.wants_retained && one.asked.before(receipt.arrived) &&
                   !(one.gone && one.gone.before(receipt.arrived)) &&
                   topic_matches(one.filter, receipt.topic);
        });
        if (wish == facts.wishes.end())
            continue; // told already
        auto& least = floor[{receipt.generation, receipt.topic}];
        if (least == 0)
            least = retained_.contains(receipt.topic)
                        ? std::max<std::uint64_t>(1, retained_before(wish->asked, receipt.topic))
                        : 1;
        if (receipt.number < least)
            report(
                1,
                facts.name + " got the retained " + std::to_string(receipt.number) + " on " + receipt.topic +
                    ", older than the acknowledged " + std::to_string(least)
            );
    }
    for (const Wish& wish : facts.wishes) {
        if (!wish.wants_retained || !wish.granted || wish.doubted || wish.release_asked || wish.qos == 0 ||
            dropped_full(facts) != 0)
            continue;
        for (const auto& [topic, values] : retained_) {
            const std::uint64_t number = retained_before(wish.asked, topic);
            if (number == 0 || !topic_matches(wish.filter, topic) || is_banned(facts, topic, wish.asked))
                continue;
            const bool may_be_cleared = std::ranges::any_of(values, [number](const SentMessage* sent) {
                return sent->number >= number && sent->payload_bytes == 0;
            });
            const bool has_it = std::ranges::any_of(facts.receipts, [&](const Receipt& receipt) {
                return receipt.topic == topic && receipt.number >= number &&
                       wish.asked.before(receipt.arrived);
            });
            if (!may_be_cleared && !has_it)
                report(
                    1,
                    facts.name + " asked for " + wish.filter + " and never got what " + topic +
                        " retained, message " + std::to_string(number)
                );
        }
    }
}

std::vector<Violation> BrokerModel::check_retained(std::size_t newcomer) {
    violations_.clear();
    const ClientFacts& facts = recorder_.clients()[newcomer];
    check_receipts(newcomer);
    std::map<std::string, std::uint64_t> got;
    for (const Receipt& receipt : facts.receipts)
        got[receipt.topic] = receipt.number;
    for (const auto& [topic, values] : retained_) {
        const std::uint64_t number = retained_before(facts.wishes.front().asked, topic);
        if (number == 0)
            continue;
        const std::uint64_t has = got.contains(topic) ? got[topic] : 0;
        // What was refused, or not answered, may have been retained all the same.
        const bool is_last = values.back()->number == number;
        const bool is_clear = message(number)->payload_bytes == 0;
        const bool is_right = is_last ? has == (is_clear ? 0 : number) : has == 0 || has >= number;
        if (!is_right)
            report(
                1,
                "retained on " + topic + " is " + std::to_string(has) + ", acknowledged was " +
                    std::to_string(number) + (is_clear ? ", which cleared it" : "")
            );
    }
    return std::move(violations_);
}

void BrokerModel::check_groups() {
    std::set<std::string> groups;
    for (const ClientFacts& facts : recorder_.clients()) {
        for (const Wish& wish : facts.wishes) {
            if (!wish.group.empty())
                groups.insert(wish.group);
        }
    }
    for (const std::string& group : groups)
        check_group(group);
}

/// Each message goes to one member, and one member gets it although members come and go.
void BrokerModel::check_group(const std::string& group) {
    std::map<std::uint64_t, std::set<std::size_t>> receivers;
    std::vector<const ClientFacts*> members;
    bool are_kept = true;
    bool are_exact = true; // granted QoS 2: what is handed over at QoS 1 may have arrived before
    std::uint64_t dropped = 0;
    for (std::size_t who = 0; who < recorder_.clients().size(); ++who) {
        const ClientFacts& facts = recorder_.clients()[who];
        const auto is_of_group = [&](const Wish& wish) { return wish.group == group; };
        if (!std::ranges::any_of(facts.wishes, is_of_group))
            continue;
        members.push_back(&facts);
        are_kept = are_kept && facts.expiry_s != 0;
        are_exact = are_exact && std::ranges::all_of(facts.wishes, [&](const Wish& wish) {
                        return !is_of_group(wish) || wish.qos == 2;
                    });
        dropped += dropped_full(facts);
        for (const Receipt& receipt : facts.receipts) {
            const bool is_of_it = std::ranges::any_of(facts.wishes, [&](const Wish& wish) {
                return is_of_group(wish) && topic_matches(wish.filter, receipt.topic);
            });
            if (is_of_it)
                receivers[receipt.number].insert(who);
        }
    }
    std::uint64_t missing = 0;
    const SentMessage* first = nullptr;
    for (const auto& [number, sent] : recorder_.messages()) {
        const std::size_t count = receivers.contains(number) ? receivers[number].size() : 0;
        // Who is not kept gets it before it is on disk: if the broker dies then, the next copy is another's.
        if (count > 1 && sent.is_exact && sent.qos == 2 && !sent.met_bad_disk && are_kept && are_exact)
            report(2, name_of(sent) + " went to " + std::to_string(count) + " members of the group " + group);
        if (count != 0 || !is_promised(sent))
            continue;
        bool is_owed_to_one = false, is_excused = false;
        for (const ClientFacts* facts : members) {
            for (const Wish& wish : facts->wishes) {
                if (wish.group != group || !topic_matches(wish.filter, sent.topic))
                    continue;
                is_owed_to_one = is_owed_to_one || is_owed(wish, sent);
                // A member whose session ended took with it what nobody may inherit, and what was not on
                // disk when the broker died.
                const bool has_heirs = wish.qos != 2 && facts->expiry_s != 0;
                const bool is_unsafe = !has_heirs || sent.met_bad_disk;
                is_excused = is_excused ||
                             (is_unsafe && wish.doubted && sent.submitted.before(wish.doubted)) ||
                             (wish.release_asked && sent.submitted.before(wish.release_asked));
                is_excused = is_excused || is_banned(*facts, sent.topic, sent.submitted) || wish.qos == 0;
            }
        }
        if (!is_owed_to_one || is_excused)
            continue;
        ++missing;
        first = first == nullptr ? &sent : first;
    }
    if (missing > dropped)
        report(
            1,
            "no member of the group " + group + " got " + std::to_string(missing) +
                " acknowledged messages; the first is " + name_of(*first)
        );
}

void BrokerModel::check_will(
    const ClientFacts& facts, const Attempt& attempt, std::size_t number, std::size_t witness
) {
    using std::chrono::seconds;
    const ClientFacts& seen_by = recorder_.clients()[witness];
    const auto delivery = std::ranges::find(seen_by.receipts, attempt.will, &Receipt::number);
    const bool is_published = delivery != seen_by.receipts.end();
    const std::string name = name_of(*message(attempt.will));
    const auto any_within = [](const std::vector<Moment>& moments, Mono from, Mono to) {
        return std::ranges::any_of(moments, [&](const Moment& one) {
            return from <= one.at && one.at <= to;
        });
    };
    if (is_published && !attempt.down && attempt.up && number + 1 == facts.attempts.size())
        report(2, name + " was published although its connection is up");
    if (!attempt.up || !attempt.down)
        return; // the client does not know whether it was taken
    const bool was_told = attempt.why == mqtt::Ended::disconnect && !attempt.died;
    const Mono safe = attempt.down.at + seconds{2};
    // By then the broker has written it down, unless its disk was slow.
    const bool is_written = !any_within(recorder_.deaths(), attempt.down.at, safe) &&
                            !any_within(recorder_.slow_disks(), attempt.down.at - seconds{20}, safe);
    const bool was_kept = is_written && !any_within(recorder_.journal_failures(), attempt.began.at, safe);
    if (is_published && was_told && was_kept)
        report(2, name + " was published after DISCONNECT");
    const std::uint32_t wait_s = std::min(attempt.will_delay_s, facts.expiry_s);
    const Mono due = attempt.down.at + seconds{wait_s};
    const Attempt* next = number + 1 < facts.attempts.size() ? &facts.attempts[number + 1] : nullptr;
    const bool ends_early = std::any_of(
        facts.attempts.begin() + static_cast<std::ptrdiff_t>(number) + 1,
        facts.attempts.end(),
        [&](const Attempt& later) { return later.clean_start && later.began.at <= due + seconds{1}; }
    );
    const bool is_time_sure = recorder_.clock_gained().count() == 0 && !ends_early;
    if (is_published && is_time_sure && wait_s != 0 && delivery->arrived.at < due)
        report(2, name + " was published before its delay was over");
    const bool came_back = next != nullptr && next->up && next->up.at < due && facts.expiry_s != 0;
    if (is_published && is_time_sure && came_back)
        report(2, name + " was published although its client came back in time");
    // Published it must be: when nobody said goodbye, nothing was lost with the process, and none delayed it.
    const bool is_kept = facts.expiry_s != 0 || (!attempt.died && is_written);
    const bool must = !attempt.left && !was_told && attempt.why != mqtt::Ended::shutdown && wait_s == 0 &&
                      is_kept && recorder_.journal_failures().empty() && dropped_full(seen_by) == 0;
    if (!is_published && must)
        report(1, name + " was never published");
}

void BrokerModel::check_wills(std::size_t witness) {
    for (const ClientFacts& facts : recorder_.clients()) {
        for (std::size_t i = 0; i < facts.attempts.size(); ++i) {
            if (facts.attempts[i].will != 0)
                check_will(facts, facts.attempts[i], i, witness);
        }
    }
}

std::vector<Violation> BrokerModel::check(std::size_t witness) {
    violations_ = recorder_.breaches();
    for (std::size_t who = 0; who < recorder_.clients().size(); ++who) {
        check_receipts(who);
        check_once(who);
        check_order(who);
        check_delivered(who);
        check_retained_answers(who);
    }
    check_groups();
    check_wills(witness);
    return std::move(violations_);
}

} // namespace brim::sim
