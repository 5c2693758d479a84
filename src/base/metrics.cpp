#include "base/metrics.h"

#include "base/assert.h"
#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <variant>

namespace brim {

namespace {

constexpr std::size_t label_sets_max = 1'000; ///< per family; one more holds the overflow
constexpr std::string_view overflow_labels = "overflow=\"true\"";

enum class FamilyKind : std::uint8_t { counter, gauge, gauge_function, histogram };

bool valid_metric_name(std::string_view name) {
    if (name.empty() || (name[0] >= '0' && name[0] <= '9'))
        return false;
    return std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    });
}

/// OpenMetrics escapes: backslash, quote and newline.
void append_metric_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        if (c == '\n') {
            out += "\\n";
            continue;
        }
        if (c == '"' || c == '\\')
            out += '\\';
        out += c;
    }
}

void append_metric_number(std::string& out, double value) {
    if (std::isnan(value)) {
        out += "NaN";
    } else if (std::isinf(value)) {
        out += value > 0 ? "+Inf" : "-Inf";
    } else {
        json_append_number(out, value);
    }
}

/// "name_suffix{labels,extra} "
void append_sample(
    std::string& out,
    std::string_view name,
    std::string_view suffix,
    std::string_view labels,
    std::string_view extra = {}
) {
    out += name;
    out += suffix;
    if (!labels.empty() || !extra.empty()) {
        out += '{';
        out += labels;
        if (!labels.empty() && !extra.empty())
            out += ',';
        out += extra;
        out += '}';
    }
    out += ' ';
}

} // namespace

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {
    BRIM_ASSERT(std::ranges::is_sorted(bounds_, std::less_equal<>{}) || bounds_.size() < 2, "bounds grow");
}

void Histogram::observe(double value) noexcept {
    const auto bound = std::ranges::lower_bound(bounds_, value); // a value on a bound counts below it: "le"
    counts_[static_cast<std::size_t>(bound - bounds_.begin())].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
}

struct Metrics::State {
    /// All series of one name. Deques keep the addresses that were handed out.
    struct Family {
        std::string name;
        std::string help;
        FamilyKind kind;
        std::vector<double> bounds = {};
        std::map<std::string, std::size_t, std::less<>> index_by_labels = {};
        std::vector<std::string> labels = {};
        std::deque<Counter> counters = {};
        std::deque<Gauge> gauges = {};
        std::deque<Histogram> histograms = {};
        std::function<double()> read = {};
    };

    Family& family(std::string_view name, std::string_view help, FamilyKind kind) {
        BRIM_ASSERT(valid_metric_name(name), "a metric name has letters, digits and underscores only");
        const auto found = families_by_name.find(name);
        if (found != families_by_name.end()) {
            BRIM_ASSERT(found->second->kind == kind, "one metric name, two kinds");
            return *found->second;
        }
        Family& fresh = families.emplace_back(Family{std::string(name), std::string(help), kind});
        families_by_name.emplace(name, &fresh);
        return fresh;
    }

    /// Index of the series for `labels`, and whether it is new.
    static std::pair<std::size_t, bool> series(Family& family, std::string_view labels) {
        auto found = family.index_by_labels.find(labels);
        if (found == family.index_by_labels.end() && family.labels.size() >= label_sets_max) {
            labels = overflow_labels;
            found = family.index_by_labels.find(labels);
        }
        if (found != family.index_by_labels.end())
            return {found->second, false};
        const std::size_t index = family.labels.size();
        family.labels.emplace_back(labels);
        family.index_by_labels.emplace(labels, index);
        return {index, true};
    }

    mutable std::mutex mutex; ///< guards everything below, not the values inside the series
    std::deque<Family> families;
    std::map<std::string, Family*, std::less<>> families_by_name;
};

Metrics::Metrics() : state_(std::make_unique<State>()) {}

Metrics::~Metrics() = default;

Counter& Metrics::counter(std::string_view name, std::string_view help, std::string_view labels) {
    BRIM_ASSERT(!name.ends_with("_total"), "the _total is added when written");
    const std::lock_guard lock(state_->mutex);
    auto& family = state_->family(name, help, FamilyKind::counter);
    const auto [index, fresh] = State::series(family, labels);
    if (fresh)
        family.counters.emplace_back();
    return family.counters[index];
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, std::string_view labels) {
    const std::lock_guard lock(state_->mutex);
    auto& family = state_->family(name, help, FamilyKind::gauge);
    const auto [index, fresh] = State::series(family, labels);
    if (fresh)
        family.gauges.emplace_back();
    return family.gauges[index];
}

Histogram& Metrics::histogram(
    std::string_view name, std::string_view help, std::vector<double> bounds, std::string_view labels
) {
    const std::lock_guard lock(state_->mutex);
    auto& family = state_->family(name, help, FamilyKind::histogram);
    if (family.labels.empty())
        family.bounds = std::move(bounds);
    const auto [index, fresh] = State::series(family, labels);
    if (fresh)
        family.histograms.emplace_back(family.bounds);
    return family.histograms[index];
}

void Metrics::gauge_from(std::string_view name, std::string_view help, std::function<double()> read) {
    const std::lock_guard lock(state_->mutex);
    state_->family(name, help, FamilyKind::gauge_function).read = std::move(read);
}

std::string Metrics::text() const {
    // The functions are called without the lock: they may take their time, or ask this registry for a
    // counter.
    std::vector<std::pair<std::string, std::function<double()>>> functions;
    {
        const std::lock_guard lock(state_->mutex);
        for (const auto& family : state_->families) {
            if (family.read)
                functions.emplace_back(family.name, family.read);
        }
    }
    std::map<std::string, double, std::less<>> readings;
    for (const auto& [name, read] : functions)
        readings[name] = read();

    std::string out;
    const std::lock_guard lock(state_->mutex);
    for (const auto& family : state_->families) {
        const bool is_gauge = family.kind == FamilyKind::gauge || family.kind == FamilyKind::gauge_function;
        out += "# TYPE " + family.name;
        out += family.kind == FamilyKind::counter ? " counter\n" : is_gauge ? " gauge\n" : " histogram\n";
        out += "# HELP " + family.name + ' ';
        append_metric_escaped(out, family.help);
        out += '\n';
        for (std::size_t i = 0; i < family.counters.size(); ++i) {
            append_sample(out, family.name, "_total", family.labels[i]);
            out += std::to_string(family.counters[i].value()) + '\n';
        }
        for (std::size_t i = 0; i < family.gauges.size(); ++i) {
            append_sample(out, family.name, "", family.labels[i]);
            append_metric_number(out, family.gauges[i].value());
            out += '\n';
        }
        for (std::size_t i = 0; i < family.histograms.size(); ++i) {
            append_histogram(out, family.name, family.labels[i], family.histograms[i]);
        }
        if (const auto reading = readings.find(family.name); reading != readings.end()) {
            append_sample(out, family.name, "", "");
            append_metric_number(out, reading->second);
            out += '\n';
        }
    }
    out += "# EOF\n";
    return out;
}

void Metrics::append_histogram(
    std::string& out, std::string_view name, std::string_view labels, const Histogram& histogram
) {
    std::uint64_t below = 0; // buckets are cumulative
    for (std::size_t i = 0; i < histogram.counts_.size(); ++i) {
        below += histogram.counts_[i].load(std::memory_order_relaxed);
        std::string bound = "le=\"";
        append_metric_number(bound, i < histogram.bounds_.size() ? histogram.bounds_[i] : INFINITY);
        append_sample(out, name, "_bucket", labels, bound + '"');
        out += std::to_string(below) + '\n';
    }
    append_sample(out, name, "_sum", labels);
    append_metric_number(out, histogram.sum_.load(std::memory_order_relaxed));
    out += '\n';
    append_sample(out, name, "_count", labels);
    out += std::to_string(below) + '\n';
}

std::string metric_label(std::string_view name, std::string_view value) {
    std::string out(name);
    out += "=\"";
    append_metric_escaped(out, value);
    out += '"';
    return out;
}

} // namespace brim
