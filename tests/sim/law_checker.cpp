#include "sim/law_checker.h"

#include <algorithm>

namespace brim::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t page_points = 10'000;
constexpr Duration read_max = 60s;
constexpr Duration last_words = 2s;  // what was sent before silence fell is acknowledged by then
constexpr Duration history_lag = 3s; // the hub writes history a moment after the log

} // namespace

void LawChecker::report(unsigned law, std::string text) {
    violations_.push_back({law, std::move(text)});
}

Points LawChecker::history(const thing::DeviceKey& device, Property property) {
    Points points;
    store::HistoryQuery query;
    query.limit = page_points;
    HubNode& hub = installation_.hub();
    while (true) {
        bool answered = false;
        Result<store::HistoryPage> page = store::HistoryPage{};
        hub.post([&] {
            const hub::Device* found = hub.hub()->registry().device(device);
            query.device = found ? found->id : 0;
            query.property = found ? found->product->property_id(property_name(property)) : 0;
            hub.hub()->ingest().query(query, [&](Result<store::HistoryPage> got) {
                page = std::move(got);
                answered = true;
            });
        });
        if (!installation_.world().run_until([&answered] { return answered; }, read_max) || !page) {
            report(5, "the history of " + device.text() + " cannot be read");
            break;
        }
        points.insert(points.end(), page->points.begin(), page->points.end());
        if (page->next.empty())
            break;
        query.cursor = page->next;
    }
    std::ranges::stable_sort(points, {}, &store::HistoryPoint::seq);
    return points;
}

void LawChecker::check_values(const thing::DeviceKey& device, Property property, const Points& points) {
    const std::string name = device.text();
    std::map<std::int64_t, unsigned> stored;
    for (const auto& point : points)
        ++stored[std::get<std::int64_t>(point.value)];
    const auto& values = installation_.recorder().values();
    const auto label = [&](std::int64_t value) {
        return name + " " + std::string(property_name(property)) + "=" + std::to_string(value);
    };
    for (const auto& [value, count] : stored) {
        const auto known = values.find({name, property, value});
        if (known == values.end()) {
            report(2, label(value) + " is stored but was never reported");
        } else if (known->second.forged) {
            report(4, label(value) + " is stored but its sender may not speak for the device");
        } else if (count > known->second.sent) {
            report(
                2,
                label(value) + " is stored " + std::to_string(count) + " times, reported " +
                    std::to_string(known->second.sent) + " times"
            );
        }
    }
    for (auto it = values.lower_bound({name, property, INT64_MIN}); it != values.end(); ++it) {
        const auto& [key, facts] = *it;
        if (std::get<0>(key) != name || std::get<1>(key) != property)
            break;
        const auto found = stored.find(std::get<2>(key));
        const unsigned count = found == stored.end() ? 0 : found->second;
        if (facts.acked <= count)
            continue;
        missing_ += facts.acked - count;
        if (first_missing_.empty())
            first_missing_ = label(std::get<2>(key));
    }
}

// The values of Speed grow, so arrival order must be value order within each lane.
void LawChecker::check_order(const thing::DeviceKey& device, const Points& points) {
    // A record the hub refused for a while is sent again after those it took meanwhile.
    // The recorder knows it of the hub's earlier starts, the hub of this one.
    if (installation_.recorder().refused_by_hub() + installation_.hub().hub()->ingest().stats().failed > 0)
        return;
    std::int64_t last[2] = {-1, -1};
    for (const auto& point : points) {
        const std::int64_t value = std::get<std::int64_t>(point.value);
        std::int64_t& newest = last[point.replayed ? 1 : 0];
        if (value < newest) {
            report(
                3,
                device.text() + " Speed=" + std::to_string(value) + " arrived after " +
                    std::to_string(newest) + (point.replayed ? " in the replayed lane" : " in the live lane")
            );
            return;
        }
        newest = value;
    }
}

void LawChecker::check_sets() {
    for (const auto& key : installation_.devices()) {
        const auto found = installation_.recorder().sets().find(key.text());
        if (found == installation_.recorder().sets().end())
            continue;
        std::int64_t newest_stored = -1;
        for (const SetFacts& facts : found->second)
            newest_stored = facts.stored ? std::max(newest_stored, facts.value) : newest_stored;
        const hub::Device* device = installation_.hub().hub()->registry().device(key);
        const std::int64_t desired =
            device->desired.empty() ? -1 : std::get<std::int64_t>(device->desired.front().value.data);
        if (desired < newest_stored) {
            report(
                1,
                "the hub promised Target=" + std::to_string(newest_stored) + " of " + key.text() +
                    " and wants " + std::to_string(desired)
            );
        }
        const bool confirmed =
            !device->desired.empty() && device->desired.front().state == hub::DesiredState::confirmed;
        if (confirmed && installation_.applied(key) != desired) {
            report(
                5,
                key.text() + " holds Target=" + std::to_string(installation_.applied(key)) +
                    ", the hub says " + std::to_string(desired) + " is confirmed"
            );
        }
    }
}

std::vector<Violation> LawChecker::check() {
    violations_.clear();
    missing_ = 0;
    first_missing_.clear();
    if (!installation_.settle(settle_max))
        report(5, "60 s after the last fault: " + installation_.unsettled());
    installation_.set_mood(Mood::silent);
    installation_.world().run_for(last_words);
    (void)installation_.settle(settle_max);
    installation_.world().run_for(history_lag);
    HistoryRecorder& recorder = installation_.recorder();
    for (const std::string& leak : recorder.leaks())
        report(4, leak);
    if (!installation_.hub().hub())
        return violations_;
    check_sets();
    for (const auto& device : installation_.devices()) {
        const Points speed = history(device, Property::speed);
        check_values(device, Property::speed, speed);
        check_order(device, speed);
        check_values(device, Property::target, history(device, Property::target));
    }
    // What is still held (after an L5 violation) is late, not lost.
    std::uint64_t dropped = recorder.dropped();
    for (std::size_t i = 0; i < installation_.edge_count(); ++i) {
        if (edge::Edge* edge = installation_.edge(i).edge())
            dropped += edge::Ledger::sum(edge->ledger().dropped()) + edge->forwarder().held();
    }
    if (missing_ > dropped) {
        report(
            1,
            std::to_string(missing_) + " acknowledged reports are missing, " + std::to_string(dropped) +
                " were dropped by policy; the first is " + first_missing_
        );
    }
    return violations_;
}

} // namespace brim::sim
