#pragma once
// Counters of one metric that a label tells apart, such as a reason: each is looked up in the registry once.

#include "base/metrics.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace brim {

/// One thread. The values of the label are words of ours: what a peer says would make a series of each.
class LabelledCounters {
public:
    /// `labels` stand before the one that varies: `result="refused"`. The registry outlives this.
    LabelledCounters(
        Metrics& metrics, std::string name, std::string help, std::string label, std::string labels = {}
    )
        : metrics_(metrics), name_(std::move(name)), help_(std::move(help)), label_(std::move(label)),
          labels_(std::move(labels)) {}

    Counter& of(std::string_view value) {
        if (const auto found = by_value_.find(value); found != by_value_.end())
            return *found->second;
        const std::string last = metric_label(label_, value);
        Counter& made = metrics_.counter(name_, help_, labels_.empty() ? last : labels_ + "," + last);
        by_value_.emplace(value, &made);
        return made;
    }

    /// Those that were asked for, by value.
    const std::map<std::string, Counter*, std::less<>>& all() const { return by_value_; }

    std::uint64_t sum() const {
        std::uint64_t total = 0;
        for (const auto& [value, counter] : by_value_)
            total += counter->value();
        return total;
    }

private:
    Metrics& metrics_;
    std::string name_, help_, label_, labels_;
    std::map<std::string, Counter*, std::less<>> by_value_;
};

} // namespace brim
